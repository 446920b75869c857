/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/rebuild: a stored answer made again. The very function that answers requests runs with the
 * arguments, settings, clock and timings of the slate, over a state that the caller has folded to
 * the slate's position; equal bytes are the proof that nothing else went into the answer.
 * Thread: one.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/ask.h"

struct serve_rebuild {
    struct serve serve;
    struct serve_thread thread;
    struct http_request http;
    struct base_buf decision;
};

enum fr_status serve_rebuild_new(const struct serve_options *options, struct fr_error *error,
                                 struct serve_rebuild **out_rebuild)
{
    struct serve_rebuild *rebuild = calloc(1, sizeof *rebuild);
    if (!rebuild)
        return base_fail(error, FR_MEMORY, "serve", "no memory to make answers again");
    rebuild->serve.options = *options;
    rebuild->serve.thread = &rebuild->thread;
    rebuild->thread.serve = &rebuild->serve;
    base_buf_init(&rebuild->thread.scratch, 0);
    base_buf_init(&rebuild->http.out, 0);
    base_buf_init(&rebuild->decision, 0);
    rebuild->thread.decision = calloc(1, sizeof *rebuild->thread.decision);
    if (!rebuild->thread.decision ||
        base_arena_init(&rebuild->thread.arena, SERVE_ARENA_BYTES) != FR_OK) {
        serve_rebuild_free(rebuild);
        return base_fail(error, FR_MEMORY, "serve", "no memory to make answers again");
    }
    *out_rebuild = rebuild;
    return FR_OK;
}

void serve_rebuild_free(struct serve_rebuild *rebuild)
{
    if (!rebuild)
        return;
    base_arena_release(&rebuild->thread.arena);
    base_buf_release(&rebuild->thread.scratch);
    base_buf_release(&rebuild->http.out);
    base_buf_release(&rebuild->decision);
    free(rebuild->thread.decision);
    free(rebuild);
}

enum fr_status serve_rebuild_answer(struct serve_rebuild *rebuild, struct fr_slice payload,
                                    struct fr_error *error, struct serve_rebuilt *out)
{
    struct serve_slate slate;
    struct serve_thread *thread = &rebuild->thread;
    enum fr_status status = serve_slate_decode(payload, &slate);
    if (status == FR_OK)
        status = serve_slate_args(&slate, &thread->args);
    if (status != FR_OK)
        return base_fail(error, status, "serve", "the slate does not say what was asked");
    struct serve_call call = {.serve = &rebuild->serve,
                              .thread = thread,
                              .http = &rebuild->http,
                              .args = &thread->args,
                              .arena = &thread->arena,
                              .out = &rebuild->http.out,
                              .id = slate.id};
    struct serve_moment moment = {.now_us = slate.time_us,
                                  .position = slate.position,
                                  .still = slate.still,
                                  .timing = &slate.timing};
    thread->settings = slate.settings;
    serve__id_print(call.id, call.id_text);
    base_arena_clear(&thread->arena);
    base_buf_clear(&thread->scratch);
    if (!serve__recommend(&call, &moment))
        return base_fail(error, FR_MEMORY, "serve", "no memory to make the answer again");
    thread->decision->still = slate.still;
    base_buf_clear(&rebuild->decision);
    serve_decision_print(thread->decision, rebuild->serve.options.state,
                         rebuild->serve.options.rank, &rebuild->decision);
    struct fr_slice answer = base_buf_slice(call.out);
    struct base_hash128 hash = serve_slate_hash(answer);
    *out = (struct serve_rebuilt){
        .answer = answer,
        .decision = base_buf_slice(&rebuild->decision),
        .version = slate.version,
        .bytes_then = slate.answer_bytes,
        .equal = answer.bytes == slate.answer_bytes && hash.lo == slate.answer_hash.lo &&
                 hash.hi == slate.answer_hash.hi,
    };
    return FR_OK;
}

bool serve_request_id_parse(struct fr_slice text, uint64_t *out_id)
{
    return serve__id_parse(text, out_id);
}

void serve_request_id_print(uint64_t id, char out[SERVE_REQUEST_ID_BYTES])
{
    serve__id_print(id, out);
}
