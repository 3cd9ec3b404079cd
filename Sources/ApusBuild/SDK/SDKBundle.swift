// SPDX-License-Identifier: Apache-2.0
//
// Swift SDK bundles, as SwiftPM has them: a folder NAME.artifactbundle with an info.json that lists artifacts, each of
// which is a folder with a swift-sdk.json that says for which triples it is. Read where a bundle is added, written where
// the tool puts one together.

internal import FoundationEssentials
internal import SystemPackage

/// A bundle in a folder, and what it offers.
struct SDKBundle: Sendable, Equatable {
    /// A triple that the bundle is for.
    struct Offer: Sendable, Equatable {
        let artifact: String
        let triple: String
        /// Where the target's headers and libraries are. `nil`: the SDK does not say.
        let sysroot: FilePath?
    }

    let folder: FilePath
    let offers: [Offer]

    /// Reads a bundle.
    ///
    /// - Throws: `ToolError` (`data`) when it is not one that SwiftPM 6 understands.
    static func read(_ folder: FilePath) throws -> SDKBundle {
        func decode<Value: Decodable>(_ type: Value.Type, _ file: FilePath) throws -> Value {
            guard Files.exists(file) else {
                throw ToolError(
                    "\(folder) is no Swift SDK bundle: it has no \(file.lastComponent?.string ?? "")", status: .data)
            }
            do {
                return try JSONDecoder().decode(type, from: Data(try Files.read(file)))
            } catch is DecodingError {
                throw ToolError("\(file) is not what a Swift SDK bundle has there", status: .data)
            }
        }
        let info = try decode(Info.self, folder.appending("info.json"))
        var offers: [Offer] = []
        for (name, artifact) in info.artifacts.sorted(by: { $0.key < $1.key }) where artifact.type == "swiftSDK" {
            for variant in artifact.variants {
                var file = folder.pushing(FilePath(variant.path))
                if file.extension != "json" { file.append("swift-sdk.json") }
                let base = file.removingLastComponent()
                let description = try decode(Description.self, file)
                guard let triples = description.targetTriples else {
                    throw ToolError(
                        "\(file) has the form \(description.schemaVersion), and the tool reads Swift SDKs of the form 4.0",
                        status: .data)
                }
                for (triple, target) in triples.sorted(by: { $0.key < $1.key }) {
                    offers.append(
                        Offer(
                            artifact: name, triple: triple,
                            sysroot: target.sdkRootPath.map { base.pushing(FilePath($0)) }))
                }
            }
        }
        return SDKBundle(folder: folder, offers: offers)
    }

    /// What the bundle offers for a target.
    ///
    /// - Throws: `ToolError` (`data`) when it has nothing for it, or several things of which one must be named.
    func offer(for name: TargetName) throws -> Offer {
        let fitting = offers.filter { offer in
            if let triple = name.triple { return offer.triple == triple.description }
            return (try? Triple(parsing: offer.triple)?.platform()) == name.platform
        }
        let bundle = folder.lastComponent?.string ?? folder.string
        switch fitting.count {
        case 1: return fitting[0]
        case 0:
            let others = offers.map(\.triple).joined(separator: ", ")
            throw ToolError(
                "the Swift SDK \(bundle) is not for \(name)",
                remedy: offers.isEmpty ? nil : "it is for \(others)", status: .data)
        default:
            throw ToolError(
                "the Swift SDK \(bundle) has several variants for \(name)",
                remedy: "name one of \(fitting.map(\.triple).joined(separator: ", "))", status: .data)
        }
    }

    /// Writes the files of a bundle with one artifact for one triple around the folder `sdk`, which holds what the paths name.
    static func write(
        _ folder: FilePath, artifact: String, triple: String, target: Description.Target, compilerOptions: [String],
        cOptions: [String] = []
    ) throws {
        let info = Info(
            schemaVersion: "1.0",
            artifacts: [artifact: Info.Artifact(type: "swiftSDK", version: "1", variants: [Info.Variant(path: "sdk")])])
        var target = target
        target.toolsetPaths = ["toolset.json"]
        // A tool without a property makes SwiftPM refuse the whole SDK, so tools without options are left out.
        let toolset = Toolset(
            schemaVersion: "1.0", swiftCompiler: Toolset.Tool(extraCLIOptions: compilerOptions),
            cCompiler: cOptions.isEmpty ? nil : Toolset.Tool(extraCLIOptions: cOptions))
        let sdk = folder.appending("sdk")
        try Files.write(try encode(info), to: folder.appending("info.json"))
        try Files.write(
            try encode(Description(schemaVersion: "4.0", targetTriples: [triple: target])),
            to: sdk.appending("swift-sdk.json"))
        try Files.write(try encode(toolset), to: sdk.appending("toolset.json"))
    }

    private static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    struct Info: Codable {
        struct Artifact: Codable {
            var type: String
            var version: String
            var variants: [Variant]
        }
        struct Variant: Codable { var path: String }
        var schemaVersion: String
        var artifacts: [String: Artifact]
    }

    struct Description: Codable {
        struct Target: Codable {
            var sdkRootPath: String?
            var swiftResourcesPath: String?
            var swiftStaticResourcesPath: String?
            var toolsetPaths: [String]?
        }
        var schemaVersion: String
        var targetTriples: [String: Target]?
    }

    struct Toolset: Codable {
        struct Tool: Codable { var extraCLIOptions: [String] }
        var schemaVersion: String
        var swiftCompiler: Tool
        var cCompiler: Tool?
    }
}
