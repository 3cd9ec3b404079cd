// SPDX-License-Identifier: Apache-2.0
//
// Lists of a select's cases: the first cases and the next one, optional ones, alternatives, and those made in a loop. Each
// asks its parts, with the index counted from their beginning.

/// The cases of a `select` so far, and the next one.
public struct SelectPair<First: SelectCases, Second: SelectCases, Failure: Error>: SelectCases
where First.Output == Second.Output {
    public typealias Output = First.Output

    @usableFromInline
    let first: First
    @usableFromInline
    let second: Second

    @inlinable
    init(_ first: First, _ second: Second) {
        self.first = first
        self.second = second
    }

    @inlinable public var _count: Int { first._count + second._count }
    @inlinable public var _channelCount: Int { first._channelCount + second._channelCount }
    @inlinable public var _storageBytes: Int { first._storageBytes + second._storageBytes }

    @inlinable
    public var _otherwiseIndex: Int? {
        first._otherwiseIndex ?? second._otherwiseIndex.map { $0 + first._count }
    }

    @inlinable
    @inline(__always)
    public func _attempt(_ index: Int) -> SelectOutcome? {
        index < first._count ? first._attempt(index) : second._attempt(index - first._count)
    }

    /// `Failure` is either any error, or `Never` where neither part throws: so the cast holds.
    @inlinable
    func rethrown(_ error: any Error) -> Failure { error as! Failure }

    @inlinable
    public func _prepare(_ entries: inout SelectEntries) {
        first._prepare(&entries)
        second._prepare(&entries)
    }

    @inlinable
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        first._dispose(entries, position, except: chosen)
        second._dispose(entries, position + first._count, except: chosen)
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        do {
            return try index < first._count
                ? first._finish(choice, index, entries) : second._finish(choice, index - first._count, entries)
        } catch {
            throw rethrown(error)
        }
    }
}

/// No case at all: `select { }` waits for ever.
public struct SelectNothing: SelectCases {
    public typealias Output = Void
    public typealias Failure = Never

    @inlinable
    init() {}

    @inlinable public var _count: Int { 0 }
    @inlinable public var _channelCount: Int { 0 }
    @inlinable public var _otherwiseIndex: Int? { nil }
    @inlinable public var _storageBytes: Int { 0 }
    @inlinable public func _attempt(_ index: Int) -> SelectOutcome? { nil }
    @inlinable public func _prepare(_ entries: inout SelectEntries) {}
    @inlinable public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {}
    @inlinable public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) {}
}

/// Cases under an `if`.
public struct SelectOptional<Cases: SelectCases>: SelectCases {
    public typealias Output = Cases.Output
    public typealias Failure = Cases.Failure

    @usableFromInline
    let cases: Cases?

    @inlinable
    init(_ cases: Cases?) {
        self.cases = cases
    }

    @inlinable public var _count: Int { cases?._count ?? 0 }
    @inlinable public var _channelCount: Int { cases?._channelCount ?? 0 }
    @inlinable public var _otherwiseIndex: Int? { cases?._otherwiseIndex }
    @inlinable public var _storageBytes: Int { cases?._storageBytes ?? 0 }
    @inlinable public func _attempt(_ index: Int) -> SelectOutcome? { cases!._attempt(index) }
    @inlinable public func _prepare(_ entries: inout SelectEntries) { cases?._prepare(&entries) }

    @inlinable
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        cases?._dispose(entries, position, except: chosen)
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        try cases!._finish(choice, index, entries)
    }
}

/// Cases under `if` and `else`, or in a `switch`.
public enum SelectEither<First: SelectCases, Second: SelectCases>: SelectCases
where First.Output == Second.Output, First.Failure == Second.Failure {
    public typealias Output = First.Output
    public typealias Failure = First.Failure

    case first(First)
    case second(Second)

    @inlinable
    public var _count: Int {
        switch self {
        case .first(let cases): cases._count
        case .second(let cases): cases._count
        }
    }

    @inlinable
    public var _channelCount: Int {
        switch self {
        case .first(let cases): cases._channelCount
        case .second(let cases): cases._channelCount
        }
    }

    @inlinable
    public var _otherwiseIndex: Int? {
        switch self {
        case .first(let cases): cases._otherwiseIndex
        case .second(let cases): cases._otherwiseIndex
        }
    }

    @inlinable
    public var _storageBytes: Int {
        switch self {
        case .first(let cases): cases._storageBytes
        case .second(let cases): cases._storageBytes
        }
    }

    @inlinable
    public func _attempt(_ index: Int) -> SelectOutcome? {
        switch self {
        case .first(let cases): cases._attempt(index)
        case .second(let cases): cases._attempt(index)
        }
    }

    @inlinable
    public func _prepare(_ entries: inout SelectEntries) {
        switch self {
        case .first(let cases): cases._prepare(&entries)
        case .second(let cases): cases._prepare(&entries)
        }
    }

    @inlinable
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        switch self {
        case .first(let cases): cases._dispose(entries, position, except: chosen)
        case .second(let cases): cases._dispose(entries, position, except: chosen)
        }
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        switch self {
        case .first(let cases): try cases._finish(choice, index, entries)
        case .second(let cases): try cases._finish(choice, index, entries)
        }
    }
}

/// Cases made in a loop: as many as the loop had turns.
public struct SelectArray<Cases: SelectCases>: SelectCases {
    public typealias Output = Cases.Output
    public typealias Failure = Cases.Failure

    @usableFromInline
    let cases: [Cases]

    @inlinable
    init(_ cases: [Cases]) {
        self.cases = cases
    }

    @inlinable public var _count: Int { cases.reduce(0) { $0 + $1._count } }
    @inlinable public var _channelCount: Int { cases.reduce(0) { $0 + $1._channelCount } }
    @inlinable public var _storageBytes: Int { cases.reduce(0) { $0 + $1._storageBytes } }

    @inlinable
    public var _otherwiseIndex: Int? {
        var position = 0
        for part in cases {
            if let index = part._otherwiseIndex { return position + index }
            position += part._count
        }
        return nil
    }

    /// The part that holds the case, and the case's index in it.
    @inlinable
    func part(of index: Int) -> (Cases, index: Int) {
        var index = index
        for part in cases {
            if index < part._count { return (part, index) }
            index -= part._count
        }
        preconditionFailure("apus: a select has no such case")
    }

    @inlinable
    public func _attempt(_ index: Int) -> SelectOutcome? {
        let (part, index) = part(of: index)
        return part._attempt(index)
    }

    @inlinable
    public func _prepare(_ entries: inout SelectEntries) {
        for part in cases { part._prepare(&entries) }
    }

    @inlinable
    public func _dispose(_ entries: SelectEntries, _ position: Int, except chosen: Int?) {
        var position = position
        for part in cases {
            part._dispose(entries, position, except: chosen)
            position += part._count
        }
    }

    @inlinable
    @inline(__always)
    public func _finish(_ choice: SelectChoice, _ index: Int, _ entries: SelectEntries) throws(Failure) -> Output {
        let (part, index) = part(of: index)
        return try part._finish(choice, index, entries)
    }
}
