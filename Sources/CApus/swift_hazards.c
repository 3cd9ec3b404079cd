// SPDX-License-Identifier: Apache-2.0
//
// Two words of the Swift runtime are thread-local but belong to the code that runs, so they must travel with a
// goroutine from thread to thread:
//
//   - the head of the list of exclusivity accesses. Its nodes lie on the stack. A goroutine that parks inside
//     `modify(&object.field)` and resumes on another thread would end an access that the other thread never began
//     (a trap in swift_endAccess), and leave the first thread a list that leads into a stack it does not own.
//   - the head of the task-local bindings made outside a task (`TaskLocal.withValue` on a plain thread). A goroutine
//     that parks inside would leave its bindings to whatever runs next.
//
// Neither has an accessor. On ELF systems their addresses are found by watching: begin an access (push a binding), look
// which word of this thread's TLS blocks now names it, and undo it. The words' addresses are then as good as variables,
// for this thread, which costs a load and a store at a switch instead of two calls.
//
// On Darwin the two words are values of reserved pthread keys, which have no address to watch: there, and wherever a
// word is not found, the accesses travel by the Swift runtime's own two functions.

#define _GNU_SOURCE
#include "CApus.h"

#if defined(__linux__)

#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

// Exported by the Swift runtime: stdlib/public/runtime/Exclusivity.cpp and stdlib/public/Concurrency/TaskLocal.cpp.
extern void swift_beginAccess(void *pointer, void *buffer, uintptr_t flags, void *pc);
extern void swift_endAccess(void *buffer);
extern __attribute__((swiftcall)) void swift_task_localValuePush(const void *key, void *value, const void *value_type);
extern __attribute__((swiftcall)) void swift_task_localValuePop(void);
// Metadata of Swift.Int.
extern const char $sSiN[];

enum { ACCESS_MODIFY = 1, ACCESS_TRACKING = 0x20 };

/// Calls `visit` with each TLS block that the calling thread has.
struct block_visitor {
    void (*visit)(struct block_visitor *visitor, uintptr_t *words, size_t count);
    // For a search by value.
    uintptr_t value;
    uintptr_t *found;
    int matches;
    // For a search by change: the words as they were.
    uintptr_t *copy;
    size_t capacity;
    size_t used;
};

static int visit_module(struct dl_phdr_info *info, size_t size, void *argument) {
    struct block_visitor *visitor = argument;
    if (size < offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof(void *) || info->dlpi_tls_data == NULL) {
        return 0;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            visitor->visit(visitor, info->dlpi_tls_data, info->dlpi_phdr[i].p_memsz / sizeof(uintptr_t));
        }
    }
    return 0;
}

static void find_value(struct block_visitor *visitor, uintptr_t *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (words[i] == visitor->value) {
            visitor->found = &words[i];
            visitor->matches++;
        }
    }
}

static void copy_words(struct block_visitor *visitor, uintptr_t *words, size_t count) {
    size_t room = visitor->capacity - visitor->used;
    memcpy(visitor->copy + visitor->used, words, (count < room ? count : room) * sizeof(uintptr_t));
    visitor->used += count < room ? count : room;
}

/// Keeps the words that went from zero to something.
static void find_set(struct block_visitor *visitor, uintptr_t *words, size_t count) {
    for (size_t i = 0; i < count && visitor->used < visitor->capacity; i++) {
        if (visitor->copy[visitor->used++] == 0 && words[i] != 0) {
            visitor->copy[visitor->matches++] = (uintptr_t)&words[i];
        }
    }
}

static uintptr_t *find_exclusivity_head(void) {
    static char accessed;
    uintptr_t buffer[4] = {0};
    struct block_visitor visitor = {.visit = find_value, .value = (uintptr_t)buffer};
    swift_beginAccess(&accessed, buffer, ACCESS_MODIFY | ACCESS_TRACKING, (void *)&find_exclusivity_head);
    dl_iterate_phdr(visit_module, &visitor);
    swift_endAccess(buffer);
    // The list lets go of the buffer when the access ends; any other word would still name it.
    return visitor.matches == 1 && *visitor.found != (uintptr_t)buffer ? visitor.found : NULL;
}

static uintptr_t *find_task_local_head(void) {
    enum { CAPACITY = 64 * 1024 / sizeof(uintptr_t) };
    static const char key;
    struct block_visitor visitor = {.visit = copy_words, .capacity = CAPACITY};
    visitor.copy = malloc(CAPACITY * sizeof(uintptr_t));
    if (visitor.copy == NULL) {
        return NULL;
    }
    // The allocator has thread-local words too, and they change with every binding. Only the pointer to the bindings
    // goes from zero to something, keeps that through a second binding, and is zero again at the end.
    intptr_t value = 0;
    dl_iterate_phdr(visit_module, &visitor);
    swift_task_localValuePush(&key, &value, $sSiN);
    visitor.visit = find_set;
    visitor.used = 0;
    dl_iterate_phdr(visit_module, &visitor);
    uintptr_t first[16];
    int candidates = visitor.matches < 16 ? visitor.matches : 16;
    for (int i = 0; i < candidates; i++) {
        first[i] = *(uintptr_t *)visitor.copy[i];
    }
    swift_task_localValuePush(&key, &value, $sSiN);
    for (int i = 0; i < candidates; i++) {
        if (*(uintptr_t *)visitor.copy[i] != first[i]) {
            visitor.copy[i] = 0;
        }
    }
    swift_task_localValuePop();
    swift_task_localValuePop();
    uintptr_t *found = NULL;
    int matches = 0;
    for (int i = 0; i < candidates; i++) {
        uintptr_t *word = (uintptr_t *)visitor.copy[i];
        if (word != NULL && *word == 0) {
            found = word;
            matches++;
        }
    }
    free(visitor.copy);
    return matches == 1 ? found : NULL;
}

static uintptr_t get_task_local_head(const struct apus_hazards *hazards) {
    return hazards->task_local_head != NULL ? *hazards->task_local_head : 0;
}

static void set_task_local_head(const struct apus_hazards *hazards, uintptr_t head) {
    if (hazards->task_local_head != NULL) {
        *hazards->task_local_head = head;
    }
}

#elif defined(__APPLE__)

#include <pthread.h>

static uintptr_t *find_exclusivity_head(void) { return NULL; }
static uintptr_t *find_task_local_head(void) { return NULL; }

// SWIFT_CONCURRENCY_FALLBACK_TASK_LOCAL_STORAGE_KEY of swift/Threading/Impl/Darwin.h.
enum { TASK_LOCAL_KEY = 105 };

static uintptr_t get_task_local_head(const struct apus_hazards *hazards) {
    (void)hazards;
    return (uintptr_t)pthread_getspecific(TASK_LOCAL_KEY);
}

static void set_task_local_head(const struct apus_hazards *hazards, uintptr_t head) {
    (void)hazards;
    pthread_setspecific(TASK_LOCAL_KEY, (void *)head);
}

#endif

// What the Swift runtime itself uses when a task moves to another thread. About 8 ns for the two, and exported
// everywhere: the way where the word has no address.
extern __attribute__((swiftcall)) void swift_task_enterThreadLocalContext(char *state);
extern __attribute__((swiftcall)) void swift_task_exitThreadLocalContext(char *state);

void apus_hazards_find(struct apus_hazards *hazards) {
    hazards->exclusivity_head = find_exclusivity_head();
    hazards->task_local_head = find_task_local_head();
}

void apus_hazards_enter(const struct apus_hazards *hazards, struct apus_context *context) {
    if (hazards->exclusivity_head != NULL) {
        *hazards->exclusivity_head = context->exclusivity[0];
    } else {
        swift_task_enterThreadLocalContext((char *)context->exclusivity);
    }
    set_task_local_head(hazards, context->task_local_head);
}

void apus_hazards_leave(const struct apus_hazards *hazards, struct apus_context *context) {
    if (hazards->exclusivity_head != NULL) {
        context->exclusivity[0] = *hazards->exclusivity_head;
        *hazards->exclusivity_head = 0;
    } else {
        swift_task_exitThreadLocalContext((char *)context->exclusivity);
    }
    context->task_local_head = get_task_local_head(hazards);
    set_task_local_head(hazards, 0);
}
