// SPDX-License-Identifier: Apache-2.0
//
// What another process has used so far, as the kernel accounts it under /proc.
//
// CPU time comes from two places, because neither says everything: `schedstat` counts nanoseconds exactly but does not
// tell user from system; `stat` tells them apart, but by sampling at the clock tick. So the total is taken from the
// first and split in the proportion of the second.
#ifndef APUS_BENCHMARKS_SERVER_USAGE_H
#define APUS_BENCHMARKS_SERVER_USAGE_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct server_usage {
    double user_seconds;
    double system_seconds;
    // Summed over the threads that are alive: what an ended thread had used is gone from it.
    double exact_seconds;
    unsigned long voluntary_switches;
    unsigned long involuntary_switches;
};

struct server_memory {
    unsigned long resident_kilobytes;
    unsigned long page_table_kilobytes;
    unsigned long threads;
    unsigned long mappings;
};

// The number in the line "KEY:   NUMBER …" of a /proc status file, 0 where the line is missing.
static inline unsigned long status_value(const char *path, const char *key) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    char line[256];
    unsigned long value = 0;
    size_t length = strlen(key);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, length) == 0 && line[length] == ':') {
            sscanf(line + length + 1, "%lu", &value);
            break;
        }
    }
    fclose(file);
    return value;
}

// Returns 0, or -1 when there is no such process.
static inline int read_server_usage(int process, struct server_usage *usage) {
    memset(usage, 0, sizeof *usage);
    char path[320];
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return -1;
    }
    char content[2048];
    size_t count = fread(content, 1, sizeof content - 1, file);
    fclose(file);
    content[count] = 0;
    // The command's name may hold spaces and parentheses: the fields start after the last one.
    const char *fields = strrchr(content, ')');
    unsigned long user_ticks = 0;
    unsigned long system_ticks = 0;
    if (fields == NULL
        || sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user_ticks, &system_ticks)
            != 2) {
        return -1;
    }
    double ticks_per_second = (double)sysconf(_SC_CLK_TCK);
    usage->user_seconds = (double)user_ticks / ticks_per_second;
    usage->system_seconds = (double)system_ticks / ticks_per_second;

    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *threads = opendir(path);
    if (threads == NULL) {
        return -1;
    }
    for (struct dirent *entry = readdir(threads); entry != NULL; entry = readdir(threads)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", process, entry->d_name);
        file = fopen(path, "r");
        if (file == NULL) {
            continue;
        }
        unsigned long long nanoseconds = 0;
        if (fscanf(file, "%llu", &nanoseconds) == 1) {
            usage->exact_seconds += (double)nanoseconds / 1e9;
        }
        fclose(file);
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", process, entry->d_name);
        usage->voluntary_switches += status_value(path, "voluntary_ctxt_switches");
        usage->involuntary_switches += status_value(path, "nonvoluntary_ctxt_switches");
    }
    closedir(threads);
    return 0;
}

static inline int read_server_memory(int process, struct server_memory *memory) {
    memset(memory, 0, sizeof *memory);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", process);
    memory->resident_kilobytes = status_value(path, "VmRSS");
    memory->page_table_kilobytes = status_value(path, "VmPTE");
    memory->threads = status_value(path, "Threads");
    snprintf(path, sizeof path, "/proc/%d/maps", process);
    FILE *file = fopen(path, "r");
    if (file == NULL || memory->resident_kilobytes == 0) {
        if (file != NULL) {
            fclose(file);
        }
        return -1;
    }
    for (int character = fgetc(file); character != EOF; character = fgetc(file)) {
        memory->mappings += character == '\n';
    }
    fclose(file);
    return 0;
}

#endif
