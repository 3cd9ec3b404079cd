// SPDX-License-Identifier: Apache-2.0
//
// Start reading here. `go` takes a stack from the pool (Stack/StackPool.swift), prepares it to run the closure
// (Scheduler/ContextSwitch.swift) and puts the goroutine on the calling worker's queue (Scheduler/RunQueue.swift). From
// there a worker runs it until it parks (Scheduler/Park.swift), yields or ends. Where a worker finds its next goroutine
// is the heart of the scheduler (Scheduler/Worker.swift).

import CApus

/// Runs a closure concurrently, in a goroutine of its own, and returns at once.
///
/// Goroutines are cheap: the closure's captures are all that is allocated, and an idle one costs little more than the
/// page of stack that it touches. Inside, any function may block: channels, sleeping, sockets and locks of Apus park the
/// goroutine and leave the thread to others. For C calls that block, see `blocking`.
///
/// ```swift
/// go { print("hello from a goroutine") }
/// ```
///
/// The process ends when `main` returns, whatever goroutines are left: join what must be finished.
///
/// - Parameters:
///   - name: What a dump calls the goroutine, beside its number: at most 32 bytes of UTF-8, of longer ones the beginning.
///   - stackSize: Bytes of stack that the closure needs, where the default of 192 KiB is not enough. Rounded up to a
///     power of two; memory is used only as far as the stack is really touched.
///   - fileID: Where the goroutine was started, for dumps: leave it as it is, or pass your own caller's on.
///   - line: Likewise.
///   - body: What to run. What it captures is handed over: the compiler proves that the caller does not touch it any more,
///     or that it may be shared.
/// - Returns: A name for the goroutine, to join it or to compare it. Not needed for anything else.
@discardableResult
public func go(
    name: String? = nil, stackSize: Int? = nil, fileID: StaticString = #fileID, line: UInt = #line,
    _ body: sending @escaping () -> Void
) -> Goroutine {
    spawn(
        birthplace: Birthplace(fileID: fileID, line: line), name: name, stackSize: stackSize, scope: nil, body)
}

/// Runs a closure concurrently, in a goroutine of its own, and returns a handle to fetch its result or its error.
///
/// ```swift
/// let page = go { try fetch("index.html") }
/// let text = try page.join()
/// ```
///
/// - Parameters:
///   - name: What a dump calls the goroutine, beside its number: at most 32 bytes of UTF-8, of longer ones the beginning.
///   - stackSize: Bytes of stack that the closure needs, where the default of 192 KiB is not enough.
///   - fileID: Where the goroutine was started, for dumps: leave it as it is, or pass your own caller's on.
///   - line: Likewise.
///   - body: What to run.
public func go<Value: Sendable, Failure: Error>(
    name: String? = nil, stackSize: Int? = nil, fileID: StaticString = #fileID, line: UInt = #line,
    _ body: sending @escaping () throws(Failure) -> Value
) -> JoinHandle<Value, Failure> {
    let result = JoinHandle<Value, Failure>.Outcome()
    nonisolated(unsafe) let body = body
    let goroutine = go(name: name, stackSize: stackSize, fileID: fileID, line: line) {
        do throws(Failure) {
            unsafe result.value = .success(try body())
        } catch {
            unsafe result.value = .failure(error)
        }
    }
    return JoinHandle(goroutine: goroutine, outcome: result)
}

/// Runs a closure concurrently, in a goroutine of its own, and returns a handle to fetch its result.
///
/// The result may be ignored: no error gets lost with it.
///
/// - Parameters:
///   - name: What a dump calls the goroutine, beside its number: at most 32 bytes of UTF-8, of longer ones the beginning.
///   - stackSize: Bytes of stack that the closure needs, where the default of 192 KiB is not enough.
///   - fileID: Where the goroutine was started, for dumps: leave it as it is, or pass your own caller's on.
///   - line: Likewise.
///   - body: What to run.
@discardableResult
public func go<Value: Sendable>(
    name: String? = nil, stackSize: Int? = nil, fileID: StaticString = #fileID, line: UInt = #line,
    _ body: sending @escaping () -> Value
) -> JoinHandle<Value, Never> {
    let result = JoinHandle<Value, Never>.Outcome()
    nonisolated(unsafe) let body = body
    let goroutine = go(name: name, stackSize: stackSize, fileID: fileID, line: line) {
        unsafe result.value = .success(body())
    }
    return JoinHandle(goroutine: goroutine, outcome: result)
}

/// The result of a goroutine that returns a value or throws.
///
/// Letting go of it does not stop the goroutine; its result is then dropped when it arrives.
public struct JoinHandle<Value: Sendable, Failure: Error>: Sendable {
    /// The goroutine whose result this is.
    public let goroutine: Goroutine
    private let outcome: Outcome

    // Written by the goroutine before it ends, read by those who joined it: ending and joining order the two.
    final class Outcome: @unchecked Sendable {
        nonisolated(unsafe) var value: Result<Value, Failure>?
    }

    init(goroutine: Goroutine, outcome: Outcome) {
        self.goroutine = goroutine
        self.outcome = outcome
    }

    /// Waits until the goroutine has ended and returns its value or throws its error.
    ///
    /// Parks the calling goroutine, or blocks the calling thread. May be called more than once and by more than one.
    @discardableResult
    public func join() throws(Failure) -> Value {
        goroutine.join()
        return try unsafe outcome.value!.get()
    }

    /// Asks the goroutine to end early. See `Goroutine.cancel()`.
    public func cancel() { goroutine.cancel() }

    /// Whether the goroutine has ended, so that `join` returns at once.
    public var isFinished: Bool { goroutine.isFinished }
}

/// Starts a goroutine; with a scope if it is one of a group's.
@inline(__always)
func spawn(
    birthplace: Birthplace, name: String?, stackSize: Int?, scope: CancellationScope?,
    _ body: sending @escaping () -> Void
) -> Goroutine {
    guard let stackSize else { return spawn(birthplace: birthplace, name: name, scope: scope, body) }
    if stackSize < 0 { fail("go(stackSize: \(stackSize)): a number of bytes is zero or more") }
    nonisolated(unsafe) let body = body
    return spawn(birthplace: birthplace, name: name, scope: scope) { withStack(atLeast: stackSize, unsafe body) }
}

private func spawn(
    birthplace: Birthplace, name: String?, scope: CancellationScope?, _ body: sending @escaping () -> Void
) -> Goroutine {
    // But for the start itself: see `sanitizer_prepare`.
    Sanitizer.hide()
    defer { Sanitizer.unhide() }
    let thread = ThreadReference.currentOrAttached()
    let goroutine = StackPool.take(thread: thread)
    goroutine.inheritClock()
    thread.record.counters.spawned.add()
    goroutine.inheritLocals(from: thread)
    if let worker = thread.record.worker {
        let id = worker.takeIdentifier()
        goroutine.prepare(body: body, id: id, birthplace: birthplace, name: name, scope: scope)
        worker.pushNext(goroutine)
        thread.record.scheduler.wakeWorkerIfNeeded()
        let started = Goroutine(goroutine, id: id)
        if apus_has_manual_clocks() { Simulation.current?.noteStarted(started) }
        schedulingPoint()
        return started
    }
    let scheduler = thread.record.scheduler
    let id = scheduler.takeIdentifiers(count: 1)
    goroutine.prepare(body: body, id: id, birthplace: birthplace, name: name, scope: scope)
    scheduler.noteRunnable(goroutine)
    scheduler.pushGlobal(goroutine)
    scheduler.wakeWorkerIfNeeded()
    return Goroutine(goroutine, id: id)
}
