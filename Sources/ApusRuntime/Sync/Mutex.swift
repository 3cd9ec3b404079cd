// SPDX-License-Identifier: Apache-2.0
//
// The mutex that users see: a value and, in the same block of memory, the core that says who may use it
// (MutexCore.swift). Inlinable, so that the user's closure is called directly.

/// A value that one goroutine at a time may use.
///
/// Waiting parks the goroutine and leaves its thread to others, so a mutex may be held across anything that blocks. Plain
/// threads may use it too, and are blocked.
///
/// ```swift
/// let visits = Mutex([String: Int]())
/// visits.withLock { $0["/", default: 0] += 1 }
/// ```
///
/// Nobody waits for ever: who has waited for a millisecond gets the mutex before whoever comes after.
///
/// Not recursive: locking it again inside `withLock` waits for ever.
@safe
public final class Mutex<Value: ~Copyable>: @unchecked Sendable {
    // SAFETY: one block, allocated in init and freed in deinit: the core, and behind it the value, which the holder of the
    // mutex alone touches.
    @usableFromInline
    let core: UnsafeMutablePointer<MutexCore>

    @inlinable
    static var valueOffset: Int {
        (MemoryLayout<MutexCore>.size + MemoryLayout<Value>.alignment - 1) & ~(MemoryLayout<Value>.alignment - 1)
    }

    @inlinable
    var value: UnsafeMutablePointer<Value> {
        unsafe (UnsafeMutableRawPointer(core) + Self.valueOffset).assumingMemoryBound(to: Value.self)
    }

    /// Creates an unlocked mutex around a value.
    @inlinable
    public init(_ value: consuming sending Value) {
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: Self.valueOffset + MemoryLayout<Value>.size,
            alignment: max(MemoryLayout<MutexCore>.alignment, MemoryLayout<Value>.alignment))
        unsafe core = block.initializeMemory(as: MutexCore.self, to: MutexCore())
        unsafe (block + Self.valueOffset).initializeMemory(as: Value.self, to: value)
    }

    @inlinable
    deinit {
        unsafe value.deinitialize(count: 1)
        unsafe core.deinitialize(count: 1)
        unsafe UnsafeMutableRawPointer(core).deallocate()
    }

    /// Calls a function with the value while no other can, waiting until that is so.
    ///
    /// Parks the calling goroutine, or blocks the calling thread, while another holds the mutex. Errors pass through.
    @inlinable
    @inline(__always)
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        unsafe MutexCore.lock(core)
        defer { unsafe MutexCore.unlock(core) }
        return try unsafe body(&value.pointee)
    }

    /// Calls a function with the value if no other holds the mutex.
    ///
    /// - Returns: What the function returned, or nil when the mutex was held, or about to be handed to a waiter. Never
    ///   waits.
    @inlinable
    @inline(__always)
    public func withLockIfAvailable<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result? {
        guard unsafe MutexCore.tryLock(core) else { return nil }
        defer { unsafe MutexCore.unlock(core) }
        return try unsafe body(&value.pointee)
    }
}
