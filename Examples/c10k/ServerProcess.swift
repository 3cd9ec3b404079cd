// SPDX-License-Identifier: Apache-2.0
//
// The server as the measuring process sees it: a child process.

import Apus
import ArgumentParser
import Foundation

struct ServerProcess {
    /// Where it listens.
    let addresses: [SocketAddress]
    private let process = Process()
    /// The server ends when this end of the pipe is closed, which the kernel sees to if we should crash.
    private let lifeline = Pipe()

    /// The kernel tells connections apart by both addresses, and has about 28,000 ports (on macOS 16,000) for the clients'
    /// side: so many connections can there be to one port of the server.
    private static let connectionsPerPort = 15_000

    init(clientCount: Int) throws {
        let ports = (clientCount + Self.connectionsPerPort - 1) / Self.connectionsPerPort
        let output = Pipe()
        process.executableURL = Bundle.main.executableURL
        process.arguments = ["--serve", "\(ports)"]
        process.standardInput = lifeline
        process.standardOutput = output
        try process.run()
        var text = ""
        while !text.hasSuffix("\n") {
            let data = output.fileHandleForReading.availableData
            // It has ended. Standard error is ours too: there it has said why.
            guard !data.isEmpty else { throw ExitCode.failure }
            text += String(decoding: data, as: UTF8.self)
        }
        addresses = text.split(whereSeparator: \.isWhitespace).compactMap { SocketAddress(String($0)) }
    }

    var isRunning: Bool { process.isRunning }

    /// How it ended.
    var cause: String {
        switch process.terminationReason {
        case .uncaughtSignal: "killed by signal \(process.terminationStatus)"
        default: "exit status \(process.terminationStatus)"
        }
    }

    /// What it uses at this moment; nil where the system does not tell.
    var usage: ProcessUsage? { ProcessUsage(of: process.processIdentifier) }

    /// Ends it, whatever state it is in, and waits until it is gone.
    func stop() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
