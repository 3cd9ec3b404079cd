// SPDX-License-Identifier: Apache-2.0
//
// What Swift cannot express: switching stacks, thread-local state behind calls the compiler cannot cache, and system
// calls that answer `-errno` instead of setting a thread-local. Everything else of Apus is Swift.
//
//   switch_x86_64.S, switch_aarch64.S   the context switch, the first frame of a goroutine, calling on another stack
//   worker_local.c                      the current thread's record, behind functions that are never inlined
//   swift_hazards.c                     the thread-local words of the Swift runtime that must travel with a goroutine
//   sanitizers.h, sanitizers.c          what the thread and the address sanitizer are told
//   overflow_report.c                   the SIGSEGV handler that recognises a goroutine's guard region
//   stack_walk.c, images.c, quit_signal.c   what a dump of the goroutines needs (apus_debug.h)
//   file_calls.c                        files beneath a folder (apus_files.h)
//   signals.c                           signals that goroutines wait for (apus_signals.h)
//   syscalls.c                          system calls: each returns >= 0, or -errno

#ifndef APUS_H
#define APUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apus_debug.h"
#include "apus_names.h"
#include "apus_files.h"
#include "apus_sanitizers.h"
#include "apus_signals.h"
#include "apus_sockets.h"
#include "apus_syscalls.h"

// MARK: Contexts

/// What the switch saves of a goroutine. First member of every goroutine record, so that the signal handler can read it.
struct apus_context {
    /// Where the callee-saved registers lie while the goroutine is not running.
    void *_Nullable stack_pointer;
    /// The goroutine's exclusivity accesses while it is not running: the head of their list, or, where that cannot be
    /// reached, what the Swift runtime's own functions keep in these two words (see swift_hazards.c).
    uintptr_t exclusivity[2];
    /// Head of the goroutine's task-local bindings while it is not running.
    uintptr_t task_local_head;
    /// Bounds of the stack the goroutine is on at present: [stack_low, stack_high), the guard below stack_low.
    char *_Nullable stack_low;
    char *_Nullable stack_high;
    size_t guard_bytes;
    /// Unique for the life of the process; kept after the end, until the record is used again.
    uint64_t identifier;
    /// A sanitizer's own (see sanitizers.h); NULL without one.
    void *_Nullable sanitizer_state;
};

/// Addresses of the Swift runtime's thread-local words on one thread; NULL where a word was not found.
struct apus_hazards {
    uintptr_t *_Nullable exclusivity_head;
    uintptr_t *_Nullable task_local_head;
};

/// What a context that has left its stack wants done on the thread's own: `context` is its address.
typedef bool apus_commit(void *_Nonnull context, void *_Nullable argument);

/// First member of every thread record, so that the switch and the signal handler can reach it.
struct apus_thread {
    /// The context that this thread runs, or NULL while it is on its own stack.
    struct apus_context *_Nullable current;
    /// Where the thread's own registers lie while it runs a context.
    void *_Nullable own_stack_pointer;
    /// What the context that just left its stack asked for.
    apus_commit *_Nullable commit;
    void *_Nullable commit_argument;
    struct apus_hazards hazards;
    // A sanitizer's own (see sanitizers.h): NULL and 0 without one.
    void *_Nullable sanitizer_state;
    const void *_Nullable own_stack_low;
    size_t own_stack_bytes;
};

/// Prepares `context` so that the first resume calls `entry(argument)` at `stack_high`. `entry` must never return.
void apus_context_prepare(struct apus_context *_Nonnull context,
                          void (*_Nonnull entry)(void *_Nullable), void *_Nullable argument);

/// Runs `context` until it suspends. To be called on a thread's own stack, never on a goroutine's.
/// Saves and restores the Swift runtime's thread-local words around it.
void apus_context_resume(struct apus_thread *_Nonnull thread, struct apus_context *_Nonnull context);

/// The context that `thread` runs at this moment, or NULL. For people to read: it may have changed already.
struct apus_context *_Nullable apus_thread_context(const struct apus_thread *_Nonnull thread);

/// To be called first on the stack of a new context.
void apus_context_started(void);

/// Leaves the running context: saves its registers on its stack and continues the thread that resumed it, which finds
/// `commit` and `argument` in its record. Returns when the context is resumed, perhaps on another thread; never when it `ends`.
void apus_context_suspend(struct apus_thread *_Nonnull thread, apus_commit *_Nonnull commit, void *_Nullable argument,
                          bool ends);

/// To be called on the thread's own stack after a context has ended, before it is prepared again. What lies from its
/// stack's low end up to `memory_high` is the goroutine's own: its stack and its record.
void apus_context_ended(struct apus_context *_Nonnull context, void *_Nonnull memory_high);

/// The switch itself: saves the registers on the stack, stores where, and continues what was saved at `load`.
void apus_switch(void *_Nullable *_Nonnull save, void *_Nullable load);

/// Calls `function(argument)` on the stack [stack_low, stack_high), and returns when it does, perhaps on another thread.
void apus_context_call(void *_Nonnull stack_low, void *_Nonnull stack_high,
                       void (*_Nonnull function)(void *_Nullable), void *_Nullable argument);
void apus_call_on_stack(void *_Nonnull stack_high, void (*_Nonnull function)(void *_Nullable), void *_Nullable argument);

/// The address of the caller's frame: how deep the current stack is.
void *_Nonnull apus_stack_pointer(void);
/// The caller's frame pointer: where a backtrace of what it waits for begins.
uintptr_t apus_frame_pointer(void);

// MARK: Thread-local state

/// The record of the current thread, or NULL on a thread that never used the runtime.
struct apus_thread *_Nullable apus_current_thread(void);

/// Sets it. `destructor`, given once, frees the record of a thread that ends.
void apus_set_current_thread(struct apus_thread *_Nullable thread);
void apus_set_thread_destructor(void (*_Nonnull destructor)(void *_Nonnull));
/// Asks that the destructor be called for this thread's record when the thread ends.
void apus_destroy_at_thread_exit(void *_Nonnull thread);

// MARK: Swift's thread-local words

/// Finds the two words on the calling thread by watching what the Swift runtime writes.
void apus_hazards_find(struct apus_hazards *_Nonnull hazards);
/// Put the state of a context in place on this thread, and take it away again.
void apus_hazards_enter(const struct apus_hazards *_Nonnull hazards, struct apus_context *_Nonnull context);
void apus_hazards_leave(const struct apus_hazards *_Nonnull hazards, struct apus_context *_Nonnull context);

// MARK: Overflow reports

/// Gives the calling thread a signal stack of its own (a handler cannot run on a stack that has overflowed).
/// Returns the memory, to be given back with apus_signal_stack_free, or NULL when there is none.
void *_Nullable apus_signal_stack_install(void);
void apus_signal_stack_free(void *_Nullable memory);

/// Installs the SIGSEGV and SIGBUS handler, once, in front of whatever is installed already.
void apus_overflow_handler_install(void);

#endif
