// SPDX-License-Identifier: Apache-2.0
//
// A closed-loop load generator for HTTP/1.1: every connection sends its requests (one, or as many as --pipeline says,
// in one write), waits for all of their answers, and sends the next ones. The first answer is taken apart and looked
// over: status, Date, Content-Type, Content-Length, body. All later ones must be the same byte for byte, but for the
// date. Prints one JSON object, as `load` does.
//
//   http-load --port P --connections 64 --warmup 1 --seconds 3 --server-pid PID [--pipeline 16]
//   http-load --port P --directory FOLDER --files 8 …   /file-0.txt to /file-7.txt in turn, compared with FOLDER's
//   http-load --port P --idle 10000 --seconds 4 --server-pid PID
//       memory of the server for each connection that had one answer and then does nothing for --seconds
#include "load_support.h"

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/time.h>

enum { event_batch = 256, receive_buffer_bytes = 256 * 1024, most_head_bytes = 8192, most_pipelined = 256 };
// What is common to all dates: "Tue, 24 Nov 2026 01:02:03 GMT".
enum { date_bytes = 29 };

const char program_name[] = "http-load";

struct options {
    const char *host;
    int port;
    int connections;
    int idle;
    int pipeline;
    const char *directory;
    int files;
    double warmup_seconds;
    double seconds;
    struct server_processes server;
};

// What is sent for a path, and what must come back.
struct exchange {
    char *request;  // `pipeline` times the same one
    size_t request_bytes;
    char *answer;
    size_t answer_bytes;
    size_t date_start;
};

struct connection {
    int descriptor;
    bool waits_to_write;  // registered for EPOLLOUT, since the socket took only a part
    int exchange;
    int answers_left;
    size_t sent;
    size_t received;  // of the answer under way
    uint64_t started;
};

static struct options options = {
    .host = "127.0.0.1", .connections = 64, .pipeline = 1, .files = 1, .warmup_seconds = 1, .seconds = 3};
static struct exchange *exchanges;
static int exchange_count;
static char *received;
static int epoll;
static int alive;
static bool measuring;
static uint64_t requests;
static uint64_t errors;
static struct histogram latencies;

// MARK: what is right

// The value of a field in a head that ends with a NUL; NULL where it is missing.
static const char *field_value(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') {
            const char *value = line + 2 + length + 1;
            return value + strspn(value, " \t");
        }
    }
    return NULL;
}

static char *read_file(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) == -1) {
        fail("%s: %s", path, strerror(errno));
    }
    *bytes = (size_t)ftell(file);
    char *content = malloc(*bytes + 1);
    rewind(file);
    if (content == NULL || fread(content, 1, *bytes, file) != *bytes) {
        fail("%s: cannot be read", path);
    }
    fclose(file);
    return content;
}

// Asks once, and keeps the answer as what all later ones must be.
static void learn_answer(struct exchange *exchange, size_t request_bytes, const char *body, size_t body_bytes) {
    int descriptor = connect_to_server(options.host, options.port, SOCK_STREAM);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (send(descriptor, exchange->request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes) {
        fail("send: %s", strerror(errno));
    }
    exchange->answer = malloc(most_head_bytes + body_bytes + 1);
    size_t count = 0;
    size_t head_bytes = 0;
    while (head_bytes == 0 || count < head_bytes + body_bytes) {
        size_t room = (head_bytes == 0 ? most_head_bytes : head_bytes + body_bytes) - count;
        ssize_t result = room == 0 ? 0 : recv(descriptor, exchange->answer + count, room, 0);
        if (result <= 0) {
            fail("the server's first answer has no end: %.300s", exchange->answer);
        }
        count += (size_t)result;
        exchange->answer[count] = 0;
        const char *end = memmem(exchange->answer, count, "\r\n\r\n", 4);
        if (head_bytes == 0 && end != NULL) {
            head_bytes = (size_t)(end - exchange->answer) + 4;
        }
    }
    close(descriptor);

    char head[most_head_bytes + 1];
    memcpy(head, exchange->answer, head_bytes);
    head[head_bytes] = 0;
    const char *date = field_value(head, "Date");
    const char *length = field_value(head, "Content-Length");
    if (strncmp(head, "HTTP/1.1 200 ", 13) != 0 || date == NULL || strcspn(date, "\r") != date_bytes
        || field_value(head, "Content-Type") == NULL || length == NULL || strtoull(length, NULL, 10) != body_bytes
        || strtoull(length, NULL, 10) != count - head_bytes) {
        fail("not the answer that was expected:\n%s", head);
    }
    if (memcmp(exchange->answer + head_bytes, body, body_bytes) != 0) {
        fail("not the body that was expected, after:\n%s", head);
    }
    exchange->answer_bytes = count;
    exchange->date_start = (size_t)(date - head);
}

static void prepare_exchanges(void) {
    exchange_count = options.directory == NULL ? 1 : options.files;
    exchanges = calloc((size_t)exchange_count, sizeof *exchanges);
    for (int index = 0; index < exchange_count; index += 1) {
        char path[64] = "/";
        size_t body_bytes = 13;
        char *body = NULL;
        if (options.directory != NULL) {
            char local[4096];
            snprintf(path, sizeof path, "/file-%d.txt", index);
            snprintf(local, sizeof local, "%s%s", options.directory, path);
            body = read_file(local, &body_bytes);
        }
        // What wrk sends: the least that is allowed.
        char request[256];
        int bytes = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%d\r\n\r\n", path, options.host,
            options.port);
        struct exchange *exchange = &exchanges[index];
        exchange->request_bytes = (size_t)bytes * (size_t)options.pipeline;
        exchange->request = malloc(exchange->request_bytes + 1);
        for (int copy = 0; copy < options.pipeline; copy += 1) {
            memcpy(exchange->request + copy * bytes, request, (size_t)bytes);
        }
        learn_answer(exchange, (size_t)bytes, body == NULL ? "Hello, World!" : body, body_bytes);
        free(body);
    }
}

// Whether these bytes are those that the answer has from `start`; what the date says is not looked at.
static bool is_right(const struct exchange *exchange, const char *bytes, size_t start, size_t count) {
    const char *answer = exchange->answer;
    size_t end = start + count;
    size_t date_start = exchange->date_start;
    size_t date_end = date_start + date_bytes;
    if (start < date_start) {
        size_t before = (end < date_start ? end : date_start) - start;
        if (memcmp(bytes, answer + start, before) != 0) {
            return false;
        }
    }
    if (end > date_end) {
        size_t from = start > date_end ? start : date_end;
        return memcmp(bytes + (from - start), answer + from, end - from) == 0;
    }
    return true;
}

// MARK: busy connections

static void drop_connection(struct connection *connection) {
    errors += 1;
    alive -= 1;
    close(connection->descriptor);  // which also takes it out of the epoll
    connection->descriptor = -1;
}

static void wait_to_write(struct connection *connection, bool wait) {
    if (connection->waits_to_write != wait) {
        connection->waits_to_write = wait;
        struct epoll_event event = {.events = EPOLLIN | (wait ? EPOLLOUT : 0), .data.ptr = connection};
        epoll_ctl(epoll, EPOLL_CTL_MOD, connection->descriptor, &event);
    }
}

static void continue_sending(struct connection *connection) {
    const struct exchange *exchange = &exchanges[connection->exchange];
    while (connection->sent < exchange->request_bytes) {
        ssize_t count = send(connection->descriptor, exchange->request + connection->sent,
            exchange->request_bytes - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0) {
            connection->sent += (size_t)count;
        } else if (errno == EAGAIN) {
            wait_to_write(connection, true);
            return;
        } else if (errno != EINTR) {
            drop_connection(connection);
            return;
        }
    }
    wait_to_write(connection, false);
}

static void start_requests(struct connection *connection, uint64_t time) {
    connection->exchange = (connection->exchange + 1) % exchange_count;
    connection->answers_left = options.pipeline;
    connection->sent = 0;
    connection->started = time;
    continue_sending(connection);
}

static void continue_receiving(struct connection *connection) {
    ssize_t result = recv(connection->descriptor, received, receive_buffer_bytes, MSG_DONTWAIT);
    if (result == -1 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (result <= 0) {
        drop_connection(connection);
        return;
    }
    const struct exchange *exchange = &exchanges[connection->exchange];
    size_t count = (size_t)result;
    size_t taken = 0;
    while (taken < count) {
        size_t missing = exchange->answer_bytes - connection->received;
        size_t part = count - taken < missing ? count - taken : missing;
        // An answer that nobody asked for is as much of an error as a wrong one.
        if (connection->answers_left == 0 || !is_right(exchange, received + taken, connection->received, part)) {
            drop_connection(connection);
            return;
        }
        taken += part;
        connection->received += part;
        if (connection->received == exchange->answer_bytes) {
            connection->received = 0;
            connection->answers_left -= 1;
            requests += measuring;
        }
    }
    if (connection->answers_left == 0) {
        uint64_t time = now();
        if (measuring) {
            histogram_record(&latencies, time - connection->started);
        }
        start_requests(connection, time);
    }
}

static void run_load(double seconds) {
    struct epoll_event events[event_batch];
    uint64_t end = now() + (uint64_t)(seconds * 1e9);
    while (alive > 0 && now() < end) {
        int count = epoll_wait(epoll, events, event_batch, 10);
        for (int index = 0; index < count; index += 1) {
            struct connection *connection = events[index].data.ptr;
            if (events[index].events & EPOLLOUT) {
                continue_sending(connection);
            }
            if (connection->descriptor != -1 && (events[index].events & (EPOLLIN | EPOLLERR | EPOLLHUP))) {
                continue_receiving(connection);
            }
        }
    }
}

static void measure_busy(void) {
    struct connection *connections = calloc((size_t)options.connections, sizeof *connections);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int index = 0; index < options.connections; index += 1) {
        struct connection *connection = &connections[index];
        connection->descriptor = connect_to_server(options.host, options.port, SOCK_STREAM);
        connection->exchange = index % exchange_count;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->descriptor, &event) == -1) {
            fail("epoll_ctl: %s", strerror(errno));
        }
    }
    alive = options.connections;
    for (int index = 0; index < options.connections; index += 1) {
        start_requests(&connections[index], now());
    }
    run_load(options.warmup_seconds);
    struct server_usage before = read_usage(&options.server);
    uint64_t start = now();
    measuring = true;
    run_load(options.seconds);
    double seconds = (double)(now() - start) / 1e9;
    struct server_usage after = read_usage(&options.server);

    printf("{\"connections\":%d,\"pipeline\":%d,\"answer_bytes\":%zu,\"seconds\":%.3f,", options.connections,
        options.pipeline, exchanges[0].answer_bytes, seconds);
    printf("\"requests\":%llu,\"requests_per_second\":%.0f,", (unsigned long long)requests, (double)requests / seconds);
    print_latencies(&latencies);
    if (options.server.count > 0) {
        print_usage(&before, &after, requests);
    }
    printf("\"errors\":%llu}\n", (unsigned long long)errors);
}

// MARK: idle connections

// One request and its answer on a blocking socket. Returns false when the answer is wrong or does not come.
static bool ask_once(int descriptor) {
    const struct exchange *exchange = &exchanges[0];
    return send(descriptor, exchange->request, exchange->request_bytes, MSG_NOSIGNAL)
            == (ssize_t)exchange->request_bytes
        && recv(descriptor, received, exchange->answer_bytes, MSG_WAITALL) == (ssize_t)exchange->answer_bytes
        && is_right(exchange, received, 0, exchange->answer_bytes);
}

static int open_patiently(void) {
    int descriptor = connect_to_server(options.host, options.port, SOCK_STREAM);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return descriptor;
}

static void measure_idle(void) {
    struct server_memory before;
    struct server_memory after;
    int *descriptors = calloc((size_t)options.idle, sizeof *descriptors);
    // The first connections pay for what the server sets up once (threads, pools): that is not memory per connection.
    for (int index = 0; index < 16; index += 1) {
        int descriptor = open_patiently();
        if (!ask_once(descriptor)) {
            fail("the server does not answer");
        }
        close(descriptor);
    }
    sleep_seconds(options.warmup_seconds);
    if (read_server_memory(options.server.ids[0], &before) == -1) {
        fail("cannot read the memory of process %d (--server-pid)", options.server.ids[0]);
    }
    uint64_t start = now();
    for (int index = 0; index < options.idle; index += 1) {
        descriptors[index] = open_patiently();
        errors += !ask_once(descriptors[index]);
        if (errors > 10) {
            fail("the server stopped answering at connection %d", index + 1);
        }
    }
    double opened_seconds = (double)(now() - start) / 1e9;
    sleep_seconds(options.seconds);
    if (read_server_memory(options.server.ids[0], &after) == -1) {
        fail("the server (process %d) ended", options.server.ids[0]);
    }
    // All of them must still be served: a server could save memory by dropping some.
    for (int index = 0; index < options.idle; index += 1) {
        errors += !ask_once(descriptors[index]);
    }
    putchar('{');
    print_idle_memory(options.idle, opened_seconds, &before, &after);
    printf("\"errors\":%llu}\n", (unsigned long long)errors);
}

// MARK: command line

static void parse_options(int count, char **arguments) {
    static const struct option names[] = {
        {"host", required_argument, NULL, 'h'},        {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'}, {"idle", required_argument, NULL, 'i'},
        {"pipeline", required_argument, NULL, 'l'},    {"directory", required_argument, NULL, 'r'},
        {"files", required_argument, NULL, 'f'},       {"warmup", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 'd'},     {"server-pid", required_argument, NULL, 'x'},
        {NULL, 0, NULL, 0},
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
        case 'l': options.pipeline = (int)option_number(name, optarg, 1, most_pipelined); break;
        case 'r': options.directory = optarg; break;
        case 'f': options.files = (int)option_number(name, optarg, 1, 1000); break;
        case 'w': options.warmup_seconds = option_number(name, optarg, 0, 600); break;
        case 'd': options.seconds = option_number(name, optarg, 0.01, 3600); break;
        case 'x': add_server_process(&options.server, (int)option_number(name, optarg, 1, 1 << 30)); break;
        default: exit(2);
        }
    }
    if (options.port == 0 || optind != count) {
        fail("usage: http-load --port P [--host A] [--connections N] [--pipeline N] [--directory FOLDER --files N]\n"
             "                 [--warmup S] [--seconds S] [--server-pid PID]... [--idle N]");
    }
    if (options.idle > 0 && (options.server.count != 1 || options.pipeline != 1 || options.directory != NULL)) {
        fail("--idle measures one server's memory: it needs one --server-pid, and takes no --pipeline or --directory");
    }
}

int main(int count, char **arguments) {
    parse_options(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit(options.idle > 0 ? options.idle : options.connections);
    received = malloc(receive_buffer_bytes);
    prepare_exchanges();
    if (options.idle > 0) {
        measure_idle();
    } else {
        measure_busy();
    }
    return 0;
}
