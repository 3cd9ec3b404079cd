// SPDX-License-Identifier: Apache-2.0
//
// Where two sides each write one thing and read the other's, and one must see the other, both need a full fence between the
// write and the read. When one side comes by millions of times more often, its fence can be left to the other side, which
// makes the processors of all running threads of the process pass one: Linux does that for whoever asks (membarrier).
// Where it does not (older kernels, sandboxes that know no membarrier, other systems), both fences are real.
//
//     frequent side:  write x;  light();  read y        light: keeps the compiler from reordering; no instruction
//     rare side:      write y;  heavy();  read x        heavy: a system call of some microseconds
//
// Why one of them sees the other: each thread of the process passes a full fence at some instant during `heavy`, be it in an
// interrupt, or because it was not running. Before its instant, the frequent side has written x, and the rare side sees it
// afterwards; or it has not, and then it reads y after its instant, and sees what the rare side wrote.

import CApus

enum AsymmetricFence {
    private static let isPrepared: Bool = {
        if !Scheduler.shared.record.configuration.fencesAreFull { apus_fences_prepare() }
        return true
    }()

    /// To be called before the first of either fence, by whoever makes what is fenced. (Not by who uses it: in a process with
    /// many threads the kernel may take milliseconds to register it, the first time.)
    static func prepare() { _ = isPrepared }

    @inline(__always)
    static func light() { apus_fence_light() }

    static func heavy() {
        let result = apus_fence_heavy()
        // It was registered, so it was allowed then: a sandbox has been closed since. Going on without the fence would let a
        // reader and a writer in together.
        if result != 0 {
            fail(
                "the kernel refuses membarrier (error \(-result)), which it had allowed before; allow it in the sandbox, or set APUS_DEBUG=fences=full"
            )
        }
    }
}
