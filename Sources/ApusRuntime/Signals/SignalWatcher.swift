// SPDX-License-Identifier: Apache-2.0
//
// Waiting for signals.
//
//   handler (signals.c) ── counts, a byte into the pipe ──> one goroutine ── trySend ──> the channel of each watcher
//
// The goroutine lives while somebody watches, and has the pipe registered with the poller as long: so a program in which
// nobody watches any more is found to be deadlocked like others. A signal is caught while at least one watcher wants it; the
// last one gives it back the action that it had. The pipe itself stays for ever, because a handler may be about to write.
//
// Where no descriptor is left for the pipe, the goroutine looks at the counts now and then, and tries again.

internal import CApus

/// Watches signals: from its creation on they arrive on a channel, instead of doing what they did before.
///
/// ```swift
/// func serve(_ listener: TCPListener) {
///     let signals = SignalWatcher(for: .interrupt, .terminate)
///     go {
///         guard let signal = signals.wait() else { return }
///         signals.stop()  // From here on a second one ends the program at once.
///         print("\(signal): no further connections")
///         listener.close()
///     }
///     while let connection = try? listener.accept() { connection.close() }
/// }
/// ```
///
/// Several watchers may watch the same signal; each gets it. Where a signal had been ignored, as SIGINT is for programs in the
/// background of a script, it is watched nevertheless; where a thread blocks it, it stays blocked there. A forked child
/// inherits the handlers until it starts another program.
///
/// A watcher that is let go of stops. A `SignalWatcher` is for the whole process and has no place in a simulation.
public final class SignalWatcher: Sendable {
    /// Where the signals arrive. Sixteen wait for a receiver; further ones are lost, and several of one kind that come close
    /// after one another may be one, as always with signals.
    ///
    /// In a `select`, a program waits for signals and for something else. It is closed by ``stop()``.
    public let channel = Channel<Signal>(capacity: 16)

    /// Begins to watch.
    ///
    /// Signals that cannot be watched stop the program: SIGKILL and SIGSTOP, those of faults (SIGSEGV, SIGABRT and their like),
    /// and numbers that are no signal's. Where no descriptor is left when the first watcher begins, signals may arrive a tenth
    /// of a second late, until there is one.
    public init(for signals: Signal...) {
        for signal in signals where !apus_signal_can_be_watched(signal.number) {
            fail("\(signal) cannot be watched; choose one that asks a program for something, like .terminate")
        }
        SignalRegistry.shared.add(channel, Set(signals))
    }

    deinit {
        stop()
    }

    /// Waits for a signal. Parks the goroutine, or blocks the plain thread.
    ///
    /// - Returns: The signal, one for each; `nil` after ``stop()``.
    @discardableResult
    public func wait() -> Signal? { channel.receive() }

    /// Watches no longer: signals that no other watcher watches have their former action when this returns. Those that came
    /// before are still received; then the ``channel`` ends. May be called again.
    public func stop() {
        SignalRegistry.shared.remove(channel)
    }
}

/// Who watches what.
private final class SignalRegistry: Sendable {
    static let shared = SignalRegistry()

    private struct State {
        var watchers: [(channel: Channel<Signal>, signals: Set<Signal>)] = []
        /// How many watch each signal; without those that nobody does.
        var counts: [Signal: Int] = [:]
        var isDelivering = false
    }

    private let state = Mutex(State())
    /// The pipe's reading end, once there is a pipe. Used by the goroutine that delivers, of which there is one at a time; the
    /// lock orders one after the other.
    nonisolated(unsafe) private var readingEnd: Int32 = -1

    func add(_ channel: Channel<Signal>, _ signals: Set<Signal>) {
        let startsDelivering = state.withLock { state in
            state.watchers.append((channel, signals))
            for signal in signals {
                state.counts[signal, default: 0] += 1
                if state.counts[signal] == 1, apus_signal_catch(signal.number) != 0 {
                    fail("\(signal) cannot be watched on this system")
                }
            }
            defer { state.isDelivering = true }
            return !state.isDelivering
        }
        if startsDelivering { go(name: "signals") { self.deliver() } }
    }

    func remove(_ channel: Channel<Signal>) {
        state.withLock { state in
            guard let index = state.watchers.firstIndex(where: { $0.channel === channel }) else { return }
            // What has come was meant for this watcher too.
            Self.passOn(&state)
            let watcher = state.watchers.remove(at: index)
            for signal in watcher.signals {
                if state.counts[signal] == 1 {
                    state.counts[signal] = nil
                    apus_signal_release(signal.number)
                } else {
                    state.counts[signal]! -= 1
                }
            }
            channel.close()
            if state.watchers.isEmpty { apus_signals_wake() }
        }
    }

    private func deliver() {
        var poll: PollDescriptor?
        while true {
            // Before the looks, so that what comes after them leaves a byte.
            if poll == nil { poll = openPipe() }
            // First the bytes and then the counts: a signal in between leaves a byte.
            if poll != nil { unsafe apus_signals_drain(readingEnd) }
            let isOver = state.withLock { state in
                Self.passOn(&state)
                guard state.watchers.isEmpty else { return false }
                // Within the lock: who begins to watch from here on registers the pipe again.
                poll?.evict()
                poll?.free()
                state.isDelivering = false
                return true
            }
            if isOver { return }
            if let poll {
                _ = poll.wait(.read, deadline: .distantFuture)
            } else {
                sleep(for: .milliseconds(100))
            }
        }
    }

    /// Registers the pipe, and makes it if it is not there yet. Nil when no descriptor is left for it, or no memory.
    private func openPipe() -> PollDescriptor? {
        if unsafe readingEnd < 0 { unsafe readingEnd = apus_signals_open() }
        guard unsafe readingEnd >= 0 else { return nil }
        return try? PollDescriptor.open(fileDescriptor: unsafe readingEnd)
    }

    /// Gives everybody what has come.
    private static func passOn(_ state: inout State) {
        for signal in state.counts.keys {
            for _ in 0..<min(apus_signal_take(signal.number), 16) {
                for watcher in state.watchers where watcher.signals.contains(signal) {
                    _ = watcher.channel.trySend(signal)
                }
            }
        }
    }
}
