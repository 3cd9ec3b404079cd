// SPDX-License-Identifier: Apache-2.0
//
// What a goroutine is: for users a small value that names one (`Goroutine`), inside the runtime a record that lies at
// the top of the goroutine's own stack, in the one page that every goroutine touches anyway.
//
// A goroutine's states, and who moves it:
//
//     free      the record rests in a stack pool
//       |  go { }                              the spawning goroutine or thread
//     runnable  in exactly one run queue, or on its way between two
//       |  Worker.findRunnable                 a worker that took it out
//     running   on exactly one thread
//       |  park                                the goroutine itself; published by `commit` after it left its stack
//     waiting   known to whatever will wake it: a wait queue, a poll descriptor, a timer
//       |  ready                               exactly one waker, who took it out of there; back to runnable
//       |  its closure returns                 the goroutine itself: running -> free
//
// A thread that is not ours (the main thread, a Swift task's) waits in the same queues with a record of its own, which
// knows only running and waiting.

package import CApus
import Synchronization

/// The name of a goroutine: what `go` returns.
///
/// It stays valid for ever, also when the goroutine has ended, and keeps nothing alive.
///
/// ```swift
/// let worker = go { crunch() }
/// worker.join()
/// ```
public struct Goroutine: Sendable, Hashable, CustomStringConvertible {
    let reference: GoroutineReference
    /// Unique for the life of the process; never 0.
    public let id: UInt64

    init(_ reference: GoroutineReference, id: UInt64) {
        self.reference = reference
        self.id = id
    }

    /// The goroutine that calls, or nil on a thread that is not the runtime's.
    public static var current: Goroutine? {
        guard let thread = ThreadReference.current, let running = thread.running else { return nil }
        return unsafe Goroutine(running, id: running.record.context.identifier)
    }

    /// Lets the other runnable goroutines of this worker run before the calling one goes on.
    ///
    /// Long computations call it now and then, so that they keep one processor's worth of time and not more. (The runtime
    /// notices a goroutine that runs for 10 ms without it and moves the others elsewhere, at the price of one more
    /// thread.) On a plain thread it yields the thread.
    public static func yield() {
        guard let thread = ThreadReference.current, thread.record.worker != nil else { return apus_thread_yield() }
        unsafe suspend(thread, commit: unsafe commitYield, context: nil)
    }

    /// Waits until the goroutine has ended, parking the calling goroutine, or blocking the calling thread.
    ///
    /// Any number of callers may wait, as often as they like; returns at once when it has ended already. A goroutine
    /// that joins itself would wait for ever: that stops the program.
    public func join() {
        reference.join(id: id)
    }

    /// What `go(name:)` called it; nil without a name, and once the goroutine has ended.
    ///
    /// For people who read a dump (`Goroutine.dump()`). At most 32 bytes of UTF-8: longer names are cut.
    public var name: String? {
        reference.readWhileAlive(id: id) { reference.record.birth.name } ?? nil
    }

    /// Whether the goroutine's closure has returned.
    public var isFinished: Bool {
        guard !reference.isAlive(id: id) else { return false }
        Sanitizer.joined(id: id)
        return true
    }

    public var description: String { "goroutine \(id)" }

    public static func == (left: Goroutine, right: Goroutine) -> Bool { left.id == right.id }
    public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

typealias GoroutineBody = () -> Void

package typealias GoroutineReference = RecordReference<GoroutineRecord>

@safe
package struct GoroutineRecord: ~Copyable {
    /// Registers, stack bounds and identifier; the signal handler and the switch read it, so it comes first.
    /// Written by the spawner and by the thread that runs the goroutine.
    package var context: apus_context
    /// Link of the one list the goroutine is in. Belongs to whoever holds that list.
    var next: GoroutineReference?
    /// What to run; taken by the goroutine when it starts.
    var body: GoroutineBody?
    /// `identifier << 1` while the goroutine lives, plus 1 once somebody has joined; 0 while the record is free.
    ///
    /// The goroutine moves it to 0 when it ends. If nobody joined, that one exchange is all that joining costs.
    let life = Atomic<UInt64>(0)
    /// Protected by the record's lock of `JoinLocks`.
    var lastJoiner: UnsafeMutablePointer<WaitNode>?
    /// When the goroutine was made runnable, in monotonic nanoseconds; 0 unless it is one that is timed. Written by who
    /// makes it runnable, and reset by who runs it.
    var runnableSince: Int64 = 0
    /// For a trace: where that was done, and what it was. Written likewise; the cause also when the goroutine stops.
    var traceTrack: UInt32 = 0
    var traceCause = TraceEvent.Cause.none
    /// For a plain thread's record: what the thread waits on. Unused by goroutines.
    let signal = ThreadSignal()
    /// Who ends the wait that is under way, where there is more than one who may.
    let wait = WaitWord()
    /// The innermost scope that can be cancelled. Written by the goroutine itself, under the record's lock of `JoinLocks`.
    var scope: Unmanaged<CancellationScope>?
    /// Somebody called `cancel()`. Written under the record's lock of `JoinLocks`.
    let isCancelRequested = Atomic<Bool>(false)
    /// The values that are bound for the goroutine, innermost first (see GoroutineLocal.swift). Its own alone.
    var locals: Unmanaged<LocalBinding>?
    /// The slot of the descriptor for which the goroutine waits, or is about to; zero for none. Written by itself, read
    /// by whoever cancels it.
    let pollSlot = Atomic<UInt>(0)
    /// Changed from `goroutine` to `simulated` and back at its start and end, by itself or its spawner.
    var kind: Kind
    /// What the goroutine waits for, for people to read.
    let waitNote = WaitNote()
    /// Where a backtrace begins whose stack is not switched away: of a thread that waits, of a goroutine in `blocking { }`.
    let frame = Atomic<UInt>(0)
    /// Where it was started, and its name.
    let birth = BirthRecord()
    /// Whether the wait for a descriptor ended with an event. Written by whoever takes the waiter out of the descriptor.
    var wokenByEvent = false
    /// Wakes the goroutine at a time: sleeping, and deadlines. Used by the goroutine itself, one wait at a time.
    var timer = unsafe TimerNode(clock: nil)

    enum Kind: UInt8 { case goroutine, thread, simulated }

    init(kind: Kind) {
        unsafe self.context = apus_context()
        self.kind = kind
    }
}

extension RecordReference where Record == GoroutineRecord {
    /// Whether the goroutine named by `id` still runs. The record may have passed to another goroutine.
    func isAlive(id: UInt64) -> Bool {
        record.life.load(ordering: .acquiring) >> 1 == id
    }

    func join(id: UInt64) {
        Sanitizer.hide()
        waitForEnd(id: id)
        Sanitizer.unhide()
        Sanitizer.joined(id: id)
    }

    private func waitForEnd(id: UInt64) {
        guard isAlive(id: id) else { return }
        let waiter = GoroutineReference.currentParkable()
        if waiter == self {
            fail("a goroutine joins itself and would wait for ever; join it from another goroutine")
        }
        var node = unsafe WaitNode(goroutine: waiter)
        let lock = unsafe JoinLocks.lock(for: self)
        unsafe lock.pointee.lock()
        // The one who ends the goroutine moves `life` away from this value; after our exchange it must take the lock.
        let (exchanged, original) = record.life.compareExchange(
            expected: id << 1, desired: id << 1 | 1, ordering: .acquiringAndReleasing)
        guard exchanged || original == id << 1 | 1 else {
            return unsafe lock.pointee.unlock()
        }
        unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe node.pointee.next = record.lastJoiner
            unsafe record.lastJoiner = node
            unsafe park(waiter, reason: .join, unlocking: lock)
        }
    }

    /// Ends the life of the goroutine that calls: its record is free afterwards, and whoever joined is made ready.
    func endLife() {
        let id = unsafe record.context.identifier
        Sanitizer.finished(id: id)
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        guard
            !record.life.compareExchange(expected: id << 1, desired: 0, ordering: .acquiringAndReleasing).exchanged
        else { return }
        var woken = GoroutineList()
        let lock = unsafe JoinLocks.lock(for: self)
        unsafe lock.pointee.lock()
        record.life.store(0, ordering: .releasing)
        while let node = unsafe record.lastJoiner {
            unsafe record.lastJoiner = node.pointee.next
            woken.append(unsafe node.pointee.goroutine)
        }
        unsafe lock.pointee.unlock()
        ready(woken)
    }
}

/// The locks under which goroutines are joined and cancelled, shared by all records: one inside the record would be wiped when a free
/// stack's memory is given back, perhaps while a late joiner holds it to find out that it is late.
enum JoinLocks {
    private static var count: Int { 64 }

    // SAFETY: `count` locks, never freed.
    nonisolated(unsafe) private static let locks: UnsafeMutablePointer<ThreadLock> = {
        let locks = UnsafeMutablePointer<ThreadLock>.allocate(capacity: count)
        for index in 0..<count { unsafe (locks + index).initialize(to: ThreadLock()) }
        return unsafe locks
    }()

    static func lock(for goroutine: GoroutineReference) -> UnsafeMutablePointer<ThreadLock> {
        // Records are as far apart as stacks are.
        unsafe locks + Int(goroutine.bits / UInt(StackSlot.bytes)) % count
    }
}
