// SPDX-License-Identifier: Apache-2.0
//
// What a dump needs to know about the program's files, names and threads.

#define _GNU_SOURCE
#include "CApus.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <link.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <pthread.h>
#endif

// MARK: Images

#if defined(__linux__)

struct images {
    void (*handle)(const struct apus_image *image, void *argument);
    void *argument;
};

static int handle_image(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)size;
    struct images *images = argument;
    struct apus_image image = {
        // The program itself has no name here. This one holds also when the file has been replaced meanwhile.
        .path = info->dlpi_name != NULL && info->dlpi_name[0] != 0 ? info->dlpi_name : "/proc/self/exe",
        .base = info->dlpi_addr,
        .low = UINTPTR_MAX,
    };
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t low = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0) {
            image.low = low < image.low ? low : image.low;
            image.high = low + segment->p_memsz > image.high ? low + segment->p_memsz : image.high;
        }
        if (segment->p_type == PT_NOTE && image.notes == NULL) {
            image.notes = (const void *)low;
            image.notes_bytes = segment->p_filesz;
            image.notes_offset = segment->p_offset;
        }
    }
    if (image.low < image.high) {
        images->handle(&image, images->argument);
    }
    return 0;
}

void apus_images(void (*handle)(const struct apus_image *image, void *argument), void *argument) {
    struct images images = {.handle = handle, .argument = argument};
    dl_iterate_phdr(handle_image, &images);
}

#else

void apus_images(void (*handle)(const struct apus_image *image, void *argument), void *argument) {
    (void)handle, (void)argument;
}

#endif

const char *apus_dynamic_symbol(uintptr_t address, uintptr_t *distance) {
    Dl_info info;
    if (dladdr((void *)address, &info) == 0 || info.dli_sname == NULL) {
        return NULL;
    }
    *distance = address - (uintptr_t)info.dli_saddr;
    return info.dli_sname;
}

void apus_working_directory(char *path, size_t capacity) {
    if (getcwd(path, capacity) == NULL) {
        path[0] = 0;
    }
}

// The Swift runtime's own, exported for its backtraces: names as people write them. The other one is public, and says
// more than anyone wants to read.
extern char *_swift_backtrace_demangle(const char *name, size_t length, char *buffer, size_t *capacity)
    __attribute__((weak));
extern char *swift_demangle(const char *name, size_t length, char *buffer, size_t *capacity, uint32_t flags)
    __attribute__((weak));

char *apus_demangle(const char *name) {
    size_t length = strlen(name);
    char *result = NULL;
    if (_swift_backtrace_demangle != NULL) {
        result = _swift_backtrace_demangle(name, length, NULL, NULL);
    }
    if (result == NULL && swift_demangle != NULL) {
        result = swift_demangle(name, length, NULL, NULL, 0);
    }
    return result;
}

void apus_free(void *memory) {
    free(memory);
}

// MARK: Files

int apus_file_open(const char *path) {
    int file;
    do {
        file = open(path, O_RDONLY | O_CLOEXEC);
    } while (file < 0 && errno == EINTR);
    return file < 0 ? -errno : file;
}

void apus_file_close(int file) {
    close(file);
}

int64_t apus_file_read(int file, uint64_t offset, void *buffer, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        ssize_t count = pread(file, (char *)buffer + done, bytes - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return -errno;
        }
        if (count == 0) {
            break;
        }
        done += (size_t)count;
    }
    return (int64_t)done;
}

// MARK: Threads

#if defined(__linux__)

bool apus_thread_name(int64_t identifier, char *name, size_t capacity) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%lld/comm", (long long)identifier);
    int file = apus_file_open(path);
    if (file < 0) {
        return false;
    }
    int64_t count = apus_file_read(file, 0, name, capacity - 1);
    apus_file_close(file);
    if (count <= 0) {
        return false;
    }
    name[count] = 0;
    name[strcspn(name, "\n")] = 0;
    return true;
}

int64_t apus_main_thread_identifier(void) {
    return getpid();
}

// One number, which the kernel keeps: a listing of /proc/self/task may miss threads that come and go meanwhile.
int apus_process_thread_count(void) {
    int file = apus_file_open("/proc/self/stat");
    if (file < 0) {
        return file;
    }
    char text[1024];
    int64_t count = apus_file_read(file, 0, text, sizeof text - 1);
    apus_file_close(file);
    if (count <= 0) {
        return count < 0 ? (int)count : -EIO;
    }
    text[count] = 0;
    // The program's name, in parentheses, may hold anything. The number of threads is the 20th field, the state the 3rd.
    const char *field = strrchr(text, ')');
    for (int number = 2; field != NULL && number < 20; number++) {
        field = strchr(field + 1, ' ');
    }
    int threads = field != NULL ? atoi(field + 1) : 0;
    return threads > 0 ? threads : -EIO;
}

#else

bool apus_thread_name(int64_t identifier, char *name, size_t capacity) {
    (void)identifier, (void)name, (void)capacity;
    return false;
}

int64_t apus_main_thread_identifier(void) {
    return -1;
}

int apus_process_thread_count(void) {
    return -ENOSYS;
}

#endif

void apus_exit_now(int status) {
    // Whoever holds the lock may be one that waits for ever.
    if (ftrylockfile(stdout) == 0) {
        fflush(stdout);
        funlockfile(stdout);
    }
#if defined(__linux__)
    // Not `_exit`, which the thread sanitizer ends in its own way, with a status of its own if the caller is hidden from it.
    syscall(SYS_exit_group, status);
#endif
    _exit(status);
}
