// SPDX-License-Identifier: Apache-2.0
//
// What a handler does only as long as there is somebody to answer. It is the handler that says so: as cancellation ends
// whatever waits, a handler that changes something must not be cut short wherever its client happens to leave.

internal import ApusNet
internal import ApusRuntime
package import HTTPTypes

extension Request {
    /// Calls a function whose waiting ends when the client disconnects.
    ///
    /// For handlers that wait long, or for something that only this client wants: events, another server's answer. What the
    /// function waits for, in its goroutine and in groups started inside, then ends as if cancelled. The same happens when
    /// ``HTTPServer/shutdown(within:)`` has run out of time.
    ///
    /// ```swift
    /// func events(of room: Channel<String>) -> Handler {
    ///     { request, response in
    ///         response.headerFields[.contentType] = "text/event-stream"
    ///         try request.whileConnected {
    ///             while let event = room.receive() {
    ///                 try response.write("data: \(event)\n\n")
    ///                 try response.flush()
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// A client that ends its sending half behind its request counts as one that has left: nobody can tell the two apart
    /// before something is sent. Further requests that it has sent ahead do not hide that it has. Watching costs nothing but
    /// the call.
    ///
    /// - Returns: What the function returned, also if it did so after the client had left and nothing was cut short.
    /// - Throws: What the function throws. ``HTTPError/Code/connectionClosed`` in place of what says that it was cut short;
    ///   its status is 499, which nobody but the access log sees, as a rule.
    public func whileConnected<Value>(_ body: () throws -> Value) throws -> Value {
        let transport = whileHandled.transport
        var isDisconnected = false
        do {
            return try transport.whileConnected {
                defer { isDisconnected = Goroutine.cancellation == .disconnected }
                return try body()
            }
        } catch  where isDisconnected && error.tellsOfCancellation {
            throw HTTPError(.connectionClosed, status: .clientClosedRequest, "the client has disconnected")
        }
    }
}

extension Error {
    /// Whether it is how an operation says that it was cut short.
    fileprivate var tellsOfCancellation: Bool {
        switch self {
        case is Cancellation: true
        case let error as NetError: error.code == .cancelled
        case let error as HTTPError: error.code == .cancelled
        default: false
        }
    }
}

extension HTTPResponse.Status {
    /// Not a status of the standard; nginx has made it usual.
    package static let clientClosedRequest = HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request")
}
