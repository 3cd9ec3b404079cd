// SPDX-License-Identifier: Apache-2.0
//
// A non-blocking socket that the poller watches, shared by any number of goroutines. Everything in this module that
// reads, writes, accepts or closes goes through here, and through nothing else.
//
//   Descriptor = the file descriptor
//              + PollDescriptor        who waits for it to become ready                      (ApusRuntime)
//              + DescriptorState       who may use it, and who is the last one out           (DescriptorState.swift)
//
// An operation locks its side (one reader and one writer at a time; a second one queues), tries the system call, and
// waits for the poller when that would block:
//
//   read    wait, receive     A read that gets less than it asked for has drained the stream: nothing is recorded, and the
//                             next read parks without a system call until the poller sees the next edge, end of file
//                             included. (Reading until EAGAIN costs a fifth of an echo server's time.) After a full
//                             buffer, an end or an error the next read must try again: `setReady`.
//   write   send, wait        Sending nearly always works. Readiness that was recorded earlier costs one more EAGAIN.
//   accept  accept, wait      Likewise.
//
// Would-block never leaves this file. What does is `Failure`, which knows no address; the callers make a NetError of it.
//
// No code of users runs while a side is locked, and no thread lock is held while a goroutine is parked.

package import ApusRuntime
package import CApus
internal import Synchronization

/// A file descriptor that is closed when its owner forgets it: no early exit of a constructor leaks one.
package struct OwnedFileDescriptor: ~Copyable {
    package let number: Int32

    package init(_ number: Int32) {
        self.number = number
    }

    /// Gives up the ownership.
    package consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    deinit {
        apus_descriptor_close(number)
    }
}

package struct Descriptor: ~Copyable, Sendable {
    /// Why an operation ended without its result.
    package struct Failure: Error, Equatable {
        package enum Reason: Equatable {
            case closed
            case deadlineExceeded
            case cancelled
            case system(errno: Int32)
        }

        package var reason: Reason
        /// What a write had sent before.
        package var bytesTransferred = 0

        package static let closed = Failure(reason: .closed)
        package static let deadlineExceeded = Failure(reason: .deadlineExceeded)

        package init(reason: Reason, bytesTransferred: Int = 0) {
            self.reason = reason
            self.bytesTransferred = bytesTransferred
        }

        package init(_ cancellation: Cancellation, bytesTransferred: Int = 0) {
            // A deadline is a deadline, whether the call has it or the function around.
            self.init(
                reason: cancellation == .deadlineExceeded ? .deadlineExceeded : .cancelled,
                bytesTransferred: bytesTransferred)
        }

        package static func system(errno: Int32) -> Failure { Failure(reason: .system(errno: errno)) }
    }

    /// Valid while a reference to `state` is held.
    let fileDescriptor: Int32
    let poll: PollDescriptor

    /// A `DescriptorState`. Locking acquires, unlocking releases: what one reader leaves behind, the next one sees.
    private let state = Atomic<UInt64>(DescriptorState.open.rawValue)
    // Those that queue for a side; one that closes and waits for the last operation to end stands in the readers' queue.
    private let readQueue = ParkedWaiters()
    private let writeQueue = ParkedWaiters()

    // The deadlines that hold for all operations, as nanoseconds of `MonotonicTime`. The poller has them too and wakes
    // those that are parked; these copies let an operation fail before its first system call. Relaxed: a deadline that
    // is set while an operation begins may count for it or not, as if it had been set a moment later.
    private let readDeadline = Atomic<Int64>(MonotonicTime.distantFuture.nanoseconds)
    private let writeDeadline = Atomic<Int64>(MonotonicTime.distantFuture.nanoseconds)

    /// Whether the readiness that may be recorded for reading says only "try": true at first and after a read that could
    /// not tell. False when it can only come from the poller. Protected by the read side's lock.
    let readinessIsGuess = Atomic<Bool>(true)

    /// The most that one system call is asked to move: Darwin refuses 2 GiB, Linux shortens it.
    static let maximumTransfer = 1 << 30

    /// Takes over a non-blocking file descriptor, and closes it when it cannot be watched.
    package init(
        _ file: consuming OwnedFileDescriptor, watchingWrites: PollDescriptor.WriteWatch = .always
    ) throws(Failure) {
        do {
            poll = try PollDescriptor.open(fileDescriptor: file.number, watchingWrites: watchingWrites)
        } catch {
            throw .system(errno: error.errno)
        }
        fileDescriptor = file.release()
    }

    deinit {
        // Whoever uses a descriptor keeps it alive, so nobody does. A plain load would do but for that proof.
        if !DescriptorState(rawValue: state.load(ordering: .acquiring)).isClosed {
            poll.evict()
            poll.free()
            apus_descriptor_close(fileDescriptor)
        }
    }

    // MARK: Reading

    /// Reads what there is, at least one byte, or returns 0 at the end of the stream.
    package func read(into buffer: UnsafeMutableRawBufferPointer, deadline: MonotonicTime) throws(Failure) -> Int {
        try lock(.read, deadline)
        defer { unlock(.read) }
        guard let base = buffer.baseAddress, buffer.count > 0 else { return 0 }
        let wanted = min(buffer.count, Self.maximumTransfer)
        return try read(wanted, deadline) {
            // SAFETY: `base` is valid for `wanted` bytes, by the caller's promise for the whole call.
            unsafe apus_socket_receive(fileDescriptor, base, wanted)
        }
    }

    /// Reads what there is into several buffers, one after the other, as if they were one.
    package func read(
        vectored buffers: Span<UnsafeMutableRawBufferPointer>, deadline: MonotonicTime
    ) throws(Failure) -> Int {
        let capacity = unsafe min(buffers.count, Int(APUS_MAXIMUM_VECTORS))
        let result = unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: capacity) {
            vectors -> Result<Int, Failure> in
            var wanted = 0
            for index in 0..<vectors.count {
                let buffer = unsafe buffers[index]
                unsafe vectors.initializeElement(
                    at: index, to: iovec(iov_base: buffer.baseAddress, iov_len: buffer.count))
                wanted += buffer.count
            }
            do throws(Failure) {
                try lock(.read, deadline)
                defer { unlock(.read) }
                guard wanted > 0, let base = vectors.baseAddress else { return .success(0) }
                return .success(
                    try read(wanted, deadline) {
                        // SAFETY: the vectors describe the caller's buffers, which are valid for the whole call.
                        unsafe apus_socket_receive_vectored(fileDescriptor, base, vectors.count)
                    })
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Reads with a system call that is asked for `wanted` bytes, and returns >= 0 or -errno. The side is locked.
    @inline(__always)
    private func read(
        _ wanted: Int, _ deadline: MonotonicTime, _ receive: () -> Int64
    ) throws(Failure) -> Int {
        try checkDeadline(.read, deadline)
        while true {
            try wait(.read, deadline)
            if let count = try noteOutcome(of: receive(), wanted) { return count }
        }
    }

    /// Notes what a read's outcome says of the socket's readiness, which was taken for it. Nil when it would have blocked.
    @inline(__always)
    private func noteOutcome(of received: Int64, _ wanted: Int) throws(Failure) -> Int? {
        if received > 0, received < wanted {
            readinessIsGuess.store(false, ordering: .relaxed)
            poll.noteShortRead()
            return Int(received)
        }
        if received == -Int64(EAGAIN) {
            readinessIsGuess.store(false, ordering: .relaxed)
            return nil
        }
        readinessIsGuess.store(true, ordering: .relaxed)
        poll.setReady(.read)
        guard received >= 0 else { throw .system(errno: Int32(-received)) }
        return Int(received)
    }

    /// Waits until a read has something to return, and only then asks for the place to read into: what waits for long
    /// needs no buffer. `place` gives room for at least one byte. Readiness that was recorded may be that of bytes which an
    /// earlier read has taken already: then `giveBack` is called, and the wait goes on without a place.
    package func read(
        deadline: MonotonicTime, intoPlace place: () -> UnsafeMutableRawBufferPointer, givingBack giveBack: () -> Void
    ) throws(Failure) -> Int {
        try lock(.read, deadline)
        defer { unlock(.read) }
        try checkDeadline(.read, deadline)
        while true {
            try wait(.read, deadline)
            // "Try" is no reason to take a place yet.
            if readinessIsGuess.load(ordering: .relaxed), try !findsReadable() { continue }
            let buffer = unsafe place()
            let wanted = min(buffer.count, Self.maximumTransfer)
            // SAFETY: the place is the caller's, and valid until this returns or gives it back.
            let received = unsafe apus_socket_receive(fileDescriptor, buffer.baseAddress!, wanted)
            if let count = try noteOutcome(of: received, wanted) { return count }
            giveBack()
        }
    }

    /// Looks, where what was recorded may be no more than "try". From here on only the poller records something.
    private func findsReadable() throws(Failure) -> Bool {
        let found = apus_socket_peek(fileDescriptor)
        readinessIsGuess.store(false, ordering: .relaxed)
        if found == -EAGAIN { return false }
        // Looking has taken the error off the socket: if this does not tell it, nobody will.
        guard found >= 0 else {
            poll.setReady(.read)
            throw .system(errno: -found)
        }
        return true
    }

    /// Waits until a read has something to return, and leaves it there for the read.
    package func waitReadable(deadline: MonotonicTime) throws(Failure) {
        try lock(.read, deadline)
        defer { unlock(.read) }
        try checkDeadline(.read, deadline)
        while true {
            try wait(.read, deadline)
            if readinessIsGuess.load(ordering: .relaxed), try !findsReadable() { continue }
            poll.setReady(.read)
            return
        }
    }

    // MARK: Writing

    /// Sends all of the bytes, in order and not mixed with another writer's.
    package func write(_ bytes: UnsafeRawBufferPointer, deadline: MonotonicTime) throws(Failure) {
        try lock(.write, deadline)
        defer { unlock(.write) }
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        try checkDeadline(.write, deadline)
        let count = bytes.count
        var position = 0
        while true {
            // SAFETY: `base + position` is within the buffer, which is valid for the whole call.
            let sent = unsafe apus_socket_send(
                fileDescriptor, base + position, min(count - position, Self.maximumTransfer)
            )
            if sent >= 0 {
                position += Int(sent)
                if position == count { return }
            } else if sent == -Int64(EAGAIN) {
                try wait(.write, deadline, transferred: position)
            } else {
                throw Failure(reason: .system(errno: Int32(-sent)), bytesTransferred: position)
            }
        }
    }

    /// Sends all of the buffers as if they were one. Uses them up: afterwards they describe what was not sent.
    package func write(vectors: UnsafeMutableBufferPointer<iovec>, deadline: MonotonicTime) throws(Failure) {
        try lock(.write, deadline)
        defer { unlock(.write) }
        var rest = unsafe VectorCursor(vectors)
        guard unsafe !rest.isAtEnd else { return }
        try checkDeadline(.write, deadline)
        var position = 0
        while unsafe !rest.isAtEnd {
            // SAFETY: the cursor hands out only vectors that the caller gave, or what is left of them.
            let sent = unsafe apus_socket_send_vectored(fileDescriptor, rest.base, rest.count)
            if sent >= 0 {
                position += Int(sent)
                unsafe rest.advance(by: Int(sent))
            } else if sent == -Int64(EAGAIN) {
                try wait(.write, deadline, transferred: position)
            } else {
                throw Failure(reason: .system(errno: Int32(-sent)), bytesTransferred: position)
            }
        }
    }

    /// Sends all of the buffers as if they were one.
    package func write(vectored buffers: Span<UnsafeRawBufferPointer>, deadline: MonotonicTime) throws(Failure) {
        let result = unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: buffers.count) {
            vectors -> Result<Void, Failure> in
            for index in 0..<vectors.count {
                unsafe vectors.initializeElement(at: index, to: iovec(buffers[index]))
            }
            do throws(Failure) {
                return .success(try unsafe write(vectors: vectors, deadline: deadline))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    // MARK: Connecting and accepting

    /// Connects a socket that was just made, and waits until it is connected.
    ///
    /// It must not have been given to the poller before the connect began: a socket that is neither connected nor
    /// connecting counts as hung up. Therefore this makes the descriptor.
    package static func connect(
        _ file: consuming OwnedFileDescriptor, to address: apus_socket_address, deadline: MonotonicTime
    ) throws(Failure) -> Descriptor {
        var address = address
        let result = unsafe apus_socket_connect(file.number, &address)
        guard result == 0 || result == -EINPROGRESS else { throw .system(errno: -result) }
        let descriptor = try Descriptor(file)
        if result != 0 {
            try descriptor.finishConnecting(deadline: deadline)
        }
        return descriptor
    }

    /// Waits for the outcome of a connect that is under way.
    package func finishConnecting(deadline: MonotonicTime) throws(Failure) {
        try lock(.write, deadline)
        defer { unlock(.write) }
        while true {
            try wait(.write, deadline)
            let result = apus_socket_take_error(fileDescriptor)
            guard result == 0 else { throw .system(errno: -result) }
            // The first wait returns at once, and a wake may come for no reason: no error is not yet a connection.
            var peer = apus_socket_address()
            if unsafe apus_socket_remote_address(fileDescriptor, &peer) == 0 { return }
        }
    }

    /// Takes one connection off a listener's queue. Errors of a connection that failed while it waited there are not the
    /// listener's: the next one is tried.
    package func accept(deadline: MonotonicTime) throws(Failure) -> Accepted {
        try lock(.read, deadline)
        defer { unlock(.read) }
        try checkDeadline(.read, deadline)
        while true {
            var peer = apus_socket_address()
            let result = unsafe apus_socket_accept(fileDescriptor, &peer)
            if result >= 0 {
                return Accepted(file: OwnedFileDescriptor(result), peer: peer)
            }
            switch AcceptError(errno: -result) {
            case .wouldBlock: try wait(.read, deadline)
            case .connectionFailed: break
            case .exhausted, .fatal: throw .system(errno: -result)
            }
        }
    }

    /// Accepts and makes something of the connection; when descriptors or memory run out on the way, pauses until others
    /// have given some back, and tries again.
    package func accept<Connection>(
        deadline: MonotonicTime, make: (consuming Accepted) throws(Failure) -> Connection
    ) throws(Failure) -> Connection {
        var backoff = AcceptBackoff()
        while true {
            do throws(Failure) {
                return try make(try accept(deadline: deadline))
            } catch {
                guard case .system(let number) = error.reason, AcceptBackoff.helps(errno: number) else { throw error }
                try pause(until: .after(backoff.next()), deadline: deadline)
            }
        }
    }

    /// Waits out a pause that close() and the deadline end early. For listeners: it parks where nobody else does, since a
    /// listener never becomes ready for writing.
    package func pause(until end: MonotonicTime, deadline: MonotonicTime) throws(Failure) {
        let deadline = min(deadline, MonotonicTime(nanoseconds: readDeadline.load(ordering: .relaxed)))
        try lock(.write, deadline)
        defer { unlock(.write) }
        while true {
            switch poll.wait(.write, deadline: min(end, deadline)) {
            case .ready: continue  // At most once: that nothing is known of a new descriptor.
            case .closed: throw .closed
            case .deadlineExceeded: break
            case .cancelled(let cancellation): throw Failure(cancellation)
            }
            let now = MonotonicTime.now
            if now >= deadline { throw .deadlineExceeded }
            if now >= end { return }
        }
    }

    // MARK: Anything else

    /// Calls `body` with the file descriptor, which stays open meanwhile. Does not wait for readers or writers.
    package func withFileDescriptor<R: ~Copyable>(_ body: (Int32) -> R) throws(Failure) -> R {
        guard update({ $0.addReference() }) else { throw .closed }
        defer { dropReference() }
        return body(fileDescriptor)
    }

    /// The deadline of every operation on a side, those under way included.
    package func setDeadline(_ side: DescriptorState.Side, _ deadline: MonotonicTime) throws(Failure) {
        guard update({ $0.addReference() }) else { throw .closed }
        defer { dropReference() }
        switch side {
        case .read:
            readDeadline.store(deadline.nanoseconds, ordering: .relaxed)
            poll.setDeadline(.read, deadline)
        case .write:
            writeDeadline.store(deadline.nanoseconds, ordering: .relaxed)
            poll.setDeadline(.write, deadline)
        }
    }

    /// Calls a function that is cancelled when the peer hangs up or the descriptor is closed. Keeps nothing open, and does
    /// not wait for readers or writers.
    package func whileConnected<Value>(_ body: () throws -> Value) throws -> Value {
        try poll.whileConnected(
            whileOpen: { watch in (try? withFileDescriptor { _ in watch() }) != nil }, body)
    }

    // MARK: Closing

    /// The state of a moment ago. For tests and for printing.
    package var snapshot: DescriptorState { DescriptorState(rawValue: state.load(ordering: .relaxed)) }

    /// Ends every operation under way with `.closed`, waits until they have ended, and gives the file descriptor back.
    /// A second call does nothing, and does not wait.
    package func close() {
        guard let waiting = update({ $0.beginClosing() }) else { return }
        if waiting.readWaiters > 0 { readQueue.wakeAll() }
        if waiting.writeWaiters > 0 { writeQueue.wakeAll() }
        poll.evict()
        if update({ $0.dropReference() }) {
            giveBack()
            return
        }
        // Operations are under way, and on their way out: whoever is last gives the file descriptor back. Waiting for that
        // costs little and means that after close() the port is free and the number is gone.
        while !isReleased {
            readQueue.wait(unless: { isReleased })
        }
    }

    /// Acquiring; pairs with the releasing update in `giveBack`.
    private var isReleased: Bool { DescriptorState(rawValue: state.load(ordering: .acquiring)).isReleased }

    private func giveBack() {
        poll.free()
        apus_descriptor_close(fileDescriptor)
        update { $0.markReleased() }
    }

    /// For everybody but the closer: the closer may be waiting for it.
    private func giveBackAndTell() {
        giveBack()
        readQueue.wakeAll()
    }

    // MARK: Locks, references, waiting

    /// Applies a transition. The only place that writes `state`.
    @inline(__always)
    private func update<R>(_ transition: (inout DescriptorState) -> R) -> R {
        var old = state.load(ordering: .relaxed)
        while true {
            var new = DescriptorState(rawValue: old)
            let result = transition(&new)
            if new.rawValue == old { return result }
            let (exchanged, current) = state.weakCompareExchange(
                expected: old,
                desired: new.rawValue,
                successOrdering: .acquiringAndReleasing,
                failureOrdering: .relaxed
            )
            if exchanged { return result }
            old = current
        }
    }

    @inline(__always)
    func lock(_ side: DescriptorState.Side, _ deadline: MonotonicTime) throws(Failure) {
        switch update({ $0.acquire(side, isCounted: false) }) {
        case .acquired: return
        case .closed: throw .closed
        case .mustWait: try queue(for: side, deadline)
        }
    }

    /// Waits for the lock, as long as the call's own deadline allows. (The descriptor's deadline ends the operation that
    /// has the lock, and then the next one's as it begins.)
    @inline(never)
    private func queue(for side: DescriptorState.Side, _ deadline: MonotonicTime) throws(Failure) {
        while true {
            if let cancellation = Goroutine.cancellation {
                throw update({ $0.abandon(side) }) ? Failure(cancellation) : .closed
            }
            let result =
                switch side {
                case .read: readQueue.wait(unless: { isFree(.read) }, deadline: deadline, interruptible: true)
                case .write: writeQueue.wait(unless: { isFree(.write) }, deadline: deadline, interruptible: true)
                }
            switch result {
            case .woken: break
            case .interrupted: continue
            case .deadlineExceeded: throw update({ $0.abandon(side) }) ? .deadlineExceeded : .closed
            }
            switch update({ $0.acquire(side, isCounted: true) }) {
            case .acquired: return
            case .closed: throw .closed
            case .mustWait: continue
            }
        }
    }

    /// Whether it makes sense to try again. Acquiring; pairs with the releasing update in `unlock`.
    private func isFree(_ side: DescriptorState.Side) -> Bool {
        let state = DescriptorState(rawValue: state.load(ordering: .acquiring))
        return state.isClosed || !state.isLocked(side)
    }

    @inline(__always)
    func unlock(_ side: DescriptorState.Side) {
        let release = update { $0.release(side) }
        if release.wakesWaiter || release.isLast {
            afterUnlock(side, release)
        }
    }

    @inline(never)
    private func afterUnlock(_ side: DescriptorState.Side, _ release: DescriptorState.Release) {
        if release.isLast {
            giveBackAndTell()
        } else {
            switch side {
            case .read: readQueue.wakeOne()
            case .write: writeQueue.wakeOne()
            }
        }
    }

    private func dropReference() {
        if update({ $0.dropReference() }) {
            giveBackAndTell()
        }
    }

    /// Waits until the poller has recorded readiness, and takes it.
    @inline(__always)
    func wait(
        _ side: DescriptorState.Side, _ deadline: MonotonicTime, transferred: Int = 0
    ) throws(Failure) {
        switch poll.wait(side == .read ? .read : .write, deadline: deadline) {
        case .ready: return
        case .closed: throw Failure(reason: .closed, bytesTransferred: transferred)
        case .deadlineExceeded: throw Failure(reason: .deadlineExceeded, bytesTransferred: transferred)
        case .cancelled(let cancellation): throw Failure(cancellation, bytesTransferred: transferred)
        }
    }

    /// A deadline that has passed, and a cancellation, end an operation before it begins: also one that would not have to
    /// wait. Without a deadline this does not read the clock.
    @inline(__always)
    func checkDeadline(_ side: DescriptorState.Side, _ deadline: MonotonicTime) throws(Failure) {
        if let cancellation = Goroutine.cancellation { throw Failure(cancellation) }
        let common =
            side == .read ? readDeadline.load(ordering: .relaxed) : writeDeadline.load(ordering: .relaxed)
        let earliest = min(common, deadline.nanoseconds)
        if earliest != MonotonicTime.distantFuture.nanoseconds, earliest <= MonotonicTime.now.nanoseconds {
            throw .deadlineExceeded
        }
    }
}

/// A connection that nobody uses yet.
package struct Accepted: ~Copyable {
    package var file: OwnedFileDescriptor
    package var peer: apus_socket_address
}

/// What an error of accept(2) means for the listener.
package enum AcceptError: Equatable {
    /// Nobody is waiting to be accepted.
    case wouldBlock
    /// The connection that was next has failed before we got it. Linux reports its network errors here.
    case connectionFailed
    /// Descriptors or memory have run out: it helps to wait until others have given some back.
    case exhausted
    case fatal

    package init(errno number: Int32) {
        self =
            switch number {
            case EAGAIN: .wouldBlock
            case ECONNABORTED, ECONNRESET, EPROTO, EPERM, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH, ENOPROTOOPT,
                ETIMEDOUT:
                .connectionFailed
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: .exhausted
            default: .fatal
            }
    }
}

/// The pauses of an accept that has run out of descriptors or memory.
package struct AcceptBackoff {
    private var pause: Duration = .milliseconds(5)

    package init() {}

    /// Whether it helps to wait. ENOSPC is the poller's limit of watched descriptors (`fs.epoll.max_user_watches`).
    package static func helps(errno number: Int32) -> Bool {
        AcceptError(errno: number) == .exhausted || number == ENOSPC
    }

    package mutating func next() -> Duration {
        defer { pause = min(pause * 2, .seconds(1)) }
        return pause
    }
}

extension iovec {
    package init(_ bytes: UnsafeRawBufferPointer) {
        // SAFETY: sending only reads the memory; the type has no const because receiving uses it too.
        unsafe self.init(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }
}

/// Walks over buffers that are sent piece by piece.
@unsafe
package struct VectorCursor {
    private var vectors: Slice<UnsafeMutableBufferPointer<iovec>>

    package init(_ vectors: UnsafeMutableBufferPointer<iovec>) {
        unsafe self.vectors = vectors[...]
        unsafe skipEmpty()
    }

    package var isAtEnd: Bool { unsafe vectors.isEmpty }
    package var count: Int { unsafe vectors.count }
    /// The first vector that is not sent yet. Only when not at the end.
    package var base: UnsafePointer<iovec> { unsafe UnsafePointer(vectors.base.baseAddress! + vectors.startIndex) }

    /// Leaves out the first `bytes` of what is left.
    package mutating func advance(by bytes: Int) {
        var bytes = bytes
        while bytes > 0 {
            let first = unsafe vectors.startIndex
            let length = unsafe vectors[first].iov_len
            if bytes < length {
                // SAFETY: the vector has more than `bytes` bytes, so what is left begins within it.
                unsafe vectors[first].iov_base = unsafe vectors[first].iov_base! + bytes
                unsafe vectors[first].iov_len = length - bytes
                return
            }
            bytes -= Int(length)
            unsafe vectors.removeFirst()
        }
        unsafe skipEmpty()
    }

    private mutating func skipEmpty() {
        while let first = unsafe vectors.first, unsafe first.iov_len == 0 {
            unsafe vectors.removeFirst()
        }
    }
}

// MARK: Datagrams

extension Descriptor {
    /// Takes one datagram off a connected socket's queue; what is longer than the buffer is cut off.
    package func receiveDatagram(
        into buffer: UnsafeMutableRawBufferPointer, deadline: MonotonicTime
    ) throws(Failure) -> Int {
        try lock(.read, deadline)
        defer { unlock(.read) }
        guard let base = buffer.baseAddress, buffer.count > 0 else { return 0 }
        try checkDeadline(.read, deadline)
        while true {
            // SAFETY: `base` is valid for `count` bytes, by the caller's promise for the whole call.
            let received = unsafe apus_socket_receive(fileDescriptor, base, buffer.count)
            if received >= 0 { return Int(received) }
            guard received == -Int64(EAGAIN) else { throw .system(errno: Int32(-received)) }
            try wait(.read, deadline)
        }
    }
}
