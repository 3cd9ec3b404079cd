// SPDX-License-Identifier: Apache-2.0
//
// Receiving and sending datagrams. Unlike a stream, a datagram socket does not tell when it is drained: each receive takes
// one datagram, however large its buffer. So after each one the next receive tries before it waits: one system call for a
// datagram while they come fast, and one more (EAGAIN) where the receiver is faster. A batch that is not full has drained
// the socket, and the next one waits without a system call.

internal import ApusRuntime
internal import CApus
internal import Synchronization

extension Descriptor {
    /// Receives one datagram. `call` is the system call: it returns >= 0 or -errno.
    @inline(__always)
    func receiveDatagram(
        deadline: MonotonicTime, _ call: (Int32) -> Int64
    ) throws(Failure) -> Int {
        try lock(.read, deadline)
        defer { unlock(.read) }
        try checkDeadline(.read, deadline)
        while true {
            try wait(.read, deadline)
            let received = call(fileDescriptor)
            if received == -Int64(EAGAIN) {
                readinessIsGuess.store(false, ordering: .relaxed)
                continue
            }
            readinessIsGuess.store(true, ordering: .relaxed)
            poll.setReady(.read)
            guard received >= 0 else { throw .system(errno: Int32(-received)) }
            return Int(received)
        }
    }

    /// Receives up to `limit` datagrams, at least one. `isConnected` says that errors may come between two of them.
    func receiveDatagrams(
        limit: Int, isConnected: Bool, deadline: MonotonicTime, _ call: (Int32) -> Int32
    ) throws(Failure) -> Int {
        try lock(.read, deadline)
        defer { unlock(.read) }
        try checkDeadline(.read, deadline)
        while true {
            try wait(.read, deadline)
            let received = call(fileDescriptor)
            if received == -EAGAIN {
                readinessIsGuess.store(false, ordering: .relaxed)
                continue
            }
            // An error behind the first datagram ends the batch, is kept for the next call, and makes no event.
            if received < 0 || Int(received) == limit || isConnected {
                readinessIsGuess.store(true, ordering: .relaxed)
                poll.setReady(.read)
            } else {
                readinessIsGuess.store(false, ordering: .relaxed)
            }
            guard received >= 0 else { throw .system(errno: -received) }
            return Int(received)
        }
    }

    /// Sends datagrams, one or more. `call` is the system call: it returns >= 0 or -errno.
    @inline(__always)
    func sendDatagram(deadline: MonotonicTime, _ call: (Int32) -> Int64) throws(Failure) -> Int {
        try lock(.write, deadline)
        defer { unlock(.write) }
        try checkDeadline(.write, deadline)
        while true {
            let sent = call(fileDescriptor)
            if sent >= 0 { return Int(sent) }
            guard sent == -Int64(EAGAIN) else { throw .system(errno: Int32(-sent)) }
            try wait(.write, deadline)
        }
    }
}
