// SPDX-License-Identifier: Apache-2.0
//
// What a channel is, without its element's type: a lock, the waiting senders and receivers, and the state of the ring.
// `Channel` moves the elements; this decides where each goes. The protocol is Go's (runtime/chan.go):
//
//     send:     a receiver waits -> into its frame, and it is made ready
//               room in the ring -> into the ring
//               else             -> the sender waits, its element in its own frame
//     receive:  ring not empty   -> from the ring; if a sender waits, its element takes the place
//               a sender waits   -> from its frame, and it is made ready
//               closed           -> nil
//               else             -> the receiver waits
//
// The decision is taken under the lock and returned as a value; the caller moves the element, then finishes the step,
// which unlocks and wakes. `select` takes the same decisions with the locks of all its channels held (SelectCore.swift).
//
// Every wait can be cancelled and may be one of a select's, so it is claimed (Sync/WaitWord.swift): a waiter that is found
// in a queue but claimed by somebody else is left out.

import Synchronization

@usableFromInline
@safe
struct ChannelCore: ~Copyable {
    // Protected by `lock`. At least one of `senders` and `receivers` is empty. Senders wait only while the ring is full,
    // receivers only while it is empty.
    var senders = WaitQueue()
    var receivers = WaitQueue()
    var isClosed: Bool {
        @inline(__always) get { atomicIsClosed.load(ordering: .relaxed) }
        @inline(__always) nonmutating set { atomicIsClosed.store(newValue, ordering: .relaxed) }
    }
    /// Elements in the ring, and where the oldest one lies.
    var count: Int {
        @inline(__always) get { atomicCount.load(ordering: .acquiring) }
        @inline(__always) nonmutating set { atomicCount.store(newValue, ordering: .releasing) }
    }
    var head = 0
    var lock = ThreadLock()
    // Written under the lock only, but read without it by `mayReceive` and `maySend`.
    private let atomicIsClosed = Atomic(false)
    private let atomicCount = Atomic(0)
    @usableFromInline
    let capacity: Int
    /// Bytes from one element to the next.
    let stride: Int
    let ring: UnsafeMutableRawPointer
    /// What sends to this channel, if it is a timer's.
    let timer: UnsafeMutablePointer<TimerSource>?

    /// For `select`, which takes the locks of several channels in the order of their addresses.
    static func lock(_ core: UnsafeMutablePointer<ChannelCore>) { unsafe core.pointee.lock.lock() }
    static func unlock(_ core: UnsafeMutablePointer<ChannelCore>) { unsafe core.pointee.lock.unlock() }

    init(
        capacity: Int, stride: Int, ring: UnsafeMutableRawPointer, timer: UnsafeMutablePointer<TimerSource>? = nil
    ) {
        self.capacity = capacity
        self.stride = stride
        unsafe self.ring = ring
        unsafe self.timer = timer
    }
}

/// Where a sender shall move its element, and what to do then.
@usableFromInline
@safe
enum SendStep {
    /// Into the ring, then `finishRing`.
    case ring(UnsafeMutableRawPointer)
    /// Into a waiting receiver's frame, then `finishHandOver`.
    case receiver(UnsafeMutableRawPointer, UnsafeMutablePointer<WaitNode>)
    /// Nowhere yet: into its own frame, then `wait`. The lock is held.
    case wait
    case closed
}

/// Where a receiver finds its element, and what to do then.
@usableFromInline
@safe
enum ReceiveStep {
    /// In the ring, then `finishRing`.
    case ring(UnsafeMutableRawPointer)
    /// In the ring; the place is then filled from a waiting sender's frame, then `finishHandOver`.
    case ringAndSender(UnsafeMutableRawPointer, UnsafeMutableRawPointer, UnsafeMutablePointer<WaitNode>)
    /// In a waiting sender's frame, then `finishHandOver`.
    case sender(UnsafeMutableRawPointer, UnsafeMutablePointer<WaitNode>)
    /// Nowhere yet: `wait`. The lock is held.
    case wait
    /// Closed, and nothing left.
    case closed
}

/// How a wait of a sender or receiver ended.
@usableFromInline
enum ChannelWait {
    case succeeded, closed, cancelled
    /// Nobody knows: decide again.
    case again
}

@usableFromInline
@safe
struct ChannelReference: @unchecked Sendable {
    // SAFETY: freed by the channel that owns it, which outlives every call on it.
    let core: UnsafeMutablePointer<ChannelCore>

    /// Half of the address space.
    private static var maximumBytes: Int { 1 << 46 }

    @usableFromInline
    init(capacity: Int, stride: Int, alignment: Int) {
        if capacity < 0 { fail("Channel(capacity: \(capacity)): a channel's capacity is zero or more") }
        let (ringBytes, isTooMuch) = capacity.multipliedReportingOverflow(by: stride)
        if isTooMuch || ringBytes > Self.maximumBytes {
            fail("Channel(capacity: \(capacity)): its elements would need more memory than any machine has")
        }
        let ringOffset = MemoryLayout<ChannelCore>.size.roundedUp(to: alignment)
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: ringOffset + ringBytes, alignment: max(alignment, 16))
        unsafe core = block.bindMemory(to: ChannelCore.self, capacity: 1)
        unsafe core.initialize(to: ChannelCore(capacity: capacity, stride: stride, ring: block + ringOffset))
    }

    /// A channel for a timer, whose source lies behind the ring; the caller initialises it.
    init(timersCapacity capacity: Int, stride: Int) {
        let ringOffset = MemoryLayout<ChannelCore>.size.roundedUp(to: 16)
        let timerOffset = ringOffset + (capacity * stride).roundedUp(to: 16)
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: timerOffset + MemoryLayout<TimerSource>.size, alignment: 16)
        unsafe core = block.bindMemory(to: ChannelCore.self, capacity: 1)
        let timer = unsafe (block + timerOffset).bindMemory(to: TimerSource.self, capacity: 1)
        unsafe core.initialize(
            to: ChannelCore(capacity: capacity, stride: stride, ring: block + ringOffset, timer: timer))
    }

    /// To be called before the elements are destroyed: nothing is sent afterwards.
    func stopTimer() {
        if let timer = unsafe core.pointee.timer { unsafe timer.end() }
    }

    /// Frees the memory. The owner has destroyed the elements.
    @usableFromInline
    func free() {
        unsafe core.pointee.timer?.deinitialize(count: 1)
        unsafe core.deinitialize(count: 1)
        unsafe UnsafeMutableRawPointer(core).deallocate()
    }

    @usableFromInline
    var capacity: Int { unsafe core.pointee.capacity }

    @usableFromInline
    var count: Int { unsafe core.pointee.count }

    @usableFromInline
    var isClosed: Bool { unsafe core.pointee.lock.withLock { unsafe core.pointee.isClosed } }

    var hasWaitingSender: Bool { unsafe core.pointee.lock.withLock { unsafe !core.pointee.senders.isEmpty } }

    // MARK: Looking, without the lock

    // False is exact: at one moment during the call there was nothing to receive, or no room, and the channel was open; for
    // it is looked at `isClosed` last, and what is closed stays so. (Who closes says so before he sends waiters away: hence
    // the releasing stores.) So who does not want to wait need not lock for that.
    // True may be over by now, or be a waiter that somebody else has claimed. (Go: runtime/chan.go, `empty` and `full`.)

    /// Whether `beginReceive` may find something.
    private func mayReceive() -> Bool {
        schedulingPoint()
        // Senders wait at a full ring only: where there is a ring, its count says it all.
        let isEmpty = unsafe core.pointee.capacity == 0 ? core.pointee.senders.isEmpty : core.pointee.count == 0
        return unsafe !isEmpty || core.pointee.isClosed
    }

    /// Whether `beginSend` may find room or a receiver.
    private func maySend() -> Bool {
        schedulingPoint()
        let capacity = unsafe core.pointee.capacity
        let isFull = unsafe capacity == 0 ? core.pointee.receivers.isEmpty : core.pointee.count == capacity
        return unsafe !isFull || core.pointee.isClosed
    }

    private func slot(_ offset: Int) -> UnsafeMutableRawPointer {
        var index = unsafe core.pointee.head + offset
        if unsafe index >= core.pointee.capacity { index -= unsafe core.pointee.capacity }
        return unsafe core.pointee.ring + index * core.pointee.stride
    }

    // MARK: Sending

    /// Locks and decides. Unlocked again when it returns `closed`.
    @usableFromInline
    func beginSend() -> SendStep {
        schedulingPoint()
        unsafe core.pointee.lock.lock()
        let step = decideSend()
        if case .closed = step { unsafe core.pointee.lock.unlock() }
        return step
    }

    /// Decides, under the lock.
    @inline(__always)
    func decideSend() -> SendStep {
        if unsafe core.pointee.isClosed { return .closed }
        if let node = unsafe core.pointee.receivers.popFirst() {
            return unsafe .receiver(node.pointee.element!, node)
        }
        let count = unsafe core.pointee.count
        if unsafe count < core.pointee.capacity {
            unsafe core.pointee.count = count + 1
            return unsafe .ring(slot(count))
        }
        return .wait
    }

    /// After an element was moved into or out of the ring.
    @usableFromInline
    func finishRing() {
        unsafe core.pointee.lock.unlock()
    }

    /// After an element was moved into or out of a waiter's frame: lets the waiter go on.
    @usableFromInline
    func finishHandOver(_ node: UnsafeMutablePointer<WaitNode>) {
        let goroutine = unsafe node.pointee.goroutine
        unsafe node.pointee.outcome = .succeeded
        unsafe core.pointee.lock.unlock()
        ready(goroutine)
    }

    /// For who does not wait: like `beginSend`, but when the answer is to wait, no lock is held.
    @usableFromInline
    func attemptSend() -> SendStep {
        guard maySend() else { return .wait }
        let step = beginSend()
        if case .wait = step { unsafe core.pointee.lock.unlock() }
        return step
    }

    /// Waits until a receiver has taken the element at `element`. Unless it `succeeded`, the element is still there.
    /// Called with the lock held, unlocks it.
    @usableFromInline
    func waitToSend(_ element: UnsafeMutableRawPointer) -> ChannelWait {
        let waiter = GoroutineReference.currentParkable()
        guard waiter.cancellation == nil else {
            unsafe core.pointee.lock.unlock()
            return .cancelled
        }
        var node = unsafe WaitNode(goroutine: waiter, isClaimable: true, element: element)
        return unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe core.pointee.senders.append(node)
            unsafe park(
                waiter, reason: .channelSend, unlocking: &core.pointee.lock, until: .distantFuture, interruptible: true)
            switch unsafe node.pointee.outcome {
            case .succeeded: return .succeeded
            case .closed: return .closed
            case .none: break
            }
            unsafe core.pointee.lock.lock()
            unsafe core.pointee.senders.remove(node)
            unsafe core.pointee.lock.unlock()
            return waiter.cancellation == nil ? .again : .cancelled
        }
    }

    /// Why the calling goroutine's wait was cancelled.
    @usableFromInline
    var cancellation: Cancellation { GoroutineReference.currentParkable().cancellation ?? .requested }

    /// An operation that cannot throw was cancelled.
    @usableFromInline
    func noteCutShort() { GoroutineReference.currentParkable().noteCutShort() }

    // MARK: Receiving

    /// Locks and decides. Unlocked again when it returns `closed`.
    @usableFromInline
    func beginReceive() -> ReceiveStep {
        schedulingPoint()
        unsafe core.pointee.lock.lock()
        let step = decideReceive()
        if case .closed = step { unsafe core.pointee.lock.unlock() }
        return step
    }

    /// For who does not wait: like `beginReceive`, but when the answer is to wait, no lock is held.
    @usableFromInline
    func attemptReceive() -> ReceiveStep {
        guard mayReceive() else { return .wait }
        let step = beginReceive()
        if case .wait = step { unsafe core.pointee.lock.unlock() }
        return step
    }

    /// Decides, under the lock.
    @inline(__always)
    func decideReceive() -> ReceiveStep {
        if unsafe core.pointee.count > 0 {
            let oldest = unsafe slot(0)
            var head = unsafe core.pointee.head + 1
            if unsafe head == core.pointee.capacity { head = 0 }
            unsafe core.pointee.head = head
            // A full ring with a sender behind it stays full: the sender's element takes the place that becomes free.
            if let node = unsafe core.pointee.senders.popFirst() {
                return unsafe .ringAndSender(oldest, node.pointee.element!, node)
            }
            unsafe core.pointee.count -= 1
            return unsafe .ring(oldest)
        }
        if let node = unsafe core.pointee.senders.popFirst() {
            return unsafe .sender(node.pointee.element!, node)
        }
        return unsafe core.pointee.isClosed ? .closed : .wait
    }

    /// Waits until a sender has put an element at `element`; unless it `succeeded`, there is none. Called with the lock
    /// held, unlocks it.
    @usableFromInline
    func waitToReceive(_ element: UnsafeMutableRawPointer) -> ChannelWait {
        let waiter = GoroutineReference.currentParkable()
        guard waiter.cancellation == nil else {
            unsafe core.pointee.lock.unlock()
            return .cancelled
        }
        var node = unsafe WaitNode(goroutine: waiter, isClaimable: true, element: element)
        return unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe core.pointee.receivers.append(node)
            unsafe park(
                waiter, reason: .channelReceive, unlocking: &core.pointee.lock, until: .distantFuture,
                interruptible: true)
            switch unsafe node.pointee.outcome {
            case .succeeded: return .succeeded
            case .closed: return .closed
            case .none: break
            }
            unsafe core.pointee.lock.lock()
            unsafe core.pointee.receivers.remove(node)
            unsafe core.pointee.lock.unlock()
            return waiter.cancellation == nil ? .again : .cancelled
        }
    }

    // MARK: Closing

    @usableFromInline
    func close() {
        schedulingPoint()
        var woken = GoroutineList()
        unsafe core.pointee.lock.lock()
        unsafe core.pointee.isClosed = true
        unsafe core.pointee.receivers.drain(.closed, into: &woken)
        unsafe core.pointee.senders.drain(.closed, into: &woken)
        unsafe core.pointee.lock.unlock()
        ready(woken)
    }

    /// The next element that was never received, for a channel that nobody else can reach.
    @usableFromInline
    func takeLeftover() -> UnsafeMutableRawPointer? {
        guard unsafe core.pointee.count > 0 else { return nil }
        let oldest = unsafe slot(0)
        unsafe core.pointee.head = (core.pointee.head + 1) % core.pointee.capacity
        unsafe core.pointee.count -= 1
        return unsafe oldest
    }
}

extension Int {
    /// The next multiple of a power of two.
    fileprivate func roundedUp(to alignment: Int) -> Int { (self + alignment - 1) & ~(alignment - 1) }
}
