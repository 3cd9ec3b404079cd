// SPDX-License-Identifier: Apache-2.0
//
// More stack for those who need it: a function that carries on in a larger stack when little is left of the one it is
// on. Stacks cannot be moved (Swift keeps addresses into them), but a call can be made on another one.

import CApus

/// Calls a function with at least so many bytes of stack, on a larger stack if less is left of the current one.
///
/// Recursive code calls it at each level, or each few, and is then bounded by memory and not by the goroutine's slot:
///
/// ```swift
/// func depth(of node: Node) -> Int {
///     withStack(atLeast: 64 * 1024) {
///         1 + (node.children.map(depth(of:)).max() ?? 0)
///     }
/// }
/// ```
///
/// Costs a few nanoseconds while there is room. A new stack is at least a megabyte of address space, of which only the
/// touched pages cost memory, and is kept for the next call. Inside, everything works as outside: the function may park
/// and resume on another thread. On a plain thread, whose bounds are unknown, a new stack is used always.
///
/// - Parameter bytes: What `body` and all that it calls may need until the next `withStack`.
public func withStack<Value, Failure: Error>(
    atLeast bytes: Int, _ body: () throws(Failure) -> Value
) throws(Failure) -> Value {
    if bytes < 0 { fail("withStack(atLeast: \(bytes)): a number of bytes is zero or more") }
    guard let goroutine = ThreadReference.current?.running else {
        return try callOnLargeStack(bytes: bytes, goroutine: nil, body)
    }
    let left = unsafe apus_stack_pointer() - UnsafeMutableRawPointer(goroutine.record.context.stack_low!)
    if left >= bytes { return try body() }
    return try callOnLargeStack(bytes: bytes, goroutine: goroutine, body)
}

@inline(never)
private func callOnLargeStack<Value, Failure: Error>(
    bytes: Int, goroutine: GoroutineReference?, _ body: () throws(Failure) -> Value
) throws(Failure) -> Value {
    var result: Result<Value, Failure>?
    withoutActuallyEscaping(body) { body in
        var call: () -> Void = {
            do throws(Failure) { result = .success(try body()) } catch { result = .failure(error) }
        }
        Sanitizer.hide()
        let stack = LargeStack.take(bytes: bytes)
        Sanitizer.unhide()
        let outer = unsafe goroutine?.record.context
        if let goroutine {
            unsafe goroutine.record.context.stack_low = stack.low.assumingMemoryBound(to: CChar.self)
            unsafe goroutine.record.context.stack_high = stack.high.assumingMemoryBound(to: CChar.self)
            unsafe goroutine.record.context.guard_bytes = StackSlot.guardBytes
        }
        unsafe withUnsafeMutablePointer(to: &call) { call in
            unsafe apus_context_call(stack.low, stack.high, callClosure, call)
        }
        if let goroutine, let outer = unsafe outer {
            unsafe goroutine.record.context.stack_low = outer.stack_low
            unsafe goroutine.record.context.stack_high = outer.stack_high
            unsafe goroutine.record.context.guard_bytes = outer.guard_bytes
        }
        Sanitizer.hide()
        stack.put()
        Sanitizer.unhide()
    }
    return try result!.get()
}

private func callClosure(_ address: UnsafeMutableRawPointer?) {
    unsafe address!.assumingMemoryBound(to: (() -> Void).self).pointee()
}

/// Larger stacks that are in use, and those that are free and kept.
var largeStackCensus: (inUse: Int, pooled: Int) { LargeStack.census }

/// A stack outside the arena, with a guard region below it. Sizes are powers of two; a few of each are kept.
@safe
private struct LargeStack {
    let low: UnsafeMutableRawPointer
    let sizeClass: Int

    private var bytes: Int { 1 << sizeClass }
    var high: UnsafeMutableRawPointer { unsafe low + bytes }

    private static var smallestClass: Int { 20 }
    private static var classCount: Int { 28 }
    private static var keptBytes: Int { 64 << 20 }

    @safe
    private struct Pool: ~Copyable {
        // Protected by `lock`.
        /// Free stacks by size. The address of the next lies in the last word of each.
        var first = unsafe [UnsafeMutableRawPointer?](repeating: nil, count: LargeStack.classCount)
        var count = [Int](repeating: 0, count: LargeStack.classCount)
        var inUse = 0
        var lock = ThreadLock()
    }

    // SAFETY: allocated once and never freed; every access is under `lock`.
    nonisolated(unsafe) private static let pool: UnsafeMutablePointer<Pool> = {
        let pool = UnsafeMutablePointer<Pool>.allocate(capacity: 1)
        unsafe pool.initialize(to: Pool())
        return unsafe pool
    }()

    static func take(bytes: Int) -> LargeStack {
        guard bytes < 1 << (smallestClass + classCount - 2) else {
            fail("a stack of \(bytes) bytes is more than any machine has; ask for less")
        }
        // What the caller asks for, and room for the call itself.
        let needed = bytes + 4096
        var sizeClass = smallestClass
        while 1 << sizeClass < needed { sizeClass += 1 }
        let index = sizeClass - smallestClass
        unsafe pool.pointee.lock.lock()
        unsafe pool.pointee.inUse += 1
        if let low = unsafe pool.pointee.first[index] {
            let link = unsafe low + (1 << sizeClass) - MemoryLayout<UnsafeMutableRawPointer?>.stride
            unsafe pool.pointee.first[index] = link.load(as: UnsafeMutableRawPointer?.self)
            unsafe pool.pointee.count[index] -= 1
            unsafe pool.pointee.lock.unlock()
            return unsafe LargeStack(low: low, sizeClass: sizeClass)
        }
        unsafe pool.pointee.lock.unlock()
        guard let memory = unsafe apus_memory_reserve(StackSlot.guardBytes + 1 << sizeClass) else {
            fail(
                "no memory for a stack of \(bytes) bytes; ask withStack(atLeast:) for less or raise the limit (ulimit -v)"
            )
        }
        if unsafe apus_guard_install(memory, StackSlot.guardBytes) != 0,
            unsafe apus_guard_protect(memory, StackSlot.guardBytes) != 0
        {
            fail("cannot guard a stack of \(bytes) bytes; raise vm.max_map_count")
        }
        return unsafe LargeStack(low: memory + StackSlot.guardBytes, sizeClass: sizeClass)
    }

    static var census: (inUse: Int, pooled: Int) {
        unsafe pool.pointee.lock.lock()
        defer { unsafe pool.pointee.lock.unlock() }
        return unsafe (pool.pointee.inUse, pool.pointee.count.reduce(0, +))
    }

    func put() {
        unsafe Sanitizer.forget(low, high)
        let index = sizeClass - Self.smallestClass
        unsafe Self.pool.pointee.lock.lock()
        unsafe Self.pool.pointee.inUse -= 1
        guard unsafe (Self.pool.pointee.count[index] + 1) * bytes <= Self.keptBytes else {
            unsafe Self.pool.pointee.lock.unlock()
            return unsafe apus_memory_release(low - StackSlot.guardBytes, StackSlot.guardBytes + bytes)
        }
        let link = unsafe high - MemoryLayout<UnsafeMutableRawPointer?>.stride
        unsafe link.storeBytes(of: Self.pool.pointee.first[index], as: UnsafeMutableRawPointer?.self)
        unsafe Self.pool.pointee.first[index] = low
        unsafe Self.pool.pointee.count[index] += 1
        unsafe Self.pool.pointee.lock.unlock()
    }
}
