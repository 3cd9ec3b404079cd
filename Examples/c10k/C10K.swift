// SPDX-License-Identifier: Apache-2.0
//
// The command: its options, and the order of things. What it does is in Measurement.swift, the clients are in
// Clients.swift, the server that they talk to is in EchoServer.swift and runs as a process of its own.

import Apus
import ArgumentParser

@main
struct C10K: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "c10k",
        abstract: "Holds ten thousand TCP connections at once, each on a goroutine of its own, and measures them.",
        discussion: """
            Starts an echo server as a process of its own, opens the connections, sees what they cost the server while \
            they are idle, and then lets every one of them send messages, and check what comes back, as fast as it can. \
            Progress goes to standard error, the result to standard output.

            Exit status: 0 when every connection held and every answer was right, 1 when not, 2 when more files would \
            have to be open than the system allows, 64 when the options are wrong.
            """
    )

    @Option(help: "How many connections to hold.")
    var connections = 10_000

    @Option(help: "How long to measure while all connections are busy.")
    var seconds = 10

    @Option(help: "How many bytes each message has.")
    var size = 64

    @Option(help: ArgumentHelp("Also write the result to a file, as JSON.", valueName: "file"))
    var json: String?

    // How the program starts itself as the server: with the number of ports to listen on.
    @Option(help: .hidden)
    var serve: Int?

    func validate() throws {
        try Self.check("connections", connections, in: 1...1_000_000)
        try Self.check("seconds", seconds, in: 1...86_400)
        // A client reads only after it has written: a message must fit into what the kernel takes meanwhile.
        try Self.check("size", size, in: 1...65_536)
    }

    private static func check(_ option: String, _ value: Int, in range: ClosedRange<Int>) throws {
        guard range.contains(value) else {
            throw ValidationError("--\(option) takes a number from \(range.lowerBound) to \(range.upperBound)")
        }
    }

    func run() throws {
        if let serve { return try EchoServer.run(ports: serve) }

        do {
            try DescriptorLimit.raise(forConnections: connections)
        } catch {
            StandardError.write("Error: \(error)\n")
            throw ExitCode(2)
        }
        let file = try json.map { try OutputFile(path: $0) }
        Interruption.watch()

        let clients = Clients(count: connections, messageSize: size)
        var measurement = Measurement(clients: clients, server: try ServerProcess(clientCount: connections))
        let earlyEnd = measurement.run(for: .seconds(seconds))

        try StandardOutput.write(measurement.report.table)
        try file?.write(measurement.report.json)
        switch earlyEnd {
        case .interrupted(let signal):
            StandardError.write("Interrupted: these are the figures up to then.\n")
            throw ExitCode(128 + signal)
        case .serverDied(let cause):
            StandardError.write("Error: the server process has ended: \(cause)\n")
            throw ExitCode.failure
        case .noConnection, nil:
            guard measurement.report.isClean else { throw ExitCode.failure }
        }
    }
}
