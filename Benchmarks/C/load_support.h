// SPDX-License-Identifier: Apache-2.0
//
// What the load generators share: their end, their clock, their connections and options, and the report of what the
// server's processes used by their own accounting. A server may be of several processes: then they are summed.
#ifndef APUS_BENCHMARKS_LOAD_SUPPORT_H
#define APUS_BENCHMARKS_LOAD_SUPPORT_H

#include "histogram.h"
#include "server_usage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { most_server_processes = 64 };

struct server_processes {
    int ids[most_server_processes];
    int count;
};

// Before each complaint; every program defines its own.
extern const char program_name[];

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static inline uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static inline void sleep_seconds(double seconds) {
    struct timespec rest = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&rest, &rest) == -1 && errno == EINTR) {
    }
}

static inline void raise_descriptor_limit(int wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
        fail("getrlimit: %s", strerror(errno));
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) {
        fail("cannot raise the limit of open files to %llu: %s", (unsigned long long)limit.rlim_max, strerror(errno));
    }
    rlim_t needed = (rlim_t)wanted + 64;
    if (limit.rlim_max < needed) {
        fail("%d connections need %llu open files, but the hard limit is %llu: raise it (`ulimit -Hn %llu` as root, or "
             "LimitNOFILE= of the service), or ask for fewer connections",
             wanted, (unsigned long long)needed, (unsigned long long)limit.rlim_max, (unsigned long long)needed);
    }
}

// A connected socket of the given type; that of SOCK_STREAM has TCP_NODELAY.
static inline int connect_to_server(const char *host, int port, int type) {
    int descriptor = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (descriptor == -1) {
        fail("socket: %s", strerror(errno));
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fail("not an IPv4 address: %s", host);
    }
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == -1) {
        fail("connect to %s:%d: %s", host, port, strerror(errno));
    }
    if (type == SOCK_STREAM) {
        int on = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return descriptor;
}

static inline double option_number(const char *name, const char *text, double lowest, double highest) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || !(value >= lowest && value <= highest)) {
        fail("--%s must be a number from %g to %g, not `%s`", name, lowest, highest, text);
    }
    return value;
}

static inline void add_server_process(struct server_processes *processes, int id) {
    if (processes->count == most_server_processes) {
        fail("more than %d processes (--server-pid)", most_server_processes);
    }
    processes->ids[processes->count] = id;
    processes->count += 1;
}

// The sum over all of them; ends the program when one is not there.
static inline struct server_usage read_usage(const struct server_processes *processes) {
    struct server_usage sum = {0};
    for (int index = 0; index < processes->count; index += 1) {
        struct server_usage usage;
        if (read_server_usage(processes->ids[index], &usage) == -1) {
            fail("the server's process %d is not there (--server-pid)", processes->ids[index]);
        }
        sum.user_seconds += usage.user_seconds;
        sum.system_seconds += usage.system_seconds;
        sum.exact_seconds += usage.exact_seconds;
        sum.voluntary_switches += usage.voluntary_switches;
        sum.involuntary_switches += usage.involuntary_switches;
    }
    return sum;
}

// Members of a JSON object, each with a comma after it.
static inline void print_latencies(const struct histogram *latencies) {
    printf("\"p50_microseconds\":%.1f,\"p99_microseconds\":%.1f,", histogram_percentile(latencies, 0.5) / 1e3,
        histogram_percentile(latencies, 0.99) / 1e3);
    printf("\"p999_microseconds\":%.1f,\"max_microseconds\":%.1f,", histogram_percentile(latencies, 0.999) / 1e3,
        (double)latencies->largest / 1e3);
}

static inline void print_usage(const struct server_usage *before, const struct server_usage *after, uint64_t requests) {
    double user = after->user_seconds - before->user_seconds;
    double system = after->system_seconds - before->system_seconds;
    double exact = after->exact_seconds - before->exact_seconds;
    // A thread that ended in between takes its share with it: then the ticks are closer to the truth.
    double total = exact > 0.8 * (user + system) ? exact : user + system;
    double user_share = user + system > 0 ? user / (user + system) : 0;
    double per_request = requests > 0 ? 1e6 * total / (double)requests : 0;
    printf("\"server_user_seconds\":%.2f,\"server_system_seconds\":%.2f,\"server_cpu_seconds\":%.4f,", user, system,
        total);
    printf("\"server_cpu_microseconds_per_request\":%.4f,", per_request);
    printf("\"server_user_microseconds_per_request\":%.4f,", per_request * user_share);
    printf("\"server_voluntary_switches\":%lu,\"server_involuntary_switches\":%lu,",
        after->voluntary_switches - before->voluntary_switches,
        after->involuntary_switches - before->involuntary_switches);
}

static inline void print_idle_memory(int connections, double opened_seconds, const struct server_memory *before,
    const struct server_memory *after) {
    double grown_kilobytes = (double)after->resident_kilobytes + (double)after->page_table_kilobytes
        - (double)before->resident_kilobytes - (double)before->page_table_kilobytes;
    printf("\"idle_connections\":%d,\"bytes_per_connection\":%.0f,\"connect_seconds\":%.3f,", connections,
        grown_kilobytes * 1024 / connections, opened_seconds);
    printf("\"resident_kilobytes_before\":%lu,\"resident_kilobytes\":%lu,\"page_table_kilobytes_before\":%lu,",
        before->resident_kilobytes, after->resident_kilobytes, before->page_table_kilobytes);
    printf("\"page_table_kilobytes\":%lu,\"threads\":%lu,\"mappings\":%lu,", after->page_table_kilobytes,
        after->threads, after->mappings);
}

#endif
