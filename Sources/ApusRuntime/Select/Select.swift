// SPDX-License-Identifier: Apache-2.0
//
// `select` as users see it. Everything is generic over the list of cases and inlinable, so that in the user's module the
// list is a struct in the frame, the handlers are called directly, and nothing is allocated:
//
//     first    the cases are tried one by one, in a random order, each as `trySend` and `tryReceive` do
//     else     all at one moment, and waiting: SelectCore.swift
//
// The kinds of cases are in SelectCases.swift.

/// Waits until one of several channels is ready, and does what its case says.
///
/// ```swift
/// select {
///     messages.onReceive { message in print(message ?? "closed") }
///     replies.onSend("pong") { print("sent") }
///     after(.seconds(1)) { print("nothing happened") }
/// }
/// ```
///
/// One case runs, no more. Of several that are ready each is as likely as the others. Without a ready one it parks the
/// calling goroutine, or blocks the calling thread; with `otherwise` it never waits. A channel may occur more than once.
///
/// - `channel.onReceive { element in }`: ready when there is an element, or with nil when the channel is closed and drained.
/// - `channel.onSend(value) { }`: ready when there is a receiver or room. On a closed channel it never is;
///   `channel.onSend(value) { isSent in }` is, and says false. The value of a case that is not chosen is dropped.
/// - `after(duration) { }`: ready when so much time has passed. Of several the first one counts.
/// - `otherwise { }`: chosen if no channel is ready.
///
/// Cases may be conditional (`when:`, `if`, `switch`) and made in a loop (`for`). Without any case, or when none can ever become
/// ready, it waits for ever. The handlers run after the choice, in the calling goroutine, without any lock; they may throw.
///
/// When the goroutine is cancelled while the call waits, or would have to wait and is cancelled already, none of the cases runs.
///
/// - Complexity: O(n²) at most for n cases. An optimised build allocates nothing for up to six cases, none of which is in an
///   `if`, a `switch` or a loop; else what the handlers capture may need memory. (`Benchmarks/compare --only allocations`)
@inlinable
@inline(__always)
public func select<Cases: SelectCases>(@SelectBuilder _ cases: () -> Cases) throws(Cases.Failure)
where Cases.Output == Void {
    if try runSelect(cases()) == nil { noteSelectCutShort() }
}

/// Waits until one of several channels is ready, does what its case says, and returns the case's value.
///
/// ```swift
/// let line = try select {
///     lines.onReceive { line in line ?? "" }
///     after(.seconds(1)) { "too late" }
/// }
/// ```
///
/// - Throws: What the handler throws; `Cancellation` when the goroutine is cancelled before a case is ready.
@inlinable
@inline(__always)
@_disfavoredOverload
public func select<Cases: SelectCases>(@SelectBuilder _ cases: () -> Cases) throws -> Cases.Output {
    guard let output = try runSelect(cases()) else { throw selectCancellation() }
    return output
}

/// Nil: cancelled. Inlined as a whole, like all that touches a handler: the optimiser then sees that handlers are called and
/// not kept, and needs no memory for what they capture.
@inlinable
@inline(__always)
func runSelect<Cases: SelectCases>(_ cases: Cases) throws(Cases.Failure) -> Cases.Output? {
    defer { cases._keepAlive() }
    if let choice = attemptSelect(cases) { return try cases._finish(choice, choice.index, nil) }
    return try waitSelect(cases)
}

/// Tries the cases one by one. Nil: none was ready.
@inlinable
@inline(__always)
func attemptSelect<Cases: SelectCases>(_ cases: Cases) -> SelectChoice? {
    let count = cases._count
    guard count <= SelectOrder.maximumCount else { return nil }
    var order = SelectOrder(count: count)
    while let index = order.next() {
        if let outcome = cases._attempt(index) { return SelectChoice(index: index, outcome: outcome.kind) }
    }
    // With one channel, that it was not ready is all there is to know.
    guard cases._channelCount <= 1, let index = cases._otherwiseIndex else { return nil }
    return SelectChoice(index: index, outcome: .reached)
}

@inlinable
@inline(__always)
func waitSelect<Cases: SelectCases>(_ cases: Cases) throws(Cases.Failure) -> Cases.Output? {
    var output: Cases.Output?
    var failure: Cases.Failure?
    unsafe withUnsafeTemporaryAllocation(of: SelectEntry.self, capacity: cases._count) { buffer in
        unsafe withUnsafeTemporaryAllocation(byteCount: cases._storageBytes, alignment: 16) { storage in
            // An empty buffer has no address, and is not looked at either.
            var entries = unsafe SelectEntries(buffer.baseAddress, storage: storage.baseAddress)
            cases._prepare(&entries)
            let choice = entries.choose()
            if let choice {
                do throws(Cases.Failure) {
                    output = try cases._finish(choice, choice.index, entries)
                } catch {
                    failure = error
                }
            }
            // Last: a channel may be locked until the case is finished, and destroying a value may run users' code.
            cases._dispose(entries, 0, except: choice?.index)
        }
    }
    if let failure { throw failure }
    return output
}

@usableFromInline
func noteSelectCutShort() { GoroutineReference.currentParkable().noteCutShort() }

@usableFromInline
func selectCancellation() -> Cancellation { Goroutine.cancellation ?? .requested }

/// A random order of few cases, four bits each.
@usableFromInline
struct SelectOrder {
    @usableFromInline
    static var maximumCount: Int { 16 }

    @usableFromInline
    var left: Int
    @usableFromInline
    var random: UInt64
    /// The cases that were not yet taken, at the lowest digits.
    @usableFromInline
    var cases: UInt64 = 0xfedc_ba98_7654_3210

    @inlinable
    @inline(__always)
    init(count: Int) {
        left = count
        random = count > 1 ? selectRandom() : 0
    }

    @inlinable
    @inline(__always)
    mutating func next() -> Int? {
        guard left > 0 else { return nil }
        // Of the high half's bits as many as are needed, scaled to 0..<left (Lemire 2019). Sixteen draws use them up slowly.
        let draw = ((random &>> 32) &* UInt64(truncatingIfNeeded: left)) &>> 32
        random = random &* 0x5851_f42d_4c95_7f2d &+ 0x1405_7b7e_f767_814f
        left &-= 1
        let shift = draw &* 4
        let chosen = cases &>> shift & 15
        // The last one takes its place.
        let last = cases &>> (UInt64(truncatingIfNeeded: left) &* 4) & 15
        cases = cases & ~(15 &<< shift) | last &<< shift
        return Int(truncatingIfNeeded: chosen)
    }
}

// MARK: The list

/// Collects the cases of a `select`.
@resultBuilder
public enum SelectBuilder {
    /// A case, or a list of them.
    @inlinable
    public static func buildExpression<Cases: SelectCases>(_ cases: Cases) -> Cases { cases }

    /// No case at all.
    @inlinable
    public static func buildBlock() -> SelectNothing { SelectNothing() }

    /// The first case.
    @inlinable
    public static func buildPartialBlock<Cases: SelectCases>(first: Cases) -> Cases { first }

    /// The next case after those so far, none of which throws.
    @inlinable
    public static func buildPartialBlock<First: SelectCases, Second: SelectCases>(
        accumulated: First, next: Second
    ) -> SelectPair<First, Second, Never>
    where First.Output == Second.Output, First.Failure == Never, Second.Failure == Never {
        SelectPair(accumulated, next)
    }

    /// The next case after those so far.
    @inlinable
    @_disfavoredOverload
    public static func buildPartialBlock<First: SelectCases, Second: SelectCases>(
        accumulated: First, next: Second
    ) -> SelectPair<First, Second, any Error> where First.Output == Second.Output {
        SelectPair(accumulated, next)
    }

    /// Cases under an `if`.
    @inlinable
    public static func buildOptional<Cases: SelectCases>(_ cases: Cases?) -> SelectOptional<Cases> {
        SelectOptional(cases)
    }

    /// Cases under an `if` that has an `else`.
    @inlinable
    public static func buildEither<First: SelectCases, Second: SelectCases>(
        first: First
    ) -> SelectEither<First, Second>
    where First.Output == Second.Output, First.Failure == Second.Failure { .first(first) }

    /// Cases under an `else`.
    @inlinable
    public static func buildEither<First: SelectCases, Second: SelectCases>(
        second: Second
    ) -> SelectEither<First, Second>
    where First.Output == Second.Output, First.Failure == Second.Failure { .second(second) }

    /// Cases made in a loop.
    @inlinable
    public static func buildArray<Cases: SelectCases>(_ cases: [Cases]) -> SelectArray<Cases> { SelectArray(cases) }
}
