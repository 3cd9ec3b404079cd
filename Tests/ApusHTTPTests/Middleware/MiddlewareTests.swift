// SPDX-License-Identifier: Apache-2.0
//
// The access log, and limits for bodies.

import ApusRuntime
import HTTPTypes
import Logging
import Testing

@testable import ApusHTTP

@Suite("Middleware")
struct MiddlewareTests {
    @Test("Every request is logged with what came of it")
    func accessLogged() throws {
        let lines = Channel<LogRecorder.Line>(capacity: 100)
        var router = Router()
        router.use(accessLog(LogRecorder.logger(lines)))
        router.get("/hello/{name}") { _, response in try response.send("hello") }
        router.get("/teapot") { _, _ in throw HTTPError(.init(code: 418), "short and\nstout") }
        router.get("/broken") { _, _ in throw CancellationError() }
        router.get("/late") { _, response in
            try response.write("x")
            try response.flush()
            throw HTTPError(.badGateway)
        }
        try LoopbackServer.with(router.handler) { server throws in
            _ = try server.get("/hello/you%0Aand%1Bme?secret=1")
            _ = try server.get("/nowhere")
            _ = try server.get("/teapot")
            _ = try server.get("/broken")
            _ = try server.get("/late")
        }
        lines.close()
        let all = Array(lines)
        #expect(
            all.map(\.message) == [
                "GET /hello/you%0Aand%1Bme 200", "GET /nowhere 404", "GET /teapot 418", "GET /broken 500",
                "GET /late 200",
            ])
        #expect(all.allSatisfy { $0.level == .info })
        let first = all[0].metadata
        #expect(first["method"] == "GET")
        #expect(first["path"] == "/hello/you%0Aand%1Bme")
        #expect(first["status"] == "200")
        #expect(first["bytes"] == "5")
        #expect(first["route"] == "GET /hello/{name}")
        #expect(first["remote"]?.hasPrefix("127.0.0.1:") == true)
        #expect(first["duration"]?.hasSuffix(" ms") == true)
        #expect(first["error"] == nil)
        #expect(all[1].metadata["route"] == nil)
        #expect(all[2].metadata["error"]?.contains("short and\\u{a}stout") == true)
    }

    @Test("Below the logger's level nothing is logged")
    func level() throws {
        let lines = Channel<LogRecorder.Line>(capacity: 100)
        let handler = accessLog(LogRecorder.logger(lines), level: .debug)({ _, response in try response.send("x") })
        try LoopbackServer.with(handler) { server throws in _ = try server.get("/") }
        lines.close()
        #expect(Array(lines).isEmpty)
    }

    @Test("What could harm a log or a terminal is escaped")
    func escaping() {
        #expect(LogText.escaped("/plain text~") == "/plain text~")
        #expect(LogText.escaped("größe 木") == "größe 木")
        #expect(LogText.escaped("a\r\nb\u{1B}[31m\u{7F}\u{9B}\0") == "a\\u{d}\\u{a}b\\u{1b}[31m\\u{7f}\\u{9b}\\u{0}")
        #expect(LogText.escaped("\u{202E}\u{2028}\u{FEFF}") == "\\u{202e}\\u{2028}\\u{feff}")
        #expect(LogText.escaped("\\n") == "\\\\n")
    }

    @Test(
        "Milliseconds have two decimals",
        arguments: [(0, "0.00"), (-5, "0.00"), (12_049_999, "12.04"), (990_000, "0.99")])
    func milliseconds(nanoseconds: Int64, text: String) {
        #expect(LogText.milliseconds(nanoseconds) == text)
    }

    @Test("Another limit for some bodies, smaller and larger than the server's")
    func bodyLimits() throws {
        let count: Handler = { request, response in try response.send("\(try request.body.collect().count)") }
        var router = Router()
        router.post("/", count)
        router.group("/small") { group in
            group.use(limitBody(to: 3))
            group.post("/", count)
        }
        router.group("/large") { group in
            group.use(limitBody(to: nil))
            group.post("/", count)
        }
        var limits = HTTPServer.Limits()
        limits.bodyBytes = 5
        try LoopbackServer.with(router.handler, limits: limits) { server throws in
            #expect(try server.exchange("POST /", body: "12345").text == "5")
            #expect(try server.exchange("POST /", body: "123456").status == 413)
            #expect(try server.exchange("POST /small/", body: "123").text == "3")
            #expect(try server.exchange("POST /small/", body: "1234").status == 413)
            #expect(try server.exchange("POST /large/", body: "1234567").text == "7")
            let chunked = try server.exchange(
                "POST /small/", ["Transfer-Encoding: chunked", "", "4", "1234", "0", ""])
            #expect(chunked.status == 413)
        }
    }
}
