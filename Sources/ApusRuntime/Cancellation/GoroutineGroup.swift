// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Calls a function that may start goroutines in a group, and returns when the function and all of them have ended.
///
/// The first error, of the function or of a goroutine, cancels the rest: their waiting ends, and so does the function's.
///
/// ```swift
/// try withGoroutineGroup { group in
///     for url in urls {
///         group.go { try fetch(url) }
///     }
/// }
/// ```
///
/// When the goroutine that calls is cancelled, or the time of a `withTimeout` around is up, the group is cancelled too.
/// Waiting for the goroutines to end is not cut short: they never outlive the call.
///
/// - Returns: What the function returned.
/// - Throws: The first error of the function or of a goroutine.
@discardableResult
public func withGoroutineGroup<Value>(_ body: (GoroutineGroup) throws -> Value) throws -> Value {
    let scope = CancellationScope.enter()
    let group = GoroutineGroup(scope: scope)
    let result: Result<Value, any Error>
    do {
        defer { scope.leave() }
        do {
            result = .success(try body(group))
        } catch {
            group.fail(error)
            result = .failure(error)
        }
        group.close()
    }
    if let error = group.firstError { throw error }
    if scope.isCutShort, let cancellation = scope.cancellation { throw cancellation }
    return try result.get()
}

/// Goroutines that end before the call that started their group returns. See `withGoroutineGroup`.
public final class GoroutineGroup: Sendable {
    private let scope: CancellationScope
    private let running = WaitGroup()
    private let state = Mutex(State())

    private struct State {
        var firstError: (any Error)?
        var isClosed = false
    }

    init(scope: CancellationScope) {
        self.scope = scope
    }

    /// Starts a goroutine in the group. Its first error is the group's, and cancels the others.
    ///
    /// In a group that was cancelled it starts all the same, cancelled from the beginning.
    ///
    /// - Parameters:
    ///   - name: As for `go`, like those that follow.
    ///   - body: What to run. `@Sendable` and not `sending`, as for `go`: a closure inside the group's closure may then use what
    ///     is declared around both, such as a `Mutex`.
    @discardableResult
    public func go(
        name: String? = nil, stackSize: Int? = nil, fileID: StaticString = #fileID, line: UInt = #line,
        _ body: @Sendable @escaping () throws -> Void
    ) -> Goroutine {
        start(Birthplace(fileID: fileID, line: line), name: name, stackSize: stackSize) {
            do { try body() } catch { self.fail(error) }
        }
    }

    /// Starts a goroutine in the group and returns a handle to fetch its result or its error.
    ///
    /// Its first error is the group's, and cancels the others. So neither gets lost if the handle is not used.
    @discardableResult
    public func go<Value: Sendable, Failure: Error>(
        name: String? = nil, stackSize: Int? = nil, fileID: StaticString = #fileID, line: UInt = #line,
        _ body: @Sendable @escaping () throws(Failure) -> Value
    ) -> JoinHandle<Value, Failure> {
        let outcome = JoinHandle<Value, Failure>.Outcome()
        let goroutine = start(Birthplace(fileID: fileID, line: line), name: name, stackSize: stackSize) {
            do throws(Failure) {
                unsafe outcome.value = .success(try body())
            } catch {
                unsafe outcome.value = .failure(error)
                self.fail(error)
            }
        }
        return JoinHandle(goroutine: goroutine, outcome: outcome)
    }

    private func start(
        _ birthplace: Birthplace, name: String?, stackSize: Int?, _ body: @Sendable @escaping () -> Void
    ) -> Goroutine {
        let isOpen = state.withLock { state in
            if !state.isClosed { running.add() }
            return !state.isClosed
        }
        guard isOpen else {
            ApusRuntime.fail(
                "a GoroutineGroup is used after its withGoroutineGroup has returned; start goroutines before the closure ends"
            )
        }
        return spawn(birthplace: birthplace, name: name, stackSize: stackSize, scope: scope.makeChild()) {
            body()
            self.running.done()
        }
    }

    /// Cancels the goroutines of the group, those that are started later, and the function that the group was made for.
    public func cancel() { scope.cancel(.requested) }

    /// Whether the group was cancelled: by `cancel`, by the first error, or from around.
    public var isCancelled: Bool { scope.cancellation != nil }

    /// Waits until all goroutines that were started so far have ended, successfully or not.
    ///
    /// Parks the calling goroutine, or blocks the calling thread. Is not cut short by cancellation.
    public func wait() { running.wait() }

    // MARK: For withGoroutineGroup

    fileprivate var firstError: (any Error)? { state.withLock { $0.firstError } }

    fileprivate func fail(_ error: any Error) {
        state.withLock { state in
            if state.firstError == nil { state.firstError = error }
        }
        cancel()
    }

    /// Waits until no goroutine is left, and lets none begin any more.
    fileprivate func close() {
        while true {
            running.wait()
            let isClosed = state.withLock { state in
                // One may have been started by the last that ended.
                state.isClosed = running.isIdle
                return state.isClosed
            }
            if isClosed { return }
        }
    }
}
