// SPDX-License-Identifier: Apache-2.0
//
// Things that are used again instead of made anew. Elements lie in three places:
//
//     with somebody     between `take` and `give`
//     in a cache        one for each worker, touched by the thread that holds the worker; without atomic operations that
//                       have to wait for other processors
//     in the store      what overflows the caches, and what plain threads give back; under a lock
//
// An empty cache fetches half of its capacity from the store at once, and a full one brings half of it there: so goroutines
// that only take on one worker and only give on another take the store's lock now and then, not each time. Nobody looks into
// others' caches, except `drain`, and the deinit.
//
// A cache's owner says `isBusy` while it is in there, and `drain` says `isClosed` while it wants to be alone in there. Of
// the two one sees the other (AsymmetricFence.swift; the owner is the frequent side):
//
//     owner:  isBusy = true;    light fence;  isClosed? then isBusy = false, and to the store instead
//     drain:  isClosed = true;  heavy fence;  wait until isBusy = false;  empty the cache;  isClosed = false
//
// The way through a cache is inlinable, as generic code that is not specialized costs ten times as much; the caches
// themselves know nothing of the elements' type.
//
// While `isBusy` says true, no code of users runs and nothing parks: it holds for some nanoseconds, except that the kernel
// may take the thread from its processor. So `drain` gives way to it, and waits no longer than the holder of a `ThreadLock`
// would have it wait.

import CApus
public import Synchronization

/// Things that are expensive to make, kept to be used again: buffers, parsers, encoders.
///
/// ```swift
/// let buffers = Pool { [UInt8](repeating: 0, count: 64 * 1024) }
///
/// let count = try buffers.withElement { buffer in
///     try connection.read(into: &buffer)
/// }
/// ```
///
/// What is taken is as it was given back: reset it before or afterwards. It is yours alone meanwhile, and need not be given
/// back. In which order elements are used again is not said.
///
/// Each worker has a cache of its own, so taking and giving in turn needs no lock. (On plain threads it takes one.)
///
/// A pool keeps what it is given, up to a limit, until it is drained or nobody refers to it any more: nothing empties it
/// in the background.
@safe
public final class Pool<Element: ~Copyable>: Sendable {
    // SAFETY: allocated in init and freed in deinit, when nobody can reach it.
    @usableFromInline
    nonisolated(unsafe) let core: UnsafeMutablePointer<PoolCore>
    private let make: @Sendable () -> sending Element

    /// Creates an empty pool.
    ///
    /// - Parameters:
    ///   - cacheCapacity: How many elements each worker keeps for itself at most; one or more. As many for each worker, and
    ///     once more, are kept in common. With the workers that may stand in for others, a pool keeps no more than
    ///     `cacheCapacity * (2 * workers + 9)` elements.
    ///   - make: Makes an element when none is there. May wait, and may be called by several at the same time.
    public init(cacheCapacity: Int = 16, make: @escaping @Sendable () -> sending Element) {
        if cacheCapacity < 1 || cacheCapacity > 1 << 20 {
            fail("a Pool's caches hold from 1 to 2^20 elements, not \(cacheCapacity)")
        }
        self.make = make
        unsafe core = .allocate(capacity: 1)
        unsafe core.initialize(to: PoolCore(cacheCapacity: cacheCapacity))
    }

    deinit {
        for index in 0..<PoolCore.cacheCount {
            unsafe PoolCore.cache(core, index).pointee.stack.destroy(Element.self)
        }
        unsafe core.pointee.store.destroy(Element.self)
        unsafe core.deinitialize(count: 1)
        unsafe core.deallocate()
    }

    /// Takes an element out, or makes one if none is at hand.
    ///
    /// Does not wait, unless `make` does. Does not allocate when an element is there.
    @inlinable
    public func take() -> sending Element {
        schedulingPoint()
        let cache = unsafe PoolCore.enterCache(core)
        if let cache = unsafe cache, unsafe cache.pointee.stack.count > 0 {
            // SAFETY: who gave it gave it up, and it is in no cache any more.
            nonisolated(unsafe) let element = unsafe cache.pointee.stack.pop(Element.self)
            unsafe PoolCore.leave(cache)
            return unsafe element
        }
        return unsafe takeElsewhere(cache)
    }

    /// Puts an element in, for others to take; one that was made elsewhere, too. Beyond the limit it is released.
    ///
    /// Does not wait. In the long run it does not allocate.
    @inlinable
    public func give(_ element: consuming sending Element) {
        schedulingPoint()
        let cache = unsafe PoolCore.enterCache(core)
        if let cache = unsafe cache, unsafe cache.pointee.stack.hasRoom {
            unsafe cache.pointee.stack.push(element)
            return unsafe PoolCore.leave(cache)
        }
        unsafe giveElsewhere(element, cache)
    }

    /// Calls a function with an element that is taken for the time, and given back however the function ends.
    @inlinable
    public func withElement<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Element) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        // SAFETY: nobody else has it between `take` and `give`.
        nonisolated(unsafe) var element = take()
        let result: Result
        do throws(Failure) {
            result = try unsafe body(&element)
        } catch {
            unsafe give(element)
            throw error
        }
        unsafe give(element)
        return result
    }

    /// Releases the elements that the pool keeps: when a burst of work is over, or memory is short.
    ///
    /// Those that others have taken may be given back afterwards, and are kept again. Costs some microseconds; takes no
    /// longer when goroutines use the pool meanwhile.
    public func drain() {
        schedulingPoint()
        // Everything is moved here first: what elements do when they go happens outside of all locks.
        var drained = unsafe PoolStack(
            capacity: core.pointee.cacheCapacity * PoolCore.cacheCount + core.pointee.storeCapacity)
        drained.makeRoom(Element.self)
        unsafe core.pointee.draining.lock()
        for index in 0..<PoolCore.cacheCount {
            unsafe PoolCore.cache(core, index).pointee.isClosed.store(true, ordering: .relaxed)
        }
        AsymmetricFence.heavy()
        for index in 0..<PoolCore.cacheCount {
            let cache = unsafe PoolCore.cache(core, index)
            while unsafe cache.pointee.isBusy.load(ordering: .acquiring) { apus_thread_sleep(1000) }
            unsafe drained.take(atMost: .max, from: &cache.pointee.stack, Element.self)
            unsafe cache.pointee.isClosed.store(false, ordering: .releasing)
        }
        unsafe core.pointee.draining.unlock()
        unsafe core.pointee.lock.lock()
        unsafe drained.take(atMost: .max, from: &core.pointee.store, Element.self)
        unsafe core.pointee.lock.unlock()
        drained.destroy(Element.self)
    }

    /// Elements in the pool at this moment. For tests, while nobody uses it.
    package var count: Int {
        var count = unsafe core.pointee.store.count
        for index in 0..<PoolCore.cacheCount { unsafe count += PoolCore.cache(core, index).pointee.stack.count }
        return count
    }

    // MARK: The store

    /// How many go between a cache and the store at a time.
    private var batch: Int { unsafe (core.pointee.cacheCapacity + 1) / 2 }

    /// The rest of taking. The cache is empty, and is left; nil for who has none.
    @usableFromInline
    @inline(never)
    func takeElsewhere(_ cache: UnsafeMutablePointer<PoolCache>?) -> sending Element {
        // SAFETY: as in `take`.
        nonisolated(unsafe) var element: Element?
        unsafe core.pointee.lock.lock()
        if unsafe core.pointee.store.count > 0 { unsafe element = core.pointee.store.pop(Element.self) }
        if let cache = unsafe cache {
            unsafe cache.pointee.stack.take(atMost: batch - 1, from: &core.pointee.store, Element.self)
        }
        unsafe core.pointee.lock.unlock()
        if let cache = unsafe cache { unsafe PoolCore.leave(cache) }
        if let element = unsafe element.take() { return element }
        return make()
    }

    /// The rest of giving. The cache is full, or has no memory yet, and is left; nil for who has none.
    @usableFromInline
    @inline(never)
    func giveElsewhere(_ element: consuming sending Element, _ cache: UnsafeMutablePointer<PoolCache>?) {
        if let cache = unsafe cache, unsafe cache.pointee.stack.count == 0 {
            unsafe cache.pointee.stack.makeRoom(Element.self)
            unsafe cache.pointee.stack.push(element)
            return unsafe PoolCore.leave(cache)
        }
        var surplus: Element? = element
        unsafe core.pointee.lock.lock()
        unsafe core.pointee.store.makeRoom(Element.self)
        if unsafe core.pointee.store.hasRoom { unsafe core.pointee.store.push(surplus.take()!) }
        if let cache = unsafe cache {
            unsafe core.pointee.store.take(atMost: batch - 1, from: &cache.pointee.stack, Element.self)
        }
        unsafe core.pointee.lock.unlock()
        if let cache = unsafe cache { unsafe PoolCore.leave(cache) }
        // Outside of all locks: what an element does when it goes is its own affair.
        _ = consume surplus
    }
}

/// Room for elements, of which the last one in is the first one out. It does not know their type: who uses it says it, the
/// same each time, and destroys them in the end. Its owner, or a lock, protects it.
@safe
@usableFromInline
struct PoolStack: ~Copyable {
    let capacity: Int
    // SAFETY: the first `count` are initialized. Nil until there is one, so that a pool costs little until it is used.
    @usableFromInline
    var elements: UnsafeMutableRawPointer?
    @usableFromInline
    var count = 0
    /// How many fit: none without memory.
    @usableFromInline
    var room = 0

    init(capacity: Int) { self.capacity = capacity }

    @inlinable
    var hasRoom: Bool { count < room }

    mutating func makeRoom<Element: ~Copyable>(_: Element.Type) {
        guard unsafe elements == nil else { return }
        unsafe elements = .allocate(
            byteCount: max(capacity * MemoryLayout<Element>.stride, 1), alignment: MemoryLayout<Element>.alignment)
        room = capacity
    }

    @inlinable
    @inline(__always)
    func address<Element: ~Copyable>(_ index: Int, _: Element.Type) -> UnsafeMutablePointer<Element> {
        unsafe elements.unsafelyUnwrapped.assumingMemoryBound(to: Element.self) + index
    }

    /// The caller knows that there is room.
    @inlinable
    @inline(__always)
    mutating func push<Element: ~Copyable>(_ element: consuming Element) {
        unsafe address(count, Element.self).initialize(to: element)
        count &+= 1
    }

    /// The caller knows that there is one.
    @inlinable
    @inline(__always)
    mutating func pop<Element: ~Copyable>(_: Element.Type) -> Element {
        count &-= 1
        return unsafe address(count, Element.self).move()
    }

    /// Moves up to so many of the other's last elements here, as far as they fit.
    mutating func take<Element: ~Copyable>(atMost limit: Int, from other: inout PoolStack, _: Element.Type) {
        let moved = min(limit, other.count, capacity - count)
        guard moved > 0 else { return }
        makeRoom(Element.self)
        unsafe address(count, Element.self).moveInitialize(
            from: other.address(other.count - moved, Element.self), count: moved)
        count += moved
        other.count -= moved
    }

    // Not a `deinit`, which the compiler (6.3.1) cannot keep out of code that is inlined elsewhere.
    mutating func destroy<Element: ~Copyable>(_: Element.Type) {
        guard let memory = unsafe elements else { return }
        unsafe memory.assumingMemoryBound(to: Element.self).deinitialize(count: count)
        unsafe memory.deallocate()
        unsafe elements = nil
        count = 0
        room = 0
    }
}

@safe
@usableFromInline
struct PoolCache: ~Copyable {
    // First, as in `PoolCore`.
    // The owner's, while `isBusy`; `drain`'s, while `isClosed` and no longer busy.
    @usableFromInline
    var stack: PoolStack
    @usableFromInline
    let isBusy = Atomic<Bool>(false)
    let isClosed = Atomic<Bool>(false)

    init(capacity: Int) { stack = PoolStack(capacity: capacity) }
}

@safe
@usableFromInline
struct PoolCore: ~Copyable {
    // First: the thread sanitizer takes a change of any part that is reached by the core's pointer for one of what lies at its
    // beginning, and would complain about those who read that.
    // Protected by `lock`, which may be taken by who is busy in a cache, and not the other way round.
    var store: PoolStack
    let cacheCapacity: Int
    let storeCapacity: Int
    // SAFETY: made in init, freed in deinit; each cache is used as `PoolCache` says.
    private let caches: UnsafeMutableRawPointer
    let lock = ThreadLock()
    /// `drain` by `drain`. Taken before `lock`.
    let draining = ThreadLock()

    init(cacheCapacity: Int) {
        AsymmetricFence.prepare()
        self.cacheCapacity = cacheCapacity
        let count = Self.cacheCount
        storeCapacity = cacheCapacity * (Scheduler.shared.record.configuration.processors + 1)
        store = PoolStack(capacity: storeCapacity)
        unsafe caches = .allocate(byteCount: count * Self.cacheBytes, alignment: Self.cacheBytes)
        for index in 0..<count {
            unsafe Self.cache(in: caches, index).initialize(to: PoolCache(capacity: cacheCapacity))
        }
    }

    deinit {
        for index in 0..<Self.cacheCount { unsafe Self.cache(in: caches, index).deinitialize(count: 1) }
        unsafe caches.deallocate()
    }

    static var cacheCount: Int { Scheduler.shared.record.configuration.slotCount }

    /// A pair of lines for each cache: processors fetch neighbours together.
    private static var cacheBytes: Int { 128 }

    /// By the pointer, and not by a borrowed core: others change the store at the same time.
    @inline(__always)
    static func cache(_ core: UnsafeMutablePointer<PoolCore>, _ index: Int) -> UnsafeMutablePointer<PoolCache> {
        unsafe cache(in: core.pointee.caches, index)
    }

    @inline(__always)
    private static func cache(in caches: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutablePointer<PoolCache> {
        unsafe (caches + index &* cacheBytes).assumingMemoryBound(to: PoolCache.self)
    }

    /// The cache of the calling thread's worker, made busy. Nil if it has none (plain threads, workers that stand in for
    /// others when very many do, a simulation's, whose index is -1), or one that is being drained.
    @usableFromInline
    static func enterCache(_ core: UnsafeMutablePointer<PoolCore>) -> UnsafeMutablePointer<PoolCache>? {
        guard let thread = ThreadReference.current, let worker = thread.record.worker,
            UInt(bitPattern: worker.record.index)
                < UInt(bitPattern: thread.record.scheduler.record.configuration.slotCount)
        else { return nil }
        let cache = unsafe cache(core, worker.record.index)
        // What others of this worker did in here comes before. The processor knows that; the thread sanitizer, to which
        // goroutines are threads, learns it from the acquiring load, which costs nothing.
        unsafe _ = cache.pointee.isBusy.load(ordering: .acquiring)
        unsafe cache.pointee.isBusy.store(true, ordering: .relaxed)
        AsymmetricFence.light()
        // Acquiring: pairs with `drain`, which has emptied it.
        if unsafe !cache.pointee.isClosed.load(ordering: .acquiring) { return unsafe cache }
        unsafe leave(cache)
        return nil
    }

    @inlinable
    @inline(__always)
    static func leave(_ cache: UnsafeMutablePointer<PoolCache>) {
        // Releasing: pairs with `drain`, which sees what was done in there.
        unsafe cache.pointee.isBusy.store(false, ordering: .releasing)
    }
}
