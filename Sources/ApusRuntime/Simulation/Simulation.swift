// SPDX-License-Identifier: Apache-2.0
//
// A deterministic mode for tests: goroutines on one thread, in an order that a seed decides, by a clock that jumps.
//
// A simulation is a thread of its own with a worker of its own, which the scheduler does not know. Its goroutines are told
// from others by their record's kind, `simulated`: so whatever makes one runnable comes by here (`readyElsewhere`, and the
// worker's `attend`) and puts it into the simulation's list instead of a queue.
//
//     runnable  in the list    -- the seed picks one -->    running, until its next scheduling point
//
// A scheduling point is where something could come in between: every park, of course, and before each operation on a
// channel, mutex and so on (`schedulingPoint`), where the running goroutine goes back into the list. Time is a
// `ManualClock`'s; when the list is empty it jumps to the next timer. All that is drawn at random, a select's choice
// included, is drawn from the seed. So the same seed gives the same run.
//
// When the closure has returned, the goroutines that are left are cancelled, and run on until they have ended. Those that
// cannot go on are reported. (They cannot be ended, nor their stacks freed: nothing can unwind them.)
//
// All of it is used by the simulation's thread alone, except `ended`, on which the caller waits.

import CApus
import Synchronization

/// Calls a function in a simulation: in a goroutine that runs, with all goroutines that it starts, one at a time on one
/// thread. Which one goes on, at each park and before each operation of channels, locks, timers and so on, a seed decides.
///
/// Time is virtual: it stands still while anyone can run, and then jumps to the next timer. The same seed gives the same
/// run, so a bug that shows in one of thousand orders can be found by trying seeds, and looked at again and again.
///
/// ```swift
/// for seed in 0..<1000 {
///     try withSimulation(seed: UInt64(seed)) {
///         let channel = Channel<Int>()
///         go { try? channel.send(1) }
///         sleep(for: .seconds(3600))  // takes no time
///         assert(channel.receive() == 1)
///     }
/// }
/// ```
///
/// The goroutines must not wait for anything outside: other goroutines, threads, sockets. That stops the program. What
/// depends on chance otherwise (the order of a `Set`, random numbers, `ContinuousClock.now`) is not covered by the seed.
///
/// Parks the calling goroutine, or blocks the calling thread, until the function and all its goroutines have ended. Those
/// that are left when the function returns are cancelled.
///
/// - Parameters:
///   - seed: Decides the order. Without one it is drawn, and printed when the run fails.
///   - stepLimit: Scheduling points after which the run counts as endless; one or more.
///   - fileID: Where the simulation's first goroutine was started, for dumps: leave it as it is, or pass your own caller's
///     on.
///   - line: Likewise.
/// - Returns: What the function returned.
/// - Throws: What the function throws; `SimulationFailure` when nobody can go on, or the limit is reached. Either way, a
///   line on standard error names the seed.
@discardableResult
public func withSimulation<Value>(
    seed: UInt64 = .random(in: 0 ... .max), stepLimit: Int = 10_000_000, fileID: StaticString = #fileID,
    line: UInt = #line, _ body: @escaping () throws -> Value
) throws -> Value {
    if stepLimit < 1 { fail("withSimulation(stepLimit: \(stepLimit)): a run takes one step or more") }
    if unsafe ThreadReference.current?.record.worker?.record.simulation != nil {
        fail("withSimulation is called inside a simulation; call it from outside, once for each run")
    }
    // SAFETY: the caller waits until the simulation has ended, so neither is used by two at a time. (A run that failed keeps
    // them, with the goroutines that could not end.)
    nonisolated(unsafe) let body = body
    nonisolated(unsafe) var result: Result<Value, any Error>?
    let simulation = Simulation(seed: seed, stepLimit: stepLimit, birthplace: (fileID, line)) {
        do { unsafe result = .success(try unsafe body()) } catch { unsafe result = .failure(error) }
    }
    simulation.runOnThreadOfItsOwn()
    if let failure = simulation.failure { throw failure }
    if case .failure(let error)? = unsafe result {
        writeError("apus: the simulation with seed \(seed) failed: \(error)\n")
    }
    return try unsafe result!.get()
}

/// Why a simulation could not be run to its end.
public struct SimulationFailure: Error, CustomStringConvertible {
    /// The seed that repeats it.
    public let seed: UInt64
    /// What was wrong, and for what each goroutine waits, a line for each.
    public let description: String
}

@safe
final class Simulation: @unchecked Sendable {
    let seed: UInt64
    private let stepLimit: Int
    /// Where the first goroutine was started, for people: in the caller.
    private let birthplace: (fileID: StaticString, line: UInt)
    private let body: () -> Void
    private(set) var failure: SimulationFailure?

    private let clock = ManualClock()
    private var random: UInt64
    private var runnable: [GoroutineReference] = []
    /// All that were started, also those that have ended.
    private var started: [Goroutine] = []
    private var aliveCount = 0
    private var steps = 0
    /// So many calls of `forbidPassing(true)` are under way, one inside the other.
    private var passingIsForbidden = 0
    private var bodyHasReturned = false
    private let ended = WaitGroup()

    init(
        seed: UInt64, stepLimit: Int, birthplace: (fileID: StaticString, line: UInt), body: @escaping () -> Void
    ) {
        self.seed = seed
        self.stepLimit = stepLimit
        self.birthplace = birthplace
        self.body = body
        random = seed
    }

    // MARK: The thread

    func runOnThreadOfItsOwn() {
        ended.add()
        let result = unsafe apus_thread_start(
            { address in
                Sanitizer.threadStarted()
                defer { Sanitizer.unhide() }
                let simulation = unsafe Unmanaged<Simulation>.fromOpaque(address!).takeRetainedValue()
                simulation.live()
                return nil
            }, Unmanaged.passRetained(self).toOpaque(), 256 * 1024, "apus simulation")
        if result != 0 {
            fail("cannot start a thread for a simulation (error \(-result)); raise the limit on processes")
        }
        ended.wait()
        // What its goroutines did: see `release`. The thread itself is hidden.
        unsafe Sanitizer.acquire(Unmanaged.passUnretained(self).toOpaque())
    }

    private func live() {
        let thread = Scheduler.shared.makeThreadRecord(owner: .runtime)
        let worker = SimulationWorkers.take(seed: seed)
        unsafe worker.record.simulation = Unmanaged.passUnretained(self)
        thread.beginSimulation(worker)
        unsafe thread.record.waiter.record.timer.clock = Unmanaged.passUnretained(clock)
        // Seen: what the caller did comes before what the body does.
        Sanitizer.unhide()
        _ = go(name: "simulation", fileID: birthplace.fileID, line: birthplace.line) {
            self.body()
            Sanitizer.hide()
            self.bodyHasReturned = true
            Sanitizer.unhide()
        }
        Sanitizer.hide()
        run(thread)
        unsafe thread.record.waiter.record.timer.clock = nil
        thread.endSimulation()
        unsafe worker.record.simulation = nil
        SimulationWorkers.put(worker)
        // The caller may go on: this is its own affair no longer.
        ended.done()
        thread.leaveSimulation()
    }

    private func run(_ thread: ThreadReference) {
        var leftoversAreCancelled = false
        while true {
            _ = thread.record.worker!.record.timers.runExpired()
            if bodyHasReturned, !leftoversAreCancelled {
                leftoversAreCancelled = true
                for goroutine in started { goroutine.cancel() }
            }
            steps += 1
            if steps > stepLimit { return end(because: "it had not ended after \(stepLimit) steps") }
            if !runnable.isEmpty {
                thread.execute(pick())
            } else if aliveCount == 0 {
                return
            } else if !clock.advanceToNextTimer() {
                return end(because: "all its goroutines are asleep: deadlock")
            }
        }
    }

    private func pick() -> GoroutineReference {
        let index = Int(truncatingIfNeeded: nextRandom() % UInt64(runnable.count))
        runnable.swapAt(index, runnable.count - 1)
        return runnable.removeLast()
    }

    /// splitmix64 (Steele, Lea, Flood 2014): any seed is good, also 0, 1, 2 ...
    private func nextRandom() -> UInt64 {
        random &+= 0x9e37_79b9_7f4a_7c15
        var z = random
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    private func end(because reason: String) {
        var text = "the simulation with seed \(seed) failed: \(reason)"
        for goroutine in started where !goroutine.isFinished {
            let reference = goroutine.reference
            let birthplace = reference.record.birth.birthplace
            let state = runnable.contains(reference) ? "can run" : reference.record.waitNote.value.reason.words
            text += "\n    \(goroutine)"
            if let name = goroutine.name { text += " \"\(name)\"" }
            text += ": \(state)"
            if let file = birthplace.fileName { text += ", started at \(file):\(birthplace.line)" }
        }
        failure = SimulationFailure(seed: seed, description: text)
        writeError("apus: \(text)\n")
    }

    // MARK: For the runtime

    /// The simulation that the calling goroutine is in.
    static var current: Simulation? {
        unsafe ThreadReference.current?.record.worker?.record.simulation?.takeUnretainedValue()
    }

    /// Whether it is the clock by which the caller's simulation goes.
    static func ownsClock(_ clock: ManualClock) -> Bool { current?.clock === clock }

    /// A goroutine that was made runnable by one of the simulation: another of it, or one outside.
    func place(_ goroutine: GoroutineReference) {
        guard goroutine.record.kind == .simulated else {
            Scheduler.shared.pushGlobal(goroutine)
            return Scheduler.shared.wakeWorkerIfNeeded()
        }
        runnable.append(goroutine)
    }

    /// A goroutine is about to be started by one of the simulation.
    func adopt(_ newborn: GoroutineReference) {
        newborn.record.kind = .simulated
        aliveCount += 1
    }

    func noteStarted(_ goroutine: Goroutine) {
        started.append(goroutine)
    }

    /// A goroutine of the simulation is about to end: its record becomes one like any other.
    func release(_ goroutine: GoroutineReference) {
        unsafe Sanitizer.release(Unmanaged.passUnretained(self).toOpaque())
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        goroutine.record.kind = .goroutine
        aliveCount -= 1
    }

    /// Makes a simulated goroutine runnable.
    static func ready(_ goroutine: GoroutineReference) {
        guard let simulation = current else {
            fail(
                "a goroutine of a simulation is woken from outside; inside withSimulation, wait only for what runs inside too"
            )
        }
        goroutine.record.waitNote.end()
        // `park` has counted it.
        ThreadReference.current!.record.counters.wakeUps.add()
        simulation.place(goroutine)
    }

    /// Lets another goroutine run, if the seed says so.
    func passPoint() {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        guard passingIsForbidden == 0, ThreadReference.current?.running != nil else { return }
        Goroutine.yield()
    }

    /// For the time in which the goroutine holds a lock of threads and does what has scheduling points elsewhere. Each
    /// call with true is followed by one with false; others may come in between.
    @inline(__always)
    static func forbidPassing(_ isForbidden: Bool) {
        guard apus_has_manual_clocks() else { return }
        Sanitizer.hide()
        current?.passingIsForbidden += isForbidden ? 1 : -1
        Sanitizer.unhide()
    }
}

extension RecordReference where Record == ThreadRecord {
    fileprivate func beginSimulation(_ worker: WorkerReference) {
        record.identifier.store(apus_thread_identifier(), ordering: .relaxed)
        record.worker = worker
        unsafe apus_set_current_thread(&pointer.pointee.base)
        unsafe record.signalStack = apus_signal_stack_install()
        unsafe apus_hazards_find(&pointer.pointee.base.hazards)
    }

    /// From here on the thread is one that runs no goroutines.
    fileprivate func endSimulation() {
        StackPool.takeBack(record.worker!)
        record.worker = nil
    }

    fileprivate func leaveSimulation() {
        unsafe apus_signal_stack_free(record.signalStack)
        apus_set_current_thread(nil)
        record.scheduler.recycle(self)
    }
}

/// Workers of simulations that have ended, for the next ones: records are never freed.
private enum SimulationWorkers {
    private struct State: ~Copyable {
        var first: WorkerReference?
        var lock = ThreadLock()
    }

    // SAFETY: allocated once and never freed; every access is under `lock`.
    nonisolated(unsafe) private static let state: UnsafeMutablePointer<State> = {
        let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
        unsafe state.initialize(to: State())
        return unsafe state
    }()

    static func take(seed: UInt64) -> WorkerReference {
        unsafe state.pointee.lock.lock()
        let free = unsafe state.pointee.first
        if let free { unsafe state.pointee.first = free.record.next }
        unsafe state.pointee.lock.unlock()
        let worker = free ?? make()
        worker.record.next = nil
        // Never zero, from which the generator would not come away.
        worker.record.random = seed &* 2 &+ 1
        worker.record.pushesUntilAttention = 1
        return worker
    }

    private static func make() -> WorkerReference {
        let memory = unsafe WorkerReference.allocate()
        unsafe memory.initialize(
            to: WorkerRecord(
                index: -1, configuration: Scheduler.shared.record.configuration, timers: .make(), seed: 1,
                isTraced: false))
        return unsafe WorkerReference(memory)
    }

    static func put(_ worker: WorkerReference) {
        unsafe state.pointee.lock.lock()
        worker.record.next = unsafe state.pointee.first
        unsafe state.pointee.first = worker
        unsafe state.pointee.lock.unlock()
    }
}
