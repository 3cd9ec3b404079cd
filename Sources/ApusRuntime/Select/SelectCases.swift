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

/// Where an element lies while its case waits. Its memory is that of an optional, which has its value at its beginning; it
/// is filled and emptied as raw memory, and nil to the compiler at the beginning and at the end of its life.
@safe
@usableFromInline
struct SelectSlot<Element: ~Copyable>: ~Copyable {
    @usableFromInline
    var element: Element? = nil

    @inlinable
    init() {}
}

extension SelectEntries {
    @inlinable
    @inline(__always)
    func take<Element: ~Copyable>(_ type: Element.Type, _ position: Int) -> Element {
        let slot = unsafe slot(position)
        let element = unsafe slot.assumingMemoryBound(to: Element.self).move()
        clear(Element.self, position)
        return element
    }

    @inlinable
    @inline(__always)
    func put<Element>(_ element: Element, _ position: Int) {
        unsafe slot(position).initializeMemory(as: Element.self, to: element)
    }

    /// Makes the slot nil to the compiler, after the element was moved out.
    @inlinable
    @inline(__always)
    func clear<Element: ~Copyable>(_ type: Element.Type, _ position: Int) {
        unsafe slot(position).assumingMemoryBound(to: SelectSlot<Element>.self).initialize(to: SelectSlot())
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
        SelectSend(side: SelectSendingSide(channel: self, value: value, reportsClosed: false), handler: handler)
    }

    /// A case of a `select` that sends the value. Ready also when the channel is closed: the handler is told whether the value
    /// was sent.
    @inlinable
    public func onSend<Output, Failure: Error>(
        _ value: sending Element, _ handler: @escaping (_ isSent: Bool) throws(Failure) -> Output
    ) -> SelectReportingSend<Element, Output, Failure> {
        SelectReportingSend(
            side: SelectSendingSide(channel: self, value: value, reportsClosed: true), handler: handler)
    }
}

/// What `onReceive` makes.
public struct SelectReceive<Element: ~Copyable, Output, Failure: Error>: SelectCases {
    @usableFromInline
    let channel: Channel<Element>
    @usableFromInline
    let handler: (consuming Element?) throws(Failure) -> Output

    @inlinable
    init(channel: Channel<Element>, handler: @escaping (consuming Element?) throws(Failure) -> Output) {
        self.channel = channel
        self.handler = handler
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 1 }
    @inlinable public var _otherwiseIndex: Int? { nil }

    @inlinable
    @inline(__always)
    public func _enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) {
        var slot = SelectSlot<Element>()
        unsafe withUnsafeMutablePointer(to: &slot) { slot in
            var entry = unsafe SelectEntry(previous: entries.last, slot: slot)
            // The channel must not go while the core looks at what it refers to.
            withExtendedLifetime(channel) {
                unsafe withUnsafeMutablePointer(to: &entry) { entry in body(unsafe entries.adding(entry)) }
            }
        }
    }

    @inlinable
    @inline(__always)
    public func _attempt(_ index: Int) -> SelectOutcome? {
        let step = channel.reference.beginReceive()
        if case .wait = step {
            channel.reference.cancelStep()
            return nil
        }
        return SelectOutcome(.receive(step))
    }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: SelectEntries, _ position: Int) {
        entries.setReceive(position, channel.reference)
    }

    @inlinable
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {}

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        try handler(takeElement(choice, entries))
    }

    @inlinable
    @inline(__always)
    func takeElement(_ choice: SelectChoice, _ entries: SelectEntries) -> sending Element? {
        nonisolated(unsafe) let element: Element?
        switch choice.outcome {
        case .receive(let step):
            unsafe element = channel.finish(step)
        case .received:
            unsafe element = entries.take(Element.self, choice.index)
        default:
            unsafe element = nil
        }
        return unsafe element
    }
}

/// What `onSend` makes. (Two types, since a handler that calls the handler would need memory.)
public struct SelectSend<Element, Output, Failure: Error>: SelectCases {
    @usableFromInline
    let side: SelectSendingSide<Element>
    @usableFromInline
    let handler: () throws(Failure) -> Output

    @inlinable
    init(side: SelectSendingSide<Element>, handler: @escaping () throws(Failure) -> Output) {
        self.side = side
        self.handler = handler
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 1 }
    @inlinable public var _otherwiseIndex: Int? { nil }

    @inlinable
    @inline(__always)
    public func _enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) { side.enter(entries, body) }

    @inlinable
    @inline(__always)
    public func _attempt(_ index: Int) -> SelectOutcome? { side.attempt() }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: SelectEntries, _ position: Int) { side.prepare(entries, position) }

    @inlinable
    @inline(__always)
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        if chosen != position { _ = entries.take(Element.self, position) }
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        _ = side.finish(choice, entries)
        return try handler()
    }
}

/// What `onSend` makes for a handler that wants to know.
public struct SelectReportingSend<Element, Output, Failure: Error>: SelectCases {
    @usableFromInline
    let side: SelectSendingSide<Element>
    @usableFromInline
    let handler: (Bool) throws(Failure) -> Output

    @inlinable
    init(side: SelectSendingSide<Element>, handler: @escaping (Bool) throws(Failure) -> Output) {
        self.side = side
        self.handler = handler
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 1 }
    @inlinable public var _otherwiseIndex: Int? { nil }

    @inlinable
    @inline(__always)
    public func _enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) { side.enter(entries, body) }

    @inlinable
    @inline(__always)
    public func _attempt(_ index: Int) -> SelectOutcome? { side.attempt() }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: SelectEntries, _ position: Int) { side.prepare(entries, position) }

    @inlinable
    @inline(__always)
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        if chosen != position { _ = entries.take(Element.self, position) }
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        try handler(side.finish(choice, entries))
    }
}

/// What cases that send have in common: all but the handler.
@usableFromInline
struct SelectSendingSide<Element> {
    @usableFromInline
    let channel: Channel<Element>
    @usableFromInline
    let value: Element
    @usableFromInline
    let reportsClosed: Bool

    @inlinable
    init(channel: Channel<Element>, value: Element, reportsClosed: Bool) {
        self.channel = channel
        self.value = value
        self.reportsClosed = reportsClosed
    }

    @inlinable
    @inline(__always)
    func enter(_ entries: SelectEntries, _ body: (SelectEntries) -> Void) {
        var slot = SelectSlot<Element>()
        unsafe withUnsafeMutablePointer(to: &slot) { slot in
            var entry = unsafe SelectEntry(previous: entries.last, slot: slot)
            withExtendedLifetime(channel) {
                unsafe withUnsafeMutablePointer(to: &entry) { entry in body(unsafe entries.adding(entry)) }
            }
        }
    }

    @inlinable
    @inline(__always)
    func attempt() -> SelectOutcome? {
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
    func prepare(_ entries: SelectEntries, _ position: Int) {
        entries.put(value, position)
        entries.setSend(position, channel.reference, reportsClosed: reportsClosed)
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
            give(entries.take(Element.self, choice.index), step)
            return true
        case .sent:
            // Whoever took the element moved it out.
            entries.clear(Element.self, choice.index)
            return true
        case .notSentPrepared:
            _ = entries.take(Element.self, choice.index)
            return false
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
    @usableFromInline
    let timeout: Duration
    @usableFromInline
    let handler: () throws(Failure) -> Output

    @inlinable
    init(timeout: Duration, handler: @escaping () throws(Failure) -> Output) {
        self.timeout = timeout
        self.handler = handler
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
    public func _prepare(_ entries: SelectEntries, _ position: Int) { entries.setTimeout(position, timeout) }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        try handler()
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
