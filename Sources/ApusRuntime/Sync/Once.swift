// SPDX-License-Identifier: Apache-2.0
//
// A once's states, and who moves them:
//
//     fresh     nobody has called yet, or the last one's function threw
//       |  claim                      one caller
//     running   its function runs; the others wait
//       |  the function returns       that caller: to done, and all are woken
//       |  the function throws        that caller: back to fresh, and one is woken, which may claim
//     done      for good

public import Synchronization

/// Runs a function once, whoever calls and however many; the others wait until it has returned.
///
/// ```swift
/// let setUp = Once()
///
/// func handle(_ job: Job) throws {
///     try setUp.run { try openDatabase() }
///     …
/// }
/// ```
///
/// For a value that is made once there is `Lazy`.
public final class Once: Sendable {
    @usableFromInline
    let state = Atomic<UInt8>(0)
    private let waiters = ParkedWaiters()
    /// The goroutine, or the thread's record, whose function runs; only compared.
    private let runner = Atomic<UInt>(0)

    private static var fresh: UInt8 { 0 }
    private static var running: UInt8 { 1 }
    @inlinable
    static var done: UInt8 { 2 }

    /// Creates a once for which nothing has run yet.
    public init() {}

    /// Whether a function has run and returned.
    @inlinable
    public var isDone: Bool { state.load(ordering: .acquiring) == Self.done }

    /// Calls the function, unless one that was given here has returned before.
    ///
    /// While another's runs, it waits, parking the calling goroutine, or blocking the calling thread. Calling `run` of the
    /// same `Once` inside the function would wait for ever: that stops the program.
    ///
    /// - Returns: True when this call ran the function.
    /// - Throws: What the function throws. Then it has not run: the next caller, perhaps one that waits already, calls its
    ///   own.
    @inlinable
    @inline(__always)
    @discardableResult
    public func run<Failure: Error>(_ body: () throws(Failure) -> Void) throws(Failure) -> Bool {
        if isDone { return false }
        return try runSlowly(body)
    }

    @usableFromInline
    @inline(never)
    func runSlowly<Failure: Error>(_ body: () throws(Failure) -> Void) throws(Failure) -> Bool {
        guard claim() else { return false }
        do throws(Failure) {
            try body()
        } catch {
            finish(Self.fresh)
            waiters.wakeOne()
            throw error
        }
        finish(Self.done)
        waiters.wakeAll()
        return true
    }

    /// True when the function is the caller's to run; false when another has.
    private func claim() -> Bool {
        let caller = ThreadReference.currentOrAttached().caller
        while true {
            let (exchanged, original) = state.compareExchange(
                expected: Self.fresh, desired: Self.running, ordering: .acquiring)
            if exchanged {
                runner.store(caller.bits, ordering: .relaxed)
                return true
            }
            if original == Self.done { return false }
            // Only the caller itself can have stored it.
            if runner.load(ordering: .relaxed) == caller.bits {
                fail("what runs once asks for itself inside its function and would wait for ever; ask from outside")
            }
            waiters.wait(unless: { state.load(ordering: .acquiring) != Self.running }, reason: .once)
        }
    }

    private func finish(_ end: UInt8) {
        runner.store(0, ordering: .relaxed)
        // Releasing: pairs with the acquiring loads of those who find it done, and of who claims it next.
        state.store(end, ordering: .releasing)
    }
}
