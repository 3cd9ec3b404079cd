// SPDX-License-Identifier: Apache-2.0
//
// HTTP by curl, run as a child: it knows TLS, proxies and the machine's certificates. What to do is written to its
// standard input, so that credentials never stand on a command line, where everybody on the machine can read them.

internal import SystemPackage

/// One request.
struct HTTPRequest: Sendable, Equatable {
    enum Body: Sendable, Equatable {
        case none
        case bytes([UInt8])
        case file(FilePath)
    }

    var method: String
    var url: String
    var headers: [(name: String, value: String)] = []
    var body = Body.none

    static func == (one: HTTPRequest, other: HTTPRequest) -> Bool {
        one.method == other.method && one.url == other.url && one.body == other.body
            && one.headers.elementsEqual(other.headers, by: ==)
    }
}

/// What was answered.
struct HTTPAnswer: Sendable, Equatable {
    var status: Int
    /// Names are in lower case.
    var headers: [(name: String, value: String)]
    var body: String

    func values(of name: String) -> [String] { headers.filter { $0.name == name }.map(\.value) }
    func value(of name: String) -> String? { values(of: name).first }

    static func == (one: HTTPAnswer, other: HTTPAnswer) -> Bool {
        one.status == other.status && one.body == other.body && one.headers.elementsEqual(other.headers, by: ==)
    }
}

/// Makes requests.
struct Curl: Sendable {
    let commands: CommandRunner

    /// - Throws: `ToolError` (`unavailable`) with curl's own words when there was no answer.
    func send(_ request: HTTPRequest) async throws -> HTTPAnswer {
        // `--disable`: somebody's .curlrc must not change what is asked or how it is answered.
        let command = Command("curl", ["--disable", "--config", "-"])
        commands.console.command("curl --request \(request.method) \(Command.quoted(request.url))")
        let answer = try await PassingFolder.with(in: commands.environment) { folder in
            var upload: FilePath?
            switch request.body {
            case .none: break
            case .file(let file): upload = file
            case .bytes(let bytes):
                let file = folder.appending("body")
                try Files.write(bytes, to: file, permissions: [.ownerReadWrite])
                upload = file
            }
            return try await commands.capture(
                command, input: Array(Self.configuration(for: request, upload: upload).utf8))
        }
        guard answer.isSuccess else {
            let said =
                answer.errors.split(separator: "\n").first { $0.hasPrefix("curl: (") }.map(String.init)
                ?? "curl: \(answer.status)"
            throw ToolError("cannot reach \(Self.origin(of: request.url)): \(said)", status: .unavailable)
        }
        return try Self.parse(answer.output, isHead: request.method == "HEAD", url: request.url)
    }

    /// What curl reads from its standard input.
    static func configuration(for request: HTTPRequest, upload: FilePath?) -> String {
        var lines = [
            "silent", "show-error", "include", "suppress-connect-headers", "globoff",
            // A server that says nothing more for a minute will not do so later.
            "connect-timeout = 30", "speed-limit = 1", "speed-time = 60",
            "proto = \"=http,https\"", "url = \(quoted(request.url))",
            // Curl would wait for a go-ahead before it sends a body, and some servers never give one.
            "header = \"Expect:\"",
        ]
        if request.method == "HEAD" {
            lines.append("head")
        } else {
            lines.append("request = \(quoted(request.method))")
        }
        if ["GET", "HEAD"].contains(request.method) {
            // To another host, curl does not repeat who we are.
            lines += ["location", "max-redirs = 5"]
        }
        if let upload {
            lines.append("upload-file = \(quoted(upload.string))")
        } else if request.method == "POST" || request.method == "PUT" {
            lines.append("header = \"Content-Length: 0\"")
        }
        lines += request.headers.map { "header = \(quoted("\($0.name): \($0.value)"))" }
        return lines.map { $0 + "\n" }.joined()
    }

    /// A value as curl's configuration takes it.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for character in text.unicodeScalars {
            switch character {
            case "\\", "\"": result += "\\\(character)"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default: result.unicodeScalars.append(character)
            }
        }
        return result + "\""
    }

    /// Reads what `include` prints: the heads of what was passed on the way, the last head, the body.
    static func parse(_ output: String, isHead: Bool, url: String) throws -> HTTPAnswer {
        // By bytes: a return and a line feed are one Character.
        var rest = Array(output.utf8)[...]
        func line() -> String? {
            guard !rest.isEmpty else { return nil }
            let line = rest.prefix { $0 != UInt8(ascii: "\n") }
            rest = rest[line.endIndex...].dropFirst()
            return String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
        }
        while true {
            let words = line()?.split(separator: " ") ?? []
            guard words.count >= 2, words[0].hasPrefix("HTTP/"), let status = Int(words[1]) else {
                throw ToolError("\(origin(of: url)) did not answer in HTTP", status: .unavailable)
            }
            var headers: [(name: String, value: String)] = []
            while let text = line(), !text.isEmpty {
                guard let colon = text.firstIndex(of: ":") else { continue }
                let value = text[text.index(after: colon)...].trimming { $0 == " " || $0 == "\t" }
                headers.append((name: text[..<colon].lowercased(), value: value))
            }
            // Another head follows after 100 (Continue), and after a redirection that was followed.
            let isOnTheWay = (100..<200).contains(status) || (300..<400).contains(status)
            if isOnTheWay, rest.starts(with: "HTTP/".utf8) { continue }
            return HTTPAnswer(
                status: status, headers: headers, body: isHead ? "" : String(decoding: rest, as: UTF8.self))
        }
    }

    /// The scheme, host and port of an address.
    static func origin(of url: String) -> String {
        guard let start = url.firstRange(of: "://")?.upperBound else { return url }
        return String(url[..<(url[start...].firstIndex { "/?#".contains($0) } ?? url.endIndex)])
    }
}

extension Substring {
    fileprivate func trimming(_ isOuter: (Character) -> Bool) -> String {
        var rest = self
        while let first = rest.first, isOuter(first) { rest.removeFirst() }
        while let last = rest.last, isOuter(last) { rest.removeLast() }
        return String(rest)
    }
}
