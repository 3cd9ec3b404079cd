// SPDX-License-Identifier: Apache-2.0
//
// The kinds of cases that a `select` may have, and how lists of them are made of pairs. Indices count from the beginning of
// the list that is asked; where the whole select's index is meant, it is called `position`.

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
    /// Room for the elements of all cases.
    var _storageBytes: Int { get }
    /// Locks the case's channel and decides; nil, and unlocked again, if it is not ready.
    func _attempt(_ index: Int) -> SelectOutcome?
    func _prepare(_ entries: inout SelectEntries)
    /// Destroys the elements that lie in the storage, except that of the chosen case. The list begins at `position`.
    func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?)
    /// Keeps the channels, which are used by reference only, until here.
    func _keepAlive()
    /// Does what is left to do for the chosen case, and runs its handler.
    func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries?) throws(Failure) -> Output
}

// MARK: Receiving and sending

extension Channel where Element: ~Copyable {
    /// A case of a `select` that receives: the handler gets the oldest unreceived element, or nil when the channel is closed
    /// and drained.
    ///
    /// - Parameters:
    ///   - isWanted: False: the case is never ready. Costs less than an `if` around the case.
    ///   - handler: What to do with the element.
    @inlinable
    public func onReceive<Output, Failure: Error>(
        when isWanted: Bool = true, _ handler: @escaping (consuming Element?) throws(Failure) -> Output
    ) -> SelectReceive<Element, Output, Failure> {
        SelectReceive(channel: self, isWanted: isWanted, handler: handler)
    }
}

extension Channel {
    /// A case of a `select` that sends the value. Never ready when the channel is closed.
    ///
    /// - Parameters:
    ///   - value: What to send.
    ///   - isWanted: False: the case is never ready. Costs less than an `if` around the case.
    ///   - handler: What to do when the value was sent.
    @inlinable
    public func onSend<Output, Failure: Error>(
        _ value: sending Element, when isWanted: Bool = true, _ handler: @escaping () throws(Failure) -> Output
    ) -> SelectSend<Element, Output, Failure> {
        SelectSend(channel: self, value: value, isWanted: isWanted, handler: .plain(handler))
    }

    /// A case of a `select` that sends the value. Ready also when the channel is closed: the handler is told whether the value
    /// was sent.
    ///
    /// - Parameters:
    ///   - value: What to send.
    ///   - isWanted: False: the case is never ready. Costs less than an `if` around the case.
    ///   - handler: What to do when the value was sent, or the channel is closed.
    @inlinable
    public func onSend<Output, Failure: Error>(
        _ value: sending Element, when isWanted: Bool = true,
        _ handler: @escaping (_ isSent: Bool) throws(Failure) -> Output
    ) -> SelectSend<Element, Output, Failure> {
        SelectSend(channel: self, value: value, isWanted: isWanted, handler: .reporting(handler))
    }
}

/// What `onReceive` makes.
///
/// All that it holds is one closure's, as with the others: the optimiser takes structs apart that have no more than six
/// fields, those of their parts included, and the list of all cases has to be among them.
public struct SelectReceive<Element: ~Copyable, Output, Failure: Error>: SelectCases {
    @usableFromInline
    typealias Handler = (consuming Element?) throws(Failure) -> Output

    @usableFromInline
    let parts: () -> (channel: Channel<Element>, isWanted: Bool, handler: Handler)

    @inlinable
    @inline(__always)
    init(
        channel: Channel<Element>, isWanted: Bool, handler: @escaping (consuming Element?) throws(Failure) -> Output
    ) {
        parts = { (channel, isWanted, handler) }
    }

    @inlinable
    @inline(__always)
    var reference: ChannelReference { parts().channel.reference }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 1 }
    @inlinable public var _otherwiseIndex: Int? { nil }
    @inlinable public var _storageBytes: Int { MemoryLayout<Element>.stride + MemoryLayout<Element>.alignment }

    @inlinable
    @inline(__always)
    public func _attempt(_ index: Int) -> SelectOutcome? {
        guard parts().isWanted else { return nil }
        let step = reference.attemptReceive()
        if case .wait = step { return nil }
        return SelectOutcome(.receive(step))
    }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: inout SelectEntries) {
        guard parts().isWanted else { return entries.addNever() }
        entries.addReceive(
            reference, bytes: MemoryLayout<Element>.stride, alignment: MemoryLayout<Element>.alignment)
    }

    @inlinable
    @inline(__always)
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {}

    @inlinable
    @inline(__always)
    public func _keepAlive() { withExtendedLifetime(parts().channel) {} }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries?) throws(Failure) -> Output {
        try parts().handler(takeElement(choice, entries))
    }

    @inlinable
    @inline(__always)
    func takeElement(_ choice: SelectChoice, _ entries: SelectEntries?) -> sending Element? {
        nonisolated(unsafe) let element: Element?
        switch choice.outcome {
        case .receive(let step):
            unsafe element = reference.finish(step)
        case .received:
            unsafe element = entries!.place(choice.index).assumingMemoryBound(to: Element.self).move()
        default:
            unsafe element = nil
        }
        return unsafe element
    }
}

/// What `onSend` makes.
public struct SelectSend<Element, Output, Failure: Error>: SelectCases {
    @usableFromInline
    enum Handler {
        case plain(() throws(Failure) -> Output)
        /// Is told whether the value was sent.
        case reporting((Bool) throws(Failure) -> Output)
    }

    @usableFromInline
    let parts: () -> (channel: Channel<Element>, value: Element, isWanted: Bool, handler: Handler)

    @inlinable
    @inline(__always)
    init(channel: Channel<Element>, value: Element, isWanted: Bool, handler: Handler) {
        parts = { (channel, value, isWanted, handler) }
    }

    @inlinable
    @inline(__always)
    var reference: ChannelReference { parts().channel.reference }

    @inlinable
    @inline(__always)
    var reportsClosed: Bool {
        if case .reporting = parts().handler { true } else { false }
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 1 }
    @inlinable public var _otherwiseIndex: Int? { nil }
    @inlinable public var _storageBytes: Int { MemoryLayout<Element>.stride + MemoryLayout<Element>.alignment }

    @inlinable
    @inline(__always)
    public func _attempt(_ index: Int) -> SelectOutcome? {
        guard parts().isWanted else { return nil }
        let step = reference.attemptSend()
        switch step {
        case .ring, .receiver:
            return SelectOutcome(.send(step))
        case .closed:
            return reportsClosed ? SelectOutcome(.notSent) : nil
        case .wait:
            return nil
        }
    }

    @inlinable
    @inline(__always)
    public func _prepare(_ entries: inout SelectEntries) {
        guard parts().isWanted else { return entries.addNever() }
        let place = unsafe entries.addSend(
            reference, bytes: MemoryLayout<Element>.stride, alignment: MemoryLayout<Element>.alignment,
            reportsClosed: reportsClosed)
        unsafe place.initializeMemory(as: Element.self, to: parts().value)
    }

    @inlinable
    @inline(__always)
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        if parts().isWanted, chosen != position { destroyValue(entries, position) }
    }

    @inlinable
    func destroyValue(_ entries: SelectEntries, _ position: Int) {
        unsafe entries.place(position).assumingMemoryBound(to: Element.self).deinitialize(count: 1)
    }

    @inlinable
    @inline(__always)
    public func _keepAlive() { withExtendedLifetime(parts().channel) {} }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries?) throws(Failure) -> Output {
        let isSent = giveElement(choice, entries)
        switch parts().handler {
        case .plain(let handler): return try handler()
        case .reporting(let handler): return try handler(isSent)
        }
    }

    @inlinable
    @inline(__always)
    func giveElement(_ choice: SelectChoice, _ entries: SelectEntries?) -> Bool {
        switch choice.outcome {
        case .send(.ring(let place)):
            unsafe place.initializeMemory(as: Element.self, to: parts().value)
            reference.finishRing()
            return true
        case .send(.receiver(let place, let node)):
            unsafe place.initializeMemory(as: Element.self, to: parts().value)
            unsafe reference.finishHandOver(node)
            return true
        case .sendPrepared(let step):
            let source = unsafe entries!.place(choice.index).assumingMemoryBound(to: Element.self)
            return unsafe reference.finish(step, from: source)
        case .notSentPrepared:
            destroyValue(entries!, choice.index)
            return false
        case .notSent:
            return false
        default:
            return true
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
    typealias Handler = () throws(Failure) -> Output

    @usableFromInline
    let parts: () -> (timeout: Duration, handler: Handler)

    @inlinable
    @inline(__always)
    init(timeout: Duration, handler: @escaping () throws(Failure) -> Output) {
        parts = { (timeout, handler) }
    }

    @inlinable public var _count: Int { 1 }
    @inlinable public var _channelCount: Int { 0 }
    @inlinable public var _otherwiseIndex: Int? { nil }
    @inlinable public var _storageBytes: Int { 0 }
    @inlinable public func _attempt(_ index: Int) -> SelectOutcome? { nil }
    @inlinable public func _prepare(_ entries: inout SelectEntries) { entries.addTimeout(parts().timeout) }
    @inlinable public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {}
    @inlinable public func _keepAlive() {}

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries?) throws(Failure) -> Output {
        try parts().handler()
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
    @inlinable public var _storageBytes: Int { 0 }
    @inlinable public func _attempt(_ index: Int) -> SelectOutcome? { nil }
    @inlinable public func _prepare(_ entries: inout SelectEntries) { entries.addOtherwise() }
    @inlinable public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {}
    @inlinable public func _keepAlive() {}

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries?) throws(Failure) -> Output {
        try handler()
    }
}
