// SPDX-License-Identifier: Apache-2.0
//
// The reader-writer lock that users see: a value and, in the same block of memory, the core that says who may use it
// (RWMutexCore.swift).

/// A value that many may read at the same time, or one may change.
///
/// For values that are read much more often than they are changed; otherwise a `Mutex` costs less. Waiting parks the
/// goroutine, so the lock may be held across anything that blocks. Plain threads may use it too, and are blocked.
///
/// ```swift
/// let routes = RWMutex(["/": "home"])
///
/// func page(for path: String) -> String? {
///     routes.withReadLock { $0[path] }
/// }
/// routes.withWriteLock { $0["/about"] = "about" }
/// ```
///
/// Nobody waits for ever: a writer that waits holds up the readers that come after it, and those get in before the next
/// writer does.
///
/// Not recursive, for readers neither: inside `withReadLock`, another read lock waits for ever if a writer came in between.
@safe
public final class RWMutex<Value: ~Copyable & Sendable>: @unchecked Sendable {
    // SAFETY: one block, allocated in init and freed in deinit: the core, and behind it the value, which the holder of the
    // write lock alone changes, and holders of the read lock read.
    @usableFromInline
    let core: UnsafeMutablePointer<RWMutexCore>

    @inlinable
    static var valueOffset: Int {
        (MemoryLayout<RWMutexCore>.size + MemoryLayout<Value>.alignment - 1) & ~(MemoryLayout<Value>.alignment - 1)
    }

    @inlinable
    var value: UnsafeMutablePointer<Value> {
        unsafe (UnsafeMutableRawPointer(core) + Self.valueOffset).assumingMemoryBound(to: Value.self)
    }

    /// Creates an unlocked lock around a value.
    @inlinable
    public init(_ value: consuming Value) {
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: Self.valueOffset + MemoryLayout<Value>.size,
            alignment: max(MemoryLayout<RWMutexCore>.alignment, MemoryLayout<Value>.alignment))
        unsafe core = block.initializeMemory(as: RWMutexCore.self, to: RWMutexCore())
        unsafe (block + Self.valueOffset).initializeMemory(as: Value.self, to: value)
    }

    @inlinable
    deinit {
        unsafe value.deinitialize(count: 1)
        unsafe RWMutexCore.destroy(core)
        unsafe UnsafeMutableRawPointer(core).deallocate()
    }

    /// Calls a function with the value while nobody changes it, waiting until that is so. Others may read it meanwhile.
    ///
    /// Parks the calling goroutine, or blocks the calling thread, while another changes the value or waits to do so. Errors
    /// pass through. (The value is lent: to return it as a whole, write `{ copy $0 }`.)
    @inlinable
    public func withReadLock<Result: ~Copyable, Failure: Error>(
        _ body: (borrowing Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let way = unsafe RWMutexCore.lockToRead(core)
        defer { unsafe RWMutexCore.unlockToRead(core, way) }
        return try unsafe body(value.pointee)
    }

    /// Calls a function with the value if nobody changes it, or waits to do so.
    ///
    /// - Returns: What the function returned, or nil when the lock was not free for reading. Never waits.
    @inlinable
    public func withReadLockIfAvailable<Result: ~Copyable, Failure: Error>(
        _ body: (borrowing Value) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard let way = unsafe RWMutexCore.tryLockToRead(core) else { return nil }
        defer { unsafe RWMutexCore.unlockToRead(core, way) }
        return try unsafe body(value.pointee)
    }

    /// Calls a function with the value while nobody else reads or changes it, waiting until that is so.
    ///
    /// Parks the calling goroutine, or blocks the calling thread, while others do. Errors pass through.
    @inlinable
    public func withWriteLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe RWMutexCore.lockToWrite(core)
        defer { unsafe RWMutexCore.unlockToWrite(core) }
        return try unsafe body(&value.pointee)
    }

    /// Calls a function with the value if nobody else reads or changes it.
    ///
    /// - Returns: What the function returned, or nil when the lock was not free. Never waits.
    @inlinable
    public func withWriteLockIfAvailable<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard unsafe RWMutexCore.tryLockToWrite(core) else { return nil }
        defer { unsafe RWMutexCore.unlockToWrite(core) }
        return try unsafe body(&value.pointee)
    }

    /// Readers and writers that wait for others at this moment; of the writers only the first. For tests.
    package var waiterCounts: (readers: Int, writers: Int) { unsafe RWMutexCore.waiterCounts(core) }
}
