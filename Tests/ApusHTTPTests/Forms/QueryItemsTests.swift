// SPDX-License-Identifier: Apache-2.0
//
// Queries, forms and cookies.

import HTTPTypes
import Testing

@testable import ApusHTTP

@Suite("QueryItems")
struct QueryItemsTests {
    @Test(
        "Names and values",
        arguments: [
            ("", []), ("a=1", ["a:1"]), ("a=1&b=2&a=3", ["a:1", "b:2", "a:3"]), ("a", ["a:"]), ("a=", ["a:"]),
            ("=1", [":1"]),
            ("a=b=c", ["a:b=c"]), ("&&a=1&", ["a:1"]), ("a+b=c+d%2B", ["a b:c d+"]), ("%61=%C3%A9", ["a:é"]),
            ("a=%&b=%4&c=%zz&d=%%41", ["a:%", "b:%4", "c:%zz", "d:%A"]), ("a=%FF", ["a:\u{FFFD}"]),
            ("a;b=1", ["a;b:1"]),
            ("q=1%262", ["q:1&2"]), ("a=?/:@", ["a:?/:@"]),
        ])
    func reading(text: String, items: [String]) {
        #expect(QueryItems(text).map { "\($0.name):\($0.value)" } == items)
    }

    @Test("Values are found by name")
    func names() {
        let items = QueryItems("tag=red&tag=dark+blue&all")
        #expect(items["tag"] == "red")
        #expect(items.values(of: "tag") == ["red", "dark blue"])
        #expect(items["all"] == "")
        #expect(items["none"] == nil)
        #expect(items.values(of: "none").isEmpty)
        #expect(items.count == 3)
    }

    @Test("A request's query, cookies and form")
    func requests() throws {
        var router = Router()
        router.get("/query") { request, response in
            try response.send(request.queryItems.map { "\($0.name):\($0.value)" }.joined(separator: ","))
        }
        router.get("/cookie/{name}") { request, response in
            try response.send(request.cookie(request.pathValue("name")!) ?? "none")
        }
        router.post("/form") { request, response in
            try response.send(try request.body.form(items: 3).map { "\($0.name):\($0.value)" }.joined(separator: ","))
        }
        try LoopbackServer.with(router.handler) { server throws in
            #expect(try server.get("/query").text == "")
            #expect(try server.get("/query?").text == "")
            #expect(try server.get("/query?a=1?&b=%20").text == "a:1?,b: ")
            func cookie(_ name: String, _ fields: String...) throws -> String {
                try server.get("/cookie/\(name)", fields.map { "Cookie: \($0)" }).text
            }
            #expect(try cookie("a") == "none")
            #expect(try cookie("a", "a=1; b=2") == "1")
            #expect(try cookie("b", "a=1; b=\"2=3\" ; c=4") == "2=3")
            #expect(try cookie("c", "a=1;c=4%20") == "4%20")
            #expect(try cookie("d", "a=1; dd=2; d") == "none")
            #expect(try cookie("e", "a=1", "e=2") == "2")
            #expect(try cookie("q", "q=\"") == "\"")
            let type = "Content-Type: application/x-www-form-urlencoded"
            #expect(try server.exchange("POST /form", [type], body: "a=1&b=x+y").text == "a:1,b:x y")
            #expect(try server.exchange("POST /form", [type + "; charset=UTF-8"], body: "a=1").text == "a:1")
            #expect(try server.exchange("POST /form", [type]).text == "")
            #expect(try server.exchange("POST /form", [type], body: "a&b&c&d").status == 413)
            #expect(try server.exchange("POST /form", ["Content-Type: text/plain"], body: "a=1").status == 415)
            #expect(try server.exchange("POST /form", body: "a=1").status == 415)
        }
    }
}
