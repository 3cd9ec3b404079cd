// SPDX-License-Identifier: Apache-2.0
//
// The channel that users see. It moves elements; where to, and who waits, is decided in ChannelCore.swift. Everything
// here is inlinable, so that in the user's module an element is moved by its own type's code and not by a witness.

/// A queue between goroutines: what one sends, another receives, in order.
///
/// With a capacity of zero a send waits for its receiver; with a capacity of n, up to n elements wait for theirs. Elements
/// are handed over: the compiler proves that the sender does not touch them any more.
///
/// ```swift
/// let numbers = Channel<Int>(capacity: 8)
/// go {
///     for number in 1...100 { try? numbers.send(number) }
///     numbers.close()
/// }
/// for number in numbers { print(number) }
/// ```
///
/// Any number of goroutines, and plain threads, may send and receive at the same time.
public final class Channel<Element: ~Copyable>: Sendable {
    @usableFromInline
    let reference: ChannelReference

    /// Creates an open channel.
    ///
    /// - Parameter capacity: Elements that wait for a receiver before `send` waits too; zero or more.
    @inlinable
    public init(capacity: Int = 0) {
        reference = ChannelReference(
            capacity: capacity, stride: MemoryLayout<Element>.stride, alignment: MemoryLayout<Element>.alignment)
    }

    /// A timer's channel.
    init(reference: ChannelReference) {
        self.reference = reference
    }

    deinit {
        reference.stopTimer()
        while let element = unsafe reference.takeLeftover() {
            unsafe element.assumingMemoryBound(to: Element.self).deinitialize(count: 1)
        }
        reference.free()
    }

    /// Elements that wait for a receiver at this moment, in the channel's buffer.
    public var count: Int { reference.count }

    /// Elements that the channel's buffer holds at most.
    public var capacity: Int { reference.capacity }

    /// Whether a sender waits at this moment. For tests.
    package var hasWaitingSender: Bool { reference.hasWaitingSender }

    /// Whether `close` was called.
    public var isClosed: Bool { reference.isClosed }

    /// Sends an element, parking the calling goroutine until it is received or there is room for it.
    ///
    /// On a plain thread it blocks that thread. A receiver, `close` or a cancellation wakes it.
    ///
    /// - Throws: `ChannelClosed` when the channel is closed, or is closed while this call waits; `Cancellation` when the
    ///   call would wait and the goroutine is cancelled, or while it waits. The element is then dropped; nobody received it.
    /// - Complexity: O(1). Does not allocate.
    @inlinable
    public func send(_ element: consuming sending Element) throws {
        switch reference.beginSend() {
        case .ring(let place):
            unsafe place.initializeMemory(as: Element.self, to: element)
            reference.finishRing()
        case .receiver(let place, let node):
            unsafe place.initializeMemory(as: Element.self, to: element)
            unsafe reference.finishHandOver(node)
        case .closed:
            throw ChannelClosed()
        case .wait:
            try waitToSend(element)
        }
    }

    /// With the lock held.
    @inlinable
    func waitToSend(_ element: consuming Element) throws {
        var element: Element? = consume element
        try unsafe withUnsafeTemporaryAllocation(of: Element.self, capacity: 1) { frame in
            let place = frame.baseAddress!
            unsafe place.initialize(to: element.take()!)
            while true {
                switch unsafe reference.waitToSend(UnsafeMutableRawPointer(place)) {
                case .succeeded:
                    return
                case .closed:
                    unsafe place.deinitialize(count: 1)
                    throw ChannelClosed()
                case .cancelled:
                    unsafe place.deinitialize(count: 1)
                    throw reference.cancellation
                case .again:
                    let step = reference.beginSend()
                    if case .wait = step { continue }
                    guard unsafe reference.finish(step, from: place) else { throw ChannelClosed() }
                    return
                }
            }
        }
    }

    /// Receives the next element, parking the calling goroutine until one is sent or the channel is closed.
    ///
    /// On a plain thread it blocks that thread. A sender, `close` or a cancellation wakes it.
    ///
    /// - Returns: The oldest unreceived element. `nil` once the channel is closed and drained; or when the call would wait
    ///   and the goroutine is cancelled, or while it waits (`Goroutine.isCancelled` tells, and a `withTimeout` around throws).
    /// - Complexity: O(1). Does not allocate.
    @inlinable
    public func receive() -> sending Element? {
        let step = reference.beginReceive()
        if case .wait = step {
            return waitToReceive()
        }
        return reference.finish(step)
    }

    @inlinable
    func waitToReceive() -> sending Element? {
        unsafe withUnsafeTemporaryAllocation(of: Element.self, capacity: 1) { frame in
            let place = frame.baseAddress!
            while true {
                switch unsafe reference.waitToReceive(UnsafeMutableRawPointer(place)) {
                case .succeeded:
                    return unsafe place.move()
                case .closed:
                    return nil
                case .cancelled:
                    reference.noteCutShort()
                    return nil
                case .again:
                    let step = reference.beginReceive()
                    if case .wait = step { continue }
                    return reference.finish(step)
                }
            }
        }
    }

    /// Sends an element if that is possible at once.
    ///
    /// - Returns: Nil when it was sent; the element itself when the channel is full, or has no waiting receiver, or is
    ///   closed. Never waits.
    @inlinable
    public func trySend(_ element: consuming sending Element) -> sending Element? {
        switch reference.attemptSend() {
        case .ring(let place):
            unsafe place.initializeMemory(as: Element.self, to: element)
            reference.finishRing()
            return nil
        case .receiver(let place, let node):
            unsafe place.initializeMemory(as: Element.self, to: element)
            unsafe reference.finishHandOver(node)
            return nil
        case .closed, .wait:
            return element
        }
    }

    /// Receives an element if one is there.
    ///
    /// - Returns: The oldest unreceived element, or nil: the channel is empty, or closed and drained. Never waits.
    @inlinable
    public func tryReceive() -> sending Element? {
        let step = reference.attemptReceive()
        if case .wait = step { return nil }
        return reference.finish(step)
    }

    /// Closes the channel: every waiting and later `send` throws, receivers get what is left and then `nil`.
    ///
    /// May be called more than once, by anyone.
    public func close() {
        reference.close()
    }
}

/// What only a reference is needed for: a `select` uses its channels without counting references.
extension ChannelReference {
    /// Moves the element where the step says. False when the channel is closed; the element is then destroyed.
    @inlinable
    func finish<Element: ~Copyable>(_ step: SendStep, from source: UnsafeMutablePointer<Element>) -> Bool {
        switch step {
        case .ring(let place):
            unsafe place.moveInitializeMemory(as: Element.self, from: source, count: 1)
            finishRing()
            return true
        case .receiver(let place, let node):
            unsafe place.moveInitializeMemory(as: Element.self, from: source, count: 1)
            unsafe finishHandOver(node)
            return true
        case .closed, .wait:
            unsafe source.deinitialize(count: 1)
            return false
        }
    }

    /// Takes the element from where the step says; nil when the channel is closed and drained.
    @inlinable
    @inline(__always)
    func finish<Element: ~Copyable>(_ step: ReceiveStep) -> sending Element? {
        nonisolated(unsafe) let element: Element?
        switch step {
        case .ring(let place):
            unsafe element = place.assumingMemoryBound(to: Element.self).move()
            finishRing()
        case .ringAndSender(let place, let source, let node):
            unsafe element = place.assumingMemoryBound(to: Element.self).move()
            unsafe place.moveInitializeMemory(
                as: Element.self, from: source.assumingMemoryBound(to: Element.self), count: 1)
            unsafe finishHandOver(node)
        case .sender(let source, let node):
            unsafe element = source.assumingMemoryBound(to: Element.self).move()
            unsafe finishHandOver(node)
        case .closed, .wait:
            unsafe element = nil
        }
        return unsafe element
    }
}

extension Channel: Sequence, IteratorProtocol where Element: Copyable {
    /// Receives the next element; nil ends the loop, when the channel is closed and drained or the goroutine is cancelled.
    @inlinable
    public func next() -> Element? { receive() }
}

/// What `send` throws on a closed channel.
public struct ChannelClosed: Error, Hashable, CustomStringConvertible {
    /// For layers above that report in these terms.
    @inlinable
    public init() {}

    public var description: String { "the channel is closed" }
}
