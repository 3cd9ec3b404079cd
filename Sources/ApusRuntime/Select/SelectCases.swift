// SPDX-License-Identifier: Apache-2.0
//
// The kinds of cases that a `select` may have; SelectLists.swift has the lists of them. Indices count from the beginning of
// the list that is asked; where the whole select's index is meant, it is called `position`.
//
// Everything that a case needs for waiting lies in variables of the function that calls `select`, one set for each case:
// `_enter` has them, calls what follows, and is inlined like all the rest. (Memory of a size known at run time only, as of
// `withUnsafeTemporaryAllocation`, would keep the optimiser from leaving out the channels' reference counts.)

/// A case of a `select`, or a list of them. Made by `onReceive`, `onSend`, `after` and `otherwise`; not meant to be
/// implemented by others.
public protocol SelectCases<Output> {
    /// What the handlers return.
    associatedtype Output
    /// What the handlers throw.
    associatedtype Failure: Error

    var _count: Int { get }
    var _channelCount: Int { get }
    var _otherwiseIndex: Int? { get }
    /// Calls `body` with the entries and one more for each case of this list.
    func _enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void)
    /// Locks the case's channel and decides; nil, and unlocked again, if it is not ready.
    func _attempt(_ index: Int) -> SelectOutcome?
    /// Fills in the entries, from the one at `position` on.
    func _prepare(_ entries: SelectEntries, _ position: Int)
    /// Destroys the elements that are left in the slots, except that of the chosen case. The list begins at `position`.
    func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?)
    /// Does what is left to do for the chosen case, and runs its handler.
    func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output
}

extension SelectEntries {
    @inlinable
    @inline(__always)
    func slot<Element: ~Copyable>(of type: Element.Type, _ position: Int) -> UnsafeMutablePointer<ElementSlot<Element>>
    {
        unsafe slot(position).assumingMemoryBound(to: ElementSlot<Element>.self)
    }
}

// MARK: Receiving and sending

extension Channel where Element: ~Copyable {
    /// A case of a `select` that receives: the handler gets the oldest unreceived element, or nil when the channel is closed
    /// and drained.
    @inlinable
    public func onReceive<Output, Failure: Error>(
        _ handler: @escaping (consuming Element?) throws(Failure) -> Output
    ) -> SelectReceive<Element, Output, Failure> {
        SelectReceive(channel: self, handler: handler)
    }
}

extension Channel {
    /// A case of a `select` that sends the value. Never ready when the channel is closed.
    @inlinable
    public func onSend<Output, Failure: Error>(
        _ value: sending Element, _ handler: @escaping () throws(Failure) -> Output
    ) -> SelectSend<Element, Output, Failure> {
        SelectSend(channel: self, value: value, handler: handler)
    }

    /// A case of a `select` that sends the value. Ready also when the channel is closed: the handler is told whether the value
    /// was sent.
    @inlinable
    public func onSend<Output, Failure: Error>(
        _ value: sending Element, _ handler: @escaping (_ isSent: Bool) throws(Failure) -> Output
    ) -> SelectReportingSend<Element, Output, Failure> {
        SelectReportingSend(channel: self, value: value, handler: handler)
    }
}

/// What `onReceive` makes.
///
/// It keeps its channel and its handler in one closure, as do the others: the optimiser takes structs apart that have no
/// more than six fields, those of their parts included, and the list of all cases has to be among them.
public struct SelectReceive<Element: ~Copyable, Output, Failure: Error>: SelectCases {
    public typealias Handler = (consuming Element?) throws(Failure) -> Output
    @usableFromInline
    typealias Use = (Channel<Element>, Handler) throws(Failure) -> Void

    @usableFromInline
    let parts: (Use) throws(Failure) -> Void

    @inlinable
    @inline(__always)
    init(channel: Channel<Element>, handler: @escaping Handler) {
        parts = { use throws(Failure) in try use(channel, handler) }
    }

    @inlinable
    @inline(__always)
    func withChannel(_ body: (Channel<Element>) -> Void) {
        // Nothing in it throws.
        try! parts { channel, _ in body(channel) }
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 1 }
    @inlinable public var _otherwiseIndex: Int? { nil }

    @inlinable
    @inline(__always)
    public func _enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) {
        var slot = ElementSlot<Element>()
        unsafe withUnsafeMutablePointer(to: &slot) { slot in
            var entry = unsafe SelectEntry(previous: entries.last, slot: slot)
            unsafe withUnsafeMutablePointer(to: &entry) { entry in body(unsafe entries.adding(entry)) }
        }
    }

    @inlinable
    @inline(__always)
    public func _attempt(_ index: Int) -> SelectOutcome? {
        var outcome: SelectOutcome?
        withChannel { channel in
            let step = channel.reference.beginReceive()
            if case .wait = step {
                channel.reference.cancelStep()
            } else {
                outcome = SelectOutcome(.receive(step))
            }
        }
        return outcome
    }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: SelectEntries, _ position: Int) {
        withChannel { entries.setReceive(position, $0.reference) }
    }

    @inlinable
    @inline(__always)
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        // The channel must not go while the core looks at what it refers to.
        withChannel { withExtendedLifetime($0) {} }
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        var output: Output?
        try parts { channel, handler throws(Failure) in
            output = try handler(Self.takeElement(channel, choice, entries))
        }
        return output!
    }

    @inlinable
    @inline(__always)
    static func takeElement(
        _ channel: Channel<Element>, _ choice: SelectChoice, _ entries: SelectEntries
    ) -> sending Element? {
        nonisolated(unsafe) let element: Element?
        switch choice.outcome {
        case .receive(let step):
            unsafe element = channel.finish(step)
        case .received:
            unsafe element = entries.slot(of: Element.self, choice.index).takeElement()
        default:
            unsafe element = nil
        }
        return unsafe element
    }
}

/// What `onSend` makes. (Two types, since a handler that calls the handler would need memory.)
public struct SelectSend<Element, Output, Failure: Error>: SelectCases {
    public typealias Handler = () throws(Failure) -> Output
    @usableFromInline
    typealias Use = (Channel<Element>, Element, Handler) throws(Failure) -> Void

    /// All in one closure: see `SelectReceive`.
    @usableFromInline
    let parts: (Use) throws(Failure) -> Void

    @inlinable
    @inline(__always)
    init(channel: Channel<Element>, value: Element, handler: @escaping Handler) {
        parts = { use throws(Failure) in try use(channel, value, handler) }
    }

    @inlinable
    @inline(__always)
    func withSide(_ body: (SelectSendingSide<Element>) -> Void) {
        // Nothing in it throws.
        try! parts { channel, value, _ in body(SelectSendingSide(channel, value)) }
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 1 }
    @inlinable public var _otherwiseIndex: Int? { nil }

    @inlinable
    @inline(__always)
    public func _enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) {
        SelectSendingSide<Element>.enter(entries, body)
    }

    @inlinable
    @inline(__always)
    public func _attempt(_ index: Int) -> SelectOutcome? {
        var outcome: SelectOutcome?
        withSide { outcome = $0.attempt(reportsClosed: false) }
        return outcome
    }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: SelectEntries, _ position: Int) {
        withSide { $0.prepare(entries, position, reportsClosed: false) }
    }

    @inlinable
    @inline(__always)
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        withSide { $0.dispose(entries, position, except: chosen) }
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        var output: Output?
        try parts { channel, value, handler throws(Failure) in
            _ = SelectSendingSide(channel, value).finish(choice, entries)
            output = try handler()
        }
        return output!
    }
}

/// What `onSend` makes for a handler that wants to know.
public struct SelectReportingSend<Element, Output, Failure: Error>: SelectCases {
    public typealias Handler = (_ isSent: Bool) throws(Failure) -> Output
    @usableFromInline
    typealias Use = (Channel<Element>, Element, Handler) throws(Failure) -> Void

    /// All in one closure: see `SelectReceive`.
    @usableFromInline
    let parts: (Use) throws(Failure) -> Void

    @inlinable
    @inline(__always)
    init(channel: Channel<Element>, value: Element, handler: @escaping Handler) {
        parts = { use throws(Failure) in try use(channel, value, handler) }
    }

    @inlinable
    @inline(__always)
    func withSide(_ body: (SelectSendingSide<Element>) -> Void) {
        // Nothing in it throws.
        try! parts { channel, value, _ in body(SelectSendingSide(channel, value)) }
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 1 }
    @inlinable public var _otherwiseIndex: Int? { nil }

    @inlinable
    @inline(__always)
    public func _enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) {
        SelectSendingSide<Element>.enter(entries, body)
    }

    @inlinable
    @inline(__always)
    public func _attempt(_ index: Int) -> SelectOutcome? {
        var outcome: SelectOutcome?
        withSide { outcome = $0.attempt(reportsClosed: true) }
        return outcome
    }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: SelectEntries, _ position: Int) {
        withSide { $0.prepare(entries, position, reportsClosed: true) }
    }

    @inlinable
    @inline(__always)
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        withSide { $0.dispose(entries, position, except: chosen) }
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        var output: Output?
        try parts { channel, value, handler throws(Failure) in
            output = try handler(SelectSendingSide(channel, value).finish(choice, entries))
        }
        return output!
    }
}

/// What cases that send have in common: all but the handler.
@usableFromInline
struct SelectSendingSide<Element> {
    @usableFromInline
    let channel: Channel<Element>
    @usableFromInline
    let value: Element

    @inlinable
    @inline(__always)
    init(_ channel: Channel<Element>, _ value: Element) {
        self.channel = channel
        self.value = value
    }

    @inlinable
    @inline(__always)
    static func enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) {
        var slot = ElementSlot<Element>()
        unsafe withUnsafeMutablePointer(to: &slot) { slot in
            var entry = unsafe SelectEntry(previous: entries.last, slot: slot)
            unsafe withUnsafeMutablePointer(to: &entry) { entry in body(unsafe entries.adding(entry)) }
        }
    }

    @inlinable
    @inline(__always)
    func attempt(reportsClosed: Bool) -> SelectOutcome? {
        let step = channel.reference.beginSend()
        switch step {
        case .ring, .receiver:
            return SelectOutcome(.send(step))
        case .closed:
            return reportsClosed ? SelectOutcome(.notSent) : nil
        case .wait:
            channel.reference.cancelStep()
            return nil
        }
    }

    @inlinable
    @inline(__always)
    func prepare(_ entries: SelectEntries, _ position: Int, reportsClosed: Bool) {
        unsafe entries.slot(of: Element.self, position).pointee.element = value
        entries.setSend(position, channel.reference, reportsClosed: reportsClosed)
    }

    @inlinable
    @inline(__always)
    func dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        if chosen != position { unsafe entries.slot(of: Element.self, position).pointee.element = nil }
        // The channel must not go while the core looks at what it refers to.
        withExtendedLifetime(channel) {}
    }

    /// Whether the value was sent.
    @inlinable
    @inline(__always)
    func finish(_ choice: SelectChoice, _ entries: SelectEntries) -> Bool {
        switch choice.outcome {
        case .send(let step):
            give(value, step)
            return true
        case .sendPrepared(let step):
            give(unsafe entries.slot(of: Element.self, choice.index).takeElement(), step)
            return true
        case .sent:
            unsafe entries.slot(of: Element.self, choice.index).forget()
            return true
        default:
            return false
        }
    }

    @inlinable
    @inline(__always)
    func give(_ element: consuming Element, _ step: SendStep) {
        switch step {
        case .ring(let place):
            unsafe place.initializeMemory(as: Element.self, to: element)
            channel.reference.finishRing()
        case .receiver(let place, let node):
            unsafe place.initializeMemory(as: Element.self, to: element)
            unsafe channel.reference.finishHandOver(node)
        case .closed, .wait:
            break
        }
    }
}

// MARK: Timeouts and otherwise

/// A case of a `select` that is chosen when none of the others was ready in time.
///
/// - Parameter timeout: Counts from the beginning of the `select`; zero or less: what is ready at once goes before.
@inlinable
public func after<Output, Failure: Error>(
    _ timeout: Duration, _ handler: @escaping () throws(Failure) -> Output
) -> SelectTimeout<Output, Failure> {
    SelectTimeout(timeout: timeout, handler: handler)
}

/// A case of a `select` that is chosen when none of the others is ready at once.
@inlinable
public func otherwise<Output, Failure: Error>(
    _ handler: @escaping () throws(Failure) -> Output
) -> SelectOtherwise<Output, Failure> {
    SelectOtherwise(handler: handler)
}

/// What `after` makes.
public struct SelectTimeout<Output, Failure: Error>: SelectCases {
    public typealias Handler = () throws(Failure) -> Output
    @usableFromInline
    typealias Use = (Duration, Handler) throws(Failure) -> Void

    /// All in one closure: see `SelectReceive`.
    @usableFromInline
    let parts: (Use) throws(Failure) -> Void

    @inlinable
    @inline(__always)
    init(timeout: Duration, handler: @escaping Handler) {
        parts = { use throws(Failure) in try use(timeout, handler) }
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 0 }
    @inlinable public var _otherwiseIndex: Int? { nil }
    @inlinable public func _attempt(_ index: Int) -> SelectOutcome? { nil }
    @inlinable public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {}

    @inlinable
    @inline(__always)
    public func _enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) {
        var entry = unsafe SelectEntry(previous: entries.last, slot: nil)
        unsafe withUnsafeMutablePointer(to: &entry) { entry in body(unsafe entries.adding(entry)) }
    }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: SelectEntries, _ position: Int) {
        // Nothing in it throws.
        try! parts { timeout, _ in entries.setTimeout(position, timeout) }
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        var output: Output?
        try parts { _, handler throws(Failure) in output = try handler() }
        return output!
    }
}

/// What `otherwise` makes.
public struct SelectOtherwise<Output, Failure: Error>: SelectCases {
    @usableFromInline
    let handler: () throws(Failure) -> Output

    @inlinable
    init(handler: @escaping () throws(Failure) -> Output) {
        self.handler = handler
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 0 }
    @inlinable public var _otherwiseIndex: Int? { 0 }
    @inlinable public func _attempt(_ index: Int) -> SelectOutcome? { nil }
    @inlinable public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {}

    @inlinable
    @inline(__always)
    public func _enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) {
        var entry = unsafe SelectEntry(previous: entries.last, slot: nil)
        unsafe withUnsafeMutablePointer(to: &entry) { entry in body(unsafe entries.adding(entry)) }
    }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: SelectEntries, _ position: Int) { entries.setOtherwise(position) }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        try handler()
    }
}
