// SPDX-License-Identifier: Apache-2.0
//
// Timers that run a function, in one block of memory. While one runs it keeps itself alive: the queue that holds its node
// owns a reference. Who takes the node out takes that reference over: who stops it, or the goroutine that runs the
// function.
//
// What fires it has no reference of its own. Its last one might go there, and `deinit` waits until the timer has fired.

import CApus

/// What a `Timer` with a function refers to. (A managed buffer, because the timer's node needs an address of its own.)
///
/// Any thread may call its methods: the node is started and stopped under `lock`, all else is constant.
final class FunctionTimer: ManagedBuffer<Void, FunctionTimer.State> {
    @safe
    struct State: ~Copyable {
        /// Holds a reference to its clock.
        var node: TimerNode
        let lock = ThreadLock()
        let timer: Unmanaged<FunctionTimer>
        let body: @Sendable () -> Void
    }

    private var state: UnsafeMutablePointer<State> { unsafe withUnsafeMutablePointerToElements { unsafe $0 } }

    static func start(after duration: Duration, _ body: @escaping @Sendable () -> Void) -> FunctionTimer {
        let timer = unsafe unsafeDowncast(create(minimumCapacity: 1) { _ in }, to: FunctionTimer.self)
        let node = unsafe TimerNode(clock: ManualClock.current.map { unsafe Unmanaged.passRetained($0) })
        unsafe timer.state.initialize(
            to: State(node: node, timer: Unmanaged.passUnretained(timer), body: body))
        timer.start(after: duration)
        return timer
    }

    deinit {
        // It is in no queue any more, but who has fired it may not have let go of the node yet.
        unsafe Scheduler.shared.stopTimer(&state.pointee.node)
        unsafe state.pointee.node.clock?.release()
        unsafe state.deinitialize(count: 1)
    }

    func stop() -> Bool {
        let wasWaiting = unsafe state.pointee.lock.withLock { unsafe Scheduler.shared.stopTimer(&state.pointee.node) }
        if wasWaiting { unsafe Unmanaged.passUnretained(self).release() }
        return wasWaiting
    }

    func reset(after duration: Duration) -> Bool {
        let wasWaiting = unsafe state.pointee.lock.withLock {
            let wasWaiting = unsafe Scheduler.shared.stopTimer(&state.pointee.node)
            start(after: duration)
            return wasWaiting
        }
        // `start` has taken a reference of its own.
        if wasWaiting { unsafe Unmanaged.passUnretained(self).release() }
        return wasWaiting
    }

    /// Starts it, when it is stopped, with a reference for the queue.
    private func start(after duration: Duration) {
        let now = unsafe state.pointee.node.now
        _ = unsafe Unmanaged.passRetained(self)
        unsafe Self.start(state, at: now + duration)
    }

    private static func start(_ state: UnsafeMutablePointer<State>, at when: MonotonicTime) {
        unsafe Scheduler.shared.startTimer(
            &state.pointee.node, at: when,
            function: { address, _ in unsafe FunctionTimer.fire(address.assumingMemoryBound(to: State.self)) },
            context: UnsafeMutableRawPointer(state), argument: 0)
    }

    /// The queue's reference on its way to the goroutine.
    ///
    /// SAFETY: nobody uses it but the one goroutine that takes it over. (A `nonisolated(unsafe) let` would say the same, but
    /// Swift 6.2 refuses to let a `sending` closure capture one.)
    @safe
    private struct Handover: @unchecked Sendable {
        let timer: Unmanaged<FunctionTimer>
    }

    /// Starts the goroutine, which takes over the queue's reference and keeps it until the function has returned.
    private static func fire(_ state: UnsafeMutablePointer<State>) {
        let handover = unsafe Handover(timer: state.pointee.timer)
        func start() {
            _ = spawn(
                birthplace: Birthplace(fileID: #fileID, line: #line), name: nil, stackSize: nil, scope: nil
            ) {
                let timer = unsafe handover.timer.takeRetainedValue()
                // Who started the timer did so before: `startTimer` has released it.
                unsafe withUnsafePointer(to: timer.state.pointee.node) { unsafe Sanitizer.acquire($0) }
                unsafe timer.state.pointee.body()
            }
        }
        if let clock = unsafe state.pointee.node.clock {
            unsafe clock.takeUnretainedValue().run(start)
        } else {
            start()
        }
    }
}
