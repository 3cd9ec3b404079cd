// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusBuild

@Suite("Names of images")
struct ImageReferenceTests {
    @Test(
        "Are read as everybody writes them",
        arguments: [
            ("server", "docker.io/library/server:latest", "registry-1.docker.io"),
            ("team/server:1.0", "docker.io/team/server:1.0", "registry-1.docker.io"),
            ("registry.example.com/team/server:1.0", "registry.example.com/team/server:1.0", "registry.example.com"),
            ("localhost/server", "localhost/server:latest", "localhost"),
            ("localhost:5000/a/b/c:x", "localhost:5000/a/b/c:x", "localhost:5000"),
            ("http://registry/a", "registry/a:latest", "registry"),
            ("127.0.0.1:5000/a__b/c-d.e:1_2", "127.0.0.1:5000/a__b/c-d.e:1_2", "127.0.0.1:5000"),
        ])
    func parsing(text: String, whole: String, server: String) throws {
        let reference = try ImageReference(parsing: text)
        #expect(reference.description == whole)
        #expect(reference.server == server)
    }

    @Test(
        "What is none is refused",
        arguments: [
            "", "Server", "a//b", "a/", "/a", "a:", "a:-x", "a@sha256:00", "-a", "a-", "a._b", "a b", "ho st.io/a",
            "a:" + String(repeating: "x", count: 129), "http:///a",
        ])
    func refused(text: String) {
        #expect(throws: ToolError.self) { try ImageReference(parsing: text) }
    }

    @Test(
        "Any product has a name that is allowed",
        arguments: [
            ("server", "server"), ("My_Server", "my_server"), ("a b--c", "a-b-c"), ("_x_", "x"), ("ä", "image"),
            ("HTTP.Server", "http.server"),
        ])
    func names(text: String, name: String) throws {
        #expect(ImageReference.name(from: text) == name)
        #expect(try ImageReference(parsing: name).name == "library/" + name)
    }

    @Test(
        "Registries of this machine are known",
        arguments: [
            ("localhost:1/a", true), ("127.1.2.3/a", true), ("registry.localhost/a", true), ("[::1]:5000/a", true),
            ("example.com/a", false), ("localhost.example.com/a", false), ("a", false),
        ])
    func loopback(text: String, isLoopback: Bool) throws {
        #expect(try ImageReference(parsing: text).isLoopback == isLoopback)
    }
}
