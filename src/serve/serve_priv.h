/* SPDX-License-Identifier: Apache-2.0
 *
 * serve, inside the room: the call (one request on its way through), the table of routes, and what
 * the handlers share.
 */
#ifndef SERVE_SERVE_PRIV_H
#define SERVE_SERVE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "serve/decision.h"
#include "serve/http.h"
#include "serve/keys.h"
#include "serve/param.h"
#include "serve/serve.h"
#include "serve/slates.h"

enum {
    SERVE_ARENA_BYTES = RANK_ARENA_BYTES + (4 << 20),
    SERVE_N_MAX = 100,
    SERVE_OFFSET_MAX = 400,
    SERVE_RECENT_MAX = 100,
    SERVE_EXCLUDE_MAX = 500,
    SERVE_CATEGORIES_MAX = 16,
};

struct serve_job;
struct serve_lookups;
struct serve_rates;
struct ingest;

/* What share of its requests a thread refuses, being overloaded (shed.c). */
struct serve_shed {
    int64_t until_ns, least_ns; /* of this window: its end, the least wait */
    uint32_t count;             /* of its requests */
    double share, offset;       /* offset: of the window before */
    double sum[3];              /* by class: recommend, administration, bulk */
};
struct serve_wait {
    int64_t now_ns;
    int64_t unread_ns; /* its bytes have lain unread */
    int64_t queue_ns;  /* what stands before it will take */
};
/* Must this request be refused? scope: of its route. */
bool serve__shed(struct serve_shed *shed, uint32_t scope, const struct serve_wait *wait);

/* One serving thread's own things. */
struct serve_thread {
    struct serve *serve;
    uint32_t index;
    struct base_arena arena;
    struct serve_args args;
    uint64_t last_stamp; /* of request ids */
    struct ingest *ingest;
    struct serve_job *jobs;          /* idle ones */
    struct serve_decision *decision; /* being written */
    struct serve_settings settings;  /* of the answers that it computes */
    uint32_t n_max;
    uint32_t settings_seen;          /* which serve->settings_count these are */
    struct base_buf scratch, record; /* record: a decision record on its way to disk */
    struct serve_shed shed;
};

struct serve {
    struct serve_options options;
    char directory[400];
    char address[64];
    char url[96];
    bool loopback;
    struct http *http;
    struct serve_keys *keys;
    struct serve_thread *thread;
    struct serve_decisions *decisions;
    struct serve_slates *slates;
    struct serve_lookups *lookups; /* NULL: no slates */
    uint64_t instance;             /* random: request ids of two runs differ */
    int64_t started_us;
    _Atomic bool ready;
    _Atomic uint32_t jobs_out;     /* batches that the fold has */
    pthread_mutex_t settings_lock; /* guards the next two; settings_count is raised under it */
    struct serve_settings settings;
    uint32_t n_max;
    _Atomic uint32_t settings_count;
    struct serve_rates *rates; /* of /v1/stats */
    struct base_buf openapi;   /* printed once */
};

/* ---- one request ------------------------------------------------------------------------ */

enum { SERVE_ID_BYTES = 15 }; /* 14 characters and a NUL */

struct serve_call {
    struct serve *serve;
    struct serve_thread *thread;
    struct http_request *http;
    const struct serve_route *route;
    const struct serve_args *args;
    struct base_arena *arena;
    struct base_buf *out;
    struct fr_slice path_value[SERVE_PATH_VALUES_MAX];
    struct serve_identity who;
    uint64_t id;
    char id_text[SERVE_ID_BYTES];
    int64_t began_ns;
    const struct serve_answering *answering; /* of a recommendation: between handle and done */
};

/* ---- the table of routes (routes.c) ------------------------------------------------------ */

enum serve_body { SERVE_BODY_NONE, SERVE_BODY_ARGS, SERVE_BODY_RAW };

struct serve_answer {
    uint16_t status;
    const char *schema; /* name in schemas.c; NULL: no body of ours */
    const char *about;
};

enum { SERVE_ANSWERS_MAX = 6 };

struct serve_route {
    enum http_method method;
    const char *pattern; /* "/v1/items/{id}/similar" */
    uint32_t scope;      /* 0: open to everybody */
    void (*handle)(struct serve_call *call);
    void (*done)(struct serve_call *call); /* may be NULL; once, after a 200 that stands */
    /* Answers from indexes and changes nothing: made anew when some may be another id's by then
     * (state_reading_begin()). */
    bool reads;
    const char *operation; /* operationId */
    const char *tag;
    const char *summary;
    const char *about;
    const struct serve_param *param;
    uint32_t param_count;
    enum serve_body body;
    const char *body_schema; /* name in schemas.c */
    const char *media;       /* of the answer; NULL = application/json */
    struct serve_answer answer[SERVE_ANSWERS_MAX];
};

const struct serve_route *serve__routes(uint32_t *out_count);

/* Which route takes this path? Raw values of {…} go to out_value. out_allowed: methods that some
 * route of this path has (0: no such path). */
const struct serve_route *serve__route_find(enum http_method method, struct fr_slice path,
                                            struct fr_slice out_value[SERVE_PATH_VALUES_MAX],
                                            uint32_t *out_allowed);
/* The pattern nearest to a path that is none of ours; NULL: none is near. */
const char *serve__route_nearest(struct fr_slice path);

/* Runs the route's handler, of one that reads until no row was used again meanwhile. */
void serve__answer(struct serve_call *call);
/* How often an answer is made anew for that before it is given up, and the answer then. */
enum { SERVE__READINGS_MAX = 16 };
void serve__problem_reused(struct serve_call *call);

/* Named JSON schemas of the API's bodies, and an example of each. */
struct serve_schema {
    const char *name, *json, *example;
};
const struct serve_schema *serve__schemas(uint32_t *out_count);

/* ---- answering --------------------------------------------------------------------------- */

/* Problem details (RFC 9457) as the answer. `code` is a stable word; hint may be NULL. */
void serve__problem(struct serve_call *call, uint16_t status, const char *code, const char *hint,
                    const char *detail);
void serve__problem_fault(struct serve_call *call, uint16_t status,
                          const struct serve_fault *fault);
void serve__problem_error(struct serve_call *call, const struct fr_error *error);
const char *serve__status_title(uint16_t status);
/* Begins a JSON answer. */
void serve__json(struct serve_call *call, uint16_t status);
void serve__header(struct http_request *http, const char *name, const char *value);
/* A header value made up on the way: lives in the request's scratch. */
void serve__header_u64(struct http_request *http, const char *name, uint64_t value);

void serve__key(struct base_buf *out, const char *key); /* ,"key": (comma unless first) */
void serve__pair_text(struct base_buf *out, const char *key, struct fr_slice value);
void serve__pair_u64(struct base_buf *out, const char *key, uint64_t value);
void serve__pair_i64(struct base_buf *out, const char *key, int64_t value);
void serve__pair_bool(struct base_buf *out, const char *key, bool value);
void serve__pair_fixed(struct base_buf *out, const char *key, double value, int decimals);

/* Request ids: 14 characters, sortable by time, unique in a data directory; the number is the key
 * of the request's randomness. */
uint64_t serve__id_next(struct serve_thread *thread);
void serve__id_print(uint64_t id, char out[SERVE_ID_BYTES]);
bool serve__id_parse(struct fr_slice text, uint64_t *out_id);

/* Title, image and categories of an item for showing; the id stands in for a missing title. */
struct serve_card {
    struct fr_slice title, image;
    struct fr_slice category[STATE_ITEM_CATEGORIES_MAX];
    uint32_t category_count;
};
void serve__card(const struct state *state, uint32_t item, struct base_arena *arena,
                 struct serve_card *out);
void serve__card_print(const struct serve_card *card, struct base_buf *out);

/* A request that waits for another thread, as its `job`: who waits begins with this. */
struct serve_pending {
    void (*resumed)(struct serve_call *call); /* finishes the answer */
};
/* Those that wait for the slates on disk (lookup.c). */
enum fr_status serve__lookups_new(struct os *os, const char *directory, struct fr_error *error,
                                  struct serve_lookups **out_lookups);
void serve__lookups_free(struct serve_lookups *lookups);
/* Those that wait for the fold (write.c). */
void serve__jobs_free(struct serve_thread *thread);
/* One record with the act that it is, and the answer of a write when it is in (write.c). */
void serve__submit_record(struct serve_call *call, uint8_t kind, struct fr_slice payload,
                          const struct schema_act *act);

/* Administrative acts (audit.c). To a batch on its way, or as a record of its own. */
void serve__act_add(struct fold_batch *batch, const struct schema_act *act);
void serve__act(struct serve *serve, const struct schema_act *act);
struct fr_slice serve__actor(const struct serve_call *call); /* the key's id */

/* A request's way through the room; context is the struct serve. What http.h calls (and tests). */
void serve__handle(void *context, struct http_request *http);

/* ---- handlers ----------------------------------------------------------------------------- */

void serve__handle_events(struct serve_call *call);
void serve__handle_item_put(struct serve_call *call);
void serve__handle_item_patch(struct serve_call *call);
void serve__handle_item_delete(struct serve_call *call);
void serve__handle_item_get(struct serve_call *call);
void serve__handle_items(struct serve_call *call);
void serve__handle_items_patch(struct serve_call *call);
void serve__handle_items_find(struct serve_call *call);
void serve__handle_user_put(struct serve_call *call);
void serve__handle_user_patch(struct serve_call *call);
void serve__handle_user_delete(struct serve_call *call);
void serve__handle_user_get(struct serve_call *call);
void serve__handle_users(struct serve_call *call);
void serve__handle_history(struct serve_call *call);
void serve__handle_recommend(struct serve_call *call);
void serve__recommend_done(struct serve_call *call); /* records and counts it */
void serve__handle_similar(struct serve_call *call);
void serve__handle_trending(struct serve_call *call);
void serve__handle_request(struct serve_call *call);
void serve__handle_stats(struct serve_call *call);
void serve__handle_health_models(struct serve_call *call);
void serve__handle_audit(struct serve_call *call);
void serve__handle_models(struct serve_call *call);
void serve__handle_model(struct serve_call *call);
void serve__handle_model_act(struct serve_call *call);
void serve__handle_model_parameters(struct serve_call *call);
void serve__handle_live(struct serve_call *call);
void serve__handle_ready(struct serve_call *call);
void serve__handle_metrics(struct serve_call *call);
void serve__handle_openapi(struct serve_call *call);

#endif
