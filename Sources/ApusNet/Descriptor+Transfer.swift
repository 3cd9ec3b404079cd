// SPDX-License-Identifier: Apache-2.0
//
// Bytes that stay in the kernel: from a descriptor through a pipe to another one (splice), and from a file (sendfile).
//
// A pipe is taken when there is something to read and put back when it is empty again, so that copies that wait, perhaps
// ten thousand of them, hold no descriptors. It is filled once and then emptied: while it is being filled "would block"
// can only mean that the source has nothing.

internal import ApusRuntime
internal import CApus
internal import Synchronization

/// What one read of a copy has put into a pipe.
struct SplicedPiece: ~Copyable {
    var pipe: Pipe?
    var count: Int
    /// The source is of a kind that cannot be spliced.
    var isImpossible = false
}

/// A pipe of the pool. Closed when it is dropped.
struct Pipe: ~Copyable {
    let output: OwnedFileDescriptor
    let input: OwnedFileDescriptor

    /// `nil` where there are none, or no descriptors.
    init?() {
        var numbers: (Int32, Int32) = (-1, -1)
        let room = unsafe withUnsafeMutableBytes(of: &numbers) { numbers in
            unsafe apus_pipe_open(numbers.assumingMemoryBound(to: Int32.self).baseAddress!, Self.bytes)
        }
        guard room >= 0 else { return nil }
        output = OwnedFileDescriptor(numbers.0)
        input = OwnedFileDescriptor(numbers.1)
    }

    /// How much goes through at a time. A user's pipes may have 64 MiB together without privileges.
    static let bytes = 256 << 10

    // Empty pipes, as pairs of descriptors. A thread's lock: nobody parks under it.
    private static let pool = Synchronization.Mutex<[(Int32, Int32)]>([])
    private static let poolLimit = 32

    static func take() -> Pipe? {
        if let (output, input) = pool.withLock({ $0.popLast() }) {
            return Pipe(output: OwnedFileDescriptor(output), input: OwnedFileDescriptor(input))
        }
        return Pipe()
    }

    private init(output: consuming OwnedFileDescriptor, input: consuming OwnedFileDescriptor) {
        self.output = output
        self.input = input
    }

    /// Puts an empty pipe back.
    consuming func put() {
        let isFull = Self.pool.withLock { $0.count >= Self.poolLimit }
        if isFull { return }
        let pair = (output.release(), input.release())
        Self.pool.withLock { $0.append(pair) }
    }
}

extension Descriptor {
    /// Waits for bytes and moves them into a pipe: at least one, or none at the end of the stream.
    func spliceIn(_ wanted: Int, _ deadline: MonotonicTime) throws(Failure) -> SplicedPiece {
        try lock(.read, deadline)
        defer { unlock(.read) }
        try checkDeadline(.read, deadline)
        while true {
            try wait(.read, deadline)
            guard let pipe = Pipe.take() else {
                poll.setReady(.read)
                return SplicedPiece(pipe: nil, count: 0, isImpossible: true)
            }
            let moved = apus_splice(fileDescriptor, pipe.input.number, min(wanted, Pipe.bytes))
            if moved == -Int64(EAGAIN) {
                readinessIsGuess.store(false, ordering: .relaxed)
                pipe.put()
                continue
            }
            // Fewer bytes than the pipe holds do not mean that there are no more: it is full by pieces, not by bytes.
            readinessIsGuess.store(true, ordering: .relaxed)
            poll.setReady(.read)
            if moved > 0 { return SplicedPiece(pipe: consume pipe, count: Int(moved)) }
            pipe.put()
            if moved == 0 { return SplicedPiece(pipe: nil, count: 0) }
            guard moved == -Int64(EINVAL) else { throw .system(errno: Int32(-moved)) }
            return SplicedPiece(pipe: nil, count: 0, isImpossible: true)
        }
    }

    /// Writes all that a pipe holds, and puts the pipe back. `written` is right also when it throws.
    func spliceOut(
        _ piece: consuming SplicedPiece, _ deadline: MonotonicTime, _ written: inout Int
    ) throws(Failure) {
        guard let pipe = piece.pipe.take() else { return }
        try lock(.write, deadline)
        defer { unlock(.write) }
        try checkDeadline(.write, deadline)
        while written < piece.count {
            let moved = apus_splice(pipe.output.number, fileDescriptor, piece.count - written)
            if moved > 0 {
                written += Int(moved)
            } else if moved == -Int64(EAGAIN) {
                try wait(.write, deadline)
            } else {
                // Nothing moves out of a pipe that holds something only when the descriptor cannot be spliced to.
                throw .system(errno: moved == 0 ? EINVAL : Int32(-moved))
            }
        }
        pipe.put()
    }

    /// Sends all of the bytes, which others follow at once: they share packets where the system can do that.
    func writeBeforeMore(_ bytes: UnsafeRawBufferPointer, deadline: MonotonicTime) throws(Failure) {
        try lock(.write, deadline)
        defer { unlock(.write) }
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        try checkDeadline(.write, deadline)
        var position = 0
        while position < bytes.count {
            // SAFETY: `base + position` is within the buffer, which is valid for the whole call.
            let sent = unsafe apus_socket_send_before_more(fileDescriptor, base + position, bytes.count - position)
            if sent >= 0 {
                position += Int(sent)
            } else if sent == -Int64(EAGAIN) {
                try wait(.write, deadline, transferred: position)
            } else {
                throw Failure(reason: .system(errno: Int32(-sent)), bytesTransferred: position)
            }
        }
    }

    /// Sends a part of a file. `sent` is right also when it throws.
    ///
    /// - Returns: False when this file cannot be sent so, from `sent` on.
    func sendFile(
        _ file: Int32, _ offset: Int64, _ wanted: Int, _ deadline: MonotonicTime, _ sent: inout Int
    ) throws(Failure) -> Bool {
        try lock(.write, deadline)
        defer { unlock(.write) }
        try checkDeadline(.write, deadline)
        // Up to where the file is known to be in memory.
        var looked = 0
        while sent < wanted {
            if sent >= looked {
                looked = sent + min(Self.filePieceBytes, wanted - sent)
                try fetch(file, offset + Int64(sent), looked - sent)
            }
            let moved = apus_file_send(fileDescriptor, file, offset + Int64(sent), looked - sent)
            if moved > 0 {
                sent += Int(moved)
            } else if moved == 0 {
                return true
            } else if moved == -Int64(EAGAIN) {
                try wait(.write, deadline)
            } else if moved == -Int64(EINVAL) || moved == -Int64(ENOSYS) {
                return false
            } else {
                throw .system(errno: Int32(-moved))
            }
        }
        return true
    }

    /// How much of a file is looked at, and sent, at a time. Looking took 0.8 us where sending took 170 us.
    private static var filePieceBytes: Int { 1 << 20 }

    /// Has a part of a file read into memory if it is not there, while others use this thread. Its first byte stands for the
    /// whole: most files are there or they are not. (A look took 0.8 us. What is missing nevertheless blocks the thread, as
    /// it does on file systems that cannot tell, tmpfs for one, which has no disk to wait for.)
    private func fetch(_ file: Int32, _ offset: Int64, _ count: Int) throws(Failure) {
        guard apus_file_is_in_memory(file, offset) == 0 else { return }
        let result = blocking { apus_file_fetch(file, offset, count) }
        guard result >= 0 else { throw .system(errno: Int32(-result)) }
    }
}
