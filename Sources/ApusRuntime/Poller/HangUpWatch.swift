// SPDX-License-Identifier: Apache-2.0
//
// Cancelling when a connection ends that nobody reads from. The kernel reports a hang-up without being asked: every
// descriptor is registered for that (EPOLLRDHUP). So watching is to leave a scope with the descriptor's record, and costs
// nobody else anything.
//
//     watch                adds the scope, or cancels it when it comes too late     the goroutine that enters the scope
//     cancelWatches        takes out all scopes, and cancels them                   the poller, after a hang-up; `evict`
//     endWatch             takes the scope out, if it is still there                the goroutine, before it leaves
//
// The lock decides who comes first: the poller marks the hang-up, and `evict` the closing, before they take it.

import Synchronization

extension PollDescriptor {
    /// Calls a function that is cancelled, with `.disconnected`, when the peer hangs up or `evict` is called.
    ///
    /// - Parameter whileOpen: Calls what it is given if the descriptor is open, and keeps it so meanwhile; returns whether it
    ///   is. The function itself keeps nothing open.
    /// - Throws: What the function throws; a cancellation that has cut short what cannot throw.
    package func whileConnected<Value>(
        whileOpen: (() -> Void) -> Bool, _ body: () throws -> Value
    ) throws -> Value {
        try CancellationScope.inside { scope in
            if !whileOpen({ reference.watch(scope) }) { scope.cancel(.disconnected) }
            defer { reference.endWatch(scope) }
            return try body()
        }
    }
}

extension RecordReference where Record == PollRecord {
    fileprivate func watch(_ scope: CancellationScope) {
        let isLate = record.watchLock.withLock {
            if isHungUp || record.isClosing.load(ordering: .sequentiallyConsistent) { return true }
            record.watches.append(scope)
            return false
        }
        if isLate { scope.cancel(.disconnected) }
    }

    /// The record may be another descriptor's by now: that does not have the scope.
    fileprivate func endWatch(_ scope: CancellationScope) {
        record.watchLock.withLock { record.watches.removeAll { $0 === scope } }
    }

    /// After a hang-up was marked, or the closing.
    func cancelWatches() {
        let scopes = record.watchLock.withLock { () -> [CancellationScope] in
            // An event of an earlier life marks nothing.
            guard isHungUp || record.isClosing.load(ordering: .sequentiallyConsistent) else { return [] }
            let scopes = record.watches
            record.watches = []
            return scopes
        }
        for scope in scopes { scope.cancel(.disconnected) }
    }
}
