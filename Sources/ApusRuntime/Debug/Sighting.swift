// SPDX-License-Identifier: Apache-2.0
//
// One goroutine or thread as it was seen: what it does, since when, and where it stands.
//
// It may go on at any moment of the look. Its record stays a record, and its stack stays memory, so what is read is never
// worse than wrong; and as its wait note changes when it goes on, a look whose notes before and after agree saw one wait.
// (Unless the goroutine went on and came to wait for the same kind of thing within the same millisecond: then the
// backtrace may be a mixture.)

import CApus
import Synchronization

struct Sighting {
    /// What those have in common that are described together.
    struct Kind: Hashable {
        var isThread = false
        var state: GoroutineState
        /// What the thread waits for on which a goroutine in `blocking { }` is.
        var blockedOn = WaitReason.none
        var birthplace = Birthplace(file: 0, place: 0)
        /// Return addresses, innermost first.
        var stack: [UInt] = []

        var noun: String { isThread ? "thread" : "goroutine" }

        var stateText: String {
            switch state {
            case .running: "running"
            case .runnable: "runnable"
            case .blocking: blockedOn == .none ? "blocking call" : "blocking call: \(blockedOn.words)"
            case .waiting(let reason): reason.words
            }
        }
    }

    var kind: Kind
    let identifier: UInt64
    let name: String?
    /// Monotonic nanoseconds; nil for one that does not wait.
    var since: Int64?

    /// The number, and the name in quotation marks.
    var title: String { name.map { "\(identifier) \"\($0)\"" } ?? "\(identifier)" }
}

/// Looks at goroutines and threads.
struct Observer {
    /// Frames that are followed.
    static var stackLimit: Int { 64 }
    // One that changes at each look is as good as running.
    private static var attempts: Int { 3 }

    private let everyThread = Census.threads()
    /// Threads by the record of the goroutine that they run.
    private let runners: [UInt: ThreadCensus]
    private let caller = Goroutine.current
    private let callerFrame: UInt?

    init(callerFrame: UInt? = nil) {
        self.callerFrame = callerFrame
        var runners: [UInt: ThreadCensus] = [:]
        for thread in everyThread {
            if let running = thread.running { runners[running.bits] = thread }
        }
        self.runners = runners
    }

    /// The program's threads that wait.
    func threads() -> [Sighting] {
        everyThread.compactMap { thread in
            guard thread.owner == .program else { return nil }
            let note = thread.waiter.record.waitNote.value
            guard note.reason != .none else { return nil }
            let stack = Self.stack(from: thread.waiter.record.frame.load(ordering: .relaxed), of: nil)
            guard thread.waiter.record.waitNote.value == note else { return nil }
            let isMain = thread.identifier == apus_main_thread_identifier()
            return Sighting(
                kind: Sighting.Kind(isThread: true, state: .waiting(note.reason), stack: stack),
                identifier: UInt64(clamping: thread.identifier),
                name: isMain ? "main" : Self.name(ofThread: thread.identifier), since: note.since)
        }
    }

    /// Nil when the goroutine has ended.
    func look(at goroutine: GoroutineReference, id: UInt64) -> Sighting? {
        for attempt in 1...Self.attempts {
            let note = goroutine.record.waitNote.value
            let isLast = attempt == Self.attempts
            guard
                let sighting = goroutine.readWhileAlive(
                    id: id, { look(at: goroutine, id: id, note: note, withStack: !isLast) })
            else { return nil }
            if isLast || goroutine.record.waitNote.value == note { return sighting }
        }
        return nil
    }

    private func look(
        at goroutine: GoroutineReference, id: UInt64, note: WaitNote.Value, withStack: Bool
    ) -> Sighting {
        let runner = runners[goroutine.bits]
        var kind = Sighting.Kind(
            state: goroutine.state(note: note, isRunning: runner != nil || !withStack),
            birthplace: goroutine.record.birth.birthplace)
        var since = note.since as Int64?
        switch kind.state {
        case .running:
            since = nil
            if let callerFrame, caller?.id == id { kind.stack = Self.stack(from: callerFrame, of: goroutine) }
        case .runnable:
            since = nil
            if withStack { kind.stack = Self.stack(of: goroutine) }
        case .waiting:
            if withStack { kind.stack = Self.stack(of: goroutine) }
        case .blocking:
            var frame = goroutine.record.frame.load(ordering: .relaxed)
            if let inner = runner?.waiter.record.waitNote.value, inner.reason != .none {
                kind.blockedOn = inner.reason
                frame = runner!.waiter.record.frame.load(ordering: .relaxed)
            }
            if withStack { kind.stack = Self.stack(from: frame, of: goroutine) }
        }
        return Sighting(kind: kind, identifier: id, name: goroutine.record.birth.name, since: since)
    }

    // MARK: Stacks

    /// The stack of a goroutine that is switched away.
    private static func stack(of goroutine: GoroutineReference) -> [UInt] {
        unsafe addresses { buffer in
            let slot = bounds(of: goroutine)
            return unsafe apus_backtrace_context(
                &goroutine.pointer.pointee.context, slot.low, slot.high, buffer.baseAddress!, buffer.count)
        }
    }

    /// The stack of a goroutine or a thread (`nil`) that stands in the frame that begins there.
    static func stack(from frame: UInt, of goroutine: GoroutineReference?) -> [UInt] {
        unsafe addresses { buffer in
            let slot = goroutine.map { bounds(of: $0) } ?? (low: 0, high: 0)
            return unsafe apus_backtrace_frame(frame, slot.low, slot.high, buffer.baseAddress!, buffer.count)
        }
    }

    private static func addresses(_ fill: (UnsafeMutableBufferPointer<UInt>) -> Int) -> [UInt] {
        unsafe [UInt](unsafeUninitializedCapacity: stackLimit) { buffer, count in
            count = unsafe fill(buffer)
        }
    }

    /// The memory of the goroutine's own stack, which is there as long as the process.
    private static func bounds(of goroutine: GoroutineReference) -> (low: UInt, high: UInt) {
        (unsafe UInt(bitPattern: StackSlot.base(of: goroutine)) + UInt(StackSlot.guardBytes), goroutine.bits)
    }

    private static func name(ofThread identifier: Int64) -> String? {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
            guard unsafe apus_thread_name(identifier, buffer.baseAddress!, buffer.count) else { return nil }
            return unsafe String(cString: buffer.baseAddress!)
        }
    }
}
