// SPDX-License-Identifier: Apache-2.0
//
// The echo server as close to the kernel as it gets, and so the floor that a runtime is measured against: one
// edge-triggered epoll a thread, one registration for a connection's lifetime. Thread 0 also accepts, and hands the
// connections out in turn, so that every thread has the same number of them.
//
//   epoll-echo [--host 127.0.0.1] [--port 0] [--threads N] [--buffer BYTES]
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { event_batch = 128, most_threads = 64 };

struct connection {
    int descriptor;
    // What the socket did not take yet; NULL nearly always, so that an idle connection costs only this record.
    char *unsent;
    size_t unsent_bytes;
};

struct loop {
    pthread_t thread;
    int epoll;
    char *buffer;
};

static struct loop loops[most_threads];
static int loop_count = 1;
static size_t buffer_bytes = 1024;
static int listener;
static unsigned next_loop;

static _Noreturn void fail(const char *operation) {
    fprintf(stderr, "epoll-echo: %s: %s\n", operation, strerror(errno));
    exit(1);
}

static void close_connection(struct connection *connection) {
    close(connection->descriptor);
    free(connection->unsent);
    free(connection);
}

static void accept_connections(void) {
    for (;;) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor == -1) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                // Nothing to give; the listener stays readable, so without a pause this would spin.
                nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
            }
            return;
        }
        int on = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) {
            fail("calloc");
        }
        connection->descriptor = descriptor;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
        int epoll = loops[next_loop++ % (unsigned)loop_count].epoll;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == -1) {
            fail("epoll_ctl");
        }
    }
}

// Returns false when the connection is broken. `*blocked` tells that the rest waits for the next edge.
static bool write_all(struct connection *connection, const char *bytes, size_t count, bool *blocked) {
    size_t written = 0;
    while (written < count) {
        ssize_t result = write(connection->descriptor, bytes + written, count - written);
        if (result >= 0) {
            written += (size_t)result;
        } else if (errno == EAGAIN) {
            connection->unsent = malloc(count - written);
            if (connection->unsent == NULL) {
                return false;
            }
            memcpy(connection->unsent, bytes + written, count - written);
            connection->unsent_bytes = count - written;
            *blocked = true;
            return true;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

// Returns false when the connection is to be closed.
static bool serve(struct loop *loop, struct connection *connection, uint32_t events) {
    bool blocked = false;
    if (connection->unsent != NULL) {
        char *unsent = connection->unsent;
        connection->unsent = NULL;
        bool alive = write_all(connection, unsent, connection->unsent_bytes, &blocked);
        free(unsent);
        if (!alive || blocked) {
            return alive;
        }
    } else if (!(events & ~(uint32_t)EPOLLOUT)) {
        return true;  // only the edge that every new connection starts with: it is writable
    }
    for (;;) {
        ssize_t count = read(connection->descriptor, loop->buffer, buffer_bytes);
        if (count == 0) {
            return false;
        }
        if (count == -1) {
            if (errno == EINTR) {
                continue;
            }
            return errno == EAGAIN;
        }
        if (!write_all(connection, loop->buffer, (size_t)count, &blocked)) {
            return false;
        }
        // Less than was asked for has drained a stream socket, and what comes later makes a new edge: reading once more
        // to see EAGAIN would cost a fifth of the request. But an end that came in this very event makes no other edge.
        if (blocked || ((size_t)count < buffer_bytes && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))) {
            return true;
        }
    }
}

static void *run_loop(void *argument) {
    struct loop *loop = argument;
    struct epoll_event events[event_batch];
    for (;;) {
        int count = epoll_wait(loop->epoll, events, event_batch, -1);
        for (int index = 0; index < count; index += 1) {
            struct connection *connection = events[index].data.ptr;
            if (connection == NULL) {
                accept_connections();
            } else if (!serve(loop, connection, events[index].events)) {
                close_connection(connection);
            }
        }
    }
    return NULL;
}

static void listen_on(const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        errno = EINVAL;
        fail(host);
    }
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t length = sizeof address;
    if (listener == -1 || bind(listener, (struct sockaddr *)&address, length) == -1) {
        fail("bind");
    }
    if (listen(listener, 4096) == -1 || getsockname(listener, (struct sockaddr *)&address, &length) == -1) {
        fail("listen");
    }
    printf("listening on %s:%d\n", host, ntohs(address.sin_port));
    fflush(stdout);
}

int main(int count, char **arguments) {
    const char *host = "127.0.0.1";
    int port = 0;
    static const struct option names[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"threads", required_argument, NULL, 't'},
        {"buffer", required_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    for (int option = getopt_long(count, arguments, "", names, NULL); option != -1;
         option = getopt_long(count, arguments, "", names, NULL)) {
        switch (option) {
        case 'h': host = optarg; break;
        case 'p': port = atoi(optarg); break;
        case 't': loop_count = atoi(optarg); break;
        case 'b': buffer_bytes = (size_t)atol(optarg); break;
        default: return 2;
        }
    }
    if (loop_count < 1 || loop_count > most_threads || port < 0 || port > 65535 || buffer_bytes < 1) {
        fprintf(stderr, "epoll-echo: --threads is 1 to %d, --port 0 to 65535, --buffer at least 1\n", most_threads);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    for (int index = 0; index < loop_count; index += 1) {
        loops[index].epoll = epoll_create1(EPOLL_CLOEXEC);
        loops[index].buffer = malloc(buffer_bytes);
        if (loops[index].epoll == -1 || loops[index].buffer == NULL) {
            fail("epoll_create1");
        }
    }
    listen_on(host, port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(loops[0].epoll, EPOLL_CTL_ADD, listener, &event) == -1) {
        fail("epoll_ctl");
    }
    for (int index = 1; index < loop_count; index += 1) {
        if (pthread_create(&loops[index].thread, NULL, run_loop, &loops[index]) != 0) {
            fail("pthread_create");
        }
    }
    run_loop(&loops[0]);
}
