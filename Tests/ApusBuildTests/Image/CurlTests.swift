// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Curl")
struct CurlTests {
    @Test("What it is to do is written for its standard input")
    func configuration() {
        let request = HTTPRequest(
            method: "PUT", url: "https://example.com/a?b=\"c\"", headers: [("Authorization", "Basic \\x\r\nEvil: 1")])
        let lines = Curl.configuration(for: request, upload: "/a \"b\"").split(separator: "\n")
        #expect(lines.contains(#"url = "https://example.com/a?b=\"c\"""#))
        #expect(lines.contains(#"header = "Authorization: Basic \\x\r\nEvil: 1""#))
        #expect(lines.contains(#"upload-file = "/a \"b\"""#))
        #expect(lines.contains(#"request = "PUT""#))
        // An upload must not be sent to another place than was said.
        #expect(!lines.contains("location"))
        let head = Curl.configuration(for: HTTPRequest(method: "HEAD", url: "http://a/"), upload: nil)
        #expect(head.contains("\nhead\n") && head.contains("\nlocation\n") && !head.contains("request"))
    }

    @Test("The last head counts, and what follows it is the body")
    func answers() throws {
        let text =
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: /b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/2 201 \r\n"
            + "Docker-Content-Digest:  sha256:1 \r\nX: a\r\nx: b\r\nbroken\r\n\r\nline\r\n\nHTTP/1.1 end"
        let answer = try Curl.parse(text, isHead: false, url: "http://a/")
        #expect(answer.status == 201)
        #expect(answer.value(of: "docker-content-digest") == "sha256:1")
        #expect(answer.values(of: "x") == ["a", "b"])
        #expect(answer.body == "line\r\n\nHTTP/1.1 end")
        #expect(try Curl.parse("HTTP/1.1 200 OK\r\n\r\n", isHead: true, url: "http://a/").body.isEmpty)
        // A redirection that was not followed is the answer.
        #expect(try Curl.parse("HTTP/1.1 307 X\r\n\r\nbody", isHead: false, url: "http://a/").status == 307)
    }

    @Test("What is not HTTP is refused", arguments: ["", "SSH-2.0", "HTTP/1.1", "HTTP/1.1 abc\r\n\r\n"])
    func noAnswer(text: String) {
        #expect(throws: ToolError("http://a:1 did not answer in HTTP", status: .unavailable)) {
            try Curl.parse(text, isHead: false, url: "http://a:1/b/c")
        }
    }
}

@Suite("Registries' questions")
struct RegistryChallengeTests {
    @Test(
        "Are read as RFC 9110 writes them",
        arguments: [
            (#"Basic realm="a""#, [("basic", ["realm": "a"])]),
            (
                #"Bearer realm="https://auth/token",service="reg,istry",scope="repository:a:pull,push""#,
                [
                    (
                        "bearer",
                        ["realm": "https://auth/token", "service": "reg,istry", "scope": "repository:a:pull,push"]
                    )
                ]
            ),
            (#"bearer Realm = x , error=y"#, [("bearer", ["realm": "x", "error": "y"])]),
            (#"Negotiate, Basic realm="a \"b\" \\""#, [("negotiate", [:]), ("basic", ["realm": #"a "b" \"#])]),
            (#"Basic realm="open"#, [("basic", ["realm": "open"])]),
            ("", []), (",,", []), ("=x", [("x", [:])]), (#"" Basic"#, [("basic", [:])]),
        ] as [(String, [(String, [String: String])])])
    func parsing(header: String, challenges: [(String, [String: String])]) {
        #expect(
            RegistryChallenge.parse(header) == challenges.map { RegistryChallenge(scheme: $0.0, parameters: $0.1) })
    }

    @Test(
        "An upload goes on where the registry says",
        arguments: [
            ("/v2/a/blobs/uploads/1?_state=x", "http://h:1/v2/a/blobs/uploads/1?_state=x&digest=sha256:"),
            ("https://other/u", "https://other/u?digest=sha256:"), ("//cdn/u", "http://cdn/u?digest=sha256:"),
        ])
    func uploads(location: String, start: String) {
        let digest = Digest(of: [])
        #expect(
            Registry.uploadURL(location: location, origin: "http://h:1", digest: digest) == start + digest.hexadecimal)
    }

    @Test("Forms escape all that could mean something")
    func forms() {
        #expect(Registry.form([("a b", "c&d=e/ä"), ("x", "-._~")]) == "a%20b=c%26d%3De%2F%C3%A4&x=-._~")
    }
}
