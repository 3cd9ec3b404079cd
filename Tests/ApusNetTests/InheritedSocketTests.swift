// SPDX-License-Identifier: Apache-2.0
//
// What the variables of socket activation say, and a child program that is started with real sockets.

import ApusNet
import ApusRuntime
import Foundation
import Testing

@Suite struct InheritedEnvironmentTests {
    private func descriptors(_ pid: String?, _ count: String?, _ names: String? = nil) -> [String] {
        InheritedEnvironment(processIdentifier: 42, pid: pid, count: count, names: names).descriptors.map {
            "\($0.number) \($0.name)"
        }
    }

    @Test func namesAndNumbers() {
        #expect(descriptors("42", "2") == ["3 unknown", "4 unknown"])
        #expect(descriptors("42", "3", "http::admin") == ["3 http", "4 unknown", "5 admin"])
        #expect(descriptors("42", "2", "http") == ["3 http", "4 unknown"])
        #expect(descriptors("42", "1", "http:more") == ["3 http"])
    }

    @Test func whatIsNotForUs() {
        #expect(descriptors("43", "2") == [])
        #expect(descriptors(nil, "2") == [])
        #expect(descriptors("42", nil) == [])
        for count in ["0", "-1", "x", "", "99999999999", "70000"] { #expect(descriptors("42", count) == []) }
        #expect(descriptors("", "1") == [])
    }

    @Test func aProcessWithoutInheritedSockets() throws {
        #expect(try InheritedSocket.take().isEmpty)
    }
}

@Suite struct InheritedSocketTests {
    /// Python opens the sockets, as systemd does, and becomes the program. It also leaves a pipe among them, which is no
    /// socket, and sockets that block and would be passed on.
    @Test func aProgramThatIsStartedWithSockets() throws {
        let folder = try TemporaryFolder()
        let program = try Self.program()
        let script = """
            import os, socket, sys
            tcp = socket.create_server(("127.0.0.1", 0))
            unix = socket.socket(socket.AF_UNIX)
            unix.bind(sys.argv[2])
            unix.listen()
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind(("127.0.0.1", 0))
            local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            local.bind(sys.argv[2] + ".datagrams")
            pipe, _ = os.pipe()
            high = [os.dup(n) for n in (tcp.fileno(), unix.fileno(), udp.fileno(), local.fileno(), pipe)]
            high = [__import__("fcntl").fcntl(n, __import__("fcntl").F_DUPFD, 100) for n in high]
            for number, n in enumerate(high): os.dup2(n, 3 + number, inheritable=True)
            os.environ["LISTEN_FDS"] = "5"
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.environ["LISTEN_FDNAMES"] = "web:admin:dns:log:pipe"
            os.execv(sys.argv[1], [sys.argv[1], "inherited-sockets"])
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script, program.path, folder.file("s")]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(text == "inherited-sockets: ok\n")
        #expect(process.terminationStatus == 0)
        // Its path belongs to whoever opened it.
        #expect(folder.has("s"))
    }

    private static let activator = "/usr/bin/systemd-socket-activate"

    /// systemd's own implementation of socket activation: it listens, and starts the program at the first connection, with
    /// the listener, or for each connection (`-a`), with that.
    @Test(
        .enabled(
            if: FileManager.default.isExecutableFile(atPath: activator), "needs Debian's package systemd"),
        arguments: [([], "listener"), (["-a"], "connection")])
    func aProgramThatSystemdActivates(options: [String], kind: String) throws {
        let folder = try TemporaryFolder()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.activator)
        process.arguments =
            options + ["-l", folder.file("s"), "--fdname=web", try Self.program().path, "inherited-activated"]
        let output = Pipe()
        process.standardError = output
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        defer {
            // Tests run on threads on which most signals are blocked, and a child inherits that: all but this one.
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        var said = ""
        while !said.contains("Listening on") {
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "it has ended: \(said)")
            said += String(decoding: more, as: UTF8.self)
        }
        // With `-a` it serves one after the other.
        for round in 0..<(options.isEmpty ? 1 : 3) {
            let connection = try UnixConnection(path: folder.file("s"))
            try connection.write("hello \(round)".utf8)
            try connection.closeWrite()
            #expect(String(decoding: try connection.readAll(), as: UTF8.self) == "\(kind)\nhello \(round)")
        }
        if options.isEmpty {
            // It has become the program, which has ended.
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
    }

    /// SwiftPM builds it into the directory that holds the test bundle.
    private static func program() throws -> URL {
        var places = [Bundle.main.bundleURL, URL(fileURLWithPath: CommandLine.arguments[0])]
        places += Bundle.allBundles.map(\.bundleURL)
        for place in places {
            var directory = place
            for _ in 0..<5 {
                let candidate = directory.appendingPathComponent("apus-test-programs")
                if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
                directory = directory.deletingLastPathComponent()
            }
        }
        throw CocoaError(.fileNoSuchFile)
    }
}
