/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/audit: administrative acts become records of the journal, and GET /v1/audit lists the newest.
 * Thread: serve__act() from any; the handler on its serving thread.
 */
#include <string.h>

#include "obs/obs.h"
#include "serve/serve_priv.h"
#include "state/audit.h"

enum { SHOWN_MAX = 100 };

void serve__act_add(struct fold_batch *batch, const struct schema_act *act)
{
    struct base_buf payload;
    base_buf_init(&payload, 0);
    schema_act_encode(act, &payload);
    fold_batch_add(batch, SCHEMA_KIND_AUDIT, base_buf_slice(&payload));
    base_buf_release(&payload);
}

struct fr_slice serve__actor(const struct serve_call *call)
{
    return call->who.key_id[0] ? fr_slice_str(call->who.key_id) : FR_SLICE("no key");
}

/* Nobody waits for it; an act that the journal does not take is at least logged. */
void serve__act(struct serve *serve, const struct schema_act *act)
{
    struct fold_batch batch;
    fold_batch_init(&batch);
    batch.received_us = os_wall_us(serve->options.os);
    serve__act_add(&batch, act);
    if (fold_submit(serve->options.fold, &batch, FOLD_ACK_NONE, NULL, NULL) != FR_OK)
        obs_log(OBS_WARN, "serve", "the journal did not take an act: %.*s by %.*s",
                (int)act->act.bytes, act->act.ptr, (int)act->actor.bytes, act->actor.ptr);
    fold_batch_release(&batch);
}

static void print_act(const struct state_act *act, struct base_buf *out)
{
    base_buf_put_str(out, "{");
    serve__pair_u64(out, "number", act->number);
    serve__key(out, "time");
    base_buf_put_str(out, "\"");
    schema_time_print(act->time_us, out);
    base_buf_put_str(out, "\"");
    serve__pair_u64(out, "position", act->position);
    serve__pair_text(out, "actor", fr_slice_str(act->actor));
    serve__pair_text(out, "act", fr_slice_str(act->act));
    serve__pair_text(out, "target", fr_slice_str(act->target));
    serve__pair_text(out, "detail", fr_slice_str(act->detail));
    base_buf_put_str(out, "}");
}

void serve__handle_audit(struct serve_call *call)
{
    const struct state *state = call->serve->options.state;
    uint64_t count = state_act_count(state);
    uint64_t before = (uint64_t)serve_args_int(call->args, "before", 0);
    uint64_t number = before && before <= count ? before - 1 : count;
    uint32_t n = (uint32_t)serve_args_int(call->args, "n", 20);
    struct state_act act;
    serve__json(call, 200);
    base_buf_put_str(call->out, "{");
    serve__pair_u64(call->out, "count", count);
    serve__key(call->out, "acts");
    base_buf_put_str(call->out, "[");
    for (uint32_t shown = 0; shown < n && state_act_get(state, number, &act); shown++, number--) {
        if (shown)
            base_buf_put(call->out, ",", 1);
        print_act(&act, call->out);
    }
    base_buf_put_str(call->out, "]}");
}
