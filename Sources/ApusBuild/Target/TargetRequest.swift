// SPDX-License-Identifier: Apache-2.0
//
// Which targets a call asks for: what `--target` says, or else what the environment of a container build says
// (`TARGETPLATFORM`, `TARGETOS`, `TARGETARCH`, `TARGETVARIANT`), or else the machine's own.

/// The targets that one call is about.
public struct TargetRequest: Sendable, Equatable {
    /// In the order in which they were asked for, each once. Never empty.
    public let names: [TargetName]
    /// Somebody named them: then programs bear the target's name, whether or not it is the machine's own.
    public let isExplicit: Bool

    /// - Parameter flags: The values of `--target`. Each may be several names with commas between them.
    /// - Throws: `ToolError` (`usage`) for a name that is none, and for an environment that says half of it or
    ///   contradicts itself. What the environment says is not looked at when there are flags.
    public init(flags: [String], environment: [String: String]) throws {
        var names: [TargetName] = []
        for text in flags.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }) {
            let word = text.drop { $0 == " " }
            let name = try TargetName(parsing: String(word))
            if !names.contains(name) { names.append(name) }
        }
        if names.isEmpty, let name = try Self.fromEnvironment(environment) { names = [name] }
        isExplicit = !names.isEmpty
        self.names = names.isEmpty ? [.host] : names
    }

    private static func fromEnvironment(_ environment: [String: String]) throws -> TargetName? {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        let platform = value("TARGETPLATFORM")
        let system = value("TARGETOS")
        let architecture = value("TARGETARCH")
        let variant = value("TARGETVARIANT")

        func parse(_ text: String, _ variables: String) throws -> TargetName {
            do {
                return try TargetName(parsing: text)
            } catch let error as ToolError {
                throw ToolError(
                    "\(error.message), which the environment asks for (\(variables))", remedy: error.remedy,
                    status: error.status)
            }
        }
        if let platform {
            let name = try parse(platform, "TARGETPLATFORM")
            // A container build sets all of them, or those that its file asks for: what is there must say the same.
            let rest = [("TARGETOS", system), ("TARGETARCH", architecture), ("TARGETVARIANT", variant)]
            for case (let variable, let value?) in rest where !agrees(variable, value, with: name.platform) {
                throw ToolError(
                    "the environment contradicts itself: TARGETPLATFORM is \(platform), and \(variable) is \(value)",
                    remedy: "set TARGETPLATFORM alone, or use --target", status: .usage)
            }
            return name
        }
        switch (system, architecture) {
        case (nil, nil):
            if variant == nil { return nil }
            throw half("TARGETVARIANT", lacks: "TARGETOS and TARGETARCH")
        case (.some, nil):
            throw half(variant == nil ? "TARGETOS" : "TARGETOS and TARGETVARIANT", lacks: "TARGETARCH")
        case (nil, .some):
            throw half(variant == nil ? "TARGETARCH" : "TARGETARCH and TARGETVARIANT", lacks: "TARGETOS")
        case (let system?, let architecture?):
            let text = [system, architecture, variant].compactMap { $0 }.joined(separator: "/")
            return try parse(text, variant == nil ? "TARGETOS, TARGETARCH" : "TARGETOS, TARGETARCH, TARGETVARIANT")
        }
    }

    private static func agrees(_ variable: String, _ value: String, with platform: Platform) -> Bool {
        switch variable {
        case "TARGETOS":
            return value == platform.system
        case "TARGETARCH":
            return Architecture.named(value)?.architecture.name == platform.architecture
        default:
            guard let architecture = Architecture.named(platform.architecture)?.architecture else { return false }
            return architecture.canonical(variant: value) == .some(platform.variant)
        }
    }

    private static func half(_ set: String, lacks missing: String) -> ToolError {
        ToolError(
            "the environment names half a target: \(set) \(set.contains(" and ") ? "are" : "is") set, and \(missing) "
                + "\(missing.contains(" and ") ? "are" : "is") not",
            remedy: "set \(missing) too, or use --target", status: .usage)
    }
}
