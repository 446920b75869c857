/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http_accept: one thread that accepts connections, hands each to the serving thread with the
 * fewest, and reaps those past their deadline (H2). Accepting apart from serving spreads the load
 * evenly and keeps one place for the limit on connections and for deadlines. Deadlines are total:
 * one that counted from the last byte could be kept moving by a slow client.
 *
 * Thread: the acceptor's own. Shares the slots with the serving threads (see http_priv.h).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve/http_priv.h"

enum {
    LINGER_MS = 2000,
    IDLE_STOP_MS = 500,
    TICK_MS = 250,
    BACKLOG = 1024,
    ACCEPTS_A_TURN = 64,
    BYTES_A_SECOND = 65536
};

int64_t http__now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void http__slot_phase(struct http_slot *slot, enum http_phase phase, uint64_t bytes)
{
    atomic_store_explicit(&slot->since_ns, http__now_ns(), memory_order_relaxed);
    atomic_store_explicit(&slot->bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&slot->phase, phase, memory_order_release); /* pairs with reap_one() */
}

/* ---- listening -------------------------------------------------------------------------- */

struct endpoint {
    struct sockaddr_storage address;
    socklen_t bytes;
};

static bool endpoint_parse(const char *text, uint16_t port, struct endpoint *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->address;
    memset(out, 0, sizeof *out);
    if (strcmp(text, "localhost") == 0)
        text = "127.0.0.1";
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        out->bytes = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        out->bytes = sizeof *v6;
        return true;
    }
    return false;
}

bool http_address_is_loopback(const char *address)
{
    struct endpoint end;
    if (!endpoint_parse(address, 0, &end))
        return false;
    if (end.address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&end.address;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&end.address;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int listen_on(const struct endpoint *end)
{
    int fd = socket(end->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&end->address, end->bytes) != 0 ||
        listen(fd, BACKLOG) != 0) {
        int kept = errno;
        close(fd);
        errno = kept;
        return -1;
    }
    return fd;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage bound;
    socklen_t bytes = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &bytes) != 0)
        return 0;
    return bound.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&bound)->sin_port)
                                      : ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
}

/* A socket that somebody else bound: its connections wait there while one process follows another. */
static enum fr_status listen_inherited(struct http *http, struct fr_error *error)
{
    int fd = http->options.listen_fd, listens = 0;
    socklen_t bytes = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) != 0 || !listens ||
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return base_fail(error, FR_INVALID, "serve",
                         "descriptor %d, given to be listened on, is no listening socket", fd);
    http->listen_fd = fd;
    http->port = bound_port(fd);
    return FR_OK;
}

enum fr_status http__listen(struct http *http, struct fr_error *error)
{
    const struct http_options *options = &http->options;
    uint32_t tries = options->port && options->port_tries ? options->port_tries : 1;
    struct endpoint end;
    if (options->listen_fd > 0)
        return listen_inherited(http, error);
    for (uint32_t i = 0; i < tries && options->port + i <= UINT16_MAX; i++) {
        if (!endpoint_parse(options->address, (uint16_t)(options->port + i), &end)) {
            base_hint(error, "give a numeric IPv4 or IPv6 address, such as 127.0.0.1 or ::1");
            return base_fail(error, FR_INVALID, "serve", "\"%s\" is not an address to listen on",
                             options->address);
        }
        http->listen_fd = listen_on(&end);
        if (http->listen_fd >= 0) {
            http->port = bound_port(http->listen_fd);
            return FR_OK;
        }
        if (errno != EADDRINUSE)
            break;
    }
    enum fr_status status = errno == EADDRINUSE ? FR_EXISTS : errno == EACCES ? FR_DENIED : FR_IO;
    fr_ignore(base_fail(error, status, "serve", "cannot listen on %s port %u: %s", options->address,
                        options->port, strerror(errno)),
              "returned below");
    base_hint(error, "choose another with --port, or stop the program that holds it");
    return status;
}

/* ---- the reaper ------------------------------------------------------------------------- */

static int64_t deadline_ns(const struct http_options *options, uint32_t phase, uint64_t bytes)
{
    int64_t more_ms = (int64_t)(FR_MIN(bytes, (uint64_t)1 << 40) * 1000 / BYTES_A_SECOND);
    int64_t ms;
    switch (phase) {
    case HTTP_PHASE_FIRST:
    case HTTP_PHASE_HEAD:
        ms = options->head_ms;
        break;
    case HTTP_PHASE_BODY:
        ms = options->body_ms + more_ms;
        break;
    case HTTP_PHASE_ANSWER:
        ms = options->answer_ms + more_ms;
        break;
    case HTTP_PHASE_IDLE:
        ms = options->idle_ms;
        break;
    case HTTP_PHASE_LINGER:
        ms = LINGER_MS;
        break;
    default:
        return INT64_MAX;
    }
    return ms * 1000000;
}

static void reap_one(struct http *http, uint32_t fd, int64_t now_ns)
{
    struct http_slot *slot = &http->slot[fd];
    uint32_t phase = atomic_load_explicit(&slot->phase, memory_order_acquire);
    if (phase == HTTP_PHASE_FREE || phase == HTTP_PHASE_WORK)
        return;
    int64_t since = atomic_load_explicit(&slot->since_ns, memory_order_relaxed);
    uint64_t bytes = atomic_load_explicit(&slot->bytes, memory_order_relaxed);
    /* At a stop, who was heard lately is likely to ask again, and is told in that answer. */
    bool is_silent =
        phase == HTTP_PHASE_IDLE || phase == HTTP_PHASE_FIRST || phase == HTTP_PHASE_LINGER;
    bool idle_stop = is_silent && atomic_load(&http->stopping) &&
                     now_ns - since >= IDLE_STOP_MS * (int64_t)1000000;
    if (!idle_stop && now_ns - since < deadline_ns(&http->options, phase, bytes))
        return;
    if (phase == HTTP_PHASE_ANSWER)
        atomic_fetch_add_explicit(&http->reaped_answer, 1, memory_order_relaxed);
    else if (phase == HTTP_PHASE_BODY)
        atomic_fetch_add_explicit(&http->reaped_body, 1, memory_order_relaxed);
    else if (phase == HTTP_PHASE_HEAD || phase == HTTP_PHASE_FIRST)
        atomic_fetch_add_explicit(&http->reaped_head, 1, memory_order_relaxed);
    (void)shutdown((int)fd, SHUT_RDWR); /* its thread sees the end and closes it */
    atomic_store_explicit(&slot->phase, HTTP_PHASE_WORK, memory_order_relaxed); /* once */
}

static void reap(struct http *http)
{
    int64_t now_ns = http__now_ns();
    pthread_mutex_lock(&http->slots_lock);
    for (uint32_t fd = 0; fd < http->slot_count; fd++)
        reap_one(http, fd, now_ns);
    pthread_mutex_unlock(&http->slots_lock);
}

/* ---- accepting -------------------------------------------------------------------------- */

static void refuse_full(const struct http *http, int fd)
{
    static const char body[] =
        "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
        "\"code\":\"connections_full\",\"hint\":\"try again later\"}";
    char answer[512];
    int bytes = snprintf(answer, sizeof answer,
                         "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                         "Retry-After: 1\r\nContent-Type: application/problem+json\r\n"
                         "Content-Length: %zu\r\n\r\n%s",
                         sizeof body - 1, body);
    if (!http->tls)
        (void)!send(fd, answer, (size_t)bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
}

static uint32_t thread_with_fewest(const struct http *http)
{
    uint32_t best = 0, best_count = UINT32_MAX;
    for (uint32_t i = 0; i < http->options.threads; i++) {
        uint32_t count = atomic_load_explicit(&http->thread[i].connections, memory_order_relaxed);
        if (count < best_count) {
            best = i;
            best_count = count;
        }
    }
    return best;
}

static void hand_over(struct http *http, int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    uint32_t thread = thread_with_fewest(http);
    struct http_slot *slot = &http->slot[fd];
    http__slot_phase(slot, HTTP_PHASE_FIRST, 0);
    atomic_fetch_add_explicit(&http->connections, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&http->thread[thread].connections, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&http->accepted, 1, memory_order_relaxed);
    if (http__thread_give(&http->thread[thread], fd))
        return;
    pthread_mutex_lock(&http->slots_lock);
    atomic_store_explicit(&slot->phase, HTTP_PHASE_FREE, memory_order_relaxed);
    refuse_full(http, fd);
    pthread_mutex_unlock(&http->slots_lock);
    atomic_fetch_add_explicit(&http->refused_full, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&http->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&http->thread[thread].connections, 1, memory_order_relaxed);
}

/* Takes what waits. False when the process is out of descriptors: leave the rest for a while. */
static bool accept_some(struct http *http)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(http->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
        uint32_t now = atomic_load_explicit(&http->connections, memory_order_relaxed);
        if ((uint32_t)fd >= http->slot_count || now >= http->options.connections_max) {
            atomic_fetch_add_explicit(&http->refused_full, 1, memory_order_relaxed);
            refuse_full(http, fd);
            continue;
        }
        hand_over(http, fd);
    }
    return true;
}

static void *acceptor_main(void *context)
{
    struct http *http = context;
    int64_t next_tick_ns = 0;
    bool listening = true;
    for (;;) {
        bool stopping = atomic_load(&http->stopping);
        struct pollfd wait[2] = {{http->wake_fd, POLLIN, 0},
                                 {listening && !stopping ? http->listen_fd : -1, POLLIN, 0}};
        (void)poll(wait, 2, stopping ? 20 : TICK_MS);
        if (wait[0].revents) {
            uint64_t drained;
            (void)!read(http->wake_fd, &drained, sizeof drained);
            if (atomic_load(&http->acceptor_quit))
                return NULL;
        }
        listening = true;
        if (wait[1].revents)
            listening = accept_some(http);
        int64_t now_ns = http__now_ns();
        if (now_ns < next_tick_ns && !stopping)
            continue;
        next_tick_ns = now_ns + (int64_t)TICK_MS * 1000000;
        reap(http);
        if (http__tls_refresh(http->tls) && http->options.renewed)
            http->options.renewed(http->options.context, http->options.tls_certificate);
        if (http->options.tick && !stopping)
            http->options.tick(http->options.context);
    }
}

enum fr_status http__acceptor_start(struct http *http, struct fr_error *error)
{
    http->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    http->acceptor_runs = true;
    if (http->wake_fd < 0 || pthread_create(&http->acceptor, NULL, acceptor_main, http) != 0) {
        http->acceptor_runs = false;
        return base_fail(error, FR_IO, "serve", "cannot start the accepting thread: %s",
                         strerror(errno));
    }
    pthread_setname_np(http->acceptor, "fr-accept");
    return FR_OK;
}

void http__acceptor_stop(struct http *http)
{
    if (http->acceptor_runs) {
        uint64_t one = 1;
        http->acceptor_runs = false;
        atomic_store(&http->acceptor_quit, true);
        (void)!write(http->wake_fd, &one, sizeof one);
        pthread_join(http->acceptor, NULL);
    }
    if (http->wake_fd >= 0)
        close(http->wake_fd);
    http->wake_fd = -1;
}
