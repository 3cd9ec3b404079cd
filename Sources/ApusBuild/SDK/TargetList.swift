// SPDX-License-Identifier: Apache-2.0
//
// Every target that the tool knows of: ready or not, and what is missing.

internal import FoundationEssentials
internal import SystemPackage

/// A line of `apus target list`.
public struct TargetStatus: Sendable, Equatable, Encodable {
    public enum State: String, Sendable, Encodable {
        case ready
        /// It was not added yet.
        case missing
        /// It was added, and something of it is not there any more, or has changed.
        case broken
    }

    public let name: String
    /// `nil` where it depends on what will be added.
    public let tier: TargetTier?
    public let state: State
    /// What SwiftPM calls it, where it is ready.
    public let triple: String?
    public let compiler: String?
    public let source: String?
    public let glibcFloor: String?
    /// When it was last proved.
    public let proved: String?
    /// What ran the proof's program. `nil`: it was built, and not run.
    public let ranWith: String?
    /// What is missing, and the command that mends it.
    public let problem: String?
    public let remedy: String?
}

extension TargetKeeper {
    /// All known targets, the machine's own first, and those that were added under other names last.
    public func list() async throws -> [TargetStatus] {
        var names = TargetName.known
        for name in [TargetName.host] + store.names() where !names.contains(name) { names.append(name) }
        let version = try? await CompilerVersion.ask(invocation.commands)
        return names.map { status(of: $0, compiler: version) }
    }

    private func status(of name: TargetName, compiler version: String?) -> TargetStatus {
        func status(
            _ record: TargetRecord?, tier: TargetTier?, _ state: TargetStatus.State, problem: String? = nil,
            remedy: String? = nil
        ) -> TargetStatus {
            TargetStatus(
                name: name.description, tier: tier, state: state,
                triple: record?.triple ?? (tier == .host ? Target.host(isExplicit: true).triple : nil),
                compiler: record?.compiler.version ?? (tier == .host ? version : nil),
                source: record?.source.kind.rawValue, glibcFloor: record?.glibcFloor, proved: record?.proof?.date,
                ranWith: record?.proof?.ranWith, problem: problem, remedy: remedy)
        }
        let record: TargetRecord?
        do { record = try store.record(of: name) } catch {
            return status(
                nil, tier: nil, .broken, problem: (error as? ToolError)?.message, remedy: KnownTarget.commandToAdd(name)
            )
        }
        guard let record else {
            if name == .host {
                return version == nil
                    ? status(nil, tier: .host, .missing, problem: "there is no Swift toolchain on PATH")
                    : status(nil, tier: .host, .ready)
            }
            let tier: TargetTier = KnownTarget.defaultSource(of: name) == .embedded ? .embedded : .full
            return status(
                nil, tier: tier, .missing,
                problem: tier == .embedded ? "Zig, which links" : "a Swift SDK", remedy: KnownTarget.commandToAdd(name))
        }
        if let fault = store.fault(of: record, named: name, compiler: version) {
            return status(record, tier: record.tier, .broken, problem: fault.text, remedy: fault.remedy)
        }
        return status(record, tier: record.tier, .ready)
    }
}

extension TargetStatus {
    /// Lines with columns, for people.
    public static func table(_ statuses: [TargetStatus]) -> [String] {
        let rows =
            [["TARGET", "TIER", "STATE", ""]]
            + statuses.map { status in
                [status.name, status.tier?.rawValue ?? "-", status.state.rawValue, status.remark]
            }
        let widths = (0..<3).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
            let line = (cells + [row[3]]).joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }

    private var remark: String {
        if let problem { return [problem, remedy].compactMap { $0 }.joined(separator: ": ") }
        guard let compiler else { return "" }
        guard let proved else { return compiler }
        return "\(compiler), from \(source ?? ""), \(ranWith == nil ? "built" : "ran") \(proved.prefix(10))"
    }
}
