// SPDX-License-Identifier: Apache-2.0
//
// Who waits for what: first-in first-out queues of nodes that lie in the frames of the waiting functions, so waiting
// allocates nothing. A queue belongs to an object and is protected by that object's lock.

import Synchronization

/// One wait of one goroutine or thread. It lives in the frame of the function that waits, from before it is queued until
/// after it was woken.
@safe
@usableFromInline
package struct WaitNode {
    let goroutine: GoroutineReference
    /// Link of the list that holds the node.
    var next: UnsafeMutablePointer<WaitNode>?
    fileprivate var previous: UnsafeMutablePointer<WaitNode>?
    /// Whether a queue holds the node. Protected by the queue's lock.
    var isQueued = false
    /// Whether a deadline, a cancellation or another queue may end the wait too, so that wakers must claim it.
    let isClaimable: Bool
    /// Set by the waker before `ready`, under the queue's lock.
    var outcome = WaitOutcome.none
    /// A channel's waiter: where the element lies, or shall be put. A semaphore's: the number of permits that it wants.
    var element: UnsafeMutableRawPointer?

    init(goroutine: GoroutineReference, isClaimable: Bool = false, element: UnsafeMutableRawPointer? = nil) {
        self.goroutine = goroutine
        self.isClaimable = isClaimable
        unsafe self.element = element
    }

    var succeeded: Bool { outcome == .succeeded }
}

/// What a waker says to the waiter.
enum WaitOutcome: UInt8 {
    /// Nothing: the deadline or a cancellation was faster, or the wake says no more than "look again".
    case none
    /// It got what it waited for.
    case succeeded
    /// It will not: the object was closed.
    case closed
}

/// A queue of waiters. Not safe by itself: its owner's lock protects it.
@safe
package struct WaitQueue: ~Copyable {
    // SAFETY: every node in the list belongs to a function that cannot return before the node is taken out, which
    // happens under the owner's lock only.
    private var head: UnsafeMutablePointer<WaitNode>? {
        @inline(__always) get { unsafe atomicHead.load(ordering: .acquiring) }
        @inline(__always) nonmutating set { unsafe atomicHead.store(newValue, ordering: .releasing) }
    }
    private var tail: UnsafeMutablePointer<WaitNode>?
    /// Written under the lock only, but asked by `isEmpty` without it. Who sees what was stored sees all that was done before.
    private let atomicHead = unsafe Atomic<UnsafeMutablePointer<WaitNode>?>(nil)

    package init() {}

    /// May be asked without the lock too: what it says was true at one moment, before all that the caller looks at next.
    @inline(__always)
    var isEmpty: Bool { unsafe head == nil }

    /// Goes through the whole queue: for tests.
    var count: Int {
        var count = 0
        var next = unsafe head
        while let node = unsafe next {
            count += 1
            unsafe next = node.pointee.next
        }
        return count
    }

    /// Who stands first, though it may be claimed already. Not to be kept beyond the owner's lock.
    @inline(__always)
    var first: UnsafeMutablePointer<WaitNode>? { unsafe head }

    mutating func append(_ node: UnsafeMutablePointer<WaitNode>) {
        unsafe node.pointee.next = nil
        unsafe node.pointee.previous = tail
        unsafe node.pointee.isQueued = true
        if let last = unsafe tail {
            unsafe last.pointee.next = node
        } else {
            unsafe head = node
        }
        unsafe tail = node
    }

    mutating func prepend(_ node: UnsafeMutablePointer<WaitNode>) {
        unsafe node.pointee.previous = nil
        unsafe node.pointee.next = head
        unsafe node.pointee.isQueued = true
        if let first = unsafe head {
            unsafe first.pointee.previous = node
        } else {
            unsafe tail = node
        }
        unsafe head = node
    }

    /// Takes out the first waiter that still waits, and claims it: the caller makes it ready.
    @inline(__always)
    mutating func popFirst() -> UnsafeMutablePointer<WaitNode>? {
        while let node = unsafe unlinkFirst() {
            if unsafe !node.pointee.isClaimable || node.pointee.goroutine.record.wait.claim() { return unsafe node }
        }
        return nil
    }

    @inline(__always)
    private mutating func unlinkFirst() -> UnsafeMutablePointer<WaitNode>? {
        guard let node = unsafe head else { return nil }
        unsafe head = node.pointee.next
        if let next = unsafe head {
            unsafe next.pointee.previous = nil
        } else {
            unsafe tail = nil
        }
        unsafe node.pointee.isQueued = false
        return unsafe node
    }

    /// Takes a node out wherever it stands; false when it was taken out already.
    @discardableResult
    mutating func remove(_ node: UnsafeMutablePointer<WaitNode>) -> Bool {
        guard unsafe node.pointee.isQueued else { return false }
        let previous = unsafe node.pointee.previous
        let next = unsafe node.pointee.next
        if let previous = unsafe previous { unsafe previous.pointee.next = next } else { unsafe head = next }
        if let next = unsafe next { unsafe next.pointee.previous = previous } else { unsafe tail = previous }
        unsafe node.pointee.isQueued = false
        return true
    }

    /// Empties the queue into a list of goroutines, to be made ready once the owner's lock is released.
    ///
    /// Each node's outcome is set as given. The nodes must not be touched afterwards.
    mutating func drain(_ outcome: WaitOutcome, into list: inout GoroutineList) {
        while let node = unsafe popFirst() {
            unsafe node.pointee.outcome = outcome
            list.append(unsafe node.pointee.goroutine)
        }
    }
}

/// A list of goroutines that nobody else can reach: woken but not yet ready, or on their way between two queues.
///
/// Linked through the records, so moving goroutines in bulk allocates nothing.
struct GoroutineList: ~Copyable {
    private(set) var first: GoroutineReference?
    private var last: GoroutineReference?
    private(set) var count = 0

    init() {}

    @inline(__always)
    var isEmpty: Bool { count == 0 }

    mutating func append(_ goroutine: GoroutineReference) {
        goroutine.record.next = nil
        if let last { last.record.next = goroutine } else { first = goroutine }
        last = goroutine
        count += 1
    }

    mutating func append(_ other: consuming GoroutineList) {
        guard let otherFirst = other.first else { return }
        if let last { last.record.next = otherFirst } else { first = otherFirst }
        last = other.last
        count += other.count
    }

    borrowing func forEach(_ body: (GoroutineReference) -> Void) {
        var next = first
        while let goroutine = next {
            body(goroutine)
            next = goroutine.record.next
        }
    }

    mutating func popFirst() -> GoroutineReference? {
        guard let goroutine = first else { return nil }
        first = goroutine.record.next
        if first == nil { last = nil }
        count -= 1
        goroutine.record.next = nil
        return goroutine
    }
}
