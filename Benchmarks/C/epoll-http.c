// SPDX-License-Identifier: Apache-2.0
//
// The plaintext HTTP server as close to the kernel as it gets: epoll-echo, with the least of HTTP that answers rightly.
// It looks for the empty line that ends a request, knows one path, and takes no bodies: whatever else comes is answered
// with 404 and a closed connection. The answer is made once a second, for its Date; all the requests that one read
// brought are answered with one write.
//
//   epoll-http [--host 127.0.0.1] [--port 0] [--threads N] [--buffer BYTES]
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

enum { event_batch = 128, most_threads = 64, most_answer_bytes = 256, least_request_bytes = 10 };

static const char wanted[] = "GET / ";
static const char empty_line[] = "\r\n\r\n";
static const char refusal[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

struct connection {
    int descriptor;
    // What the socket did not take yet; NULL nearly always, so that an idle connection costs only this record.
    char *unsent;
    size_t unsent_bytes;
    // The start of a request whose end has not come yet; NULL nearly always, too.
    char *begun;
    size_t begun_bytes;
};

struct loop {
    pthread_t thread;
    int epoll;
    char *buffer;
    char *answers;  // as many as the requests that `buffer` can hold
    time_t answer_time;
    char answer[most_answer_bytes];
    size_t answer_bytes;
};

static struct loop loops[most_threads];
static int loop_count = 1;
static size_t buffer_bytes = 4096;
static int listener;
static unsigned next_loop;

static _Noreturn void fail(const char *operation) {
    fprintf(stderr, "epoll-http: %s: %s\n", operation, strerror(errno));
    exit(1);
}

static void close_connection(struct connection *connection) {
    close(connection->descriptor);
    free(connection->unsent);
    free(connection->begun);
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

static void make_answer(struct loop *loop) {
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME_COARSE, &clock);
    if (clock.tv_sec == loop->answer_time) {
        return;
    }
    loop->answer_time = clock.tv_sec;
    struct tm parts;
    char date[64];
    gmtime_r(&clock.tv_sec, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    loop->answer_bytes = (size_t)snprintf(loop->answer, sizeof loop->answer,
        "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!", date);
}

// Answers all requests among the bytes that the loop's buffer holds, and keeps the start of one more.
// Returns false when the connection is to be closed.
static bool answer_all(struct loop *loop, struct connection *connection, size_t count, bool *blocked) {
    size_t start = 0;
    size_t answers_bytes = 0;
    bool refused = false;
    while (start < count && !refused) {
        const char *request = loop->buffer + start;
        const char *end = memmem(request, count - start, empty_line, sizeof empty_line - 1);
        if (end == NULL) {
            break;
        }
        refused = (size_t)(end - request) < sizeof wanted - 1 || memcmp(request, wanted, sizeof wanted - 1) != 0;
        const char *answer = refused ? refusal : loop->answer;
        size_t bytes = refused ? sizeof refusal - 1 : loop->answer_bytes;
        memcpy(loop->answers + answers_bytes, answer, bytes);
        answers_bytes += bytes;
        start = (size_t)(end - loop->buffer) + sizeof empty_line - 1;
    }
    if (!write_all(connection, loop->answers, answers_bytes, blocked) || refused) {
        return false;
    }
    if (start == count) {
        return true;
    }
    // A head that fills the whole buffer has no end that we would wait for.
    connection->begun_bytes = count - start;
    connection->begun = connection->begun_bytes < buffer_bytes ? malloc(connection->begun_bytes) : NULL;
    if (connection->begun == NULL) {
        return false;
    }
    memcpy(connection->begun, loop->buffer + start, connection->begun_bytes);
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
        size_t begun_bytes = 0;
        if (connection->begun != NULL) {
            begun_bytes = connection->begun_bytes;
            memcpy(loop->buffer, connection->begun, begun_bytes);
        }
        size_t room = buffer_bytes - begun_bytes;
        ssize_t count = read(connection->descriptor, loop->buffer + begun_bytes, room);
        if (count == 0) {
            return false;
        }
        if (count == -1) {
            if (errno == EINTR) {
                continue;
            }
            return errno == EAGAIN;
        }
        if (connection->begun != NULL) {
            free(connection->begun);
            connection->begun = NULL;
        }
        if (!answer_all(loop, connection, begun_bytes + (size_t)count, &blocked)) {
            return false;
        }
        // Less than was asked for has drained a stream socket, as in epoll-echo.
        if (blocked || ((size_t)count < room && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))) {
            return true;
        }
    }
}

static void *run_loop(void *argument) {
    struct loop *loop = argument;
    struct epoll_event events[event_batch];
    for (;;) {
        int count = epoll_wait(loop->epoll, events, event_batch, -1);
        make_answer(loop);
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
    if (loop_count < 1 || loop_count > most_threads || port < 0 || port > 65535 || buffer_bytes < 256) {
        fprintf(stderr, "epoll-http: --threads is 1 to %d, --port 0 to 65535, --buffer at least 256\n", most_threads);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    for (int index = 0; index < loop_count; index += 1) {
        loops[index].epoll = epoll_create1(EPOLL_CLOEXEC);
        loops[index].buffer = malloc(buffer_bytes);
        loops[index].answers = malloc((buffer_bytes / least_request_bytes + 1) * most_answer_bytes);
        if (loops[index].epoll == -1 || loops[index].buffer == NULL || loops[index].answers == NULL) {
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
