// SPDX-License-Identifier: Apache-2.0
//
// Values that go with a goroutine and with those that it starts. A goroutine's bindings are a list, the innermost first,
// of nodes that never change:
//
//     record.locals ─> withValue's ─> outer withValue's ─> what was inherited ─> … ─> nil
//                      └──── owned by the frames of withValue ────┘  └ owned by the record
//
// A goroutine that is started takes the list as it is then, with one reference to its head, and gives it back when it
// ends. So what the one binds later, the other does not see, and nothing is copied. A plain thread has its list in the
// record that it waits with.

/// A value that is bound for the time of a function, for everything that the function calls or starts.
///
/// ```swift
/// let requestID = GoroutineLocal(default: "none")
///
/// func log(_ text: String) { print("[\(requestID.value)] \(text)") }
///
/// requestID.withValue("7f3a") {
///     log("begins")
///     go { log("goes on elsewhere") }  // [7f3a], also after withValue has returned
/// }
/// ```
///
/// Goroutines inherit the bindings of whoever starts them, at that moment. On a plain thread a value is bound for that
/// thread; Swift tasks that are started inside inherit nothing. Usually a constant of a file, or a static one of a type.
public final class GoroutineLocal<Value: Sendable>: Sendable {
    private let defaultValue: Value

    /// Creates a local that is bound nowhere yet.
    ///
    /// - Parameter defaultValue: The value where none is bound.
    public init(default defaultValue: Value) {
        self.defaultValue = defaultValue
    }

    /// The value that is bound innermost around the caller, or the default one.
    ///
    /// Never waits. Takes one step for each binding, of this local or another, that is nearer.
    public var value: Value {
        guard let thread = ThreadReference.current, let innermost = unsafe thread.caller.record.locals else {
            return defaultValue
        }
        return unsafe find(from: innermost)
    }

    // SAFETY: the list loses no node while the one whose list it is looks through it.
    private func find(from innermost: Unmanaged<LocalBinding>) -> Value {
        var next: Unmanaged<LocalBinding>? = unsafe innermost
        while let binding = unsafe next {
            if unsafe binding._withUnsafeGuaranteedRef({ $0.local === self }) {
                return unsafe binding._withUnsafeGuaranteedRef { unsafe unsafeDowncast($0, to: Binding.self).value }
            }
            unsafe next = unsafe binding._withUnsafeGuaranteedRef { unsafe $0.outer.map { unsafe .passUnretained($0) } }
        }
        return defaultValue
    }

    /// Calls a function with a value bound. Afterwards, however the function ends, what was bound before is again.
    ///
    /// Allocates the binding, a few words and the value.
    public func withValue<Result: ~Copyable, Failure: Error>(
        _ value: Value, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let holder = ThreadReference.currentOrAttached().caller
        let outer = unsafe holder.record.locals
        let binding = unsafe Binding(self, value, outer: outer?.takeUnretainedValue())
        unsafe holder.record.locals = Unmanaged.passUnretained(binding)
        // SAFETY: the goroutine goes on with its own record, on whichever thread; `binding` lives until here, and those
        // who inherited it have references of their own.
        defer {
            unsafe holder.record.locals = outer
            withExtendedLifetime(binding) {}
        }
        return try body()
    }

    private final class Binding: LocalBinding, @unchecked Sendable {
        let value: Value

        init(_ local: GoroutineLocal, _ value: Value, outer: LocalBinding?) {
            self.value = value
            super.init(local: local, outer: outer)
        }
    }
}

extension GoroutineLocal where Value: ExpressibleByNilLiteral {
    /// Creates a local whose value is nil where none is bound.
    public convenience init() { self.init(default: nil) }
}

/// One binding, without its value. Shared between goroutines, and never changed until nobody has it.
class LocalBinding: @unchecked Sendable {
    /// Whose binding it is. Kept alive, so that no other local can come to lie at its address.
    let local: AnyObject
    // Changed by `deinit` alone.
    fileprivate private(set) var outer: LocalBinding?

    fileprivate init(local: AnyObject, outer: LocalBinding?) {
        self.local = local
        self.outer = outer
    }

    deinit {
        // One after the other: a long list would overflow the stack, as each node's deinit calls the next one's.
        var next = outer.take()
        while next != nil, isKnownUniquelyReferenced(&next) {
            next = next!.outer.take()
        }
    }
}

extension RecordReference where Record == GoroutineRecord {
    /// For a new goroutine: takes over what is bound where it is started.
    @inline(__always)
    func inheritLocals(from thread: ThreadReference) {
        if let locals = unsafe thread.caller.record.locals {
            unsafe record.locals = locals.retain()
        }
    }

    /// The goroutine ends: its own bindings are gone, and what it inherited goes now. That may call the values' `deinit`,
    /// which may park.
    @inline(__always)
    func leaveLocals() {
        guard let locals = unsafe record.locals else { return }
        unsafe record.locals = nil
        unsafe locals.release()
    }
}
