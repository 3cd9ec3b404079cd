// SPDX-License-Identifier: Apache-2.0
//
// The router in a server: captures, its own answers, middleware, groups, and the mistakes that stop it.

import ApusNet
import ApusRuntime
import HTTPTypes
import Testing

@testable import ApusHTTP

@Suite("Router")
struct RouterTests {
    /// A handler that says which it is, and what the pattern's wildcards stand for.
    private static func say(_ text: String, _ names: String...) -> Handler {
        { request, response in
            let values = names.map { "\($0)=\(request.pathValue($0) ?? "-")" }
            try response.send(([text] + values).joined(separator: " "))
        }
    }

    private static func site() -> Router {
        var router = Router()
        router.get("/{$}", say("home"))
        router.get("/users/{id}", say("user", "id", "other"))
        router.post("/users", say("new user"))
        router.put("/x/{name}", say("put", "name"))
        router.patch("/x/{name}", say("patch", "name"))
        router.delete("/x/{name}", say("delete", "name"))
        router.on("/files/{path...}", say("files", "path"))
        router.get("/docs/", say("docs"))
        router.get("docs.example/", say("documents"))
        return router
    }

    @Test("Routes, captures, and what has no route")
    func answers() throws {
        try LoopbackServer.with(Self.site().handler) { server throws in
            func expect(_ line: String, _ status: Int, _ text: String?, host: String = "test") throws {
                let answer = try server.exchange(line, host: host)
                #expect(answer.status == status, "\(line)")
                if let text { #expect(answer.text == text, "\(line)") }
            }
            try expect("GET /", 200, "home")
            try expect("GET /?a=b/../c", 200, "home")
            try expect("GET /users/12", 200, "user id=12 other=-")
            try expect("GET /users/a%20b%2Fc%C3%A9", 200, "user id=a b/cé other=-")
            try expect("GET /users/%FF", 200, "user id=\u{FFFD} other=-")
            try expect("POST /users", 200, "new user")
            try expect("PUT /x/y", 200, "put name=y")
            try expect("PATCH /x/y", 200, "patch name=y")
            try expect("DELETE /x/y", 200, "delete name=y")
            try expect("PROPFIND /files/a/b%2F../", 200, "files path=a/b/../")
            try expect("GET /files/", 200, "files path=")
            try expect("GET /docs/a", 200, "docs")
            try expect("GET /docs/a", 200, "documents", host: "DOCS.example:8080")
            try expect("GET http://docs.example/x", 200, "documents")
            try expect("GET http://docs.example", 200, "documents")
            try expect("GET http://test", 200, "home")
            try expect("GET /nowhere", 404, "404 Not Found\n")
            try expect("GET /users/", 404, nil)
            try expect("GET /users/1/2", 404, nil)
            try expect("GET /users/%zz", 400, "400 Bad Request\n")
            try expect("GET /users/%", 400, nil)
            try expect("OPTIONS *", 204, "")
            try expect("CONNECT test:443", 501, nil)
        }
    }

    @Test("HEAD is answered by GET's route, without the body")
    func head() throws {
        try LoopbackServer.with(Self.site().handler) { server throws in
            let answer = try server.exchange("HEAD /users/12")
            #expect(answer.status == 200)
            #expect(answer["content-length"] == "\("user id=12 other=-".utf8.count)")
            #expect(answer.body.isEmpty)
        }
    }

    @Test("Other methods than those of the routes are told which there are")
    func notAllowed() throws {
        try LoopbackServer.with(Self.site().handler) { server throws in
            let users = try server.exchange("DELETE /users")
            #expect(users.status == 405)
            #expect(users["allow"] == "POST")
            #expect(try server.exchange("POST /x/1")["allow"] == "DELETE, PATCH, PUT")
            #expect(try server.exchange("POST /users/1")["allow"] == "GET, HEAD")
        }
    }

    @Test(
        "Redirects to the path that is meant",
        arguments: [
            ("/docs", "/docs/"), ("/docs?a=b&c", "/docs/?a=b&c"), ("/files", "/files/"), ("//", "/"),
            ("/users//1", "/users/1"),
            ("/users/../docs/?q=/../", "/docs/?q=/../"), ("/a/../../../etc/passwd", "/etc/passwd"), ("/%2e%2e/x", "/x"),
            ("//evil.example/..", "/"), ("/./\\evil.example", "/%5Cevil.example"), ("//\"x\"", "/%22x%22"),
            ("http://test/a/../b", "/b"),
        ])
    func redirects(target: String, location: String) throws {
        try LoopbackServer.with(Self.site().handler) { server throws in
            let answer = try server.get(target)
            #expect(answer.status == 307)
            #expect(answer["location"] == location)
        }
    }

    @Test("Middleware wraps what is registered after it, the first one outermost, and the router's own answers")
    func middleware() throws {
        func mark(_ name: String) -> Middleware {
            { next in
                { request, response in
                    response.headerFields[values: .server].append(name)
                    try next(request, response)
                }
            }
        }
        var router = Router()
        router.get("/before", Self.say("before"))
        router.use(mark("one"))
        router.get("/one", Self.say("one"))
        router.use(mark("two"))
        router.get("/two", Self.say("two"))
        router.group("/group/{name}/") { group in
            group.use(mark("inner"))
            group.get("/", Self.say("group", "name"))
            group.post("/{item}", Self.say("item", "name", "item"))
            group.group("/deep") { deep in
                deep.use(mark("deepest"))
                deep.get("/{$}", Self.say("deep", "name"))
            }
            group.get("/last", Self.say("last"))
        }
        router.group("/") { plain in
            plain.use(mark("plain"))
            plain.get("/plain", Self.say("plain"))
        }
        router.group("host.example/sub") { group in group.get("/x", Self.say("host")) }
        router.get("/after", Self.say("after"))
        try LoopbackServer.with(router.handler) { server throws in
            func expect(_ line: String, _ text: String, _ marks: [String], host: String = "test") throws {
                let answer = try server.exchange(line, host: host)
                #expect(answer.text == text)
                #expect(answer.fields.filter { $0.name == "server" }.map(\.value) == marks, "\(line)")
            }
            try expect("GET /before", "before", [])
            try expect("GET /one", "one", ["one"])
            try expect("GET /two", "two", ["one", "two"])
            try expect("GET /group/7/", "group name=7", ["one", "two", "inner"])
            try expect("GET /group/7/any/thing", "group name=7", ["one", "two", "inner"])
            try expect("POST /group/7/8", "item name=7 item=8", ["one", "two", "inner"])
            try expect("GET /group/7/deep/", "deep name=7", ["one", "two", "inner", "deepest"])
            try expect("GET /group/7/last", "last", ["one", "two", "inner"])
            try expect("GET /plain", "plain", ["one", "two", "plain"])
            try expect("GET /sub/x", "host", ["one", "two"], host: "host.example")
            try expect("GET /sub/x", "404 Not Found\n", ["one", "two"])
            try expect("GET /after", "after", ["one", "two"])
            try expect("PUT /one", "405 Method Not Allowed\n", ["one", "two"])
            try expect("GET //x", "", ["one", "two"])
        }
    }

    @Test("The pattern of the route is known to the handler")
    func pattern() throws {
        let say: Handler = { request, response in try response.send(request.routePattern ?? "none") }
        var router = Router()
        router.get("/", say)
        router.group("/a/{x}") { $0.on("PUT /{y}", say) }
        try LoopbackServer.with(router.handler) { server throws in
            #expect(try server.get("/z").text == "GET /")
            #expect(try server.exchange("PUT /a/1/2").text == "PUT /a/{x}/{y}")
        }
        try LoopbackServer.with(say) { server throws in #expect(try server.get("/z").text == "none") }
    }

    @Test("A request without a route does not have that of the one before it")
    func patternAfterAnother() throws {
        var router = Router()
        router.use { _ in { request, response in try response.send("[\(request.routePattern ?? "none")]") } }
        router.get("/a/{x}") { _, _ in }
        router.get("/b") { _, _ in }
        try LoopbackServer.with(router.handler) { server throws in
            let connection = try TCPConnection(to: server.address)
            defer { connection.close() }
            for path in ["/a/1", "/nowhere", "/a/2", "/b", "/nowhere"] {
                try connection.write("GET \(path) HTTP/1.1\r\nHost: test\r\n\r\n".utf8)
            }
            try connection.closeWrite()
            let text = String(decoding: try connection.readUntilClosed(), as: UTF8.self)
            let patterns = text.split(separator: "[").dropFirst().map { $0.prefix { $0 != "]" } }
            #expect(patterns == ["GET /a/{x}", "none", "GET /a/{x}", "GET /b", "none"])
        }
    }

    @Test("A handler made earlier does not know later routes; a connection's requests do not share what they captured")
    func snapshots() throws {
        var router = Router()
        router.get("/a/{x}", Self.say("a", "x", "y"))
        router.get("/b/{y}", Self.say("b", "x", "y"))
        router.get("/c") { request, response in try response.send(request.pathValue("x") ?? "nothing") }
        let handler = router.handler
        router.get("/later", Self.say("later"))
        try LoopbackServer.with(handler) { server throws in
            #expect(try server.get("/later").status == 404)
            let connection = try TCPConnection(to: server.address)
            defer { connection.close() }
            let requests = ["/a/1", "/b/2", "/c", "/none", "/c"].map { "GET \($0) HTTP/1.1\r\nHost: t\r\n\r\n" }
            try connection.write((requests.joined() + "GET /c HTTP/1.0\r\n\r\n").utf8)
            let text = String(decoding: try connection.readUntilClosed(), as: UTF8.self)
            let bodies = text.split(separator: "\r\n\r\n").dropFirst().map { $0.prefix { $0 != "\n" && $0 != "H" } }
            #expect(bodies == ["a x=1 y=-", "b x=- y=2", "nothing", "404 Not Found", "nothing", "nothing"])
        }
    }

    @Test("Patterns that conflict stop the program, and both are named")
    func conflict() async {
        let result = await #expect(
            processExitsWith: .signal(6 /* SIGABRT */), observing: [\.standardErrorContent]
        ) {
            var router = Router()
            router.get("/posts/{id}") { _, _ in }
            router.group("/{resource}") { $0.get("/latest") { _, _ in } }
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(
            text.contains(
                "apus: the pattern \"GET /{resource}/latest\" matches requests that \"GET /posts/{id}\" matches too"))
    }

    @Test("Malformed patterns stop the program")
    func malformed() async {
        let result = await #expect(
            processExitsWith: .signal(6 /* SIGABRT */), observing: [\.standardErrorContent]
        ) {
            var router = Router()
            router.on("GET /a/{x") { _, _ in }
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("apus: the pattern \"GET /a/{x\" has a brace inside a segment"))
    }

    @Test("A host in a group's pattern, and a group without a path, stop the program")
    func malformedGroups() async {
        await #expect(processExitsWith: .signal(6)) {
            var router = Router()
            router.group("/a") { $0.get("host.example/") { _, _ in } }
        }
        await #expect(processExitsWith: .signal(6)) {
            var router = Router()
            router.group("a") { _ in }
        }
    }
}
