// SPDX-License-Identifier: Apache-2.0
//
// The thread-locals of the runtime. A goroutine may leave one thread and return on another in the middle of any
// function, and compilers assume that the address of a thread-local never changes within one. So the variables are
// reachable only through functions that are not inlined: each call finds the thread it runs on.
//
// Nor are they instrumented: to the thread sanitizer two goroutines that find themselves on one thread would be two
// threads at one variable.

#include "CApus.h"
#include "sanitizers.h"

#include <pthread.h>

#define NOT_INLINED NOT_INSTRUMENTED __attribute__((noinline))

static __thread struct apus_thread *current_thread;

NOT_INLINED struct apus_thread *apus_current_thread(void) {
    // The barrier keeps an optimiser that sees this body from treating the call as a pure function.
    __asm__ volatile("" ::: "memory");
    return current_thread;
}

NOT_INLINED void apus_set_current_thread(struct apus_thread *thread) {
    current_thread = thread;
}

static pthread_key_t exit_key;
static void (*thread_destructor)(void *);

NOT_INSTRUMENTED static void run_destructor(void *thread) {
    // Other destructors of this thread may still use the runtime; they get a new record, with its own call.
    current_thread = NULL;
    thread_destructor(thread);
}

NOT_INSTRUMENTED void apus_set_thread_destructor(void (*destructor)(void *)) {
    thread_destructor = destructor;
    pthread_key_create(&exit_key, run_destructor);
}

NOT_INSTRUMENTED void apus_destroy_at_thread_exit(void *thread) {
    pthread_setspecific(exit_key, thread);
}
