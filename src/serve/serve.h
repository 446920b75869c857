/* SPDX-License-Identifier: Apache-2.0
 *
 * serve: the HTTP API (dialect /v1), API keys, and the pages that the binary carries. What is
 * offered is one table of routes (routes.c), from which the router, /openapi.json and docs/API.md
 * come. See README.md.
 *
 * Everything given in the options is borrowed and outlives the server. serve_stop() before
 * fold_close(): requests that wait for the fold finish first.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "base/base.h"
#include "base/buf.h"
#include "fold/fold.h"
#include "os/os.h"
#include "rank/rank.h"
#include "schema/schema.h"
#include "state/state.h"

struct serve;
struct ingest_dead; /* the dead-letter store of ingest; may be NULL: bytes are not kept */

struct serve_options {
    struct os *os;
    const char *directory; /* the data directory: keys, slates/ */
    const struct state *state;
    const struct rank *rank;
    struct fold *fold;
    const struct schema_types *types;
    struct ingest_dead *dead;

    const char *address; /* NULL = 127.0.0.1; others need at least one API key */
    uint16_t port;       /* 0 = any */
    uint16_t port_tries; /* the next ones when it is taken; 0 = 1 */
    int listen_fd; /* a socket that listens already: address says where, port is not read; 0 = none */
    const char *tls_certificate, *tls_key; /* PEM files; NULL: plain HTTP */
    uint32_t threads;                      /* 0 = 2 */
    uint32_t connections_max;              /* 0 = 16,384 */
    size_t body_bytes_max;                 /* 0 = 16 MiB */
    size_t bodies_bytes_max;               /* bodies in memory at once; 0 = 16 x body_bytes_max */
    uint32_t batch_events_max;             /* things in one body; 0 = 10,000 */
    uint32_t head_ms, body_ms, idle_ms;    /* deadlines; 0 = 10 s, 15 s, 75 s */
    double rate_per_second;                /* per key, unless the key says otherwise; 0 = none */

    uint32_t n_max;          /* items in one answer; 0 = 100, the most */
    uint32_t candidates_max; /* ranked an answer; 0 = 320 */
    bool repeats;            /* seen items may come back unless the request says otherwise */
    float new_share;         /* of the places: for new items; < 0 = none, 0 = 0.1 */
    uint32_t new_age_s;      /* up to which an item is new; 0 = 3 days */
    uint32_t category_cap, author_cap; /* places for one of them in an answer; 0 = no cap */
    uint64_t seed;                     /* of exploration */
    uint64_t slate_bytes_max;          /* kept on disk; 0 = 1 GiB */
    uint32_t record_one_in;            /* slates with their decision record; 0 = 100 */
    bool no_slates;                    /* do not record answers on disk */
    const char *version;               /* of the program; may be NULL */
    const char *(*data_terms)(void);   /* shown by the first page; may be NULL */
};

/* Binds and serves; requests are answered from here on. FR_DENIED: bound elsewhere than loopback
 * without an API key. FR_EXISTS: the port is taken. FR_INVALID: an option. */
FR_MUST_USE enum fr_status serve_start(const struct serve_options *options, struct fr_error *error,
                                       struct serve **out_serve);
/* Accepts no more, finishes what is under way (10 s at most). NULL is fine. */
void serve_stop(struct serve *serve);

/* What can change while it serves. Requests that begin later see it; an answer sees one of them. `what`:
 * the names of the options that changed, for the audit. Thread: main. */
struct serve_live {
    bool repeats;
    uint32_t n_max, new_age_s; /* as in the options */
    float new_share;
};
void serve_change(struct serve *serve, const struct serve_live *live, const char *what);

/* The port bound. */
uint16_t serve_port(const struct serve *serve);
/* "http://127.0.0.1:8080"; borrowed. */
const char *serve_url(const struct serve *serve);
/* /readyz answers 503 while it is not ready (a stop is coming, or the caller says so). */
void serve_set_ready(struct serve *serve, bool ready);

/* The documents made from the route table. */
void serve_openapi_print(struct base_buf *out);
void serve_api_document(struct base_buf *out); /* docs/API.md */

/* The experts with role, evidence and jobs as a JSON array (models.c); applied: the position of now. */
void serve_models_print(const struct rank *rank, uint64_t applied, struct base_buf *out);

/* ---- answers made again (freshet why) ------------------------------------------------------ */

/* A slate on disk (slates.h). */
struct serve_stored {
    uint64_t id, position;
    int64_t time_us;
    bool whole; /* it holds what makes the answer again: false for slates of older programs */
    bool
        still; /* the state stood still while the answer was computed; else it cannot be made again */
    struct fr_slice payload; /* borrowed, during the call only */
};
/* False: enough. */
typedef bool (*serve_slate_each_fn)(void *context, const struct serve_stored *stored);
/* All slates kept in the data directory, oldest first. The newest reach the disk within 0.2 s, and
 * within a second also what a power cut leaves of it. */
FR_MUST_USE enum fr_status serve_slates_each(struct os *os, const char *directory,
                                             serve_slate_each_fn each, void *context,
                                             struct fr_error *error);

enum { SERVE_REQUEST_ID_BYTES = 15 }; /* 14 characters and a NUL */
bool serve_request_id_parse(struct fr_slice text, uint64_t *out_id);
void serve_request_id_print(uint64_t id, char out[SERVE_REQUEST_ID_BYTES]);

struct serve_rebuilt {
    struct fr_slice answer, decision; /* JSON; valid until the next one */
    struct fr_slice version;          /* of the program that gave the answer */
    uint64_t bytes_then;
    bool equal; /* to what was sent, byte for byte (length and 128-bit hash) */
};
struct serve_rebuild;
/* Of the options: os, state, rank, fold. */
FR_MUST_USE enum fr_status serve_rebuild_new(const struct serve_options *options,
                                             struct fr_error *error,
                                             struct serve_rebuild **out_rebuild);
void serve_rebuild_free(struct serve_rebuild *rebuild);
/* Over a state that stands at the slate's position. FR_UNSUPPORTED, FR_CORRUPT, FR_MEMORY. */
FR_MUST_USE enum fr_status serve_rebuild_answer(struct serve_rebuild *rebuild,
                                                struct fr_slice payload, struct fr_error *error,
                                                struct serve_rebuilt *out);

/* ---- API keys (freshet keys create|list|revoke) ------------------------------------------- */

enum serve_scope { SERVE_READ = 1, SERVE_INGEST = 2, SERVE_WRITE = 4, SERVE_ADMIN = 8 };

struct serve_key_spec {
    const char *note;       /* for people; may be NULL */
    uint32_t scopes;        /* enum serve_scope, at least one; ADMIN includes all */
    int64_t expires_us;     /* 0 = never */
    double rate_per_second; /* 0 = the server's own */
};
enum { SERVE_TOKEN_BYTES = 64, SERVE_KEY_ID_BYTES = 9 };

/* Makes a key; gives its token, which is stored nowhere. A running server knows it within a
 * second. */
FR_MUST_USE enum fr_status serve_keys_create(struct os *os, const char *directory,
                                             const struct serve_key_spec *spec,
                                             struct fr_error *error,
                                             char out_token[SERVE_TOKEN_BYTES]);
/* A table for people, or a JSON array. Never a secret. */
FR_MUST_USE enum fr_status serve_keys_list(struct os *os, const char *directory, bool json,
                                           struct base_buf *out, struct fr_error *error);
/* FR_NOT_FOUND: no key of that id (the part between the underscores of its token). */
FR_MUST_USE enum fr_status serve_keys_revoke(struct os *os, const char *directory, const char *id,
                                             struct fr_error *error);
/* Is there at least one key that could be used? */
bool serve_keys_exist(struct os *os, const char *directory);
/* "read,ingest" -> bits; FR_INVALID names the unknown word. */
FR_MUST_USE enum fr_status serve_scopes_parse(const char *text, struct fr_error *error,
                                              uint32_t *out_scopes);

#endif
