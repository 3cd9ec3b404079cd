// SPDX-License-Identifier: Apache-2.0
//
// Files beneath a folder, for a file server. Each function returns >= 0, or -errno.

#ifndef APUS_FILES_H
#define APUS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Opens a folder, as the root of what `apus_file_open_beneath` opens.
int apus_folder_open(const char *_Nonnull path);

/// What to do about a file whose name is not in the kernel's memory, and how paths are held to the folder.
enum apus_file_lookup {
    /// Only look into the kernel's memory: -EAGAIN when the answer is not there, or when this kernel cannot tell.
    APUS_LOOKUP_CACHED,
    /// Read the disk if need be.
    APUS_LOOKUP_FULL,
    /// The same, without the help of `openat2`: for tests of what older kernels get.
    APUS_LOOKUP_PORTABLE,
};

/// Opens a file or a folder for reading, by a path that is relative to `folder`. Whatever symbolic links and `..` are on the
/// way: what lies outside of the folder is not opened (-EXDEV). Never blocks on a pipe, and never becomes a terminal's owner.
int apus_file_open_beneath(int folder, const char *_Nonnull path, enum apus_file_lookup lookup);

enum apus_file_kind { APUS_FILE_REGULAR, APUS_FILE_FOLDER, APUS_FILE_OTHER };

struct apus_file_status {
    int64_t size;
    int64_t modified_seconds;
    int64_t modified_nanoseconds;
    uint64_t inode;
    enum apus_file_kind kind;
};

int apus_file_status(int file, struct apus_file_status *_Nonnull status);

/// Reads at an offset: the number of bytes, 0 at the end. With `cached`, only what is in the kernel's memory: -EAGAIN when
/// nothing of it is, or when this file system cannot tell.
int64_t apus_file_read_at(int file, void *_Nonnull buffer, size_t count, int64_t offset, bool cached);

#endif
