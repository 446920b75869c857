/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/lookup: GET /v1/requests/{id}. The newest decision records lie in memory; older answers are
 * looked up in the slates on disk by a thread of its own, since a segment takes tens of milliseconds
 * to read and nothing waits on a serving thread. A sampled slate holds the whole record; another one
 * what was answered, and `freshet why` makes the rest again.
 *
 * Bounds: LOOKUPS_MAX wait at once; then 429. Thread: handlers on their serving thread. Locks: one
 * mutex, a leaf.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "serve/serve_priv.h"

enum { LOOKUPS_MAX = 32 };

struct lookup {
    struct serve_pending pending;
    struct lookup *next;
    struct http_request *request;
    uint64_t id;
    enum fr_status status;
    struct base_buf segment; /* `slate` borrows from it */
    struct serve_slate slate;
};

struct serve_lookups {
    struct os *os;
    const char *directory;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct lookup *first, *last; /* under lock, as the next two */
    uint32_t count;
    bool quit;
};

/* ---- the thread -------------------------------------------------------------------------- */

static struct lookup *next_one(struct serve_lookups *lookups)
{
    pthread_mutex_lock(&lookups->lock);
    while (!lookups->first && !lookups->quit)
        pthread_cond_wait(&lookups->wake, &lookups->lock);
    struct lookup *lookup = lookups->first;
    if (lookup) {
        lookups->first = lookup->next;
        lookups->last = lookups->first ? lookups->last : NULL;
        lookups->count--;
    }
    pthread_mutex_unlock(&lookups->lock);
    return lookup;
}

static void *lookup_main(void *context)
{
    struct serve_lookups *lookups = context;
    for (struct lookup *lookup; (lookup = next_one(lookups)) != NULL;) {
        lookup->status = serve_slates_find(lookups->os, lookups->directory, lookup->id,
                                           &lookup->segment, &lookup->slate);
        http_resume(lookup->request); /* the serving thread answers and frees it */
    }
    return NULL;
}

enum fr_status serve__lookups_new(struct os *os, const char *directory, struct fr_error *error,
                                  struct serve_lookups **out_lookups)
{
    struct serve_lookups *lookups = calloc(1, sizeof *lookups);
    if (!lookups)
        return base_fail(error, FR_MEMORY, "serve", "no memory for looking up answers");
    lookups->os = os;
    lookups->directory = directory;
    pthread_mutex_init(&lookups->lock, NULL);
    pthread_cond_init(&lookups->wake, NULL);
    if (pthread_create(&lookups->thread, NULL, lookup_main, lookups) != 0) {
        pthread_cond_destroy(&lookups->wake);
        pthread_mutex_destroy(&lookups->lock);
        free(lookups);
        return base_fail(error, FR_IO, "serve", "cannot start the thread that looks up answers");
    }
    pthread_setname_np(lookups->thread, "fr-lookup");
    *out_lookups = lookups;
    return FR_OK;
}

void serve__lookups_free(struct serve_lookups *lookups)
{
    if (!lookups)
        return;
    pthread_mutex_lock(&lookups->lock);
    lookups->quit = true;
    pthread_cond_signal(&lookups->wake);
    pthread_mutex_unlock(&lookups->lock);
    pthread_join(lookups->thread, NULL);
    FR_ASSERT(!lookups->first); /* http_stop() has waited for those who asked */
    pthread_cond_destroy(&lookups->wake);
    pthread_mutex_destroy(&lookups->lock);
    free(lookups);
}

/* ---- answers ----------------------------------------------------------------------------- */

static void print_place(const struct serve_slate_place *place, uint32_t rank, struct base_buf *out)
{
    base_buf_put_str(out, "{");
    serve__pair_text(out, "id", place->item);
    serve__pair_u64(out, "rank", rank);
    serve__pair_fixed(out, "score", (double)place->score, 6);
    serve__pair_fixed(out, "propensity", (double)place->propensity, 6);
    serve__pair_text(out, "placed_by",
                     fr_slice_str(
                         policy_move_name((enum policy_move)(place->move % POLICY_MOVE_COUNT))));
    serve__generators_print(place->generators, out);
    base_buf_put_str(out, "}");
}

/* What a slate without its decision record says, in the record's words. */
static void print_slate(const struct serve_slate *slate, const char *id, struct base_buf *out)
{
    struct fr_slice places = slate->places;
    struct serve_slate_place place;
    base_buf_put_str(out, "{");
    serve__pair_text(out, "request_id", fr_slice_str(id));
    serve__pair_text(out, "user", slate->user);
    serve__key(out, "time");
    base_buf_put_str(out, "\"");
    schema_time_print(slate->time_us, out);
    base_buf_put_str(out, "\"");
    serve__pair_u64(out, "position", slate->position);
    serve__pair_u64(out, "took_us", slate->timing.took_us);
    serve__key(out, "degraded_reason");
    base_buf_put_str(out, slate->degraded ? "\"degraded\"" : "null");
    serve__pair_text(out, "recorded", FR_SLICE("slate"));
    serve__pair_text(out, "hint",
                     slate->still ? FR_SLICE("`freshet why` makes the whole decision record again")
                                  : FR_SLICE("records were applied while it was computed, so that "
                                             "its decision record cannot be made again"));
    serve__key(out, "items");
    base_buf_put_str(out, "[");
    for (uint32_t i = 0; i < slate->place_count && serve_slate_place(&places, &place); i++) {
        if (i)
            base_buf_put(out, ",", 1);
        print_place(&place, slate->offset + i + 1, out);
    }
    base_buf_put_str(out, "]}");
}

static void answer_missing(struct serve_call *call, const struct lookup *lookup)
{
    if (lookup->status == FR_END) {
        serve__problem(
            call, 410, "request_gone",
            "slates are kept up to a limit; with the journal's retention off, nothing else "
            "is lost",
            "this answer is older than the slates that are kept");
        return;
    }
    if (lookup->status == FR_NOT_FOUND) {
        serve__problem(
            call, 404, "unknown_request",
            "answers are on disk a fifth of a second after they were given; a crash loses "
            "the last second of them",
            "there is no slate of this request");
        return;
    }
    serve__problem(call, 503, "slates_unreadable", "`freshet why` says more",
                   "the slates on disk cannot be read");
    serve__header(call->http, "Retry-After", "1");
}

static void lookup_resumed(struct serve_call *call)
{
    struct lookup *lookup = call->http->job;
    char id[SERVE_ID_BYTES];
    call->id = serve__id_next(call->thread);
    serve__id_print(call->id, call->id_text);
    serve__id_print(lookup->id, id);
    if (lookup->status != FR_OK) {
        answer_missing(call, lookup);
    } else {
        serve__json(call, 200);
        if (lookup->slate.record.bytes)
            base_buf_put_slice(call->out, lookup->slate.record);
        else
            print_slate(&lookup->slate, id, call->out);
    }
    call->http->job = NULL;
    base_buf_release(&lookup->segment);
    free(lookup);
}

/* False: too many wait already. */
static bool lookup_add(struct serve_lookups *lookups, struct lookup *lookup)
{
    pthread_mutex_lock(&lookups->lock);
    bool fits = lookups->count < LOOKUPS_MAX;
    if (fits) {
        http_suspend(lookup->request);
        if (lookups->last)
            lookups->last->next = lookup;
        else
            lookups->first = lookup;
        lookups->last = lookup;
        lookups->count++;
        pthread_cond_signal(&lookups->wake);
    }
    pthread_mutex_unlock(&lookups->lock);
    return fits;
}

static void look_up(struct serve_call *call, uint64_t id)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup) {
        serve__problem(call, 503, "no_memory", "send again", "no memory for this request");
        return;
    }
    lookup->pending.resumed = lookup_resumed;
    lookup->request = call->http;
    lookup->id = id;
    base_buf_init(&lookup->segment, 0);
    call->http->job = lookup;
    if (lookup_add(call->serve->lookups, lookup))
        return;
    call->http->job = NULL;
    free(lookup);
    serve__problem(call, 429, "lookups_full", "send again after a second",
                   "too many old answers are being looked up");
    serve__header(call->http, "Retry-After", "1");
}

void serve__handle_request(struct serve_call *call)
{
    struct serve *serve = call->serve;
    uint64_t id = 0;
    if (!serve__id_parse(call->path_value[0], &id)) {
        serve__problem(call, 400, "bad_request_id", "it is the request_id of an answer",
                       "this is not a request id");
        return;
    }
    struct serve_decision *decision = base_arena_alloc(call->arena, sizeof *decision);
    if (decision &&
        serve_decisions_get(serve->decisions, (uint32_t)(id >> 5 & 63), id, decision) == FR_OK) {
        serve__json(call, 200);
        serve_decision_print(decision, serve->options.state, serve->options.rank, call->out);
        return;
    }
    if (serve->lookups) {
        look_up(call, id);
        return;
    }
    serve__problem(call, 404, "unknown_request", "this server keeps no slates",
                   "there is no record of this request in memory");
}
