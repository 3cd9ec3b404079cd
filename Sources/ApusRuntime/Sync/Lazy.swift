// SPDX-License-Identifier: Apache-2.0

/// A value that is computed when it is first asked for, once, whoever asks; the others wait until it is there.
///
/// ```swift
/// let certificates = Lazy { try loadCertificates() }
///
/// func greet(_ connection: TCPConnection) throws {
///     try connection.write(try certificates.value.first)
/// }
/// ```
///
/// Unlike a `static let` or a `lazy var`, its function may wait for anything: who asks meanwhile is parked, while a
/// `static let` blocks the threads of those who do, and perhaps the one that the function needs.
///
/// An error is computed once like a value, and thrown to everybody who asks (as by Go's `sync.OnceValues`). To try again,
/// use `Once`, or a new `Lazy`.
public final class Lazy<Value: Sendable, Failure: Error>: Sendable {
    private let once = Once()
    // SAFETY: both are written inside `once.run`; `result` is read after it alone.
    nonisolated(unsafe) private var compute: (() throws(Failure) -> Value)?
    nonisolated(unsafe) private var result: Result<Value, Failure>?

    /// Creates a value that is not computed yet.
    ///
    /// - Parameter compute: Called at most once, by whoever asks first. Released, with what it captured, when it has
    ///   returned.
    public init(_ compute: sending @escaping () throws(Failure) -> Value) {
        unsafe self.compute = compute
    }

    /// The value, computed now if it never was.
    ///
    /// While another computes it, waits, parking the calling goroutine, or blocking the calling thread. To ask inside the
    /// function that computes it would wait for ever: that stops the program.
    ///
    /// - Throws: The error that computing it has thrown.
    public var value: Value {
        get throws(Failure) {
            once.run {
                do throws(Failure) {
                    unsafe result = .success(try compute!())
                } catch {
                    unsafe result = .failure(error)
                }
                unsafe compute = nil
            }
            return try unsafe result!.get()
        }
    }

    /// Whether the value, or the error, is there already.
    public var isComputed: Bool { once.isDone }
}
