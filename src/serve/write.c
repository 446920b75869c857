/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/write: everything that changes something. A body becomes records of a fold batch (ingest),
 * the request is suspended, the batch goes to the fold, and the fold's call resumes the request
 * when it is durable or applied, as `ack` asks. Nothing here waits.
 *
 * Jobs are pooled a thread; the fold's thread only resumes their requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/ingest.h"
#include "obs/obs.h"
#include "serve/serve_priv.h"

enum {
    REJECTS_LISTED_MAX = 1000, /* the others are counted */
    JOB_KEEP_BYTES_MAX = 1 << 20,
    IDEMPOTENCY_KEY_BYTES_MAX = 256,
};

struct serve_job {
    struct serve_pending pending;
    struct serve_job *next;
    struct serve_thread *thread;
    struct http_request *request;
    const struct serve_route *route;
    uint64_t id;
    struct fold_batch batch;
    struct base_buf rejected; /* JSON, printed before the parser's next body */
    enum fold_ack ack;
    uint32_t taken, reject_count;
    enum fr_status submitted; /* what fold_submit said */
    const char *note;         /* said in the answer; static */
};

/* ---- jobs -------------------------------------------------------------------------------- */

static struct serve_job *job_take(struct serve_thread *thread)
{
    struct serve_job *job = thread->jobs;
    if (job) {
        thread->jobs = job->next;
    } else {
        job = calloc(1, sizeof *job);
        if (!job)
            return NULL;
        fold_batch_init(&job->batch);
        base_buf_init(&job->rejected, 0);
        job->thread = thread;
    }
    fold_batch_clear(&job->batch);
    base_buf_clear(&job->rejected);
    job->request = NULL;
    job->taken = job->reject_count = 0;
    job->submitted = FR_OK;
    job->note = NULL;
    return job;
}

static void job_free(struct serve_job *job)
{
    fold_batch_release(&job->batch);
    base_buf_release(&job->rejected);
    free(job);
}

static void job_give(struct serve_job *job)
{
    struct serve_thread *thread = job->thread;
    if (job->batch.bytes.capacity > JOB_KEEP_BYTES_MAX ||
        job->rejected.capacity > JOB_KEEP_BYTES_MAX) {
        job_free(job);
        return;
    }
    job->next = thread->jobs;
    thread->jobs = job;
}

void serve__jobs_free(struct serve_thread *thread)
{
    while (thread->jobs) {
        struct serve_job *job = thread->jobs;
        thread->jobs = job->next;
        job_free(job);
    }
}

/* The fold's thread. */
static void on_done(void *context, struct fold_batch *batch)
{
    struct serve_job *job = context;
    struct serve *serve = job->thread->serve;
    (void)batch;
    http_resume(job->request); /* the serving thread finishes and gives the job back */
    atomic_fetch_sub_explicit(&serve->jobs_out, 1,
                              memory_order_release); /* pairs with serve_stop */
}

/* ---- answers ------------------------------------------------------------------------------ */

static void print_result(struct serve_call *call, const struct serve_job *job, uint16_t status)
{
    const struct fold_batch *batch = &job->batch;
    struct base_buf *out = call->out;
    bool waited = job->ack != FOLD_ACK_NONE;
    serve__json(call, status);
    base_buf_put_str(out, "{");
    serve__pair_u64(out, "accepted", job->taken - batch->duplicate_count);
    serve__pair_u64(out, "duplicates", batch->duplicate_count);
    serve__pair_u64(out, "rejected_count", job->reject_count);
    serve__key(out, "rejected");
    base_buf_put_str(out, "[");
    base_buf_put_slice(out, base_buf_slice(&job->rejected));
    base_buf_put_str(out, "]");
    serve__pair_u64(out, "position", waited ? batch->last_position : 0);
    serve__pair_i64(out, "durable_us",
                    batch->durable_us ? batch->durable_us - batch->received_us : 0);
    serve__pair_i64(out, "applied_us",
                    batch->applied_us ? batch->applied_us - batch->received_us : 0);
    serve__pair_text(out, "ack",
                     job->ack == FOLD_ACK_APPLIED   ? FR_SLICE("applied")
                     : job->ack == FOLD_ACK_DURABLE ? FR_SLICE("durable")
                                                    : FR_SLICE("none"));
    if (job->note)
        serve__pair_text(out, "note", fr_slice_str(job->note));
    serve__pair_text(out, "request_id", fr_slice_str(call->id_text));
    base_buf_put_str(out, "}");
}

/* Not one of them was good: a problem that lists why. */
static void print_all_rejected(struct serve_call *call, const struct serve_job *job)
{
    serve__problem(call, 422, "all_rejected", "each has the path, the rule and the value seen",
                   job->reject_count == 1 ? "the one thing in the body was refused"
                                          : "everything in the body was refused");
    call->out->count--; /* members more */
    serve__pair_u64(call->out, "rejected_count", job->reject_count);
    serve__key(call->out, "rejected");
    base_buf_put_str(call->out, "[");
    base_buf_put_slice(call->out, base_buf_slice(&job->rejected));
    base_buf_put_str(call->out, "]}");
}

static void answer_submit_failed(struct serve_call *call, const struct serve_job *job,
                                 enum fr_status status)
{
    obs_counter_add(OBS_EVENTS_REFUSED, job->taken);
    if (status == FR_INVALID) {
        serve__problem(call, 413, "batch_too_large", "send it in smaller parts",
                       "the records of this body do not fit into one group of the journal");
        return;
    }
    if (status == FR_FULL) {
        obs_counter_add(OBS_INGEST_FULL, 1);
        serve__problem(call, 429, "queue_full", "send again after a second, or slow down",
                       "the queue to the journal is full; nothing of this request was taken");
        serve__header(call->http, "Retry-After", "1");
        return;
    }
    serve__problem(call, 503, "journal_failed",
                   "the server is going to restart and recover; send again",
                   "the journal has failed; nothing is acknowledged any more");
    serve__header(call->http, "Retry-After", "5");
}

static void answer_batch_failed(struct serve_call *call, const struct serve_job *job)
{
    const struct fold_batch *batch = &job->batch;
    if (batch->status == FR_NO_SPACE) {
        serve__problem(call, 507, "disk_full",
                       "free space in the data directory; recommendations go on, and events are "
                       "taken again by themselves",
                       "the disk is full; nothing of this request was kept");
        serve__header(call->http, "Retry-After", "10");
        return;
    }
    struct fr_error error = batch->error;
    error.status = batch->status == FR_OK ? error.status : batch->status;
    if (error.message[0] == 0)
        base_hint(&error, "send again");
    serve__problem_error(call, &error);
}

static void finish(struct serve_call *call, struct serve_job *job)
{
    if (job->submitted != FR_OK)
        answer_submit_failed(call, job, job->submitted);
    else if (job->ack != FOLD_ACK_NONE && job->batch.status != FR_OK)
        answer_batch_failed(call, job);
    else
        print_result(call, job, job->ack == FOLD_ACK_NONE ? 202 : 200);
}

static void job_resumed(struct serve_call *call)
{
    struct serve_job *job = call->http->job;
    call->route = job->route;
    call->id = job->id;
    serve__id_print(call->id, call->id_text);
    finish(call, job);
    call->http->job = NULL;
    job_give(job);
}

/* ---- submitting --------------------------------------------------------------------------- */

/* The fold takes the records and gives the batch back at once; nobody is called. */
static void submit_and_forget(struct serve_call *call, struct serve_job *job)
{
    enum fr_status status =
        fold_submit(call->serve->options.fold, &job->batch, FOLD_ACK_NONE, NULL, NULL);
    job->note = "not yet on disk: a crash may lose it";
    if (status == FR_OK)
        print_result(call, job, 202);
    else
        answer_submit_failed(call, job, status);
    job_give(job);
}

static void submit_and_wait(struct serve_call *call, struct serve_job *job)
{
    struct serve *serve = call->serve;
    job->pending.resumed = job_resumed;
    job->request = call->http;
    job->route = call->route;
    job->id = call->id;
    call->http->job = job;
    http_suspend(call->http); /* first: the fold may be done before fold_submit() returns */
    atomic_fetch_add_explicit(&serve->jobs_out, 1, memory_order_relaxed);
    enum fr_status status = fold_submit(serve->options.fold, &job->batch, job->ack, on_done, job);
    if (status == FR_OK)
        return;
    atomic_fetch_sub_explicit(&serve->jobs_out, 1, memory_order_relaxed);
    job->submitted = status;
    http_resume(call->http);
}

static enum fold_ack ack_of(const struct serve_call *call)
{
    return serve_args_is(call->args, "ack", "none")      ? FOLD_ACK_NONE
           : serve_args_is(call->args, "ack", "durable") ? FOLD_ACK_DURABLE
                                                         : FOLD_ACK_APPLIED;
}

static void submit(struct serve_call *call, struct serve_job *job)
{
    job->ack = ack_of(call);
    if (job->ack == FOLD_ACK_NONE)
        submit_and_forget(call, job);
    else
        submit_and_wait(call, job);
}

/* ---- bodies ------------------------------------------------------------------------------- */

static void print_reject(struct base_buf *out, const struct ingest_reject *reject)
{
    if (out->count)
        base_buf_put(out, ",", 1);
    base_buf_put_str(out, "{");
    serve__pair_u64(out, "index", reject->index);
    serve__pair_text(out, "path", fr_slice_str(reject->reject.path));
    serve__pair_text(out, "rule", fr_slice_str(reject->reject.rule));
    serve__pair_text(out, "seen", fr_slice_str(reject->reject.seen));
    serve__pair_text(out, "hint", fr_slice_str(reject->reject.hint));
    base_buf_put_str(out, "}");
}

static void bury(struct serve_call *call, const struct ingest_reject *reject, int64_t now_us)
{
    char position[160];
    int bytes =
        snprintf(position, sizeof position, "%.*s %s #%u", (int)call->http->method_name.bytes,
                 call->http->method_name.ptr, call->route->pattern, reject->index);
    struct ingest_letter letter = {.source = "http",
                                   .position = fr_slice_of(position, (size_t)bytes),
                                   .time_us = now_us,
                                   .reject = &reject->reject,
                                   .raw = reject->raw};
    fr_ignore(ingest_dead_add(call->serve->options.dead, &letter, NULL),
              "counted as lost by the store; the sender has the reason");
}

static void keep_rejects(struct serve_call *call, struct serve_job *job,
                         const struct ingest_result *result, int64_t now_us)
{
    job->reject_count = result->reject_count;
    obs_counter_add(OBS_EVENTS_REJECTED, result->reject_count);
    for (uint32_t i = 0; i < result->reject_count; i++) {
        if (i < REJECTS_LISTED_MAX)
            print_reject(&job->rejected, &result->rejects[i]);
        if (call->serve->options.dead)
            bury(call, &result->rejects[i], now_us);
    }
}

static void answer_body_refused(struct serve_call *call, const struct fr_error *error)
{
    static const struct {
        enum fr_status status;
        uint16_t http;
        const char *code;
    } row[] = {{FR_INVALID, 400, "malformed_body"},
               {FR_CORRUPT, 400, "bad_compression"},
               {FR_FULL, 413, "batch_too_large"},
               {FR_UNSUPPORTED, 415, "unsupported_media_type"}};
    for (size_t i = 0; i < FR_COUNT_OF(row); i++) {
        if (row[i].status != error->status)
            continue;
        serve__problem(call, row[i].http, row[i].code, error->hint, error->message);
        return;
    }
    serve__problem_error(call, error);
}

static bool body_ready(struct serve_call *call, struct ingest_body *body, enum ingest_thing thing)
{
    body->thing = thing;
    body->bytes = call->http->body;
    body->content_type = http_header(call->http, "content-type");
    body->content_encoding = http_header(call->http, "content-encoding");
    body->idempotency_key = http_header(call->http, "idempotency-key");
    body->received_us = os_wall_us(call->serve->options.os);
    if (body->idempotency_key.bytes > IDEMPOTENCY_KEY_BYTES_MAX) {
        serve__problem(call, 400, "bad_idempotency_key", "a UUID is usual",
                       "Idempotency-Key is longer than 256 bytes");
        return false;
    }
    return true;
}

static void take_body(struct serve_call *call, const struct ingest_body *body)
{
    struct serve_job *job = job_take(call->thread);
    if (!job) {
        serve__problem(call, 503, "no_memory", "send again", "no memory for this request");
        return;
    }
    struct fr_error error = {0};
    struct ingest_result result = {0};
    job->batch.received_us = body->received_us;
    enum fr_status status =
        ingest_take_body(call->thread->ingest, body, &job->batch, &result, &error);
    if (status == FR_OK) {
        job->taken = result.taken;
        keep_rejects(call, job, &result, body->received_us);
    }
    if (status == FR_OK && result.taken > 0) {
        submit(call, job);
        return;
    }
    if (status == FR_OK)
        print_all_rejected(call, job);
    else
        answer_body_refused(call, &error);
    job_give(job);
}

static void take(struct serve_call *call, enum ingest_thing thing, bool with_id, bool patch)
{
    struct ingest_body body = {.patch = patch};
    if (!body_ready(call, &body, thing))
        return;
    if (with_id)
        body.id = call->path_value[0];
    take_body(call, &body);
}

void serve__handle_events(struct serve_call *call)
{
    take(call, INGEST_EVENTS, false, false);
}

void serve__handle_items(struct serve_call *call)
{
    take(call, INGEST_ITEMS, false, false);
}

void serve__handle_items_patch(struct serve_call *call)
{
    take(call, INGEST_ITEMS, false, true);
}

void serve__handle_item_put(struct serve_call *call)
{
    take(call, INGEST_ITEMS, true, false);
}

void serve__handle_item_patch(struct serve_call *call)
{
    take(call, INGEST_ITEMS, true, true);
}

void serve__handle_users(struct serve_call *call)
{
    take(call, INGEST_USERS, false, false);
}

void serve__handle_user_put(struct serve_call *call)
{
    take(call, INGEST_USERS, true, false);
}

void serve__handle_user_patch(struct serve_call *call)
{
    take(call, INGEST_USERS, true, true);
}

/* ---- deletions ---------------------------------------------------------------------------- */

static void delete_one(struct serve_call *call, uint8_t kind, const char *note)
{
    struct serve_job *job = job_take(call->thread);
    struct schema_reject reject = {0};
    if (!job) {
        serve__problem(call, 503, "no_memory", "send again", "no memory for this request");
        return;
    }
    job->batch.received_us = os_wall_us(call->serve->options.os);
    if (ingest_take_delete(kind, call->path_value[0], &job->batch, &reject) != FR_OK) {
        char detail[160];
        snprintf(detail, sizeof detail, "the id in the address %s", reject.rule);
        serve__problem(call, 400, "bad_id", reject.hint, detail);
        job_give(job);
        return;
    }
    if (kind == SCHEMA_KIND_USER_DELETE)
        serve__act_add(&job->batch, &(struct schema_act){.actor = serve__actor(call),
                                                         .act = FR_SLICE("user_deleted"),
                                                         .target = call->path_value[0]});
    job->taken = 1;
    job->note = note;
    submit(call, job);
}

void serve__submit_record(struct serve_call *call, uint8_t kind, struct fr_slice payload,
                          const struct schema_act *act)
{
    struct serve_job *job = job_take(call->thread);
    if (!job) {
        serve__problem(call, 503, "no_memory", "send again", "no memory for this request");
        return;
    }
    job->batch.received_us = os_wall_us(call->serve->options.os);
    fold_batch_add(&job->batch, kind, payload);
    serve__act_add(&job->batch, act);
    job->taken = 1;
    submit(call, job);
}

void serve__handle_item_delete(struct serve_call *call)
{
    delete_one(call, SCHEMA_KIND_ITEM_DELETE, NULL);
}

void serve__handle_user_delete(struct serve_call *call)
{
    delete_one(call, SCHEMA_KIND_USER_DELETE,
               "profile and history are gone and are not served again; what was learnt from them "
               "together with others' stays in the counts until the user is erased");
}
