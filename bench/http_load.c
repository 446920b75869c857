/* SPDX-License-Identifier: Apache-2.0
 *
 * http_load: a load of requests against a running server, for the benches. One thread, epoll,
 * keep-alive connections, one request under way on each. With --rate the load is open: requests are
 * due at fixed times whatever the answers do, and latency counts from the due time (so a slow
 * server cannot hide behind a client that waits); without, it is closed.
 *
 *   http_load --port P [--mode recommend|events|mixed] [--connections 16] [--seconds 10]
 *             [--rate 0] [--requests 0] [--batch 1000] [--users 1000] [--items 1000]
 *             [--ack applied] [--n 20] [--explain reasons] [--seed 1]
 *
 * Prints one JSON line: requests, events, statuses, seconds, latency quantiles in microseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "obs/obs.h"

enum { WAIT_NS = 10000000, CONNECTIONS_MAX = 1024, ANSWER_BYTES = 1 << 18, STATUS_MAX = 600 };

struct options {
    const char *mode, *ack, *explain;
    uint64_t port, connections, seconds, rate, requests, batch, users, items, n, seed;
};

struct connection {
    int fd;
    bool busy;
    bool is_events;
    int64_t due_ns, sent_ns;
    struct base_buf out;
    size_t sent;
    char *answer;
    size_t got;
};

static struct options options = {.mode = "recommend",
                                 .ack = "applied",
                                 .explain = "reasons",
                                 .connections = 16,
                                 .seconds = 10,
                                 .batch = 1000,
                                 .users = 1000,
                                 .items = 1000,
                                 .n = 20,
                                 .seed = 1};
static struct connection connections[CONNECTIONS_MAX];
static struct obs_histogram latency; /* nanoseconds */
static struct obs_histogram refusal; /* of 429 and 503, from when it was sent */
static uint64_t statuses[STATUS_MAX], done, events_done, began, draws;
static int poller;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t draw(uint64_t below)
{
    return base_random_u64(options.seed, draws++, 0) % below;
}

static uint64_t draw_popular(uint64_t below) /* squared: the small ones more often */
{
    double u = base_random_unit(options.seed, draws++, 1);
    return (uint64_t)(u * u * u * (double)below);
}

static void write_events(struct base_buf *out)
{
    static struct base_buf body;
    if (!body.count_max)
        base_buf_init(&body, 0);
    base_buf_clear(&body);
    for (uint64_t i = 0; i < options.batch; i++)
        base_buf_printf(&body,
                        "{\"user\":\"u%llu\",\"item\":\"i%llu\",\"type\":\"click\","
                        "\"context\":{\"device\":\"phone\",\"region\":\"r%llu\"}}\n",
                        (unsigned long long)draw(options.users),
                        (unsigned long long)draw_popular(options.items),
                        (unsigned long long)draw(27));
    base_buf_printf(out,
                    "POST /v1/events?ack=%s HTTP/1.1\r\nHost: localhost\r\n"
                    "Content-Type: application/x-ndjson\r\nContent-Length: %zu\r\n\r\n",
                    options.ack, body.count);
    base_buf_put_slice(out, base_buf_slice(&body));
}

static void write_recommend(struct base_buf *out)
{
    base_buf_printf(out,
                    "GET /v1/recommend?user=u%llu&n=%llu&explain=%s HTTP/1.1\r\n"
                    "Host: localhost\r\n\r\n",
                    (unsigned long long)draw(options.users), (unsigned long long)options.n,
                    options.explain);
}

static void watch(struct connection *conn, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.ptr = conn};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, conn->fd, &event) != 0)
        fail("epoll");
}

static void push(struct connection *conn)
{
    while (conn->sent < conn->out.count) {
        ssize_t bytes = send(conn->fd, conn->out.bytes + conn->sent, conn->out.count - conn->sent,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
        if (bytes < 0 && errno == EAGAIN) {
            watch(conn, EPOLLIN | EPOLLOUT);
            return;
        }
        if (bytes < 0)
            fail("send");
        conn->sent += (size_t)bytes;
    }
    watch(conn, EPOLLIN);
}

static void start_request(struct connection *conn, int64_t due_ns)
{
    conn->is_events = strcmp(options.mode, "events") == 0 ||
                      (strcmp(options.mode, "mixed") == 0 && began % 2 == 0);
    conn->busy = true;
    conn->due_ns = due_ns;
    conn->sent_ns = now_ns();
    conn->sent = conn->got = 0;
    base_buf_clear(&conn->out);
    if (conn->is_events)
        write_events(&conn->out);
    else
        write_recommend(&conn->out);
    began++;
    push(conn);
}

/* True when the answer is whole. */
static bool answer_whole(const struct connection *conn)
{
    const char *end = memmem(conn->answer, conn->got, "\r\n\r\n", 4);
    if (!end)
        return false;
    const char *length = strcasestr(conn->answer, "\r\ncontent-length:");
    size_t body = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
    return conn->got >= (size_t)(end - conn->answer) + 4 + body;
}

static void dial(struct connection *conn)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        fail("epoll");
}

static void pull(struct connection *conn)
{
    for (;;) {
        ssize_t bytes =
            recv(conn->fd, conn->answer + conn->got, ANSWER_BYTES - 1 - conn->got, MSG_DONTWAIT);
        if (bytes < 0 && errno == EAGAIN)
            return;
        if (bytes <= 0 && !conn->busy) { /* idle for too long: the server may */
            close(conn->fd);
            dial(conn);
            return;
        }
        if (bytes <= 0)
            fail("the server closed a connection");
        conn->got += (size_t)bytes;
        conn->answer[conn->got] = '\0';
        if (!answer_whole(conn))
            continue;
        unsigned status = (unsigned)strtoul(conn->answer + 9, NULL, 10) % STATUS_MAX;
        statuses[status]++;
        done++;
        if (status / 100 == 2) {
            obs_hist_record(&latency, (uint64_t)(now_ns() - conn->due_ns));
            events_done += conn->is_events ? options.batch : 0;
        } else if (status == 429 || status == 503) {
            obs_hist_record(&refusal, (uint64_t)(now_ns() - conn->sent_ns));
        }
        conn->busy = false;
        return;
    }
}

static void open_connections(void)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (uint64_t c = 0; c < options.connections; c++) {
        struct connection *conn = &connections[c];
        base_buf_init(&conn->out, 0);
        conn->answer = malloc(ANSWER_BYTES);
        if (!conn->answer)
            fail("memory");
        dial(conn);
    }
}

/* The next idle connection, each in its turn; NULL: all are busy. */
static struct connection *idle_one(void)
{
    static uint64_t turn;
    for (uint64_t c = 0; c < options.connections; c++) {
        struct connection *conn = &connections[turn++ % options.connections];
        if (!conn->busy)
            return conn;
    }
    return NULL;
}

/* Starts what is due; gives the nanoseconds until more is, WAIT_NS at most. */
static int64_t start_due(int64_t start_ns)
{
    int64_t now = now_ns();
    while (!options.requests || began < options.requests) {
        int64_t due =
            options.rate ? start_ns + (int64_t)(began * 1000000000ull / options.rate) : now;
        if (due > now)
            return FR_MIN(due - now, (int64_t)WAIT_NS);
        struct connection *conn = idle_one();
        if (!conn)
            break;
        start_request(conn, due);
    }
    return WAIT_NS;
}

static void run(void)
{
    int64_t start_ns = now_ns(), end_ns = start_ns + (int64_t)options.seconds * 1000000000;
    struct epoll_event ready[256];
    for (;;) {
        bool enough = options.requests && done >= options.requests;
        if (enough || now_ns() >= end_ns)
            break;
        struct timespec wait = {.tv_nsec =
                                    start_due(start_ns)}; /* sleeps: no core is the client's */
        int count = epoll_pwait2(poller, ready, 256, &wait, NULL);
        for (int i = 0; i < count; i++) {
            struct connection *conn = ready[i].data.ptr;
            if (ready[i].events & EPOLLOUT)
                push(conn);
            if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                pull(conn);
        }
    }
    double seconds = (double)(now_ns() - start_ns) * 1e-9;
    printf("{\"requests\":%llu,\"events\":%llu,\"seconds\":%.3f,\"requests_per_second\":%.1f,"
           "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"refused_p50_us\":%.1f,"
           "\"refused_p99_us\":%.1f,\"statuses\":{",
           (unsigned long long)done, (unsigned long long)events_done, seconds,
           (double)done / seconds, (double)obs_hist_quantile(&latency, .5) * 1e-3,
           (double)obs_hist_quantile(&latency, .9) * 1e-3,
           (double)obs_hist_quantile(&latency, .99) * 1e-3,
           (double)obs_hist_quantile(&refusal, .5) * 1e-3,
           (double)obs_hist_quantile(&refusal, .99) * 1e-3);
    const char *comma = "";
    for (int s = 0; s < STATUS_MAX; s++) {
        if (statuses[s])
            printf("%s\"%d\":%llu", comma, s, (unsigned long long)statuses[s]);
        comma = statuses[s] ? "," : comma;
    }
    puts("}}");
}

static void parse(int argc, char **argv)
{
    const struct {
        const char *name;
        uint64_t *number;
        const char **text;
    } known[] = {
        {"--port", &options.port, NULL},
        {"--connections", &options.connections, NULL},
        {"--seconds", &options.seconds, NULL},
        {"--rate", &options.rate, NULL},
        {"--requests", &options.requests, NULL},
        {"--batch", &options.batch, NULL},
        {"--users", &options.users, NULL},
        {"--items", &options.items, NULL},
        {"--n", &options.n, NULL},
        {"--seed", &options.seed, NULL},
        {"--mode", NULL, &options.mode},
        {"--ack", NULL, &options.ack},
        {"--explain", NULL, &options.explain},
    };
    for (int i = 1; i + 1 < argc; i += 2) {
        size_t k = 0;
        while (k < FR_COUNT_OF(known) && strcmp(argv[i], known[k].name) != 0)
            k++;
        if (k == FR_COUNT_OF(known)) {
            fprintf(stderr, "http_load: unknown option %s\n", argv[i]);
            exit(2);
        }
        if (known[k].number)
            *known[k].number = strtoull(argv[i + 1], NULL, 10);
        else
            *known[k].text = argv[i + 1];
    }
    if (!options.port || options.connections < 1 || options.connections > CONNECTIONS_MAX) {
        fprintf(stderr, "http_load: --port and 1 to %d --connections\n", CONNECTIONS_MAX);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    open_connections();
    run();
    return 0;
}
