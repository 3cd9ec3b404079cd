// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE

#include "CApusBuild.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int apus_build_exchange(const char *one, const char *other) {
    return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0 ? 0 : -errno;
}

int64_t apus_build_next_data(int descriptor, int64_t position, int64_t *end) {
    off_t start = lseek(descriptor, position, SEEK_DATA);
    if (start < 0) {
        return -errno;
    }
    off_t hole = lseek(descriptor, start, SEEK_HOLE);
    if (hole < 0) {
        return -errno;
    }
    *end = hole;
    return start;
}
