// SPDX-License-Identifier: Apache-2.0
//
// A goroutine that touches the guard region below its stack gets a report that names it and its limit, and a
// backtrace. Any other fault goes to the handler that was there before (Swift's own backtracer, or none).
//
// Everything here runs inside a signal handler, on the thread's signal stack: no allocation, no locks.

#define _GNU_SOURCE
#include "CApus.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { SIGNAL_STACK_BYTES = 64 * 1024, BACKTRACE_FRAMES = 32, FIRST_FRAMES_BYTES = 1024 };

static struct sigaction previous_segv;
static struct sigaction previous_bus;

void *apus_signal_stack_install(void) {
    void *memory = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    stack_t stack = {.ss_sp = memory, .ss_size = SIGNAL_STACK_BYTES};
    if (sigaltstack(&stack, NULL) != 0) {
        munmap(memory, SIGNAL_STACK_BYTES);
        return NULL;
    }
    return memory;
}

void apus_signal_stack_free(void *memory) {
    if (memory != NULL) {
        stack_t disabled = {.ss_flags = SS_DISABLE};
        sigaltstack(&disabled, NULL);
        munmap(memory, SIGNAL_STACK_BYTES);
    }
}

struct line {
    char text[512];
    size_t used;
};

static void append_text(struct line *line, const char *text) {
    while (*text != 0 && line->used < sizeof line->text) {
        line->text[line->used++] = *text++;
    }
}

static void append_number(struct line *line, uint64_t number, unsigned base) {
    char digits[20];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    while (count > 0 && line->used < sizeof line->text) {
        line->text[line->used++] = digits[--count];
    }
}

static void write_line(struct line *line) {
    if (line->used == sizeof line->text) {
        line->used--;
    }
    line->text[line->used++] = '\n';
    apus_write_error(line->text, line->used);
}

static void write_frame(int number, uintptr_t address) {
    struct line line = {.used = 0};
    append_text(&line, "  ");
    append_number(&line, (uint64_t)number, 10);
    append_text(&line, "  0x");
    append_number(&line, address, 16);
    Dl_info info;
    if (dladdr((void *)address, &info) != 0) {
        if (info.dli_sname != NULL) {
            append_text(&line, " ");
            append_text(&line, info.dli_sname);
            append_text(&line, " + ");
            append_number(&line, address - (uintptr_t)info.dli_saddr, 10);
        }
        if (info.dli_fname != NULL) {
            const char *name = strrchr(info.dli_fname, '/');
            append_text(&line, " in ");
            append_text(&line, name != NULL ? name + 1 : info.dli_fname);
            append_text(&line, " + 0x");
            append_number(&line, address - (uintptr_t)info.dli_fbase, 16);
        }
    }
    write_line(&line);
}

struct registers {
    uintptr_t instruction, stack, frame;
};

static struct registers registers_of(void *signal_context) {
    ucontext_t *machine = signal_context;
#if defined(__linux__) && defined(__x86_64__)
    const greg_t *general = machine->uc_mcontext.gregs;
    return (struct registers){(uintptr_t)general[REG_RIP], (uintptr_t)general[REG_RSP], (uintptr_t)general[REG_RBP]};
#elif defined(__linux__) && defined(__aarch64__)
    const mcontext_t *state = &machine->uc_mcontext;
    return (struct registers){(uintptr_t)state->pc, (uintptr_t)state->sp, (uintptr_t)state->regs[29]};
#elif defined(__APPLE__) && defined(__x86_64__)
    const _STRUCT_X86_THREAD_STATE64 *state = &machine->uc_mcontext->__ss;
    return (struct registers){(uintptr_t)state->__rip, (uintptr_t)state->__rsp, (uintptr_t)state->__rbp};
#elif defined(__APPLE__) && defined(__aarch64__)
    const _STRUCT_ARM_THREAD_STATE64 *state = &machine->uc_mcontext->__ss;
    return (struct registers){(uintptr_t)state->__pc, (uintptr_t)state->__sp, (uintptr_t)state->__fp};
#else
    (void)machine;
    return (struct registers){0};
#endif
}

/// What a function pushes first: where its caller's lies, and where it returns to.
struct frame_record {
    uintptr_t next, address;
};

static bool is_on_stack(const struct apus_context *context, uintptr_t frame) {
    // Subtracted from the end: any value may be in the register, also one that an addition would take around.
    return frame >= (uintptr_t)context->stack_low
        && frame <= (uintptr_t)context->stack_high - sizeof(struct frame_record) && frame % sizeof(uintptr_t) == 0;
}

static bool is_in_code(uintptr_t address) {
    Dl_info info;
    return address != 0 && dladdr((void *)address, &info) != 0;
}

/// The next frame record outwards, or 0.
static uintptr_t next_frame(const struct apus_context *context, uintptr_t frame) {
    const struct frame_record *record = (const struct frame_record *)frame;
    return record->next > frame && is_on_stack(context, record->next) ? record->next : 0;
}

/// Whether a frame record lies here from which one comes to the goroutine's first frames. (What a function that has
/// returned has left behind may look like a record too, but of its callers' some are overwritten by now.)
static bool is_frame(const struct apus_context *context, uintptr_t frame) {
    if (!is_on_stack(context, frame) || !is_in_code(((const struct frame_record *)frame)->address)) {
        return false;
    }
    uintptr_t last = frame;
    for (uintptr_t next = frame; next != 0; next = next_frame(context, next)) {
        last = next;
    }
    return last != frame && (uintptr_t)context->stack_high - last < FIRST_FRAMES_BYTES;
}

/// The innermost frame record, or 0 if there is none. The fault may be in a function that keeps none and has the frame
/// pointer's register for its own use, as the C library's have (deep recursion that allocates ends in one of them most
/// often): then the lowest on the stack.
static uintptr_t innermost_frame(const struct apus_context *context, const struct registers *registers) {
    if (is_frame(context, registers->frame)) {
        return registers->frame;
    }
    uintptr_t low = (uintptr_t)context->stack_low;
    uintptr_t frame = (registers->stack > low ? registers->stack : low) & ~(uintptr_t)(sizeof(uintptr_t) - 1);
    while (is_on_stack(context, frame)) {
        if (is_frame(context, frame)) {
            return frame;
        }
        frame += sizeof(uintptr_t);
    }
    return is_on_stack(context, registers->frame) ? registers->frame : 0;
}

/// Follows the frame pointers, which Swift keeps in every function, as long as they lie on the goroutine's stack.
static void write_backtrace(const struct apus_context *context, void *signal_context) {
    struct registers registers = registers_of(signal_context);
    int number = 0;
    uint64_t depth = 0;
    if (registers.instruction != 0) {
        write_frame(number++, registers.instruction);
    }
    uintptr_t frame = innermost_frame(context, &registers);
    while (frame != 0) {
        const struct frame_record *record = (const struct frame_record *)frame;
        if (record->address == 0) {
            break;
        }
        if (number < BACKTRACE_FRAMES) {
            write_frame(number++, record->address);
        }
        depth++;
        frame = next_frame(context, frame);
    }
    if (depth >= BACKTRACE_FRAMES) {
        struct line line = {.used = 0};
        append_text(&line, "  ... and ");
        append_number(&line, depth + 1 - BACKTRACE_FRAMES, 10);
        append_text(&line, " frames more");
        write_line(&line);
    }
}

static void report_overflow(const struct apus_context *context, void *signal_context) {
    struct line line = {.used = 0};
    append_text(&line, "apus: goroutine ");
    append_number(&line, context->identifier, 10);
    append_text(&line, " overflowed its stack of ");
    // The goroutine's record takes the last few hundred bytes of its slot: whole pages are what people are told.
    uint64_t pages = (uint64_t)(context->stack_high - context->stack_low + 4095) / 4096;
    append_number(&line, pages * 4, 10);
    append_text(&line, " KiB; start it with go(stackSize:), or wrap the deep call in withStack(atLeast:)");
    write_line(&line);
    write_backtrace(context, signal_context);
}

static void handle_fault(int signal_number, siginfo_t *info, void *signal_context) {
    static volatile sig_atomic_t reported;
    const struct apus_thread *thread = apus_current_thread();
    const struct apus_context *context = thread != NULL ? thread->current : NULL;
    char *address = info->si_addr;
    if (context != NULL && address < context->stack_low
        && address >= context->stack_low - context->guard_bytes && !reported) {
        reported = 1;
        report_overflow(context, signal_context);
        // Die of the fault itself, so that a parent process and a core dump see it: the instruction runs again.
        signal(signal_number, SIG_DFL);
        return;
    }
    const struct sigaction *previous = signal_number == SIGSEGV ? &previous_segv : &previous_bus;
    if ((previous->sa_flags & SA_SIGINFO) != 0 && previous->sa_sigaction != NULL) {
        previous->sa_sigaction(signal_number, info, signal_context);
    } else if (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN) {
        signal(signal_number, SIG_DFL);
    } else {
        previous->sa_handler(signal_number);
    }
}

void apus_overflow_handler_install(void) {
    struct sigaction action = {.sa_sigaction = handle_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &previous_segv);
    sigaction(SIGBUS, &action, &previous_bus);
}
