// SPDX-License-Identifier: Apache-2.0
//
// The context switch by itself, without Swift, so that its assembly can be run for another processor too, under
// qemu-user. `.ci/context-switch` builds and runs it for this machine and for arm64.

#include "CApus.h"

#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Swift's runtime is not part of this program.
void apus_hazards_enter(const struct apus_hazards *hazards, struct apus_context *context) { (void)hazards, (void)context; }
void apus_hazards_leave(const struct apus_hazards *hazards, struct apus_context *context) { (void)hazards, (void)context; }

static struct apus_thread thread;
struct apus_thread *apus_current_thread(void) { return &thread; }

enum { STACK_BYTES = 64 * 1024, CONTEXTS = 5, ROUNDS = 100000 };

static struct apus_context contexts[CONTEXTS];
static uint64_t results[CONTEXTS];
static int failures;

static void check(int condition, const char *what) {
    if (!condition) {
        printf("FAILED: %s\n", what);
        failures++;
    }
}

static bool no_commit(void *context, void *argument) { (void)context, (void)argument; return true; }

static void suspend(void) {
    apus_context_suspend(&thread, no_commit, NULL, false);
}

/// Keeps more values alive across the switch than there are callee-saved registers, of both kinds, so that each of those
/// registers holds one.
static void mix(void *argument) {
    uintptr_t index = (uintptr_t)argument;
    check(((uintptr_t)__builtin_frame_address(0) & 15) == 0, "the stack of a new context is aligned");
    uint64_t a = index + 1, b = a * 3, c = b * 5, d = c * 7, e = d * 11, f = e * 13, g = f * 17, h = g * 19;
    uint64_t i = h * 23, j = i * 29, k = j * 31, l = k * 37;
    double p = a * 0.5, q = b * 0.25, r = c * 0.125, s = d * 2.5, t = e * 3.5, u = f * 4.5, v = g * 5.5, w = h * 6.5;
    for (int round = 0; round < ROUNDS; round++) {
        suspend();
        a += l; b ^= a; c += b; d ^= c; e += d; f ^= e; g += f; h ^= g; i += h; j ^= i; k += j; l ^= k;
        p += 1; q += p; r += 1; s += r; t += 1; u += t; v += 1; w += v;
    }
    results[index] = a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l ^ (uint64_t)(p + q + r + s + t + u + v + w);
    thread.current->identifier = 0;
    suspend();
    abort();
}

/// What `mix` computes, without switching.
static uint64_t expected(uint64_t index) {
    uint64_t a = index + 1, b = a * 3, c = b * 5, d = c * 7, e = d * 11, f = e * 13, g = f * 17, h = g * 19;
    uint64_t i = h * 23, j = i * 29, k = j * 31, l = k * 37;
    double p = a * 0.5, q = b * 0.25, r = c * 0.125, s = d * 2.5, t = e * 3.5, u = f * 4.5, v = g * 5.5, w = h * 6.5;
    for (int round = 0; round < ROUNDS; round++) {
        a += l; b ^= a; c += b; d ^= c; e += d; f ^= e; g += f; h ^= g; i += h; j ^= i; k += j; l ^= k;
        p += 1; q += p; r += 1; s += r; t += 1; u += t; v += 1; w += v;
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l ^ (uint64_t)(p + q + r + s + t + u + v + w);
}

static void make(int index, void (*entry)(void *)) {
    char *stack = malloc(STACK_BYTES);
    contexts[index] = (struct apus_context){
        .stack_low = stack,
        .stack_high = (char *)(((uintptr_t)stack + STACK_BYTES) & ~(uintptr_t)63),
        .identifier = (uint64_t)index + 1,
    };
    apus_context_prepare(&contexts[index], entry, (void *)(uintptr_t)index);
}

static void run_all(void) {
    for (int living = 1; living > 0;) {
        living = 0;
        for (int index = 0; index < CONTEXTS; index++) {
            if (contexts[index].identifier != 0) {
                apus_context_resume(&thread, &contexts[index]);
                check(thread.current == NULL, "a thread on its own stack has no current context");
                living++;
            }
        }
    }
}

static void test_registers(void) {
    for (int index = 0; index < CONTEXTS; index++) {
        make(index, mix);
    }
    run_all();
    for (int index = 0; index < CONTEXTS; index++) {
        check(results[index] == expected((uint64_t)index), "registers survive switches");
    }
}

static volatile double one = 1, three = 3;
static double towards_zero, towards_infinity;

/// Each context rounds in its own direction, whatever the others do meanwhile.
static void round_own_way(void *argument) {
    uintptr_t index = (uintptr_t)argument;
    check(fegetround() == FE_TONEAREST, "a new context rounds to nearest");
    int mode = index == 0 ? FE_UPWARD : index == 1 ? FE_DOWNWARD : FE_TONEAREST;
    fesetround(mode);
    for (int round = 0; round < 100; round++) {
        suspend();
        check(fegetround() == mode, "the rounding mode travels with the context");
        double third = one / three;
        check(index == 0 ? third == towards_infinity : index != 1 || third == towards_zero, "divisions round that way");
    }
    thread.current->identifier = 0;
    suspend();
}

static void test_rounding(void) {
    fesetround(FE_UPWARD);
    towards_infinity = one / three;
    fesetround(FE_DOWNWARD);
    towards_zero = one / three;
    fesetround(FE_TONEAREST);
    for (int index = 0; index < CONTEXTS; index++) {
        make(index, round_own_way);
    }
    run_all();
    check(fegetround() == FE_TONEAREST, "the thread's own rounding mode stays");
}

static char *seen_stack;

static void remember_stack(void *argument) {
    check(argument == &seen_stack, "the argument arrives");
    check(((uintptr_t)__builtin_frame_address(0) & 15) == 0, "the other stack is aligned");
    seen_stack = apus_stack_pointer();
}

static void test_call_on_stack(void) {
    char *stack = malloc(STACK_BYTES);
    // An end that is not aligned: the function aligns it.
    apus_context_call(stack, stack + STACK_BYTES - 8, remember_stack, &seen_stack);
    check(seen_stack > stack && seen_stack < stack + STACK_BYTES, "the function ran on the other stack");
    char here;
    check(labs((long)((char *)apus_stack_pointer() - &here)) < 4096, "the stack pointer is near a local variable");
}

int main(void) {
    // The fast way of `apus_context_resume` needs somewhere to keep Swift's two words.
    static uintptr_t words[2];
    thread.hazards = (struct apus_hazards){.exclusivity_head = &words[0], .task_local_head = &words[1]};
    test_registers();
    test_rounding();
    thread.hazards = (struct apus_hazards){0};
    test_registers();
    test_call_on_stack();
    printf(failures == 0 ? "context switch: all well\n" : "context switch: %d failures\n", failures);
    return failures != 0;
}
