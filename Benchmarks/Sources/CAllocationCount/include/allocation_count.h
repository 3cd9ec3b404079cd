// SPDX-License-Identifier: Apache-2.0
//
// Counts the calls of malloc and its kin in the whole process: the program that links this gets them in the place of the
// C library's, to which they pass every call on. Swift's objects come from malloc, too.

#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

// Calls of malloc, calloc, realloc, aligned_alloc, memalign and posix_memalign since the process began, by any thread;
// those of free are not counted. Always 0 where calls cannot be counted: only with glibc they can.
long allocation_count(void);

#endif
