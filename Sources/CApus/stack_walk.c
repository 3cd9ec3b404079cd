// SPDX-License-Identifier: Apache-2.0
//
// Follows frame pointers on a stack that is not the caller's, and may be in use at this moment. Swift and C keep frame
// pointers in every function here, so each frame begins with the address of the next one and a return address.

#define _GNU_SOURCE
#include "CApus.h"
#include "sanitizers.h"

#include <errno.h>
#include <string.h>

#if defined(__linux__)
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <mach/mach.h>
#include <mach/mach_vm.h>
#endif

int apus_memory_copy(void *to, uintptr_t from, size_t bytes) {
#if defined(__linux__)
    struct iovec local = {.iov_base = to, .iov_len = bytes};
    struct iovec remote = {.iov_base = (void *)from, .iov_len = bytes};
    ssize_t count = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    // Some containers forbid it, and QEMU's user emulation does not know it.
    if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
        return apus_memory_copy_through_pipe(to, from, bytes);
    }
    return count < 0 ? -errno : (size_t)count == bytes ? 0 : -EFAULT;
#elif defined(__APPLE__)
    mach_vm_size_t count = 0;
    kern_return_t result =
        mach_vm_read_overwrite(mach_task_self(), from, bytes, (mach_vm_address_t)(uintptr_t)to, &count);
    return result == KERN_SUCCESS && count == bytes ? 0 : -EFAULT;
#endif
}

#if defined(__linux__)
int apus_memory_copy_through_pipe(void *to, uintptr_t from, size_t bytes) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    int result = 0;
    // Less than the smallest pipe takes, so that no write waits.
    enum { AT_ONCE = 4096 };
    for (size_t done = 0; done < bytes && result == 0;) {
        size_t wanted = bytes - done < AT_ONCE ? bytes - done : AT_ONCE;
        ssize_t count = write(ends[1], (const void *)(from + done), wanted);
        if (count < 0) {
            result = -errno;
        } else if ((size_t)count < wanted || read(ends[0], (char *)to + done, wanted) != count) {
            result = -EFAULT;
        }
        done += wanted;
    }
    close(ends[0]);
    close(ends[1]);
    return result;
}
#endif

/// Reads two words. Plainly where the memory is known to be there: others write it meanwhile, and what comes of that is
/// an address that leads nowhere.
NOT_INSTRUMENTED static bool read_pair(uintptr_t address, uintptr_t low, uintptr_t high, uintptr_t pair[2]) {
    if (address % sizeof(uintptr_t) != 0) {
        return false;
    }
    if (address >= low && address < high && high - address >= 2 * sizeof(uintptr_t)) {
        pair[0] = ((const volatile uintptr_t *)address)[0];
        pair[1] = ((const volatile uintptr_t *)address)[1];
        return true;
    }
    return address >= 4096 && apus_memory_copy(pair, address, 2 * sizeof(uintptr_t)) == 0;
}

NOT_INSTRUMENTED size_t apus_backtrace_frame(uintptr_t frame, uintptr_t low, uintptr_t high, uintptr_t *addresses,
                                             size_t capacity) {
    size_t count = 0;
    // Frames lie at rising addresses, but for the step from a larger stack back to the one that called it. So it is the
    // capacity that ends a circle.
    while (count < capacity && frame != 0) {
        uintptr_t pair[2];
        if (!read_pair(frame, low, high, pair) || pair[1] == 0) {
            break;
        }
        addresses[count++] = pair[1];
        frame = pair[0];
    }
    return count;
}

NOT_INSTRUMENTED size_t apus_backtrace_context(const struct apus_context *context, uintptr_t low, uintptr_t high,
                                               uintptr_t *addresses, size_t capacity) {
    uintptr_t saved = (uintptr_t)*(void *const volatile *)&context->stack_pointer;
    uintptr_t pair[2];
    // What apus_switch has saved: see switch_*.S.
#if defined(__x86_64__)
    if (capacity == 0 || !read_pair(saved + 6 * sizeof(uintptr_t), low, high, pair)) {
        return 0;
    }
#elif defined(__aarch64__)
    if (capacity == 0 || !read_pair(saved + 10 * sizeof(uintptr_t), low, high, pair)) {
        return 0;
    }
#endif
    if (pair[1] == 0) {
        return 0;
    }
    addresses[0] = pair[1];
    return 1 + apus_backtrace_frame(pair[0], low, high, addresses + 1, capacity - 1);
}
