// SPDX-License-Identifier: Apache-2.0
//
// Names of images, as everybody writes them: `registry.example.com:5000/team/server:1.2`.

/// A registry, a name in it and a tag.
public struct ImageReference: Sendable, Equatable, CustomStringConvertible {
    /// The registry's host, and its port where one was given. `docker.io` where none was.
    public let host: String
    /// What the image is called there: lower case, with slashes.
    public let name: String
    public let tag: String
    /// `http` or `https`, where the address began with one.
    public let scheme: String?

    public init(host: String, name: String, tag: String, scheme: String? = nil) {
        self.host = host
        self.name = name
        self.tag = tag
        self.scheme = scheme
    }

    /// - Throws: `ToolError` (`usage`) that says which part is not one.
    public init(parsing text: String) throws {
        func wrong(_ reason: String) -> ToolError {
            ToolError(
                "\(text) does not name an image: \(reason)",
                remedy: "HOST/NAME:TAG, such as example.com/team/server:1.0",
                status: .usage)
        }
        var rest = Substring(text)
        var scheme: String?
        for known in ["http", "https"] where rest.hasPrefix(known + "://") {
            scheme = known
            rest = rest.dropFirst(known.count + 3)
        }
        if rest.contains("@") { throw wrong("a digest cannot be chosen") }
        var host = "docker.io"
        if let slash = rest.firstIndex(of: "/") {
            let first = rest[..<slash]
            // As Docker tells a registry from the first part of a name.
            if first.contains(".") || first.contains(":") || first == "localhost" || scheme != nil {
                host = String(first)
                rest = rest[rest.index(after: slash)...]
            }
        }
        var tag: Substring = "latest"
        if let colon = rest.lastIndex(of: ":") {
            tag = rest[rest.index(after: colon)...]
            rest = rest[..<colon]
        }
        if host == "docker.io" && !rest.contains("/") { rest = "library/" + rest }
        guard Self.isHost(host) else { throw wrong("\(host) is not a host") }
        guard Self.isName(rest) else { throw wrong("'\(rest)' is not a name in lower case") }
        guard Self.isTag(tag) else { throw wrong("'\(tag)' is not a tag") }
        self.init(host: host, name: String(rest), tag: String(tag), scheme: scheme)
    }

    public var description: String { "\(host)/\(name):\(tag)" }

    /// Where the registry of that host answers. Docker's own has another name than its images.
    var server: String { host == "docker.io" ? "registry-1.docker.io" : host }

    /// Whether the registry is on this machine.
    var isLoopback: Bool {
        if host.hasPrefix("[::1]") { return true }
        let name = host.split(separator: ":")[0]
        return name == "localhost" || name.hasSuffix(".localhost") || name.hasPrefix("127.")
    }

    /// A name that is allowed, made of what a product or a folder is called: `My_Server` becomes `my_server`.
    public static func name(from text: String) -> String {
        var result = ""
        for character in text.lowercased().unicodeScalars {
            let isAlphanumeric = ("a"..."z").contains(character) || ("0"..."9").contains(character)
            // A separator stands between letters, once.
            if isAlphanumeric {
                result.unicodeScalars.append(character)
            } else if let last = result.last, last != "-", last != "_", last != "." {
                result.unicodeScalars.append("-_.".unicodeScalars.contains(character) ? character : "-")
            }
        }
        while let last = result.last, "-_.".contains(last) { result.removeLast() }
        return result.isEmpty ? "image" : result
    }

    static func isTag(_ text: Substring) -> Bool {
        (1...128).contains(text.utf8.count) && !"-.".contains(text.first!)
            && text.utf8.allSatisfy { isAlphanumeric($0, upperCase: true) || "._-".utf8.contains($0) }
    }

    private static func isHost(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { isAlphanumeric($0, upperCase: true) || ".-:[]".utf8.contains($0) }
    }

    /// Parts between slashes, each of lower-case letters and digits with separators (`.`, `_`, `__`, dashes) inside.
    private static func isName(_ text: Substring) -> Bool {
        text.utf8.count <= 255
            && text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
                guard let first = part.utf8.first, let last = part.utf8.last, isAlphanumeric(first),
                    isAlphanumeric(last), part.utf8.allSatisfy({ isAlphanumeric($0) || "._-".utf8.contains($0) })
                else { return false }
                let separators = part.split { character in character.utf8.allSatisfy { isAlphanumeric($0) } }
                return separators.allSatisfy { $0 == "." || $0 == "_" || $0 == "__" || $0.allSatisfy { $0 == "-" } }
            }
    }

    private static func isAlphanumeric(_ byte: UInt8, upperCase: Bool = false) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): upperCase
        default: false
        }
    }
}
