// SPDX-License-Identifier: Apache-2.0
//
// Cancellation goes down a tree of scopes. A `withTimeout` is a scope, so are a group and each goroutine of a group; their
// parent is the scope around them. A plain goroutine has none until it needs one, only a flag.
//
//     record.scope -> withTimeout ──enclosing──> withTimeout ──enclosing──> nil        the scopes of one goroutine
//                                                     ▲
//                                                   parent
//                                                     │
//                          root of a group's goroutine, its record.scope
//
// Who cancels a scope marks it and all below it, and interrupts the goroutine of each. To interrupt is to say "look": it
// sets a bit in the goroutine's word and ends a wait that may be interrupted. Whether the goroutine is cancelled it finds
// out itself, by its innermost scope's mark. So an interruption too many does no harm, and none is lost:
//
//     canceller:   marks the scope; sets the bit
//     goroutine:   clears the bit (it seems wrong, or a scope was left); looks at the marks; sets it again if there is one
//
// Locks: a scope's own (its goroutine and children), taken after the one of its parent when it is entered. `record.scope`
// changes under the record's lock of `JoinLocks`, so that `Goroutine.cancel` may follow it.

import Synchronization

@safe
final class CancellationScope: @unchecked Sendable {
    /// The scope around this one in the same goroutine.
    let enclosing: CancellationScope?
    /// From where cancellation comes down: the scope around, or the group that the goroutine belongs to.
    let parent: CancellationScope?
    /// Cancellation from around does not count.
    let isShield: Bool
    /// An operation that cannot throw was ended early. Written by the scope's goroutine and by those of its groups, which have
    /// ended before it is read.
    var isCutShort: Bool {
        get { atomicIsCutShort.load(ordering: .relaxed) }
        set { atomicIsCutShort.store(newValue, ordering: .relaxed) }
    }
    private let atomicIsCutShort = Atomic(false)

    private let mark = Atomic<UInt8>(0)
    private let lock = ThreadLock()
    // Protected by `lock`.
    // SAFETY: a child is in the list until it is left or ended, which its goroutine does before it forgets the child.
    private var firstChild: Unmanaged<CancellationScope>?
    /// The goroutine or thread that is inside; nil before and afterwards.
    private var goroutine: GoroutineReference?
    // Protected by the parent's lock.
    private var nextSibling: Unmanaged<CancellationScope>?
    private var previousSibling: Unmanaged<CancellationScope>?

    private init(parent: CancellationScope?, enclosing: CancellationScope?, isShield: Bool) {
        self.parent = parent
        self.enclosing = enclosing
        self.isShield = isShield
    }

    /// Why the scope was cancelled; nil if it was not.
    var cancellation: Cancellation? { Cancellation(code: mark.load(ordering: .sequentiallyConsistent)) }

    // MARK: Entering and leaving

    /// Makes a scope the innermost one of the calling goroutine or thread. It is to be left on every path.
    static func enter(isShield: Bool = false) -> CancellationScope {
        schedulingPoint()
        let waiter = GoroutineReference.currentParkable()
        let enclosing = unsafe waiter.record.scope?.takeUnretainedValue()
        let scope = CancellationScope(parent: isShield ? nil : enclosing, enclosing: enclosing, isShield: isShield)
        scope.goroutine = waiter
        let lock = unsafe JoinLocks.lock(for: waiter)
        unsafe lock.pointee.lock()
        unsafe waiter.record.scope = Unmanaged.passRetained(scope)
        // Under the lock: who cancels the goroutine before finds no scope, and we find the flag; who does so later finds us.
        let isRequested = enclosing == nil && waiter.record.isCancelRequested.load(ordering: .sequentiallyConsistent)
        unsafe lock.pointee.unlock()
        if isShield { return scope }
        if isRequested { scope.mark.store(Cancellation.requested.code, ordering: .sequentiallyConsistent) }
        scope.attachToParent()
        return scope
    }

    /// Makes the scope around it the innermost one again.
    func leave() {
        schedulingPoint()
        let waiter = goroutine!
        guard unsafe waiter.record.scope?.toOpaque() == Unmanaged.passUnretained(self).toOpaque() else {
            fail("a cancellation scope is left by another goroutine than the one that entered it, or in another order")
        }
        detachFromParent()
        let joinLock = unsafe JoinLocks.lock(for: waiter)
        unsafe joinLock.pointee.lock()
        unsafe waiter.record.scope = enclosing.map { unsafe Unmanaged.passUnretained($0) }
        unsafe joinLock.pointee.unlock()
        // Whoever holds the lock at this moment to interrupt us is done after this.
        lock.lock()
        goroutine = nil
        lock.unlock()
        // The bit may be this scope's, and the mark of what is around may be one that counted for nothing in here.
        waiter.record.wait.setInterrupted()
        // Clears the bit again if nothing counts. Nobody else may do so: a cancellation that comes meanwhile would be lost.
        _ = waiter.cancellation
        unsafe Unmanaged.passUnretained(self).release()
    }

    /// Calls a function inside a new scope, which it may hand to others to be cancelled until it returns.
    ///
    /// - Throws: What the function throws; the scope's cancellation when that has cut short what cannot throw.
    static func inside<Value>(_ body: (CancellationScope) throws -> Value) throws -> Value {
        let scope = enter()
        let value: Value
        do {
            defer { scope.leave() }
            value = try body(scope)
        }
        if scope.isCutShort, let cancellation = scope.cancellation { throw cancellation }
        return value
    }

    // MARK: Groups

    /// The scope of a goroutine that is about to start in a group: below the group's, whose `self` is.
    func makeChild() -> CancellationScope {
        let child = CancellationScope(parent: self, enclosing: nil, isShield: false)
        child.attachToParent()
        return child
    }

    /// Gives the goroutine, which nobody else knows yet, its scope. `end` takes it back.
    func bind(to newborn: GoroutineReference) {
        unsafe newborn.record.scope = Unmanaged.passRetained(self)
        lock.lock()
        goroutine = newborn
        lock.unlock()
        // A cancellation before that found no goroutine to interrupt.
        if cancellation != nil { newborn.record.wait.setInterrupted() }
    }

    /// The goroutine ends.
    func end() { leave() }

    private func attachToParent() {
        guard let parent else { return }
        parent.lock.lock()
        let inherited = parent.mark.load(ordering: .sequentiallyConsistent)
        if inherited == 0 {
            let link = unsafe Unmanaged.passUnretained(self)
            unsafe nextSibling = parent.firstChild
            unsafe nextSibling?._withUnsafeGuaranteedRef { unsafe $0.previousSibling = link }
            unsafe parent.firstChild = link
            isAttached = true
        }
        parent.lock.unlock()
        if inherited != 0 { mark.store(inherited, ordering: .sequentiallyConsistent) }
    }

    /// Whether the parent's list holds the scope. Protected by the parent's lock.
    private var isAttached = false

    private func detachFromParent() {
        guard let parent else { return }
        parent.lock.lock()
        defer { parent.lock.unlock() }
        guard isAttached else { return }
        isAttached = false
        if let previous = unsafe previousSibling {
            unsafe previous._withUnsafeGuaranteedRef { unsafe $0.nextSibling = nextSibling }
        } else {
            unsafe parent.firstChild = nextSibling
        }
        unsafe nextSibling?._withUnsafeGuaranteedRef { unsafe $0.previousSibling = previousSibling }
        unsafe nextSibling = nil
        unsafe previousSibling = nil
    }

    // MARK: Cancelling

    /// Cancels the scope and all below it. The first reason stands.
    func cancel(_ reason: Cancellation) {
        // A list and not recursion: this may run on a worker's own small stack, and trees may be deep.
        var pending = [self]
        while let scope = pending.popLast() {
            scope.lock.lock()
            let isFirst = scope.mark.compareExchange(
                expected: 0, desired: reason.code, ordering: .sequentiallyConsistent
            ).exchanged
            // Under the lock, so that the goroutine cannot leave the scope and end.
            let woken = isFirst ? scope.goroutine?.interrupt() : nil
            var next = isFirst ? unsafe scope.firstChild : nil
            while let child = unsafe next {
                let child = unsafe child.takeUnretainedValue()
                pending.append(child)
                unsafe next = child.nextSibling
            }
            scope.lock.unlock()
            if let woken { ready(woken) }
        }
    }
}
