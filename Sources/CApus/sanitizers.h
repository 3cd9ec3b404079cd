// SPDX-License-Identifier: Apache-2.0
//
// What the thread and the address sanitizer must be told at a switch of stacks. Without a sanitizer all of it is empty.
// The functions that call these must not be instrumented themselves: they are entered on one stack and left on another.
// What else they are told: include/apus_sanitizers.h.
//
// Each step names who calls it, and on which stack:
//
//     sanitizer_prepare    the spawner's   before the first switch to a context
//     sanitizer_resume     thread's own    before the switch to a context
//     sanitizer_arrived    context's       after it, at its start and after each suspension
//     sanitizer_suspend    context's       before the switch back
//     sanitizer_returned   thread's own    after it
//     sanitizer_ended      thread's own    after the last switch back

#ifndef APUS_SANITIZERS_H
#define APUS_SANITIZERS_H

#include "CApus.h"

#include <stdio.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define APUS_THREAD_SANITIZER 1
#endif
#if __has_feature(address_sanitizer)
#define APUS_ADDRESS_SANITIZER 1
#endif
#endif

#if defined(APUS_THREAD_SANITIZER) || defined(APUS_ADDRESS_SANITIZER)
#define NOT_INSTRUMENTED __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define NOT_INSTRUMENTED
#endif

// Part of their callers in debug builds too: a function that begins on one stack and ends on another must not exist.
#define STEP static inline __attribute__((always_inline))

#if defined(APUS_THREAD_SANITIZER)

// sanitizer/tsan_interface.h. A switch with the flag 0 says that what came before it happens before what comes after it.
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_set_fiber_name(void *fiber, const char *name);
void __tsan_acquire(void *address);
// End and begin again, for a moment, what __tsan_mutex_pre_signal has begun (see sanitizers.c).
void __tsan_mutex_pre_divert(void *address, unsigned flags);
void __tsan_mutex_post_divert(void *address, unsigned flags);

enum { TSAN_SWITCH_ORDERS_NOTHING = 1 };

/// Two goroutines are in order when something orders them, and not because one thread ran both.
STEP unsigned switch_flags(void) { return apus_sanitizer_listens ? TSAN_SWITCH_ORDERS_NOTHING : 0; }

/// What the spawner did so far happens before all that the goroutine does. The caller is hidden.
STEP void sanitizer_prepare(struct apus_context *context) {
    if (apus_sanitizer_listens) {
        __tsan_mutex_pre_divert(NULL, 0);
    }
    context->sanitizer_state = __tsan_create_fiber(0);
    if (apus_sanitizer_listens) {
        __tsan_mutex_post_divert(NULL, 0);
    }
    char name[40];
    snprintf(name, sizeof name, "goroutine %llu", (unsigned long long)context->identifier);
    __tsan_set_fiber_name(context->sanitizer_state, name);
}

STEP void sanitizer_resume(struct apus_thread *thread, struct apus_context *context) {
    thread->sanitizer_state = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(context->sanitizer_state, switch_flags());
}

STEP void sanitizer_arrived(struct apus_thread *thread) {
    // Whoever made the goroutine ready has released its context.
    if (apus_sanitizer_listens) {
        __tsan_acquire(thread->current);
    }
}

STEP void sanitizer_suspend(struct apus_thread *thread, bool ends) {
    (void)ends;
    __tsan_switch_to_fiber(thread->sanitizer_state, switch_flags());
}

STEP void sanitizer_returned(struct apus_thread *thread, struct apus_context *context) {
    (void)thread, (void)context;
}

STEP void sanitizer_ended(struct apus_context *context) {
    __tsan_destroy_fiber(context->sanitizer_state);
    context->sanitizer_state = NULL;
}

#elif defined(APUS_ADDRESS_SANITIZER)

void sanitizer_count_goroutine(void);

// sanitizer/common_interface_defs.h. `sanitizer_state` keeps the fake stack of whoever is not running.
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old, size_t *size_old);

STEP void sanitizer_prepare(struct apus_context *context) {
    (void)context;
    sanitizer_count_goroutine();
}

STEP void sanitizer_resume(struct apus_thread *thread, struct apus_context *context) {
    __sanitizer_start_switch_fiber(&thread->sanitizer_state, context->stack_low,
                                   (size_t)(context->stack_high - context->stack_low));
}

STEP void sanitizer_arrived(struct apus_thread *thread) {
    __sanitizer_finish_switch_fiber(thread->current->sanitizer_state, &thread->own_stack_low, &thread->own_stack_bytes);
}

STEP void sanitizer_suspend(struct apus_thread *thread, bool ends) {
    // No place to save to: the context's fake stack is freed.
    __sanitizer_start_switch_fiber(ends ? NULL : &thread->current->sanitizer_state, thread->own_stack_low,
                                   thread->own_stack_bytes);
}

STEP void sanitizer_returned(struct apus_thread *thread, struct apus_context *context) {
    (void)context;
    __sanitizer_finish_switch_fiber(thread->sanitizer_state, NULL, NULL);
}

STEP void sanitizer_ended(struct apus_context *context) { context->sanitizer_state = NULL; }

#else

STEP void sanitizer_prepare(struct apus_context *context) { (void)context; }
STEP void sanitizer_resume(struct apus_thread *thread, struct apus_context *context) {
    (void)thread, (void)context;
}
STEP void sanitizer_arrived(struct apus_thread *thread) { (void)thread; }
STEP void sanitizer_suspend(struct apus_thread *thread, bool ends) { (void)thread, (void)ends; }
STEP void sanitizer_returned(struct apus_thread *thread, struct apus_context *context) {
    (void)thread, (void)context;
}
STEP void sanitizer_ended(struct apus_context *context) { (void)context; }

#endif

#endif
