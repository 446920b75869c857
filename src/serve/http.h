/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http: HTTP/1.1 behind a door of eight functions: an epoll loop a serving thread, fed by one
 * acceptor; TLS beneath on request. Nothing outside http*.c knows.
 *
 * A request is offered to admit() when its body is whole, and handed to the handler when its turn comes;
 * the handler fills in the answer and returns. A handler that has to wait calls http_suspend() first; whoever ends the wait calls
 * http_resume() from any thread, and the handler is called once more with `resumed` set.
 *
 * Invariants
 *   H1: one reading of a message: what two parsers could read differently (two lengths, a length
 * and a transfer coding, an unknown coding, blanks in names, a bad Host) is refused with 400 or 501
 * and the connection is closed. H2: every phase has a deadline: head, body (grows with its bytes),
 * answer; the acceptor's reaper enforces them. A suspended request has none: who suspends it must
 * resume it. H3: a warm request costs no malloc in this code: requests and their buffers are pooled
 * a thread.
 *
 * Thread: the handler runs on serving thread `request->thread` (0 .. threads - 1).
 */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include "base/base.h"
#include "base/buf.h"

enum {
    HTTP_HEADERS_MAX = 64,
    HTTP_ANSWER_HEADERS_MAX = 12,
    HTTP_TARGET_BYTES_MAX = 8192,
    HTTP_THREADS_MAX = 64,
    HTTP_RANKS = 3,      /* of requests: 0 is answered before 1, 1 before 2 */
    HTTP_PASSED_MAX = 8, /* but no more than so many in a row go before one that waits */
};

enum http_method {
    HTTP_GET = 1 << 0,
    HTTP_HEAD = 1 << 1,
    HTTP_POST = 1 << 2,
    HTTP_PUT = 1 << 3,
    HTTP_PATCH = 1 << 4,
    HTTP_DELETE = 1 << 5,
    HTTP_OPTIONS = 1 << 6,
    HTTP_OTHER = 1 << 7,
};

struct http_header {
    struct fr_slice name, value;
};
struct http_answer_header {
    const char *name, *value; /* static, or alive until the answer is sent (request->scratch) */
};

struct http_request {
    /* what came; borrowed until the answer is sent */
    enum http_method method;
    struct fr_slice method_name;
    struct fr_slice target; /* path and query as sent, not decoded */
    struct http_header header[HTTP_HEADERS_MAX];
    uint32_t header_count;
    struct fr_slice body;
    uint32_t thread;
    bool resumed;
    int64_t began_ns;  /* monotonic: when the head was whole */
    int64_t waited_ns; /* before that: about so long its bytes lay unread */
    int64_t queue_ns;  /* from then on: about so long it will wait for the handler */
    uint32_t rank;     /* of its queue; set by admit() */
    void *job;         /* the handler's own between suspend and resume */

    /* what goes back */
    uint16_t status;
    const char *content_type;
    struct base_buf out;    /* the answer's body, unless `answer` is set */
    struct fr_slice answer; /* static bytes instead of `out` */
    struct http_answer_header answer_header[HTTP_ANSWER_HEADERS_MAX];
    uint32_t answer_header_count;
    bool close;        /* end the connection after this answer */
    char scratch[512]; /* for header values made up on the way */
};

struct http_options {
    const char *address;      /* "127.0.0.1", "::1", "0.0.0.0", ...; "localhost" is 127.0.0.1 */
    uint16_t port;            /* 0: any free one */
    uint16_t port_tries;      /* how many ports from `port` on are tried; 0 = 1 */
    uint32_t threads;         /* 0 = 1 */
    uint32_t connections_max; /* 0 = 16,384, lowered to what RLIMIT_NOFILE allows */
    int listen_fd;            /* listens already, address and port are not looked at; 0 = none */
    const char *tls_certificate,
        *tls_key;            /* PEM files, looked at again when changed; NULL: plain */
    size_t body_bytes_max;   /* 0 = 16 MiB */
    size_t bodies_bytes_max; /* bodies in memory at once; 0 = 16 x body_bytes_max */
    uint32_t head_ms;        /* 0 = 10,000: from connect or first line to the whole head */
    uint32_t idle_ms;        /* 0 = 75,000: between requests of one connection */
    uint32_t body_ms;        /* 0 = 15,000, and a second more for each 64 KiB that came */
    uint32_t answer_ms;      /* 0 = 30,000, likewise */
    void *context;
    /* As soon as a request is whole, before its turn: may give it a rank; false: it is refused, and the
     * answer is filled in. May be NULL. */
    bool (*admit)(void *context, struct http_request *request);
    void (*handle)(void *context, struct http_request *request);
    /* The door refuses by itself: fill in an answer of this status. code is a stable word. */
    void (*refuse)(void *context, struct http_request *request, uint16_t status, const char *code,
                   const char *detail);
    /* The answer is with the kernel (or the connection is gone): handler entry to here. May be
     * NULL. */
    void (*sent)(void *context, const struct http_request *request);
    /* New connections are given another certificate from now on; the acceptor's thread. May be NULL. */
    void (*renewed)(void *context, const char *certificate);
    void (*tick)(void *context); /* four times a second on the acceptor's thread; may be NULL */
};

struct http;

/* Binds, listens and starts the threads. FR_EXISTS: every port tried is taken. FR_INVALID: the
 * address. FR_IO. */
FR_MUST_USE enum fr_status http_start(const struct http_options *options, struct fr_error *error,
                                      struct http **out_http);
/* Accepts no more, lets what is under way finish (at most drain_ms), stops. NULL is fine. */
void http_stop(struct http *http, uint32_t drain_ms);

/* The port bound. */
uint16_t http_port(const struct http *http);
/* 127/8, ::1, localhost; false for what is not an address. */
bool http_address_is_loopback(const char *address);

/* The first header of that name (any case), or an empty slice with ptr NULL. */
struct fr_slice http_header(const struct http_request *request, const char *name);

/* Before giving the request to whoever will resume it. */
void http_suspend(struct http_request *request);
/* Any thread, once a suspension. */
void http_resume(struct http_request *request);

struct http_stats {
    uint64_t accepted, refused_full, reaped_head, reaped_body, reaped_answer, malformed;
    uint32_t connections, requests;
};
/* Counts since the start, and what is open now. Any thread. */
void http_stats_get(const struct http *http, struct http_stats *out_stats);

#endif
