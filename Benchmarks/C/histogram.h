// SPDX-License-Identifier: Apache-2.0
//
// A log-linear histogram of nanoseconds: 128 linear steps for each power of two, so that no figure read from it is
// further than 0.4 % from the value that was recorded. Recording is a shift and an increment, and never allocates.
#ifndef APUS_BENCHMARKS_HISTOGRAM_H
#define APUS_BENCHMARKS_HISTOGRAM_H

#include <stdint.h>

enum {
    histogram_step_bits = 7,
    histogram_steps = 1 << histogram_step_bits,
    histogram_buckets = (64 - histogram_step_bits + 1) * histogram_steps,
};

struct histogram {
    uint64_t count;
    uint64_t largest;
    uint64_t buckets[histogram_buckets];
};

static inline unsigned histogram_bucket(uint64_t value) {
    if (value < histogram_steps) {
        return (unsigned)value;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - histogram_step_bits;
    // The highest bit of `value >> shift` is always set, so it counts as one more block of steps.
    return shift * histogram_steps + (unsigned)(value >> shift);
}

static inline void histogram_record(struct histogram *histogram, uint64_t value) {
    histogram->buckets[histogram_bucket(value)] += 1;
    histogram->count += 1;
    if (value > histogram->largest) {
        histogram->largest = value;
    }
}

static inline void histogram_merge(struct histogram *into, const struct histogram *from) {
    for (unsigned bucket = 0; bucket < histogram_buckets; bucket += 1) {
        into->buckets[bucket] += from->buckets[bucket];
    }
    into->count += from->count;
    if (from->largest > into->largest) {
        into->largest = from->largest;
    }
}

// The middle of the bucket that holds the given fraction (0.99: the 99th percentile); 0 for an empty histogram.
static inline double histogram_percentile(const struct histogram *histogram, double fraction) {
    uint64_t wanted = (uint64_t)(fraction * (double)histogram->count);
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < histogram_buckets; bucket += 1) {
        seen += histogram->buckets[bucket];
        if (seen > wanted || (seen == histogram->count && seen > 0)) {
            if (bucket < histogram_steps) {
                return bucket;
            }
            unsigned shift = bucket / histogram_steps - 1;
            uint64_t lowest = (uint64_t)(bucket - shift * histogram_steps) << shift;
            double middle = (double)lowest + (double)((1ull << shift) - 1) / 2;
            return middle < (double)histogram->largest ? middle : (double)histogram->largest;
        }
    }
    return 0;
}

#endif
