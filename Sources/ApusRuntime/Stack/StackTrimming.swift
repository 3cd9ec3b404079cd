// SPDX-License-Identifier: Apache-2.0
//
// Giving back what a deep call has left on the stack of a goroutine that is about to wait for long. Pooled stacks are
// trimmed by the pool; this is for those that stay in use, a server's idle connections above all.

internal import CApus

/// Gives back the pages of the calling goroutine's stack that lie below all frames. Costs a system call, and a page fault
/// for each page that is used again: worth it before a wait of a second, not before one of a millisecond.
///
/// The caller's page stays, and the one below it where the frame is near its end. Does nothing on a plain thread.
package func discardUnusedStack() {
    guard let goroutine = ThreadReference.current?.running, let low = unsafe goroutine.record.context.stack_low else {
        return
    }
    // SAFETY: nothing below the frames of a goroutine is used by anybody, and these are its present stack's bounds.
    unsafe apus_stack_discard_unused(low)
}
