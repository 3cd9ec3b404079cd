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

/// One case of a select, as the core sees it. Lies in the frame of `select`.
@usableFromInline
@safe
struct SelectEntry {
    /// Timeouts and `otherwise` are entries for their index only, as cases that are not wanted.
    enum Kind: UInt8 { case receive, send, never }

    var kind: Kind
    /// A send that is chosen also when the channel is closed, to say so; else such a case is never ready.
    let reportsClosed: Bool
    let channel: ChannelReference?
    /// Where the element lies, or shall be put.
    @usableFromInline
    let place: UnsafeMutableRawPointer?
    fileprivate var node: WaitNode
    // Two lists of indices, of the entries that have a channel: what stands at this entry's position in them.
    /// In the order in which they are looked at.
    fileprivate var inTurn = 0
    /// In the order of their channels' addresses.
    fileprivate var inLockOrder = 0
}

/// The cases of one `select`, being collected and waited for. Public only for the protocol that names it.
@safe
public struct SelectEntries {
    private let base: UnsafeMutablePointer<SelectEntry>
    private var storage: UnsafeMutableRawPointer
    @usableFromInline
    private(set) var count = 0
    /// How many of them have a channel.
    fileprivate var channelCount = 0
    /// The earliest one's.
    private var deadline = MonotonicTime.distantFuture
    private var timeoutIndex = 0
    private var otherwiseIndex: Int?
    private let waiter: GoroutineReference

    /// Both may be nil for an empty list.
    @usableFromInline
    init(_ base: UnsafeMutablePointer<SelectEntry>?, storage: UnsafeMutableRawPointer?) {
        let nowhere = unsafe UnsafeMutablePointer<SelectEntry>(bitPattern: MemoryLayout<SelectEntry>.alignment)!
        unsafe self.base = base ?? nowhere
        unsafe self.storage = storage ?? UnsafeMutableRawPointer(nowhere)
        waiter = .currentParkable()
    }

    /// Where the element of the entry at `index` lies.
    @usableFromInline
    func place(_ index: Int) -> UnsafeMutableRawPointer { unsafe base[index].place! }

    /// Adds a case that receives; its element will be put into the storage.
    @usableFromInline
    mutating func addReceive(_ channel: ChannelReference, bytes: Int, alignment: Int) {
        unsafe add(.receive, channel: channel, place: takeStorage(bytes, alignment))
    }

    /// Adds a case that sends, and returns where its element is to be put.
    @usableFromInline
    mutating func addSend(
        _ channel: ChannelReference, bytes: Int, alignment: Int, reportsClosed: Bool
    ) -> UnsafeMutableRawPointer {
        let place = unsafe takeStorage(bytes, alignment)
        unsafe add(.send, channel: channel, place: place, reportsClosed: reportsClosed)
        return unsafe place
    }

    /// Adds a case that is not wanted.
    @usableFromInline
    mutating func addNever() { unsafe add(.never) }

    @usableFromInline
    mutating func addTimeout(_ timeout: Duration) {
        let deadline = MonotonicTime.after(timeout)
        if deadline < self.deadline { (self.deadline, timeoutIndex) = (deadline, count) }
        unsafe add(.never)
    }

    @usableFromInline
    mutating func addOtherwise() {
        otherwiseIndex = count
        unsafe add(.never)
    }

    private mutating func add(
        _ kind: SelectEntry.Kind, channel: ChannelReference? = nil, place: UnsafeMutableRawPointer? = nil,
        reportsClosed: Bool = false
    ) {
        unsafe (base + count).initialize(
            to: SelectEntry(
                kind: kind, reportsClosed: reportsClosed, channel: channel, place: place,
                node: WaitNode(goroutine: waiter, isClaimable: true, element: place)))
        if channel != nil {
            unsafe base[channelCount].inTurn = count
            unsafe base[channelCount].inLockOrder = count
            channelCount += 1
        }
        count += 1
    }

    private mutating func takeStorage(_ bytes: Int, _ alignment: Int) -> UnsafeMutableRawPointer {
        let place = unsafe storage.alignedUp(toMultipleOf: alignment)
        unsafe storage = place + bytes
        return unsafe place
    }
}

/// What is left to do for the chosen case. Public only for the protocol that names it.
@safe
public struct SelectOutcome {
    @usableFromInline
    enum Kind {
        /// The channel's lock is held: the step is to be finished.
        case receive(ReceiveStep)
        /// The element lies in the entry's place.
        case received
        /// The channel is closed and drained.
        case receivedNothing
        /// The channel's lock is held: the step is to be finished, with the element from the case.
        case send(SendStep)
        /// The same, with the element from the entry's place.
        case sendPrepared(SendStep)
        /// The element was taken.
        case sent
        /// The channel is closed.
        case notSent
        /// The same; the element is still in the entry's place.
        case notSentPrepared
        /// A timeout or `otherwise`.
        case reached
    }

    @usableFromInline
    let kind: Kind

    @inlinable
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

    @inlinable
    init(index: Int, outcome: SelectOutcome.Kind) {
        self.index = index
        self.outcome = outcome
    }
}

extension SelectEntries {
    /// Waits until one case can be chosen. Nil: the goroutine is cancelled.
    @usableFromInline
    mutating func choose() -> SelectChoice? {
        sortByAddress()
        while true {
            schedulingPoint()
            shuffle()
            lockAll()
            if let choice = findReady() { return choice }
            if let otherwiseIndex {
                unlockAll()
                return SelectChoice(index: otherwiseIndex, outcome: .reached)
            }
            if deadline != .distantFuture, deadline <= .now {
                unlockAll()
                return SelectChoice(index: timeoutIndex, outcome: .reached)
            }
            guard waiter.cancellation == nil else {
                unlockAll()
                return nil
            }
            let (winner, isExpired) = wait()
            if let winner, let choice = choice(of: winner) { return choice }
            if winner == nil, isExpired { return SelectChoice(index: timeoutIndex, outcome: .reached) }
        }
    }

    // MARK: One moment for all

    /// Looks at all channels in a random order, with all locks held; releases them, except the chosen one's.
    private func findReady() -> SelectChoice? {
        for position in 0..<channelCount {
            let index = unsafe base[position].inTurn
            switch unsafe base[index].kind {
            case .receive:
                let step = unsafe base[index].channel!.decideReceive()
                switch step {
                case .wait: continue
                case .closed:
                    unlockAll()
                    return SelectChoice(index: index, outcome: .receivedNothing)
                case .ring, .ringAndSender, .sender:
                    unlockAll(except: unsafe base[index].channel)
                    return SelectChoice(index: index, outcome: .receive(step))
                }
            case .send:
                let step = unsafe base[index].channel!.decideSend()
                switch step {
                case .wait: continue
                case .closed:
                    guard unsafe base[index].reportsClosed else {
                        unsafe base[index].kind = .never
                        continue
                    }
                    unlockAll()
                    return SelectChoice(index: index, outcome: .notSentPrepared)
                case .ring, .receiver:
                    unlockAll(except: unsafe base[index].channel)
                    return SelectChoice(index: index, outcome: .sendPrepared(step))
                }
            case .never: continue
            }
        }
        return nil
    }

    // MARK: Waiting

    /// Queues up everywhere and parks; unlocks all. Returns the case whose channel has claimed the wait, if one has.
    ///
    /// In the random order too: of cases that wait for one channel, whoever comes there meets the one that queued up first.
    private func wait() -> (winner: Int?, isExpired: Bool) {
        for position in 0..<channelCount {
            let index = unsafe base[position].inTurn
            unsafe base[index].node.outcome = .none
            switch unsafe base[index].kind {
            case .receive: unsafe base[index].channel!.core.pointee.receivers.append(&base[index].node)
            case .send: unsafe base[index].channel!.core.pointee.senders.append(&base[index].node)
            case .never: break
            }
        }
        var frame = self
        if Sanitizer.listens { forEachChannel { unsafe $0.core.pointee.lock.releaseForCommit() } }
        if deadline != .distantFuture { waiter.startDeadline(deadline) }
        unsafe withUnsafeMutablePointer(to: &frame) { entries in
            unsafe park(waiter, reason: .select, commit: commitSelect, context: UnsafeMutableRawPointer(entries))
        }
        if Sanitizer.listens { forEachChannel { unsafe $0.core.pointee.lock.acquireAfterCommit() } }
        let isExpired = deadline != .distantFuture && waiter.stopDeadline()
        var winner: Int?
        for position in 0..<channelCount {
            let index = unsafe base[position].inTurn
            if unsafe base[index].node.outcome != .none { winner = index } else { removeNode(index) }
        }
        return (winner, isExpired)
    }

    private func removeNode(_ index: Int) {
        let channel = unsafe base[index].channel!
        unsafe ChannelCore.lock(channel.core)
        switch unsafe base[index].kind {
        case .receive: unsafe channel.core.pointee.receivers.remove(&base[index].node)
        case .send: unsafe channel.core.pointee.senders.remove(&base[index].node)
        case .never: break
        }
        unsafe ChannelCore.unlock(channel.core)
    }

    /// What the winner's waker says. Nil: its channel was closed, and the case is never ready from now on.
    private func choice(of winner: Int) -> SelectChoice? {
        let succeeded = unsafe base[winner].node.succeeded
        if unsafe base[winner].kind == .receive {
            return SelectChoice(index: winner, outcome: succeeded ? .received : .receivedNothing)
        }
        if succeeded { return SelectChoice(index: winner, outcome: .sent) }
        if unsafe base[winner].reportsClosed { return SelectChoice(index: winner, outcome: .notSentPrepared) }
        unsafe base[winner].kind = .never
        return nil
    }

    // MARK: Orders and locks

    private func sortByAddress() {
        // Insertion sort: cases are few.
        for position in 1..<max(channelCount, 1) {
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
        unsafe UInt(bitPattern: base[index].channel!.core)
    }

    /// Fisher and Yates: every order is equally likely, so every ready case is.
    private func shuffle() {
        guard channelCount > 1 else { return }
        for position in 1..<channelCount {
            let other = Int(truncatingIfNeeded: selectRandom() % UInt64(position + 1))
            let index = unsafe base[position].inTurn
            unsafe base[position].inTurn = base[other].inTurn
            unsafe base[other].inTurn = index
        }
    }

    /// Each channel once, though cases may share it: equal addresses are neighbours. After the last call of `body` the
    /// entries are not looked at: see `commitSelect`.
    private func forEachChannel(_ body: (ChannelReference) -> Void) {
        var position = 0
        while position < channelCount {
            let channel = unsafe base[base[position].inLockOrder].channel!
            position += 1
            while position < channelCount, unsafe address(base[position].inLockOrder) == UInt(bitPattern: channel.core)
            {
                position += 1
            }
            body(channel)
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
    let entries = unsafe context!.assumingMemoryBound(to: SelectEntries.self).pointee
    let isWaiting = unsafe GoroutineReference(goroutine).record.wait.publish(interruptible: true)
    if entries.channelCount > 0 { entries.unlockAll() }
    return isWaiting
}

/// A random number for choices that must be fair.
@usableFromInline
func selectRandom() -> UInt64 {
    guard let worker = ThreadReference.current?.record.worker else { return apus_random_seed() }
    Sanitizer.hide()
    defer { Sanitizer.unhide() }
    return worker.nextRandom()
}
