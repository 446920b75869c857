/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http, inside: what the acceptor (http_accept.c), the parser (http_parse.c, http_check.c)
 * and the serving threads (http.c) share.
 */
#ifndef SERVE_HTTP_PRIV_H
#define SERVE_HTTP_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "serve/http.h"
#include "serve/http_tls.h"

enum {
    HTTP_HEAD_BYTES_MAX = 16384,
    HTTP_IN_BYTES = 32768, /* a request's window on the socket: its head, and what comes after */
};

/* ---- parsing (pure) ------------------------------------------------------------------------ */

enum http_progress { HTTP_MORE, HTTP_DONE, HTTP_BAD, HTTP_TOO_LARGE };

/* What a head says about its message; code and detail after a fault. */
struct http_head {
    const char *code, *detail;
    uint64_t length;
    bool is_http10, is_chunked, is_last, wants_continue;
};

/* Looks for the empty line; *scanned: where to go on. BAD: a byte that no head has (H1). */
enum http_progress http__head_scan(const char *bytes, size_t count, size_t *scanned,
                                   size_t *out_end);
/* A scanned head, its empty line included. 0, or the status of the refusal. Slices borrow. */
uint16_t http__head_parse(const char *bytes, size_t count, struct http_request *request,
                          struct http_head *out);
uint16_t http__head_check(struct http_request *request, struct http_head *head);

enum http_chunk_state {
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK_EXTENSION,
    HTTP_CHUNK_SIZE_LF,
    HTTP_CHUNK_DATA,
    HTTP_CHUNK_DATA_CR,
    HTTP_CHUNK_DATA_LF,
    HTTP_CHUNK_TRAILER,
    HTTP_CHUNK_TRAILER_LF,
    HTTP_CHUNK_LAST_LF,
    HTTP_CHUNK_END,
};
struct http_chunks {
    enum http_chunk_state state;
    uint64_t left;
    uint32_t line_bytes, trailer_bytes;
    size_t bytes_max; /* of the body */
};
/* Decodes what came; *out_used: the bytes that belong to this message. */
enum http_progress http__chunks_take(struct http_chunks *chunks, struct fr_slice bytes,
                                     size_t *out_used, struct base_buf *body);

/* ---- connections ------------------------------------------------------------------------------
 */

/* Phases of a connection, each with its deadline (H2). */
enum http_phase {
    HTTP_PHASE_FREE,   /* no connection on this descriptor */
    HTTP_PHASE_FIRST,  /* connected, nothing read yet */
    HTTP_PHASE_HEAD,   /* a head under way */
    HTTP_PHASE_BODY,   /* head whole, body under way */
    HTTP_PHASE_WORK,   /* with the handler */
    HTTP_PHASE_ANSWER, /* answer under way */
    HTTP_PHASE_LINGER, /* answered for the last time: what still comes is read over */
    HTTP_PHASE_IDLE,   /* kept alive */
};

/* One a descriptor. Written by its serving thread, read by the reaper; `phase` FREE is set under
 * http.slots_lock, so that the reaper never shuts a descriptor that has a new owner. */
struct http_slot {
    _Atomic uint32_t phase;
    _Atomic int64_t since_ns;
    _Atomic uint64_t bytes; /* came (body) or to go (answer): lengthens the deadline */
};

struct http_connection;
struct http_inner;

/* Whole requests that wait for the handler, first come first served. */
struct http_queue {
    struct http_inner *first, *last;
    uint32_t count;
    uint32_t passed_by; /* requests of lower ranks taken while its first one waited */
};

/* A request and what the door keeps with it. `request` is first. Pooled a thread. */
struct http_inner {
    struct http_request request;
    struct http_connection *connection;
    struct http_inner *next; /* pool, a queue, or the thread's list of resumed ones */
    struct http_head head;
    struct http_chunks chunks;
    struct base_buf body;
    size_t body_counted; /* of http.bodies_bytes */
    bool suspended;
    size_t head_bytes; /* of the head; 0 until it is whole */
    size_t head_end;   /* in `in`: behind it. What lies before is borrowed by the request */
    size_t scanned;
    size_t in_at, in_count; /* in[in_at .. in_count - 1] is not read yet */
    char in[HTTP_IN_BYTES];
    char out_head[2048]; /* the answer's head */
};

struct http_connection {
    int fd;
    enum http_phase phase;
    struct http_thread *thread;
    struct http_inner *inner;                /* NULL while idle */
    struct http_tls_session *tls;            /* NULL: plain */
    struct http_connection *next, *previous; /* of the open ones; next: also of the pool */
    struct http_connection *again;           /* the thread's list of those with more to do */
    bool is_again;
    bool at_end;      /* the client sends no more */
    bool has_hung_up; /* ... or says so: read until the end */
    bool readable;    /* since the last EAGAIN */
    size_t lingered;  /* bytes read over */
    size_t out_head_count, out_sent;
    struct fr_slice out_body;
};

struct http_thread {
    struct http *http;
    uint32_t index;
    int epoll_fd, wake_fd;
    pthread_t thread;
    bool runs;
    struct http_inner *pool; /* this thread only, down to date */
    uint32_t pool_count;
    struct http_connection *unused, *open, *again;
    struct http_queue queue[HTTP_RANKS];
    int64_t work_ns;   /* what a request took of late */
    int64_t looked_ns; /* when no event was left to take */
    int64_t came_ns;   /* the events under way came at about this time */
    int64_t date_s;
    char date[40];
    pthread_mutex_t lock; /* guards the next three */
    int *arrived;         /* descriptors from the acceptor */
    uint32_t arrived_count;
    struct http_inner *resumed;
    _Atomic uint32_t connections;
};

struct http {
    struct http_options options;
    int listen_fd, wake_fd;
    uint16_t port;
    struct http_thread thread[HTTP_THREADS_MAX];
    struct http_tls *tls;   /* NULL: plain */
    struct http_slot *slot; /* by descriptor */
    uint32_t slot_count;
    pthread_mutex_t slots_lock;
    pthread_t acceptor;
    bool acceptor_runs;
    _Atomic bool acceptor_quit, stopping, over, quit;
    _Atomic uint32_t connections, requests, working, suspended;
    _Atomic uint64_t bodies_bytes;
    _Atomic uint64_t accepted, refused_full, reaped_head, reaped_body, reaped_answer, malformed;
};

int64_t http__now_ns(void);
void http__slot_phase(struct http_slot *slot, enum http_phase phase, uint64_t bytes);

/* http_accept.c */
enum fr_status http__listen(struct http *http, struct fr_error *error);
enum fr_status http__acceptor_start(struct http *http, struct fr_error *error);
void http__acceptor_stop(struct http *http);
/* http.c: gives a descriptor to a serving thread. False: it has no room. */
bool http__thread_give(struct http_thread *thread, int fd);

#endif
