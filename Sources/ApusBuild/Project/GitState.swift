// SPDX-License-Identifier: Apache-2.0
//
// What git knows of the project: for `apus env` and for the labels of images.

internal import FoundationEssentials
internal import SystemPackage

/// The state of the repository that a project is in.
public struct GitState: Sendable, Equatable {
    /// 40 hexadecimal digits.
    public let commit: String
    /// When it was made, in seconds since 1970.
    public let time: Int64
    /// Files that git knows have been changed, or there are files that it neither knows nor ignores.
    public let isDirty: Bool
    /// `git describe --tags --always --dirty`: `1.2.0-3-gabcdef0-dirty`.
    public let description: String
    /// Where `origin` is. A name or a password in it is left out. `nil`: there is no origin.
    public let remote: String?

    /// `nil` when the project is in no repository, has no commit yet, or there is no git.
    public static func of(_ project: Project, _ invocation: Invocation) async -> GitState? {
        func ask(_ arguments: [String]) async -> String? {
            let command = Command(
                "git", ["-C", project.root.string, "-c", "safe.directory=*"] + arguments,
                environment: ["GIT_OPTIONAL_LOCKS": "0"])
            guard let answer = try? await invocation.commands.capture(command), answer.isSuccess else { return nil }
            return answer.output.split(separator: "\n").joined(separator: "\n")
        }
        guard let head = await ask(["log", "-1", "--format=%H %ct"]), let status = await ask(["status", "--porcelain"])
        else { return nil }
        let words = head.split(separator: " ")
        guard words.count == 2, let time = Int64(words[1]) else { return nil }
        return GitState(
            commit: String(words[0]), time: time, isDirty: !status.isEmpty,
            description: await ask(["describe", "--tags", "--always", "--dirty"]) ?? String(words[0]),
            remote: await ask(["remote", "get-url", "origin"]).map(withoutCredentials))
    }

    /// `https://user:token@host/path` without what stands before the `@`.
    static func withoutCredentials(_ remote: String) -> String {
        guard let scheme = remote.firstRange(of: "://") else { return remote }
        let rest = remote[scheme.upperBound...]
        let host = rest.prefix { $0 != "/" }
        guard let at = host.lastIndex(of: "@") else { return remote }
        return String(remote[..<scheme.upperBound] + rest[rest.index(after: at)...])
    }
}
