// SPDX-License-Identifier: Apache-2.0
//
// The files of new packages. NAME and MODULE stand for the package's own; `.ci/check-tool-new` builds and tests all of them.

enum TemplateTexts {
    static let serverManifest = """
        // swift-tools-version: 6.2
        import PackageDescription

        let package = Package(
            name: "NAME",
            platforms: [.macOS(.v15)],
            dependencies: [
                DEPENDENCY
            ],
            targets: [
                .executableTarget(
                    name: "NAME",
                    dependencies: [PRODUCTS]
                ),
                .testTarget(
                    name: "MODULETests",
                    dependencies: ["NAME", PRODUCTS]
                ),
            ]
        )

        """

    static let libraryManifest = """
        // swift-tools-version: 6.2
        import PackageDescription

        let package = Package(
            name: "NAME",
            products: [
                .library(name: "NAME", targets: ["NAME"])
            ],
            targets: [
                .target(name: "NAME"),
                .executableTarget(name: "NAME-example", dependencies: ["NAME"], path: "Examples/NAME-example"),
                .testTarget(name: "MODULETests", dependencies: ["NAME"]),
            ]
        )

        """

    static let httpMain = """
        import Apus
        import ApusHTTP
        import Glibc

        /// Listens where HOST and PORT in the environment say; on 127.0.0.1:8080 otherwise.
        @main
        enum Main {
            static func main() throws {
                let host = variable("HOST") ?? "127.0.0.1"
                let port = variable("PORT").flatMap(UInt16.init) ?? 8080
                let listener = try TCPListener(host: host, port: port)
                let server = HTTPServer(handler: makeRouter().handler)
                endOnSignals(server)
                print("listening on http://\\(listener.localAddress)/")
                fflush(nil)
                try server.serve(on: listener)
                // Requests under way are answered.
                server.shutdown()
            }
        }

        /// Ctrl-C, or what containers and systemd send, ends the server in good order.
        func endOnSignals(_ server: HTTPServer) {
            let signals = SignalWatcher(for: .interrupt, .terminate)
            go {
                signals.wait()
                signals.stop()
                server.shutdown()
            }
        }

        func variable(_ name: String) -> String? {
            guard let value = getenv(name) else { return nil }
            return String(cString: value)
        }

        """

    static let httpRoutes = """
        import ApusHTTP

        /// What the service answers.
        func makeRouter() -> Router {
            var router = Router()
            router.get("/{$}") { _, response in
                try response.send("Hello, World!\\n", contentType: "text/plain")
            }
            router.get("/hello/{name}") { request, response in
                try response.send("Hello, \\(request.pathValue("name") ?? "nobody")!\\n", contentType: "text/plain")
            }
            router.get("/health") { _, response in
                try response.send("ok\\n", contentType: "text/plain")
            }
            return router
        }

        """

    static let httpTests = """
        import Apus
        import ApusHTTP
        import Testing

        @testable import MODULE

        @Suite("The service")
        struct ServiceTests {
            @Test("Greets", arguments: [("/", "Hello, World!\\n"), ("/hello/Swift", "Hello, Swift!\\n"), ("/health", "ok\\n")])
            func greeting(path: String, answer: String) throws {
                try withService { address in
                    let text = try HTTPClient.shared.get("http://\\(address)\\(path)").text()
                    #expect(text == answer)
                }
            }

            @Test("Says when there is nothing")
            func nothing() throws {
                try withService { address in
                    let response = try HTTPClient.shared.get("http://\\(address)/nothing")
                    #expect(response.status.code == 404)
                }
            }
        }

        /// The service, on a port that is free.
        private func withService(_ body: (SocketAddress) throws -> Void) throws {
            let listener = try TCPListener(host: "127.0.0.1", port: 0)
            let server = HTTPServer(handler: makeRouter().handler)
            let serving = go { try server.serve(on: listener) }
            let result = Result { try body(listener.localAddress) }
            server.shutdown()
            try serving.join()
            try result.get()
        }

        """

    static let serverMain = """
        import Apus
        import Glibc

        /// Listens where HOST and PORT in the environment say; on 127.0.0.1:9000 otherwise.
        @main
        enum Main {
            static func main() throws {
                let host = variable("HOST") ?? "127.0.0.1"
                let port = variable("PORT").flatMap(UInt16.init) ?? 9000
                let listener = try TCPListener(host: host, port: port)
                endOnSignals(listener)
                print("listening on \\(listener.localAddress)")
                fflush(nil)
                serve(listener)
            }
        }

        /// Ctrl-C, or what containers and systemd send, ends the server: nobody is accepted any more.
        func endOnSignals(_ listener: TCPListener) {
            let signals = SignalWatcher(for: .interrupt, .terminate)
            go {
                signals.wait()
                signals.stop()
                listener.close()
            }
        }

        func variable(_ name: String) -> String? {
            guard let value = getenv(name) else { return nil }
            return String(cString: value)
        }

        """

    static let lineServer = """
        import Apus

        /// Accepts connections until the listener is closed; each has a goroutine of its own.
        func serve(_ listener: TCPListener) {
            while let connection = try? listener.accept() {
                go { answer(connection) }
            }
        }

        /// Sends back all that comes, in capitals.
        func answer(_ connection: TCPConnection) {
            defer { connection.close() }
            var buffer = [UInt8](repeating: 0, count: 4096)
            while let count = try? connection.read(into: &buffer), count > 0 {
                guard (try? connection.write(capitals(buffer[..<count]))) != nil else { return }
            }
        }

        /// ASCII letters become capitals; all else stays.
        func capitals(_ bytes: some Sequence<UInt8>) -> [UInt8] {
            bytes.map { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) ? $0 - 32 : $0 }
        }

        """

    static let serverTests = """
        import Apus
        import Testing

        @testable import MODULE

        @Suite("The server")
        struct ServerTests {
            @Test("Answers in capitals")
            func conversation() throws {
                let listener = try TCPListener(host: "127.0.0.1", port: 0)
                let serving = go { serve(listener) }
                let connection = try TCPConnection(to: listener.localAddress)
                try connection.write("hello\\n".utf8)
                var answer: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 16)
                while answer.count < 6, case let count = try connection.read(into: &buffer), count > 0 {
                    answer += buffer[..<count]
                }
                #expect(String(decoding: answer, as: UTF8.self) == "HELLO\\n")
                connection.close()
                listener.close()
                serving.join()
            }

            @Test("Leaves alone what is no letter", arguments: [("a1z", "A1Z"), ("{`", "{`"), ("é", "é")])
            func letters(text: String, expected: String) {
                #expect(String(decoding: capitals(text.utf8), as: UTF8.self) == expected)
            }
        }

        """

    static let library = """
        /// How often each word stands in a text.
        public struct WordCount: Sendable, Equatable {
            public private(set) var counts: [String: Int] = [:]

            /// Counts words: letters between anything else, in lower case.
            public init(_ text: String) {
                for word in text.lowercased().split(whereSeparator: { !$0.isLetter }) {
                    counts[String(word), default: 0] += 1
                }
            }

            /// The most frequent words; those that are equally frequent in the order of the alphabet.
            public func mostFrequent(_ count: Int) -> [(word: String, count: Int)] {
                counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(count).map { ($0.key, $0.value) }
            }
        }

        """

    static let libraryExample = """
        import MODULE

        /// Counts the words of standard input.
        @main
        enum Main {
            static func main() {
                var text = ""
                while let line = readLine(strippingNewline: false) { text += line }
                for (word, count) in WordCount(text).mostFrequent(10) { print(count, word) }
            }
        }

        """

    static let libraryTests = """
        import MODULE
        import Testing

        @Suite("Word counts")
        struct WordCountTests {
            @Test("Words are counted whatever their case")
            func counting() {
                #expect(WordCount("The cat. The DOG; the end").counts == ["the": 3, "cat": 1, "dog": 1, "end": 1])
                #expect(WordCount(" 12 ").counts.isEmpty)
            }

            @Test("The most frequent come first")
            func frequency() {
                #expect(WordCount("b a c b").mostFrequent(2).map(\\.word) == ["b", "a"])
                #expect(WordCount("").mostFrequent(2).isEmpty)
            }
        }

        """
}
