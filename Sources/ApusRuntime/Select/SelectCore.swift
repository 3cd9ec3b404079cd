// SPDX-License-Identifier: Apache-2.0
//
// Waiting for several channels at once, without their elements' types. `select` (Select.swift) first tries its cases one
// by one, which decides nearly always. When none was ready, this looks at all of them at one moment, and waits:
//
//     lock all channels, in the order of their addresses
//       a case is ready    -> its step, with its channel's lock still held; the other locks are released
//       `otherwise`        -> that
//       else               -> a node in each channel's queue, then park; the commit publishes the wait and unlocks all
//     woken: who claimed the wait (Sync/WaitWord.swift) has said in one node what became of it, or was the timer, or a
//            canceller; the other nodes are taken out of their queues
//
// Locking all is what makes `otherwise` exact: it is chosen only if at one moment no case was ready. (Looking at one
// channel after the other, it could be chosen although at each moment one was: Go's TestNonblockSelectRace.) It also
// means that nobody can claim the wait before it is published, so two selects that look at each other cannot both give
// way. Go does the same (runtime/select.go).

import CApus

/// One case of a select, as the core sees it. Lies in the frame of the function that calls `select`.
@usableFromInline
@safe
struct SelectEntry {
    @usableFromInline
    enum Kind: UInt8 { case receive, send, timeout, otherwise, never }

    /// The case before it.
    @usableFromInline
    let previous: UnsafeMutablePointer<SelectEntry>?
    /// Where the element lies, or shall be put.
    @usableFromInline
    let slot: UnsafeMutableRawPointer?
    // What follows is filled in when the select waits.
    @usableFromInline
    var kind: Kind
    /// A send that is chosen also when the channel is closed, to say so; else such a case is never ready.
    @usableFromInline
    var reportsClosed: Bool
    @usableFromInline
    var channel: ChannelReference?
    @usableFromInline
    var deadline: MonotonicTime

    @inlinable
    @inline(__always)
    init(previous: UnsafeMutablePointer<SelectEntry>?, slot: UnsafeMutableRawPointer?) {
        unsafe self.previous = previous
        unsafe self.slot = slot
        kind = .never
        reportsClosed = false
        channel = nil
        deadline = .distantFuture
    }
}

/// The cases of one `select`, the last one first. Public only for the protocol that names it.
@safe
public struct SelectEntries {
    @usableFromInline
    let last: UnsafeMutablePointer<SelectEntry>?
    @usableFromInline
    let count: Int

    @inlinable
    init() {
        unsafe last = nil
        count = 0
    }

    @inlinable
    init(last: UnsafeMutablePointer<SelectEntry>, count: Int) {
        unsafe self.last = last
        self.count = count
    }

    @inlinable
    func adding(_ entry: UnsafeMutablePointer<SelectEntry>) -> SelectEntries {
        unsafe SelectEntries(last: entry, count: count + 1)
    }

    private func entry(_ position: Int) -> UnsafeMutablePointer<SelectEntry> {
        var entry = unsafe last!
        for _ in position + 1..<count { unsafe entry = entry.pointee.previous! }
        return unsafe entry
    }

    @usableFromInline
    @_effects(releasenone)
    func slot(_ position: Int) -> UnsafeMutableRawPointer { unsafe entry(position).pointee.slot! }

    @usableFromInline
    @_effects(releasenone)
    func setReceive(_ position: Int, _ channel: ChannelReference) {
        let entry = unsafe entry(position)
        unsafe entry.pointee.kind = .receive
        unsafe entry.pointee.channel = channel
    }

    @usableFromInline
    @_effects(releasenone)
    func setSend(_ position: Int, _ channel: ChannelReference, reportsClosed: Bool) {
        let entry = unsafe entry(position)
        unsafe entry.pointee.kind = .send
        unsafe entry.pointee.channel = channel
        unsafe entry.pointee.reportsClosed = reportsClosed
    }

    @usableFromInline
    @_effects(releasenone)
    func setTimeout(_ position: Int, _ timeout: Duration) {
        let entry = unsafe entry(position)
        unsafe entry.pointee.kind = .timeout
        unsafe entry.pointee.deadline = .after(timeout)
    }

    @usableFromInline
    @_effects(releasenone)
    func setOtherwise(_ position: Int) { unsafe entry(position).pointee.kind = .otherwise }
}

/// What is left to do for the chosen case. Public only for the protocol that names it.
@safe
public struct SelectOutcome {
    @usableFromInline
    enum Kind {
        /// The channel's lock is held: the step is to be finished.
        case receive(ReceiveStep)
        /// The element lies in the entry's slot.
        case received
        /// The channel is closed and drained.
        case receivedNothing
        /// The channel's lock is held: the step is to be finished, with the element from the case.
        case send(SendStep)
        /// The same, with the element from the entry's slot.
        case sendPrepared(SendStep)
        /// The element was taken.
        case sent
        /// The channel is closed.
        case notSent
        /// A timeout or `otherwise`.
        case reached
    }

    @usableFromInline
    let kind: Kind

    @usableFromInline
    init(_ kind: Kind) {
        self.kind = kind
    }
}

/// Which case was chosen, and what is left to do. Public only for the protocol that names it.
@safe
public struct SelectChoice {
    @usableFromInline
    let index: Int
    @usableFromInline
    let outcome: SelectOutcome.Kind

    @usableFromInline
    init(index: Int, outcome: SelectOutcome.Kind) {
        self.index = index
        self.outcome = outcome
    }
}

extension SelectEntries {
    /// Waits until one case can be chosen. Nil: the goroutine is cancelled.
    @usableFromInline
    @_effects(releasenone)
    func choose() -> SelectChoice? {
        unsafe withUnsafeTemporaryAllocation(of: SelectWait.self, capacity: count) { waits in
            let waiter = GoroutineReference.currentParkable()
            for index in 0..<count {
                let entry = unsafe entry(index)
                let node = unsafe WaitNode(goroutine: waiter, isClaimable: true, element: entry.pointee.slot)
                unsafe waits.initializeElement(
                    at: index, to: SelectWait(entry: entry, node: node, inTurn: index, inLockOrder: index))
            }
            return unsafe SelectCore(waits, waiter: waiter).choose()
        }
    }
}

/// One case of a select that waits. Small, so that sixteen of them fit where small temporary allocations are made.
@safe
private struct SelectWait {
    let entry: UnsafeMutablePointer<SelectEntry>
    var node: WaitNode
    /// The indices of all cases in the order in which they are looked at: of the case at this position.
    var inTurn: Int
    /// The same in the order of their channels' addresses.
    var inLockOrder: Int
}

/// A select that waits.
@safe
private struct SelectCore {
    private let base: UnsafeMutablePointer<SelectWait>
    private let count: Int
    private let waiter: GoroutineReference

    init(_ waits: UnsafeMutableBufferPointer<SelectWait>, waiter: GoroutineReference) {
        let nowhere = unsafe UnsafeMutablePointer<SelectWait>(bitPattern: MemoryLayout<SelectWait>.alignment)!
        // An empty buffer has no address, and is not looked at either.
        unsafe base = waits.baseAddress ?? nowhere
        count = waits.count
        self.waiter = waiter
    }

    private func kind(_ index: Int) -> SelectEntry.Kind { unsafe base[index].entry.pointee.kind }
    private func channel(_ index: Int) -> ChannelReference? { unsafe base[index].entry.pointee.channel }
    private func reportsClosed(_ index: Int) -> Bool { unsafe base[index].entry.pointee.reportsClosed }

    func choose() -> SelectChoice? {
        sortByAddress()
        while true {
            schedulingPoint()
            shuffle()
            lockAll()
            if let choice = findReady() { return choice }
            let (deadline, timeoutIndex) = earliestDeadline()
            if deadline != .distantFuture, deadline <= .now {
                unlockAll()
                return SelectChoice(index: timeoutIndex, outcome: .reached)
            }
            guard waiter.cancellation == nil else {
                unlockAll()
                return nil
            }
            let (winner, isExpired) = wait(until: deadline)
            if let winner, let choice = choice(of: winner) { return choice }
            if winner == nil, isExpired { return SelectChoice(index: timeoutIndex, outcome: .reached) }
        }
    }

    // MARK: One moment for all

    /// Looks at all cases in a random order, with all locks held; releases them, except the chosen one's.
    private func findReady() -> SelectChoice? {
        var otherwise: Int?
        for position in 0..<count {
            let index = unsafe base[position].inTurn
            switch kind(index) {
            case .receive:
                let step = channel(index)!.decideReceive()
                switch step {
                case .wait: continue
                case .closed:
                    unlockAll()
                    return SelectChoice(index: index, outcome: .receivedNothing)
                case .ring, .ringAndSender, .sender:
                    unlockAll(except: channel(index))
                    return SelectChoice(index: index, outcome: .receive(step))
                }
            case .send:
                let step = channel(index)!.decideSend()
                switch step {
                case .wait: continue
                case .closed:
                    guard reportsClosed(index) else {
                        unsafe base[index].entry.pointee.kind = .never
                        continue
                    }
                    unlockAll()
                    return SelectChoice(index: index, outcome: .notSent)
                case .ring, .receiver:
                    unlockAll(except: channel(index))
                    return SelectChoice(index: index, outcome: .sendPrepared(step))
                }
            case .otherwise: otherwise = index
            case .timeout, .never: continue
            }
        }
        guard let otherwise else { return nil }
        unlockAll()
        return SelectChoice(index: otherwise, outcome: .reached)
    }

    private func earliestDeadline() -> (MonotonicTime, index: Int) {
        var earliest = (MonotonicTime.distantFuture, index: 0)
        for index in 0..<count where kind(index) == .timeout {
            let deadline = unsafe base[index].entry.pointee.deadline
            if deadline < earliest.0 { earliest = (deadline, index) }
        }
        return earliest
    }

    // MARK: Waiting

    /// Queues up everywhere and parks; unlocks all. Returns the case whose channel has claimed the wait, if one has.
    private func wait(until deadline: MonotonicTime) -> (winner: Int?, isExpired: Bool) {
        for index in 0..<count {
            unsafe base[index].node.outcome = .none
            switch kind(index) {
            case .receive: unsafe channel(index)!.core.pointee.receivers.append(&base[index].node)
            case .send: unsafe channel(index)!.core.pointee.senders.append(&base[index].node)
            case .timeout, .otherwise, .never: break
            }
        }
        var frame = self
        if deadline != .distantFuture { waiter.startDeadline(deadline) }
        unsafe withUnsafeMutablePointer(to: &frame) { entries in
            unsafe park(waiter, reason: .select, commit: commitSelect, context: UnsafeMutableRawPointer(entries))
        }
        let isExpired = deadline != .distantFuture && waiter.stopDeadline()
        var winner: Int?
        for index in 0..<count where unsafe base[index].node.outcome != .none {
            winner = index
        }
        for index in 0..<count where index != winner {
            removeNode(index)
        }
        return (winner, isExpired)
    }

    private func removeNode(_ index: Int) {
        guard let channel = channel(index) else { return }
        unsafe ChannelCore.lock(channel.core)
        switch kind(index) {
        case .receive: unsafe channel.core.pointee.receivers.remove(&base[index].node)
        case .send: unsafe channel.core.pointee.senders.remove(&base[index].node)
        case .timeout, .otherwise, .never: break
        }
        unsafe ChannelCore.unlock(channel.core)
    }

    /// What the winner's waker says. Nil: its channel was closed, and the case is never ready from now on.
    private func choice(of winner: Int) -> SelectChoice? {
        let succeeded = unsafe base[winner].node.succeeded
        if kind(winner) == .receive {
            return SelectChoice(index: winner, outcome: succeeded ? .received : .receivedNothing)
        }
        if succeeded { return SelectChoice(index: winner, outcome: .sent) }
        if reportsClosed(winner) { return SelectChoice(index: winner, outcome: .notSent) }
        unsafe base[winner].entry.pointee.kind = .never
        return nil
    }

    // MARK: Orders and locks

    /// Channels come after all else in the order of the locks.
    fileprivate var hasChannels: Bool { unsafe count > 0 && channel(base[count - 1].inLockOrder) != nil }

    private func sortByAddress() {
        // Insertion sort: cases are few.
        for position in 1..<max(count, 1) {
            let index = unsafe base[position].inLockOrder
            var gap = position
            while gap > 0, address(unsafe base[gap - 1].inLockOrder) > address(index) {
                unsafe base[gap].inLockOrder = base[gap - 1].inLockOrder
                gap -= 1
            }
            unsafe base[gap].inLockOrder = index
        }
    }

    private func address(_ index: Int) -> UInt {
        unsafe UInt(bitPattern: channel(index)?.core)
    }

    /// Fisher and Yates: every order is equally likely, so every ready case is.
    private func shuffle() {
        for position in 0..<count {
            let other = Int(truncatingIfNeeded: selectRandom() % UInt64(position + 1))
            unsafe base[position].inTurn = base[other].inTurn
            unsafe base[other].inTurn = position
        }
    }

    /// Each channel once, though cases may share it: equal addresses are neighbours, and no channel comes first. After the
    /// last call of `body` the entries are not looked at: see `commitSelect`.
    private func forEachChannel(_ body: (ChannelReference) -> Void) {
        var position = 0
        while position < count {
            let index = unsafe base[position].inLockOrder
            let channel = channel(index)
            position += 1
            while position < count, address(unsafe base[position].inLockOrder) == address(index) { position += 1 }
            if let channel { body(channel) }
        }
    }

    private func lockAll() { forEachChannel { unsafe ChannelCore.lock($0.core) } }

    fileprivate func unlockAll() { forEachChannel { unsafe ChannelCore.unlock($0.core) } }

    private func unlockAll(except channel: ChannelReference?) {
        forEachChannel { other in
            if unsafe other.core != channel?.core { unsafe ChannelCore.unlock(other.core) }
        }
    }
}

private let commitSelect: ParkCommit = { goroutine, context in
    // Copied first: from `publish` on the goroutine may run, but until the last channel is unlocked it cannot return and
    // take its frame, where the entries lie, with it. It locks all channels to take its nodes out, except the one that woke
    // it, which could do so only when it was unlocked. Without any channel nothing holds it up, and nothing is left to do.
    let entries = unsafe context!.assumingMemoryBound(to: SelectCore.self).pointee
    let hasChannels = entries.hasChannels
    let isWaiting = unsafe GoroutineReference(goroutine).record.wait.publish(interruptible: true)
    if hasChannels { entries.unlockAll() }
    return isWaiting
}

/// A random number for choices that must be fair.
@usableFromInline
@_effects(releasenone)
func selectRandom() -> UInt64 {
    guard let worker = ThreadReference.current?.record.worker else { return apus_random_seed() }
    return worker.nextRandom()
}
