/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/health: GET /v1/health/models, how good blend and experts are now, by segment, with
 * intervals; how far the inputs have moved; which alarms there were and what was done.
 */
#include "rank/health.h"

#include <string.h>

#include "serve/serve_priv.h"

static void print_interval(struct base_buf *out, const char *key,
                           const struct model_interval *interval)
{
    if (interval->count == 0)
        return;
    serve__key(out, key);
    base_buf_put_str(out, "{");
    serve__pair_fixed(out, "mean", interval->mean, 5);
    serve__pair_fixed(out, "low", interval->low, 5);
    serve__pair_fixed(out, "high", interval->high, 5);
    serve__pair_u64(out, "events", interval->count);
    base_buf_put_str(out, "}");
}

static struct fr_slice segment_value(const struct serve_call *call, const struct rank_health *row)
{
    static const char *const visits[] = {"0-1", "2-7", "8-31", "32+"};
    if (strcmp(row->segment, "history") == 0)
        return fr_slice_str(visits[FR_MIN(row->value, 3u)]);
    return row->value ? state_context_text(call->serve->options.state, row->value)
                      : fr_slice_str("");
}

static void print_row(const struct serve_call *call, const struct rank_health *row)
{
    struct base_buf *out = call->out;
    serve__pair_text(out, "name", fr_slice_str(row->name));
    serve__pair_text(out, "segment", fr_slice_str(row->segment));
    serve__pair_text(out, "value", segment_value(call, row));
    print_interval(out, "hr10", &row->hit);
    print_interval(out, "logloss", &row->logloss);
    print_interval(out, "auc", &row->auc);
    if (row->logloss.count > 0) {
        serve__pair_fixed(out, "ece", row->ece, 5);
        serve__pair_fixed(out, "pcoc", row->pcoc, 5);
    }
}

static void print_experts(const struct serve_call *call, const struct rank_health *rows,
                          uint32_t count, bool segments)
{
    bool any = false;
    serve__key(call->out, "experts");
    base_buf_put_str(call->out, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (!segments && strcmp(rows[i].segment, "all") != 0)
            continue;
        base_buf_put_str(call->out, any ? ",{" : "{");
        print_row(call, &rows[i]);
        base_buf_put_str(call->out, "}");
        any = true;
    }
    base_buf_put_str(call->out, "]");
}

static void print_inputs(const struct serve_call *call)
{
    struct rank_input input[RANK_INPUTS_MAX];
    uint32_t count = rank_inputs(call->serve->options.rank, input, RANK_INPUTS_MAX);
    serve__key(call->out, "inputs");
    base_buf_put_str(call->out, "[");
    for (uint32_t i = 0; i < count; i++) {
        base_buf_put_str(call->out, i ? ",{" : "{");
        serve__pair_text(call->out, "name", fr_slice_str(input[i].name));
        serve__pair_fixed(call->out, "psi", (double)input[i].psi, 5);
        serve__pair_fixed(call->out, "kl", (double)input[i].kl, 5);
        base_buf_put_str(call->out, "}");
    }
    base_buf_put_str(call->out, "]");
}

static void print_alarm(struct base_buf *out, const struct rank_alarm *alarm)
{
    serve__pair_u64(out, "number", alarm->number);
    serve__key(out, "time");
    base_buf_put_str(out, "\"");
    schema_time_print((int64_t)alarm->time_s * 1000000, out);
    base_buf_put_str(out, "\"");
    serve__pair_u64(out, "position", alarm->position);
    serve__pair_text(out, "name", fr_slice_str(alarm->name));
    serve__pair_text(out, "signal", fr_slice_str(rank_signal_name(alarm->signal)));
    serve__pair_fixed(out, "before", (double)alarm->before, 5);
    serve__pair_fixed(out, "after", (double)alarm->after, 5);
    serve__pair_fixed(out, "excess", (double)alarm->excess, 3);
    serve__key(out, "actions");
    base_buf_put_str(out, "[");
    bool any = false;
    for (uint32_t bit = 0; bit < RANK_ACTION_COUNT; bit++) {
        if (!(alarm->actions & 1u << bit))
            continue;
        base_buf_printf(out, "%s\"%s\"", any ? "," : "",
                        rank_action_name((enum rank_action)(1u << bit)));
        any = true;
    }
    base_buf_put_str(out, "]");
    if (alarm->actions)
        serve__pair_u64(out, "acted", alarm->acted);
}

static void print_alarms(const struct serve_call *call)
{
    struct rank_alarm alarm[RANK_ALARMS_KEPT];
    uint64_t alarms, remedies;
    uint32_t count = rank_alarms(call->serve->options.rank, alarm, RANK_ALARMS_KEPT);
    rank_alarm_counts(call->serve->options.rank, &alarms, &remedies);
    serve__pair_u64(call->out, "alarm_count", alarms);
    serve__pair_u64(call->out, "remedy_count", remedies);
    serve__key(call->out, "alarms");
    base_buf_put_str(call->out, "[");
    for (uint32_t a = 0; a < count; a++) {
        base_buf_put_str(call->out, a ? ",{" : "{");
        print_alarm(call->out, &alarm[a]);
        base_buf_put_str(call->out, "}");
    }
    base_buf_put_str(call->out, "]");
}

void serve__handle_health_models(struct serve_call *call)
{
    struct rank_health *rows = base_arena_alloc(call->arena, RANK_HEALTH_MAX * sizeof(*rows));
    if (!rows) {
        serve__problem(call, 503, "request_memory", NULL, "the request used up its memory");
        return;
    }
    uint32_t count = rank_health(call->serve->options.rank, rows, RANK_HEALTH_MAX);
    serve__json(call, 200);
    base_buf_put_str(call->out, "{");
    print_experts(call, rows, count, serve_args_bool(call->args, "segments", false));
    print_inputs(call);
    print_alarms(call);
    base_buf_put_str(call->out, "}");
}
