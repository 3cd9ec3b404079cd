// SPDX-License-Identifier: Apache-2.0
//
// Prepares contexts for their first run, and resumes them with Swift's thread-local words in place.

#include "CApus.h"
#include "sanitizers.h"

#include <string.h>

extern void apus_goroutine_start(void);

void apus_context_prepare(struct apus_context *context, void (*entry)(void *), void *argument) {
#if defined(__x86_64__)
    uintptr_t *frame = (uintptr_t *)context->stack_high - 8;
    uint32_t mxcsr;
    uint16_t control;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(control));
    // Exceptions' flags are sticky and belong to whoever raised them: keep the control bits alone.
    frame[0] = (uintptr_t)(mxcsr & ~0x3fu) | ((uintptr_t)control << 32);
    frame[1] = 0;                                // r15
    frame[2] = 0;                                // r14
    frame[3] = (uintptr_t)entry;                 // r13
    frame[4] = (uintptr_t)argument;              // r12
    frame[5] = 0;                                // rbx
    frame[6] = 0;                                // rbp
    frame[7] = (uintptr_t)&apus_goroutine_start; // return address
    context->stack_pointer = frame;
#elif defined(__aarch64__)
    uintptr_t *frame = (uintptr_t *)context->stack_high - 22;
    uintptr_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    memset(frame, 0, 22 * sizeof(uintptr_t));
    frame[0] = (uintptr_t)argument;               // x19
    frame[1] = (uintptr_t)entry;                  // x20
    frame[11] = (uintptr_t)&apus_goroutine_start; // x30
    frame[20] = fpcr;
    context->stack_pointer = frame;
#else
#error "Apus has a context switch for x86-64 and arm64 only"
#endif
    context->exclusivity[0] = 0;
    context->exclusivity[1] = 0;
    context->task_local_head = 0;
    sanitizer_prepare(context);
}

NOT_INSTRUMENTED void apus_context_resume(struct apus_thread *thread, struct apus_context *context) {
    // These addresses are the thread's, and a thread's own stack never migrates: they stay right across the switch.
    // A worker's own stack has no accesses and no bindings, so there is nothing to put aside.
    uintptr_t *exclusivity = thread->hazards.exclusivity_head;
    uintptr_t *task_local = thread->hazards.task_local_head;
    thread->current = context;
    sanitizer_resume(thread, context);
    if (__builtin_expect(exclusivity != NULL && task_local != NULL, 1)) {
        *exclusivity = context->exclusivity[0];
        *task_local = context->task_local_head;
        apus_switch(&thread->own_stack_pointer, context->stack_pointer);
        context->exclusivity[0] = *exclusivity;
        context->task_local_head = *task_local;
        *exclusivity = 0;
        *task_local = 0;
    } else {
        apus_hazards_enter(&thread->hazards, context);
        apus_switch(&thread->own_stack_pointer, context->stack_pointer);
        apus_hazards_leave(&thread->hazards, context);
    }
    sanitizer_returned(thread, context);
    thread->current = NULL;
}

// Written by the thread itself, plainly: a race, and none that matters.
NOT_INSTRUMENTED struct apus_context *apus_thread_context(const struct apus_thread *thread) {
    return *(struct apus_context *const volatile *)&thread->current;
}

NOT_INSTRUMENTED void apus_context_started(void) {
    sanitizer_arrived(apus_current_thread());
}

NOT_INSTRUMENTED void apus_context_suspend(struct apus_thread *thread, apus_commit *commit, void *argument, bool ends) {
    struct apus_context *context = thread->current;
    thread->commit = commit;
    thread->commit_argument = argument;
    sanitizer_suspend(thread, ends);
    apus_switch(&context->stack_pointer, thread->own_stack_pointer);
#if defined(APUS_ADDRESS_SANITIZER) || defined(APUS_THREAD_SANITIZER)
    // Asked again: it may be another thread.
    sanitizer_arrived(apus_current_thread());
#endif
}

void apus_context_ended(struct apus_context *context, void *memory_high) {
    sanitizer_ended(context);
#if defined(APUS_ADDRESS_SANITIZER) || defined(APUS_THREAD_SANITIZER)
    if (apus_is_sanitized()) {
        apus_sanitizer_forget(context->stack_low, memory_high);
    }
#else
    (void)memory_high;
#endif
}

// MARK: Calling on another stack

#if defined(APUS_ADDRESS_SANITIZER)

struct call {
    void (*function)(void *);
    void *argument;
    void *fake_stack;
    const void *outer_low;
    size_t outer_bytes;
};

NOT_INSTRUMENTED static void make_call(void *argument) {
    struct call *call = argument;
    __sanitizer_finish_switch_fiber(NULL, &call->outer_low, &call->outer_bytes);
    call->function(call->argument);
    __sanitizer_start_switch_fiber(NULL, call->outer_low, call->outer_bytes);
}

NOT_INSTRUMENTED void apus_context_call(void *stack_low, void *stack_high, void (*function)(void *), void *argument) {
    struct call call = {.function = function, .argument = argument};
    __sanitizer_start_switch_fiber(&call.fake_stack, stack_low, (size_t)((char *)stack_high - (char *)stack_low));
    apus_call_on_stack(stack_high, make_call, &call);
    __sanitizer_finish_switch_fiber(call.fake_stack, NULL, NULL);
}

#else

void apus_context_call(void *stack_low, void *stack_high, void (*function)(void *), void *argument) {
    (void)stack_low;
    apus_call_on_stack(stack_high, function, argument);
}

#endif
