// SPDX-License-Identifier: Apache-2.0
//
// A closed-loop load generator for the echo servers: every connection sends a message, waits for all of its echo,
// checks it byte by byte, and sends the next one. Prints one JSON object: throughput, latencies, and what the server
// process used meanwhile by its own accounting.
//
//   load --port P --connections 64 --warmup 1 --seconds 3 --size 64 --server-pid PID [--threads 1]
//   load --port P --idle 10000 --server-pid PID      memory of the server for each connection that does nothing
#include "load_support.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/time.h>

enum { event_batch = 256, receive_buffer_bytes = 64 * 1024, pattern_offsets = 256 };

enum phase { phase_warmup, phase_measure, phase_stop };

struct options {
    const char *host;
    int port;
    int connections;
    int idle;
    int threads;
    size_t size;
    double warmup_seconds;
    double seconds;
    struct server_processes server;
};

struct connection {
    int descriptor;
    uint8_t offset;       // where in `pattern` the message under way starts
    bool waits_to_write;  // registered for EPOLLOUT, since the socket took only a part
    size_t sent;
    size_t received;
    uint64_t started;
};

struct load_thread {
    pthread_t handle;
    const struct options *options;
    int epoll;
    int connection_count;
    int alive;
    struct connection *connections;
    uint64_t requests;
    uint64_t errors;
    struct histogram latencies;
    uint8_t received[receive_buffer_bytes];
};

// Written by main, read by the threads. Relaxed: a request more or less at the window's edges does not matter.
static _Atomic enum phase current_phase;
// Messages are windows into this at changing offsets, so that a stale or shifted echo is noticed, without a copy.
static uint8_t *pattern;

const char program_name[] = "load";

// MARK: busy connections

static void drop_connection(struct load_thread *thread, struct connection *connection) {
    thread->errors += 1;
    thread->alive -= 1;
    close(connection->descriptor);  // which also takes it out of the epoll
    connection->descriptor = -1;
}

static void wait_to_write(struct load_thread *thread, struct connection *connection, bool wait) {
    if (connection->waits_to_write != wait) {
        connection->waits_to_write = wait;
        struct epoll_event event = {.events = EPOLLIN | (wait ? EPOLLOUT : 0), .data.ptr = connection};
        epoll_ctl(thread->epoll, EPOLL_CTL_MOD, connection->descriptor, &event);
    }
}

static void continue_sending(struct load_thread *thread, struct connection *connection) {
    size_t size = thread->options->size;
    while (connection->sent < size) {
        const uint8_t *rest = pattern + connection->offset + connection->sent;
        ssize_t count = send(connection->descriptor, rest, size - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0) {
            connection->sent += (size_t)count;
        } else if (errno == EAGAIN) {
            wait_to_write(thread, connection, true);
            return;
        } else if (errno != EINTR) {
            drop_connection(thread, connection);
            return;
        }
    }
    wait_to_write(thread, connection, false);
}

static void start_request(struct load_thread *thread, struct connection *connection, uint64_t time) {
    connection->offset += 1;
    connection->sent = 0;
    connection->received = 0;
    connection->started = time;
    continue_sending(thread, connection);
}

static void continue_receiving(struct load_thread *thread, struct connection *connection) {
    size_t size = thread->options->size;
    ssize_t count = recv(connection->descriptor, thread->received, sizeof thread->received, MSG_DONTWAIT);
    if (count == -1 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    // More than was sent, or other bytes than were sent, is as much of an error as a closed connection.
    if (count <= 0 || (size_t)count > connection->sent - connection->received
        || memcmp(thread->received, pattern + connection->offset + connection->received, (size_t)count) != 0) {
        drop_connection(thread, connection);
        return;
    }
    connection->received += (size_t)count;
    if (connection->received == size) {
        uint64_t time = now();
        if (atomic_load_explicit(&current_phase, memory_order_relaxed) == phase_measure) {
            thread->requests += 1;
            histogram_record(&thread->latencies, time - connection->started);
        }
        start_request(thread, connection, time);
    }
}

static void *run_load(void *argument) {
    struct load_thread *thread = argument;
    for (int index = 0; index < thread->connection_count; index += 1) {
        struct connection *connection = &thread->connections[index];
        connection->offset = (uint8_t)(index * 7);
        start_request(thread, connection, now());
    }
    struct epoll_event events[event_batch];
    while (thread->alive > 0 && atomic_load_explicit(&current_phase, memory_order_relaxed) != phase_stop) {
        int count = epoll_wait(thread->epoll, events, event_batch, 50);
        for (int index = 0; index < count; index += 1) {
            struct connection *connection = events[index].data.ptr;
            if (events[index].events & EPOLLOUT) {
                continue_sending(thread, connection);
            }
            if (connection->descriptor != -1 && (events[index].events & (EPOLLIN | EPOLLERR | EPOLLHUP))) {
                continue_receiving(thread, connection);
            }
        }
    }
    return NULL;
}

static struct load_thread *open_connections(const struct options *options) {
    struct load_thread *threads = calloc((size_t)options->threads, sizeof *threads);
    for (int index = 0; index < options->threads; index += 1) {
        struct load_thread *thread = &threads[index];
        thread->options = options;
        thread->epoll = epoll_create1(EPOLL_CLOEXEC);
        thread->connection_count = options->connections / options->threads;
        thread->connection_count += index < options->connections % options->threads;
        thread->alive = thread->connection_count;
        thread->connections = calloc((size_t)thread->connection_count, sizeof *thread->connections);
        for (int number = 0; number < thread->connection_count; number += 1) {
            struct connection *connection = &thread->connections[number];
            connection->descriptor = connect_to_server(options->host, options->port, SOCK_STREAM);
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
            if (epoll_ctl(thread->epoll, EPOLL_CTL_ADD, connection->descriptor, &event) == -1) {
                fail("epoll_ctl: %s", strerror(errno));
            }
        }
    }
    return threads;
}

static void measure_busy(const struct options *options) {
    struct load_thread *threads = open_connections(options);
    for (int index = 0; index < options->threads; index += 1) {
        if (pthread_create(&threads[index].handle, NULL, run_load, &threads[index]) != 0) {
            fail("cannot create a thread");
        }
    }
    sleep_seconds(options->warmup_seconds);
    struct server_usage before = read_usage(&options->server);
    uint64_t start = now();
    atomic_store(&current_phase, phase_measure);
    sleep_seconds(options->seconds);
    atomic_store(&current_phase, phase_stop);
    uint64_t end = now();
    struct server_usage after = read_usage(&options->server);

    struct histogram *latencies = calloc(1, sizeof *latencies);
    uint64_t requests = 0;
    uint64_t errors = 0;
    for (int index = 0; index < options->threads; index += 1) {
        pthread_join(threads[index].handle, NULL);
        requests += threads[index].requests;
        errors += threads[index].errors;
        histogram_merge(latencies, &threads[index].latencies);
    }
    double seconds = (double)(end - start) / 1e9;
    printf("{\"connections\":%d,\"size\":%zu,\"seconds\":%.3f,\"requests\":%llu,\"requests_per_second\":%.0f,",
        options->connections, options->size, seconds, (unsigned long long)requests, (double)requests / seconds);
    print_latencies(latencies);
    if (options->server.count > 0) {
        print_usage(&before, &after, requests);
    }
    printf("\"errors\":%llu}\n", (unsigned long long)errors);
}

// MARK: idle connections

// One message and its echo on a blocking socket. Returns false when the echo is wrong or does not come.
static bool echo_once(int descriptor, const struct options *options, uint8_t *buffer, uint8_t offset) {
    const uint8_t *message = pattern + offset;
    if (send(descriptor, message, options->size, MSG_NOSIGNAL) != (ssize_t)options->size) {
        return false;
    }
    return recv(descriptor, buffer, options->size, MSG_WAITALL) == (ssize_t)options->size
        && memcmp(buffer, message, options->size) == 0;
}

static void measure_idle(const struct options *options) {
    struct server_memory before;
    struct server_memory after;
    int *descriptors = calloc((size_t)options->idle, sizeof *descriptors);
    uint8_t *buffer = malloc(options->size);
    struct timeval patience = {.tv_sec = 5};
    // The first connections pay for what the server sets up once (threads, pools): that is not memory per connection.
    for (int index = 0; index < 16; index += 1) {
        int descriptor = connect_to_server(options->host, options->port, SOCK_STREAM);
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (!echo_once(descriptor, options, buffer, (uint8_t)index)) {
            fail("the server does not echo");
        }
        close(descriptor);
    }
    sleep_seconds(options->warmup_seconds);
    if (read_server_memory(options->server.ids[0], &before) == -1) {
        fail("cannot read the memory of process %d (--server-pid)", options->server.ids[0]);
    }

    uint64_t errors = 0;
    uint64_t start = now();
    for (int index = 0; index < options->idle; index += 1) {
        descriptors[index] = connect_to_server(options->host, options->port, SOCK_STREAM);
        setsockopt(descriptors[index], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        errors += !echo_once(descriptors[index], options, buffer, (uint8_t)index);
        if (errors > 10) {
            fail("the server stopped echoing at connection %d", index + 1);
        }
    }
    double opened_seconds = (double)(now() - start) / 1e9;
    sleep_seconds(options->seconds);
    if (read_server_memory(options->server.ids[0], &after) == -1) {
        fail("the server (process %d) ended", options->server.ids[0]);
    }
    // All of them must still be served: a server could save memory by dropping some.
    for (int index = 0; index < options->idle; index += 1) {
        errors += !echo_once(descriptors[index], options, buffer, (uint8_t)(index + 1));
    }
    putchar('{');
    print_idle_memory(options->idle, opened_seconds, &before, &after);
    printf("\"errors\":%llu}\n", (unsigned long long)errors);
}

// MARK: command line

static struct options parse_options(int count, char **arguments) {
    struct options options = {.host = "127.0.0.1", .connections = 64, .threads = 1, .size = 64, .seconds = 3};
    options.warmup_seconds = 1;
    static const struct option names[] = {
        {"host", required_argument, NULL, 'h'},    {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'}, {"idle", required_argument, NULL, 'i'},
        {"threads", required_argument, NULL, 't'}, {"size", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},  {"seconds", required_argument, NULL, 'd'},
        {"server-pid", required_argument, NULL, 'x'}, {NULL, 0, NULL, 0},
    };
    int index = 0;
    for (int option = getopt_long(count, arguments, "", names, &index); option != -1;
         option = getopt_long(count, arguments, "", names, &index)) {
        const char *name = names[index].name;
        switch (option) {
        case 'h': options.host = optarg; break;
        case 'p': options.port = (int)option_number(name, optarg, 1, 65535); break;
        case 'c': options.connections = (int)option_number(name, optarg, 1, 1e6); break;
        case 'i': options.idle = (int)option_number(name, optarg, 1, 1e6); break;
        case 't': options.threads = (int)option_number(name, optarg, 1, 64); break;
        case 's': options.size = (size_t)option_number(name, optarg, 1, 1 << 24); break;
        case 'w': options.warmup_seconds = option_number(name, optarg, 0, 600); break;
        case 'd': options.seconds = option_number(name, optarg, 0.01, 3600); break;
        case 'x': add_server_process(&options.server, (int)option_number(name, optarg, 1, 1 << 30)); break;
        default: exit(2);
        }
    }
    if (options.port == 0 || optind != count) {
        fail("usage: load --port P [--host A] [--connections N] [--threads N] [--size BYTES] [--warmup S]\n"
             "            [--seconds S] [--server-pid PID] [--idle N]");
    }
    if (options.idle > 0 && options.server.count == 0) {
        fail("--idle measures the server's memory: it needs --server-pid");
    }
    return options;
}

int main(int count, char **arguments) {
    struct options options = parse_options(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit(options.idle > 0 ? options.idle : options.connections);
    pattern = malloc(options.size + pattern_offsets);
    uint32_t state = 2463534242u;
    for (size_t index = 0; index < options.size + pattern_offsets; index += 1) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        pattern[index] = (uint8_t)state;
    }
    if (options.idle > 0) {
        measure_idle(&options);
    } else {
        measure_busy(&options);
    }
    return 0;
}
