// SPDX-License-Identifier: Apache-2.0
//
// Names that examples in doc comments use without declaring them: what a reader takes for granted. See check-snippets.

public import Apus

public let connection = { () -> TCPConnection in fatalError() }()
public let urls = ["a", "b"]
public let messages = Channel<String>()
public let replies = Channel<String>()
public let lines = Channel<String>()
public let request = [UInt8]()
public let farewell = [UInt8]()
public let isFinished = true

public struct Job: Sendable {}

public struct Node {
    public let children: [Node]
}

public struct Configuration: Sendable {
    public let greets: Bool
}

public func fetch(_ url: String) throws -> String { url }
public func readReply(from connection: TCPConnection) throws -> String { "" }
public func openDatabase() throws {}
public func hostName() -> String { "" }
public func readConfiguration() throws -> Configuration { Configuration(greets: true) }
public func crunch() {}
public func step() {}
