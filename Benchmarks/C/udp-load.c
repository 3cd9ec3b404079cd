// SPDX-License-Identifier: Apache-2.0
//
// A closed-loop load generator for UDP echo servers: every socket keeps a window of packets under way, and sends a new
// one for each that comes back. A packet that does not come back in time is lost: it is counted, and another takes its
// place. Prints one JSON object, as `load` does; a request is a packet that was answered.
//
//   udp-load --port P --sockets 32 --window 4 --size 64 --warmup 1 --seconds 3 --server-pid PID
#include "load_support.h"

#include <getopt.h>
#include <stdbool.h>
#include <sys/epoll.h>

enum { event_batch = 64, most_window = 64, most_packet_bytes = 1400 };
// After this long a packet is lost: an echo over loopback takes less, even behind full buffers.
static const uint64_t patience_nanoseconds = 250 * 1000 * 1000;

const char program_name[] = "udp-load";

struct packet_head {
    uint32_t socket;
    uint32_t slot;
    uint64_t sequence;
};

struct slot {
    uint64_t sequence;
    uint64_t sent;
    bool under_way;
};

struct udp_socket {
    int descriptor;
    struct slot slots[most_window];
};

static const char *host = "127.0.0.1";
static int port;
static int socket_count = 32;
static int window = 4;
static size_t size = 64;
static double warmup_seconds = 1;
static double measured_seconds = 3;
static struct server_processes server;

static struct udp_socket *sockets;
static char filling[most_packet_bytes];
static char packets[most_window][most_packet_bytes];
static struct iovec vectors[most_window];
static struct mmsghdr messages[most_window];
static int epoll;
static uint64_t next_sequence = 1;
static bool measuring;
static uint64_t requests;
static uint64_t lost;
static uint64_t late;
static uint64_t errors;
static struct histogram latencies;

// Sends a new packet in each of the socket's slots that has none under way.
static void fill_window(uint32_t number, uint64_t time) {
    struct udp_socket *socket = &sockets[number];
    unsigned count = 0;
    for (uint32_t index = 0; index < (uint32_t)window; index += 1) {
        struct slot *slot = &socket->slots[index];
        if (slot->under_way) {
            continue;
        }
        *slot = (struct slot){.sequence = next_sequence, .sent = time, .under_way = true};
        next_sequence += 1;
        struct packet_head head = {number, index, slot->sequence};
        memcpy(packets[count], &head, sizeof head);
        memcpy(packets[count] + sizeof head, filling + slot->sequence % 64, size - sizeof head);
        vectors[count].iov_len = size;
        count += 1;
    }
    for (unsigned sent = 0; sent < count;) {
        int result = sendmmsg(socket->descriptor, messages + sent, count - sent, MSG_DONTWAIT);
        if (result > 0) {
            sent += (unsigned)result;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            return;  // those that could not go count as lost when their time is up
        } else if (errno != EINTR) {
            fail("sendmmsg: %s", strerror(errno));
        }
    }
}

static void take_answer(uint32_t number, const char *packet, size_t bytes, uint64_t time) {
    struct packet_head head;
    if (bytes != size) {
        errors += 1;
        return;
    }
    memcpy(&head, packet, sizeof head);
    // One packet's answer to another's socket, or other bytes than were sent, are errors.
    if (head.socket != number || head.slot >= (uint32_t)window || head.sequence >= next_sequence
        || memcmp(packet + sizeof head, filling + head.sequence % 64, size - sizeof head) != 0) {
        errors += 1;
        return;
    }
    struct slot *slot = &sockets[number].slots[head.slot];
    if (!slot->under_way || slot->sequence != head.sequence) {
        late += 1;  // given up before, or echoed twice
        return;
    }
    slot->under_way = false;
    if (measuring) {
        requests += 1;
        histogram_record(&latencies, time - slot->sent);
    }
}

static void receive_answers(uint32_t number) {
    for (int index = 0; index < window; index += 1) {
        vectors[index].iov_len = most_packet_bytes;
    }
    int count = recvmmsg(sockets[number].descriptor, messages, (unsigned)window, MSG_DONTWAIT, NULL);
    if (count == -1) {
        if (errno == EAGAIN || errno == EINTR) {
            return;
        }
        fail("recvmmsg: %s", strerror(errno));
    }
    uint64_t time = now();
    for (int index = 0; index < count; index += 1) {
        take_answer(number, packets[index], messages[index].msg_len, time);
    }
    fill_window(number, time);
}

static void replace_lost(uint64_t time) {
    for (uint32_t number = 0; number < (uint32_t)socket_count; number += 1) {
        bool any = false;
        for (int index = 0; index < window; index += 1) {
            struct slot *slot = &sockets[number].slots[index];
            if (slot->under_way && time - slot->sent > patience_nanoseconds) {
                slot->under_way = false;
                any = true;
                lost += measuring;
            }
        }
        if (any) {
            fill_window(number, time);
        }
    }
}

static void run_load(double seconds) {
    struct epoll_event events[event_batch];
    uint64_t time = now();
    uint64_t end = time + (uint64_t)(seconds * 1e9);
    uint64_t next_sweep = time + patience_nanoseconds / 4;
    while (time < end) {
        int count = epoll_wait(epoll, events, event_batch, 10);
        for (int index = 0; index < count; index += 1) {
            receive_answers(events[index].data.u32);
        }
        time = now();
        if (time > next_sweep) {
            replace_lost(time);
            next_sweep = time + patience_nanoseconds / 4;
        }
    }
}

static void parse_options(int count, char **arguments) {
    static const struct option names[] = {
        {"host", required_argument, NULL, 'h'},    {"port", required_argument, NULL, 'p'},
        {"sockets", required_argument, NULL, 'c'}, {"window", required_argument, NULL, 'n'},
        {"size", required_argument, NULL, 's'},    {"warmup", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 'd'}, {"server-pid", required_argument, NULL, 'x'},
        {NULL, 0, NULL, 0},
    };
    int index = 0;
    for (int option = getopt_long(count, arguments, "", names, &index); option != -1;
         option = getopt_long(count, arguments, "", names, &index)) {
        const char *name = names[index].name;
        switch (option) {
        case 'h': host = optarg; break;
        case 'p': port = (int)option_number(name, optarg, 1, 65535); break;
        case 'c': socket_count = (int)option_number(name, optarg, 1, 10000); break;
        case 'n': window = (int)option_number(name, optarg, 1, most_window); break;
        case 's': size = (size_t)option_number(name, optarg, sizeof(struct packet_head), most_packet_bytes - 64); break;
        case 'w': warmup_seconds = option_number(name, optarg, 0, 600); break;
        case 'd': measured_seconds = option_number(name, optarg, 0.01, 3600); break;
        case 'x': add_server_process(&server, (int)option_number(name, optarg, 1, 1 << 30)); break;
        default: exit(2);
        }
    }
    if (port == 0 || optind != count) {
        fail("usage: udp-load --port P [--host A] [--sockets N] [--window N] [--size BYTES] [--warmup S]\n"
             "                [--seconds S] [--server-pid PID]...");
    }
}

int main(int count, char **arguments) {
    parse_options(count, arguments);
    raise_descriptor_limit(socket_count);
    uint32_t state = 2463534242u;
    for (size_t index = 0; index < sizeof filling; index += 1) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        filling[index] = (char)state;
    }
    for (int index = 0; index < most_window; index += 1) {
        vectors[index].iov_base = packets[index];
        messages[index].msg_hdr = (struct msghdr){.msg_iov = &vectors[index], .msg_iovlen = 1};
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    sockets = calloc((size_t)socket_count, sizeof *sockets);
    for (int index = 0; index < socket_count; index += 1) {
        sockets[index].descriptor = connect_to_server(host, port, SOCK_DGRAM);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[index].descriptor, &event) == -1) {
            fail("epoll_ctl: %s", strerror(errno));
        }
    }
    for (uint32_t number = 0; number < (uint32_t)socket_count; number += 1) {
        fill_window(number, now());
    }
    run_load(warmup_seconds);
    struct server_usage before = read_usage(&server);
    uint64_t start = now();
    measuring = true;
    run_load(measured_seconds);
    double seconds = (double)(now() - start) / 1e9;
    struct server_usage after = read_usage(&server);

    printf("{\"sockets\":%d,\"window\":%d,\"size\":%zu,\"seconds\":%.3f,", socket_count, window, size, seconds);
    printf("\"requests\":%llu,\"requests_per_second\":%.0f,", (unsigned long long)requests, (double)requests / seconds);
    print_latencies(&latencies);
    if (server.count > 0) {
        print_usage(&before, &after, requests);
    }
    printf("\"lost\":%llu,\"late\":%llu,\"errors\":%llu}\n", (unsigned long long)lost, (unsigned long long)late,
        (unsigned long long)errors);
    return 0;
}
