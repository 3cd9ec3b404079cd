// SPDX-License-Identifier: Apache-2.0

/// Where an element lies while its sender or its receiver waits: a variable of the function that waits, which others fill
/// and empty as raw memory. (Of memory from `withUnsafeTemporaryAllocation` the optimiser knows so little that it keeps the
/// channel's reference counts up to date around every operation.)
///
/// To the compiler it is an optional. The value of an optional lies at its beginning; so its address is the element's. Who
/// has moved the element out as raw memory must say so with `forget`, before the variable's life ends.
@usableFromInline
@safe
struct ElementSlot<Element: ~Copyable>: ~Copyable {
    @usableFromInline
    var element: Element?

    @inlinable
    @inline(__always)
    init() {
        element = nil
    }

    @inlinable
    @inline(__always)
    init(_ element: consuming Element) {
        self.element = consume element
    }
}

extension UnsafeMutablePointer where Pointee: ~Copyable {
    /// The element, moved out.
    @inlinable
    @inline(__always)
    func takeElement<Element: ~Copyable>() -> Element where Pointee == ElementSlot<Element> {
        let element = unsafe UnsafeMutableRawPointer(self).assumingMemoryBound(to: Element.self).move()
        unsafe forget()
        return element
    }

    /// Somebody has moved the element out.
    @inlinable
    @inline(__always)
    func forget<Element: ~Copyable>() where Pointee == ElementSlot<Element> {
        unsafe initialize(to: ElementSlot())
    }
}
