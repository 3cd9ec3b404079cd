// SPDX-License-Identifier: Apache-2.0
//
// The list of steps that SwiftPM leaves for llbuild (`release.yaml`): what each step reads and what it makes. From it
// comes what a product is made of: its sources, those of its dependencies, its resources.
//
// The file is YAML by name; SwiftPM writes one key a line and lists as JSON does, so that is what is read here.

internal import FoundationEssentials
internal import SystemPackage

/// Steps, by what they make.
struct BuildManifest: Sendable, Equatable {
    struct Step: Sendable, Equatable {
        var tool = ""
        var inputs: [String] = []
        var outputs: [String] = []
        var arguments: [String] = []
    }

    let steps: [Step]
    /// All of it could be read. Where it could not, nobody knows what a product is made of.
    let isUnderstood: Bool
    /// Which step makes a file or a virtual node.
    private let makers: [String: Int]

    static func read(_ file: FilePath) throws -> BuildManifest {
        BuildManifest(text: String(decoding: try Files.read(file), as: UTF8.self))
    }

    init(text: String) {
        var steps: [Step] = []
        var isInCommands = false
        var isUnderstood = true
        func list(_ text: Substring) -> [String] {
            guard let list = try? JSONDecoder().decode([String].self, from: Data(text.utf8)) else {
                isUnderstood = false
                return []
            }
            return list
        }
        for line in text.split(separator: "\n") {
            if !line.hasPrefix(" ") {
                isInCommands = line.hasPrefix("commands:")
            } else if isInCommands, line.hasPrefix("  \"") {
                steps.append(Step())
            } else if isInCommands, !steps.isEmpty, line.hasPrefix("    "), let colon = line.firstIndex(of: ":") {
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                switch line[..<colon].drop(while: { $0 == " " }) {
                case "tool": steps[steps.count - 1].tool = String(value)
                case "inputs": steps[steps.count - 1].inputs = list(value)
                case "outputs": steps[steps.count - 1].outputs = list(value)
                case "args": steps[steps.count - 1].arguments = list(value)
                default: break
                }
            }
        }
        var makers: [String: Int] = [:]
        for (index, step) in steps.enumerated() { for output in step.outputs { makers[output] = index } }
        self.steps = steps
        self.isUnderstood = isUnderstood
        self.makers = makers
    }

    /// What the step that plans the build reads: the manifests, and the folders of the root package's targets.
    var structure: [String] { steps.first { $0.tool == "package-structure-tool" }?.inputs ?? [] }

    /// All steps that a node needs, itself made by the first.
    func steps(for node: String) -> [Step] {
        var found: [Step] = []
        var seen: Set<Int> = []
        var open = [node]
        while let node = open.popLast() {
            guard let maker = makers[node], seen.insert(maker).inserted else { continue }
            found.append(steps[maker])
            open += steps[maker].inputs
        }
        return found
    }
}
