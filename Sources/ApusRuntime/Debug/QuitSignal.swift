// SPDX-License-Identifier: Apache-2.0
//
// SIGQUIT (Ctrl-\, kill -QUIT) writes a dump of all goroutines to standard error, and the program goes on.
//
// The handler counts requests and wakes the monitor, nothing else (Sources/CApus/quit_signal.c). The monitor starts a
// thread that writes the dump: it may take a second, and standard error may be a pipe that nobody reads.
//
// The signal is taken when the first goroutine is started, unless the program has given it an action before;
// `APUS_DEBUG=sigquit=off` leaves it alone, `sigquit=take` takes it in any case. Where it is blocked it stays so: somebody may wait for it with `sigwait`.

import CApus
import Synchronization

struct QuitSignal: ~Copyable {
    /// Signals that came. Written by the handler.
    private let requests = Atomic<UInt32>(0)
    /// How many of them the last dump answered. The monitor's alone.
    private let answered = Atomic<UInt32>(0)
    /// Whether a thread is writing at present.
    private let isWriting = Atomic<Bool>(false)

    private static var stackBytes: Int { 1 << 20 }

    /// Takes the signal; `fromOthers`: even if it has an action. `monitorState` is the word on which the monitor sleeps.
    func install(wakes monitorState: borrowing Atomic<UInt32>, fromOthers: Bool) {
        unsafe withUnsafePointer(to: requests) { requests in
            unsafe withUnsafePointer(to: monitorState) { state in
                // SAFETY: both lie in the scheduler's record, which stays for ever.
                _ = unsafe apus_quit_signal_install(
                    UnsafeMutableRawPointer(mutating: requests), UnsafeMutableRawPointer(mutating: state), fromOthers)
            }
        }
    }

    /// Sequentially consistent: the monitor says that it sleeps and then asks; the handler counts and then looks whether
    /// it sleeps.
    var isRequested: Bool {
        requests.load(ordering: .sequentiallyConsistent) != answered.load(ordering: .relaxed)
    }

    /// The monitor calls this at each look. Signals that come while a dump is being written are answered by another one.
    func dumpIfRequested() {
        let count = requests.load(ordering: .sequentiallyConsistent)
        guard count != answered.load(ordering: .relaxed),
            isWriting.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
        else { return }
        answered.store(count, ordering: .relaxed)
        let result = unsafe withUnsafePointer(to: isWriting) { isWriting in
            unsafe apus_thread_start(
                { isWriting in
                    writeError(Dump().text() + "\n")
                    unsafe isWriting!.assumingMemoryBound(to: Atomic<Bool>.self).pointee
                        .store(false, ordering: .releasing)
                    return nil
                }, UnsafeMutableRawPointer(mutating: isWriting), Self.stackBytes, "apus dump")
        }
        if result != 0 {
            isWriting.store(false, ordering: .releasing)
            writeError("apus: cannot start a thread to dump the goroutines (error \(-result))\n")
        }
    }
}
