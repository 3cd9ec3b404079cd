// SPDX-License-Identifier: Apache-2.0
//
// One client's connection: what it sends, and whether that is what comes back.

import Apus

struct Conversation {
    private let connection: TCPConnection
    private var message: [UInt8]
    private var answer: [UInt8]
    private let patience: Duration

    /// Connects, and waits for a first answer: only then the connection is known to be held by the server too.
    init(with address: SocketAddress, id: Int, messageSize: Int, patience: Duration) throws {
        // Different from connection to connection: what went to the wrong one would be noticed.
        message = (0..<messageSize).map { UInt8(truncatingIfNeeded: ((id + $0) &* 0x9e37_79b1) >> 13) }
        answer = [UInt8](repeating: 0, count: messageSize)
        self.patience = patience
        connection = try TCPConnection(to: address, timeout: patience)
        try exchange()
    }

    /// Sends a message and reads the answer.
    mutating func exchange() throws {
        // Different from time to time: an answer to an earlier message would be noticed.
        message[0] &+= 1
        try connection.write(message, timeout: patience)
        try connection.readExactly(into: &answer, timeout: patience)
        guard answer == message else { throw ClientError.wrongAnswer }
    }

    func close() {
        connection.close()
    }
}

/// What can go wrong besides the network.
enum ClientError: Error, CustomStringConvertible {
    case wrongAnswer
    case notTried

    var description: String {
        switch self {
        case .wrongAnswer: "read: not what was written"
        case .notTried: "connect: not tried, after so many failures"
        }
    }
}
