/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/http, inside: what the acceptor (http_accept.c) and the requests (http.c) share.
 */
#ifndef SERVE_HTTP_PRIV_H
#define SERVE_HTTP_PRIV_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "serve/http.h"

/* Phases of a connection, each with its deadline (H2). */
enum http_phase {
    HTTP_PHASE_FREE,   /* no connection on this descriptor */
    HTTP_PHASE_FIRST,  /* connected, nothing read yet */
    HTTP_PHASE_HEAD,   /* request line seen */
    HTTP_PHASE_BODY,   /* head whole, body under way */
    HTTP_PHASE_WORK,   /* with the handler */
    HTTP_PHASE_ANSWER, /* answer queued */
    HTTP_PHASE_IDLE,   /* kept alive */
};

/* One a descriptor. Written by its serving thread, read by the reaper; `phase` FREE is set under
 * http.slots_lock, so that the reaper never shuts a descriptor that has a new owner. */
struct http_slot {
    _Atomic uint32_t phase;
    _Atomic uint32_t thread;
    _Atomic int64_t since_ns;
    _Atomic uint64_t bytes; /* came (body) or to go (answer): lengthens the deadline */
};

/* A request and what the door keeps with it. `request` is first. */
struct http_inner {
    struct http_request request;
    struct http *http;
    struct http_slot *slot;
    struct MHD_Connection *connection;
    struct http_inner *next; /* pool */
    struct base_buf body;
    size_t body_counted; /* of http.bodies_bytes */
    bool seen_head, too_large, answered, suspended;
    char target[HTTP_TARGET_BYTES_MAX + 1];
};

struct http_thread {
    struct http *http;
    uint32_t index;
    struct MHD_Daemon *daemon;
    struct http_inner *pool; /* this thread only */
    uint32_t pool_count;
    bool named;
    _Atomic uint32_t connections;
};

struct http {
    struct http_options options;
    int listen_fd, wake_fd;
    uint16_t port;
    struct http_thread thread[HTTP_THREADS_MAX];
    struct http_slot *slot; /* by descriptor */
    uint32_t slot_count;
    pthread_mutex_t slots_lock;
    pthread_t acceptor;
    bool acceptor_runs;
    _Atomic bool acceptor_quit;
    _Atomic bool stopping;
    _Atomic uint32_t connections, requests;
    _Atomic uint64_t bodies_bytes;
    _Atomic uint64_t accepted, refused_full, reaped_head, reaped_body, reaped_answer, malformed;
};

int64_t http__now_ns(void);
void http__slot_phase(struct http_slot *slot, enum http_phase phase, uint64_t bytes);

/* http_accept.c */
enum fr_status http__listen(struct http *http, struct fr_error *error);
enum fr_status http__acceptor_start(struct http *http, struct fr_error *error);
void http__acceptor_stop(struct http *http);

/* http_check.c: H1. Gives a status (400, 501, ...) with its words, or 0 when the head is sound. */
uint16_t http__head_check(const struct http_request *request, const char **out_code,
                          const char **out_detail);
bool http__has_body(const struct http_request *request, uint64_t *out_length, bool *out_chunked);

#endif
