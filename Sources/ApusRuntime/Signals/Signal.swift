// SPDX-License-Identifier: Apache-2.0
//
// The names of the signals that programs react to.

/// A signal of the system, such as the one that Ctrl-C sends.
///
/// ```swift
/// let reload = SignalWatcher(for: .hangup)
/// go {
///     for _ in reload.channel { print("reading the configuration again") }
/// }
/// ```
public struct Signal: Hashable, Sendable {
    /// The system's number for it.
    public let number: Int32

    /// A signal by its number, for those that have no name here.
    public init(number: Int32) {
        self.number = number
    }

    /// SIGHUP: the terminal has gone; to servers, by custom: read your configuration again.
    public static let hangup = Signal(number: 1)
    /// SIGINT: Ctrl-C.
    public static let interrupt = Signal(number: 2)
    /// SIGQUIT: Ctrl-\. Unless it is watched, Apus answers it with a dump of the goroutines.
    public static let quit = Signal(number: 3)
    /// SIGTERM: a polite request to end; what `kill`, systemd and container runtimes send.
    public static let terminate = Signal(number: 15)
    /// SIGWINCH: the terminal has another size.
    public static let windowChange = Signal(number: 28)

    #if os(Linux)
    /// SIGUSR1: whatever a program says that it means.
    public static let user1 = Signal(number: 10)
    /// SIGUSR2: likewise.
    public static let user2 = Signal(number: 12)
    /// SIGCHLD: a child process has ended or stopped.
    public static let child = Signal(number: 17)
    #else
    /// SIGUSR1: whatever a program says that it means.
    public static let user1 = Signal(number: 30)
    /// SIGUSR2: likewise.
    public static let user2 = Signal(number: 31)
    /// SIGCHLD: a child process has ended or stopped.
    public static let child = Signal(number: 20)
    #endif
}

extension Signal: CustomStringConvertible {
    /// The system's name, `SIGTERM`; `signal 40` for one without a name here.
    public var description: String {
        switch self {
        case .hangup: "SIGHUP"
        case .interrupt: "SIGINT"
        case .quit: "SIGQUIT"
        case .terminate: "SIGTERM"
        case .windowChange: "SIGWINCH"
        case .user1: "SIGUSR1"
        case .user2: "SIGUSR2"
        case .child: "SIGCHLD"
        default: "signal \(number)"
        }
    }
}
