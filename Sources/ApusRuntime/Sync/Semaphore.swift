// SPDX-License-Identifier: Apache-2.0
//
// The word is the number of free permits, doubled, plus 1 while somebody waits. While the 1 is there, nobody takes permits
// but for the first in the queue, however many are free: so a large request is not overtaken by small ones. (The rules are
// those of Go's golang.org/x/sync/semaphore.)
//
//     nobody waits   -> somebody waits   one that finds too few permits, under `lock`
//     somebody waits -> nobody waits     who takes the last waiter out, under `lock`
//
// Permits are given by whoever brings them (`release`), or makes room for others by giving up its place at the head of
// the queue. Both do it under `lock`, so a waiter has its permits, or its place, or has given up.

public import Synchronization

/// A number of permits, which those who want to do something take and give back: at most so many are at it at a time.
///
/// Requests may be for several permits at once. They are served in the order in which they came: one for many holds up
/// those for few that come after it.
///
/// ```swift
/// let downloads = Semaphore(permits: 4)
/// for url in urls {
///     go { try? downloads.withPermit { try fetch(url) } }
/// }
/// ```
///
/// Permits are not bound to who took them: one goroutine may acquire and another release.
@safe
public final class Semaphore: Sendable {
    /// The permits that there are, taken and free.
    public let permits: Int

    // SAFETY: allocated in init and freed in deinit, when nobody can reach it.
    @usableFromInline
    nonisolated(unsafe) let core: UnsafeMutablePointer<SemaphoreCore>

    /// Creates a semaphore whose permits are all free.
    ///
    /// - Parameter permits: One or more.
    public init(permits: Int) {
        if permits < 1 || permits > 1 << 48 { fail("a Semaphore has from 1 to 2^48 permits, not \(permits)") }
        self.permits = permits
        unsafe core = .allocate(capacity: 1)
        unsafe core.initialize(to: SemaphoreCore(free: permits))
    }

    deinit {
        unsafe core.deinitialize(count: 1)
        unsafe core.deallocate()
    }

    /// Permits that are free at this moment. Others may be before you in the queue for them.
    public var freePermits: Int { unsafe core.pointee.word.load(ordering: .relaxed) >> 1 }

    /// Takes permits, waiting until they are free and it is the caller's turn.
    ///
    /// Parks the calling goroutine, or blocks the calling thread.
    ///
    /// - Parameter count: Zero or more. More than there are stops the program, as it would wait for ever.
    /// - Throws: `Cancellation` when the call would wait and the goroutine is cancelled, or while it waits. Then it has
    ///   taken nothing.
    /// - Complexity: O(1). Does not allocate.
    @inlinable
    @inline(__always)
    public func acquire(_ count: Int = 1) throws(Cancellation) {
        if unsafe SemaphoreCore.tryAcquire(core, count) { return }
        try acquireSlowly(count, until: .distantFuture)
    }

    /// Takes permits, waiting for at most so long until they are free and it is the caller's turn.
    ///
    /// - Parameter timeout: Zero or less does not wait.
    /// - Throws: `Cancellation.deadlineExceeded` when the time is up; otherwise as `acquire(_:)`. Then it has taken nothing.
    public func acquire(_ count: Int = 1, timeout: Duration) throws(Cancellation) {
        if unsafe SemaphoreCore.tryAcquire(core, count) { return }
        try acquireSlowly(count, until: .after(timeout))
    }

    /// Takes permits if they are free and nobody waits for any. Never waits.
    @inlinable
    public func tryAcquire(_ count: Int = 1) -> Bool {
        if unsafe SemaphoreCore.tryAcquire(core, count) { return true }
        if count < 0 { failNegative("tryAcquire", count) }
        return false
    }

    /// Gives permits back, and lets those go on whom that is enough for.
    ///
    /// - Parameter count: Zero or more. More than are taken stops the program.
    @inlinable
    @inline(__always)
    public func release(_ count: Int = 1) {
        if count < 0 { failNegative("release", count) }
        // Beyond what the word can count, and so not seen in it.
        if count > permits { failReleased(count) }
        let word = unsafe core.pointee.word.wrappingAdd(count &* 2, ordering: .releasing).newValue
        if word & 1 != 0 || word >> 1 > permits { releaseSlowly(word) }
    }

    /// Calls a function with one permit taken, and gives it back however the function ends.
    ///
    /// - Parameter timeout: How long to wait for it at most; nil for no limit.
    /// - Throws: What the function throws; and `Cancellation`, as `acquire` does, when the function was not called.
    @inlinable
    public func withPermit<Result: ~Copyable>(timeout: Duration? = nil, _ body: () throws -> Result) throws -> Result {
        try withPermits(1, timeout: timeout, body)
    }

    /// Calls a function with permits taken, and gives them back however the function ends. See `withPermit`.
    @inlinable
    public func withPermits<Result: ~Copyable>(
        _ count: Int, timeout: Duration? = nil, _ body: () throws -> Result
    ) throws -> Result {
        if let timeout { try acquire(count, timeout: timeout) } else { try acquire(count) }
        defer { release(count) }
        return try body()
    }

    /// Those who wait at this moment. For tests.
    package var waiterCount: Int { unsafe SemaphoreCore.waiterCount(core) }

    // MARK: Waiting

    @usableFromInline
    @inline(never)
    func acquireSlowly(_ count: Int, until deadline: MonotonicTime) throws(Cancellation) {
        if count == 0 { return }
        if count < 0 { failNegative("acquire", count) }
        if count > permits {
            fail("Semaphore.acquire(\(count)) would wait for ever: there are \(permits) permits; ask for fewer")
        }
        let waiter = GoroutineReference.currentParkable()
        var count = count
        try unsafe withUnsafeMutablePointer(to: &count) { count throws(Cancellation) in
            var node = unsafe WaitNode(goroutine: waiter, isClaimable: true, element: UnsafeMutableRawPointer(count))
            try unsafe withUnsafeMutablePointer(to: &node) { node throws(Cancellation) in
                try unsafe SemaphoreCore.wait(core, node, until: deadline)
            }
        }
    }

    @usableFromInline
    @inline(never)
    func releaseSlowly(_ word: Int) {
        if word >> 1 > permits {
            fail("Semaphore.release() gives back more than was taken: \(word >> 1) of \(permits) permits are free now")
        }
        unsafe SemaphoreCore.grant(core)
    }

    @usableFromInline
    @inline(never)
    func failReleased(_ count: Int) -> Never {
        fail("Semaphore.release(\(count)) gives back more than was taken: there are \(permits) permits")
    }

    @usableFromInline
    @inline(never)
    func failNegative(_ name: StaticString, _ count: Int) -> Never {
        fail("Semaphore.\(name)(\(count)): a number of permits is zero or more")
    }
}

@safe
@usableFromInline
struct SemaphoreCore: ~Copyable {
    // Protected by `lock`. Each node's `element` is the address of the number of permits that it waits for.
    private var waiters = WaitQueue()
    private var lock = ThreadLock()
    @usableFromInline
    let word: Atomic<Int>

    init(free: Int) { word = Atomic(free * 2) }

    /// Takes permits if they are free and nobody waits.
    @inlinable
    @inline(__always)
    static func tryAcquire(_ core: UnsafeMutablePointer<SemaphoreCore>, _ count: Int) -> Bool {
        var word = unsafe core.pointee.word.load(ordering: .relaxed)
        // An odd word: somebody waits.
        while word & 1 == 0, word >> 1 >= count, count >= 0 {
            let (exchanged, original) = unsafe core.pointee.word.compareExchange(
                expected: word, desired: word &- count &* 2, ordering: .acquiring)
            if exchanged { return true }
            word = original
        }
        return false
    }

    /// Waits until the permits that the node asks for are the caller's.
    static func wait(
        _ core: UnsafeMutablePointer<SemaphoreCore>, _ node: UnsafeMutablePointer<WaitNode>,
        until deadline: MonotonicTime
    ) throws(Cancellation) {
        let waiter = unsafe node.pointee.goroutine
        unsafe core.pointee.lock.lock()
        if unsafe core.pointee.takeOrAnnounce(node) { return unsafe core.pointee.lock.unlock() }
        unsafe core.pointee.waiters.append(node)
        var end = waiter.cancellation ?? (deadline.hasPassed ? .deadlineExceeded : nil)
        while end == nil {
            let isExpired = unsafe park(
                waiter, reason: .semaphore, unlocking: &core.pointee.lock, until: deadline, interruptible: true)
            if unsafe node.pointee.succeeded { return }
            unsafe core.pointee.lock.lock()
            end = isExpired ? .deadlineExceeded : waiter.cancellation
            guard end == nil else { break }
            // Interrupted for nothing: it keeps its place. If it was passed over meanwhile, since it could not be
            // claimed, it was the first, and may find what it wants.
            if unsafe node.pointee.isQueued { continue }
            if unsafe core.pointee.takeOrAnnounce(node, isFirst: true) { return unsafe core.pointee.lock.unlock() }
            unsafe core.pointee.waiters.prepend(node)
        }
        var woken = GoroutineList()
        unsafe core.pointee.waiters.remove(node)
        // Those behind it may find enough.
        unsafe core.pointee.grant(into: &woken)
        unsafe core.pointee.lock.unlock()
        ready(woken)
        throw end!
    }

    /// Gives free permits to those who wait, in their order.
    static func grant(_ core: UnsafeMutablePointer<SemaphoreCore>) {
        var woken = GoroutineList()
        unsafe core.pointee.lock.lock()
        unsafe core.pointee.grant(into: &woken)
        unsafe core.pointee.lock.unlock()
        ready(woken)
    }

    static func waiterCount(_ core: UnsafeMutablePointer<SemaphoreCore>) -> Int {
        unsafe core.pointee.lock.lock()
        defer { unsafe core.pointee.lock.unlock() }
        return unsafe core.pointee.waiters.count
    }

    // MARK: Under the lock

    private static func count(_ node: UnsafeMutablePointer<WaitNode>) -> Int {
        unsafe node.pointee.element!.load(as: Int.self)
    }

    /// Takes what the node asks for, if it is there and nobody comes before it; otherwise says that somebody waits.
    private borrowing func takeOrAnnounce(_ node: UnsafeMutablePointer<WaitNode>, isFirst: Bool = false) -> Bool {
        let count = unsafe Self.count(node)
        var current = word.load(ordering: .relaxed)
        while true {
            let mayTake = current >> 1 >= count && (isFirst || current & 1 == 0)
            let (exchanged, original) = word.compareExchange(
                expected: current, desired: mayTake ? current - count * 2 : current | 1, ordering: .acquiring)
            if exchanged { return mayTake }
            current = original
        }
    }

    private mutating func grant(into list: inout GoroutineList) {
        while let node = unsafe waiters.first {
            let count = unsafe Self.count(node)
            // Nobody else takes any while somebody waits.
            guard word.load(ordering: .acquiring) >> 1 >= count else { return }
            unsafe waiters.remove(node)
            // One that has been interrupted, or whose time is up, will come by itself.
            guard unsafe node.pointee.goroutine.record.wait.claim() else { continue }
            word.wrappingSubtract(count * 2, ordering: .acquiringAndReleasing)
            unsafe node.pointee.outcome = .succeeded
            list.append(unsafe node.pointee.goroutine)
        }
        word.bitwiseAnd(~1, ordering: .relaxed)
    }
}
