// SPDX-License-Identifier: Apache-2.0
//
// Programs that send themselves signals. SignalWatcherTests runs them.

import Apus
import CApus

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

let signalScenarios = [
    Scenario("signals", run: unblocked(watchSignals)),
    Scenario("signals-in-a-row", count: 2000, run: unblocked(signalsInARow)),
    Scenario("signal-watchers-come-and-go", count: 500, run: unblocked(watchersComeAndGo)),
    Scenario("signals-former-action", run: unblocked(formerAction)),
    Scenario("signals-after-the-watcher", run: unblocked(afterTheWatcher)),
    Scenario("signals-of-faults", run: signalsOfFaults),
    Scenario("signals-without-descriptors", count: 3, run: unblocked(withoutDescriptors)),
    Scenario("signals-deadlock-afterwards", run: unblocked(deadlockAfterwards)),
    Scenario("signals-are-no-deadlock", run: unblocked(noDeadlock)),
]

/// Tests run on threads on which most signals are blocked, and a child inherits that.
private func unblocked(_ body: @escaping @Sendable (Run) -> Void) -> @Sendable (Run) -> Void {
    { run in
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe pthread_sigmask(SIG_SETMASK, &none, nil)
        body(run)
    }
}

private func send(_ signal: Signal) {
    // To this very thread: it has been handled when the call returns.
    raise(signal.number)
}

/// Several watchers, on goroutines and on the main thread, each of which gets what it watches.
private func watchSignals(_ run: Run) {
    let first = SignalWatcher(for: .user1, .user2)
    let second = SignalWatcher(for: .user2, .hangup)
    let seen = go { [first.wait(), first.wait()] }
    send(.user1)
    send(.hangup)
    run.checkEqual(second.wait(), .hangup, "what the second watcher gets first")
    send(.user2)
    run.checkEqual(second.wait(), .user2, "what it gets then")
    run.check(Set(seen.join()) == [.user1, .user2], "the first watcher got something else")

    // In a select, which something else may end.
    let never = Channel<Int>()
    send(.user2)
    var chosen: Signal?
    select {
        first.channel.onReceive { chosen = $0 }
        never.onReceive { _ in }
    }
    run.checkEqual(chosen, .user2, "what the select gets")

    // What came before the end is received, and then the end.
    run.checkEqual(second.wait(), .user2, "what the second watcher gets too")
    send(.hangup)
    second.stop()
    second.stop()
    run.checkEqual(second.wait(), .hangup, "what came before the end")
    run.checkEqual(second.wait(), nil, "what comes after it")
    // The first one watches on.
    send(.user2)
    run.checkEqual(first.wait(), .user2, "what the first watcher still gets")
}

/// Each is answered before the next is sent: none is lost, whatever the goroutines and the pipe are doing.
private func signalsInARow(_ run: Run) {
    let watcher = SignalWatcher(for: .user1)
    let answers = Channel<Signal>()
    go { for signal in watcher.channel { try? answers.send(signal) } }
    for _ in 0..<run.count {
        send(.user1)
        run.checkEqual(answers.receive(), .user1, "the signal")
    }
}

/// The goroutine that delivers ends with the last watcher and starts again with the next, at any moment.
private func watchersComeAndGo(_ run: Run) {
    let all = WaitGroup()
    for _ in 0..<4 {
        all.add()
        go {
            for _ in 0..<run.count {
                let watcher = SignalWatcher(for: .user1)
                send(.user1)
                run.checkEqual(watcher.wait(), .user1, "the signal")
            }
            all.done()
        }
    }
    all.wait()
}

nonisolated(unsafe) private var formerCount: Int32 = 0

/// The action that a signal had before has it again after the last watcher.
private func formerAction(_ run: Run) {
    signal(Signal.user1.number) { _ in unsafe formerCount += 1 }
    let first = SignalWatcher(for: .user1)
    let second = SignalWatcher(for: .user1)
    send(.user1)
    run.checkEqual(first.wait(), .user1, "the first watcher's")
    first.stop()
    send(.user1)
    run.checkEqual(second.wait(), .user1, "the second watcher's")
    run.checkEqual(second.wait(), .user1, "the second watcher's other")
    run.checkEqual(unsafe formerCount, 0, "the former action's while it was watched")
    second.stop()
    raise(Signal.user1.number)
    run.checkEqual(unsafe formerCount, 1, "the former action's afterwards")

    // One that is ignored is ignored again.
    signal(Signal.user2.number, SIG_IGN)
    do {
        let watcher = SignalWatcher(for: .user2)
        send(.user2)
        run.checkEqual(watcher.wait(), .user2, "what had been ignored")
    }
    raise(Signal.user2.number)

    // What somebody else has taken meanwhile stays with them.
    let third = SignalWatcher(for: .user1)
    signal(Signal.user1.number) { _ in unsafe formerCount += 10 }
    third.stop()
    raise(Signal.user1.number)
    run.checkEqual(unsafe formerCount, 11, "the new action's")
}

/// The second signal does what signals do.
private func afterTheWatcher(_ run: Run) {
    let watcher = SignalWatcher(for: .terminate)
    send(.terminate)
    run.checkEqual(watcher.wait(), .terminate, "the first signal")
    watcher.stop()
    send(.terminate)
    while true { Goroutine.yield() }
}

private func signalsOfFaults(_ run: Run) {
    _ = SignalWatcher(for: .terminate, Signal(number: SIGSEGV))
}

/// The first watcher of a process that may open nothing, and then may again.
private func withoutDescriptors(_ run: Run) {
    #if canImport(Glibc)
    let limitOfDescriptors = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
    let limitOfDescriptors = RLIMIT_NOFILE
    #endif
    var limit = rlimit()
    run.check(unsafe getrlimit(limitOfDescriptors, &limit) == 0, "the limit cannot be read")
    // The runtime has what it needs.
    go {}.join()
    let before = limit.rlim_cur
    limit.rlim_cur = 0
    run.check(unsafe setrlimit(limitOfDescriptors, &limit) == 0, "the limit cannot be set")
    run.check(unsafe open("/dev/null", O_RDONLY) < 0, "a file was opened")
    let watcher = SignalWatcher(for: .user1, .user2)
    for _ in 0..<run.count {
        send(.user1)
        run.checkEqual(watcher.wait(), .user1, "the signal while nothing can be opened")
    }
    limit.rlim_cur = before
    run.check(unsafe setrlimit(limitOfDescriptors, &limit) == 0, "the limit cannot be set again")
    for _ in 0..<run.count {
        send(.user2)
        run.checkEqual(watcher.wait(), .user2, "the signal afterwards")
    }
}

/// Nothing of a watcher that has stopped keeps the program from being found deadlocked.
private func deadlockAfterwards(_ run: Run) {
    for _ in 0..<3 {
        let watcher = SignalWatcher(for: .user1)
        send(.user1)
        run.checkEqual(watcher.wait(), .user1, "the signal")
        watcher.stop()
    }
    _ = Channel<Int>().receive()
}

/// Who waits for a signal may get one, whatever else is asleep.
private func noDeadlock(_ run: Run) {
    let watcher = SignalWatcher(for: .user1)
    let sender = go {
        // Longer than the monitor takes to look, with `rounds=1`.
        blocking { apus_thread_sleep(100_000_000) }
        kill(getpid(), Signal.user1.number)
    }
    run.checkEqual(watcher.wait(), .user1, "the signal")
    sender.join()
}
