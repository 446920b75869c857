/* SPDX-License-Identifier: Apache-2.0
 *
 * An evaluation's result as a table for people and as JSON for tools. Thread: any.
 */
#include "eval/eval.h"

static void table_row(const struct eval_result *result, const char *name,
                      const struct eval_metrics *metrics, struct base_buf *out)
{
    base_buf_printf(out, "%-14s", name);
    for (uint32_t k = 0; k < result->k_count; k++)
        base_buf_printf(out, "  %7.4f %7.4f %7.4f", metrics->hr[k], metrics->mrr[k],
                        metrics->ndcg[k]);
    base_buf_put_str(out, "\n");
}

static void put_actions(const struct rank_alarm *alarm, const char *between, struct base_buf *out)
{
    for (uint32_t bit = 0, any = 0; bit < RANK_ACTION_COUNT; bit++)
        if (alarm->actions & 1u << bit)
            base_buf_printf(out, "%s%s", any++ ? between : "",
                            rank_action_name((enum rank_action)(1u << bit)));
}

/* Those that were acted upon, of the newest. */
static void table_alarms(const struct eval_result *result, struct base_buf *out)
{
    base_buf_printf(out, "drift: %llu alarms, %llu acted upon\n",
                    (unsigned long long)result->alarms_ever,
                    (unsigned long long)result->remedies_ever);
    for (uint32_t a = result->alarm_count; a-- > 0;) {
        const struct rank_alarm *alarm = &result->alarms[a];
        if (!alarm->actions)
            continue;
        base_buf_printf(out,
                        "  event %llu: %s, %s %.4f -> %.4f: ", (unsigned long long)alarm->position,
                        alarm->name, rank_signal_name(alarm->signal), (double)alarm->before,
                        (double)alarm->after);
        put_actions(alarm, ", ", out);
        base_buf_put_str(out, "\n");
    }
}

void eval_result_table(const struct eval_result *result, struct base_buf *out)
{
    base_buf_printf(out,
                    "%s: %llu events, %llu scored (%llu never seen before, %llu no candidate)\n",
                    eval_protocol_name(result->protocol), (unsigned long long)result->events,
                    (unsigned long long)result->scored, (unsigned long long)result->unknown_target,
                    (unsigned long long)result->outside);
    if (result->refused)
        base_buf_printf(out, "%llu were not learnt: the tables were nearly full\n",
                        (unsigned long long)result->refused);
    base_buf_printf(out, "%-14s", "");
    for (uint32_t k = 0; k < result->k_count; k++)
        base_buf_printf(out, "  HR@%-4u MRR@%-3u NDCG@%-2u", result->k[k], result->k[k],
                        result->k[k]);
    base_buf_put_str(out, "\n");
    table_row(result, "blend", &result->blend, out);
    table_row(result, "popular", &result->popularity, out);
    for (uint32_t e = 0; e < result->expert_count; e++)
        table_row(result, result->experts[e].name, &result->experts[e].metrics, out);
    base_buf_printf(out, "blocks (HR@%u):", result->k[0]);
    for (uint32_t b = 0; b < result->block_count; b++)
        base_buf_printf(out, " %.4f", result->blocks[b].hr[0]);
    base_buf_printf(
        out,
        "\nCPU: %.2f us an event counted, %.1f us a query scored and learnt, %.1f s in all; "
        "RSS %.0f MB\nstate hash %016llx%016llx\n",
        result->cpu_us_per_event, result->cpu_us_per_query, result->cpu_seconds, result->rss_mb,
        (unsigned long long)result->hash.hi, (unsigned long long)result->hash.lo);
    table_alarms(result, out);
}

static void json_alarms(const struct eval_result *result, struct base_buf *out)
{
    base_buf_printf(out, "\"alarm_count\":%llu,\"remedy_count\":%llu,\"alarms\":[",
                    (unsigned long long)result->alarms_ever,
                    (unsigned long long)result->remedies_ever);
    for (uint32_t a = 0; a < result->alarm_count; a++) {
        const struct rank_alarm *alarm = &result->alarms[a];
        base_buf_printf(out,
                        "%s{\"event\":%llu,\"name\":\"%s\",\"signal\":\"%s\",\"before\":%.5f,"
                        "\"after\":%.5f,\"actions\":\"",
                        a ? "," : "", (unsigned long long)alarm->position, alarm->name,
                        rank_signal_name(alarm->signal), (double)alarm->before,
                        (double)alarm->after);
        put_actions(alarm, " ", out);
        base_buf_put_str(out, "\"}");
    }
    base_buf_put_str(out, "],");
}

static void json_metrics(const struct eval_result *result, const struct eval_metrics *metrics,
                         struct base_buf *out)
{
    base_buf_put_str(out, "{");
    for (uint32_t k = 0; k < result->k_count; k++)
        base_buf_printf(out, "%s\"hr@%u\":%.6f,\"mrr@%u\":%.6f,\"ndcg@%u\":%.6f", k ? "," : "",
                        result->k[k], metrics->hr[k], result->k[k], metrics->mrr[k], result->k[k],
                        metrics->ndcg[k]);
    base_buf_put_str(out, "}");
}

static void json_curve(const struct eval_result *result, const char *name, const double *curve,
                       struct base_buf *out)
{
    base_buf_printf(out, "\"%s\":[", name);
    for (uint32_t b = 0; b < result->block_count; b++)
        base_buf_printf(out, "%s%.6f", b ? "," : "", curve[b]);
    base_buf_put_str(out, "]");
}

void eval_result_json(const struct eval_result *result, struct base_buf *out)
{
    base_buf_printf(out,
                    "{\"protocol\":\"%s\",\"events\":%llu,\"scored\":%llu,\"unknown_target\":%llu,"
                    "\"outside\":%llu,\"refused\":%llu,\"metrics\":",
                    eval_protocol_name(result->protocol), (unsigned long long)result->events,
                    (unsigned long long)result->scored, (unsigned long long)result->unknown_target,
                    (unsigned long long)result->outside, (unsigned long long)result->refused);
    json_metrics(result, &result->blend, out);
    base_buf_put_str(out, ",\"experts\":{\"popular\":");
    json_metrics(result, &result->popularity, out);
    for (uint32_t e = 0; e < result->expert_count; e++) {
        base_buf_printf(out, ",\"%s\":", result->experts[e].name);
        json_metrics(result, &result->experts[e].metrics, out);
    }
    base_buf_put_str(out, "},\"blocks\":[");
    for (uint32_t b = 0; b < result->block_count; b++) {
        base_buf_put_str(out, b ? "," : "");
        json_metrics(result, &result->blocks[b], out);
    }
    base_buf_printf(out, "],\"curves_hr@%u\":{", result->k[0]);
    json_curve(result, "popular", result->popularity_curve, out);
    for (uint32_t e = 0; e < result->expert_count; e++) {
        base_buf_put_str(out, ",");
        json_curve(result, result->experts[e].name, result->experts[e].curve, out);
    }
    base_buf_put_str(out, "},");
    json_alarms(result, out);
    base_buf_printf(out,
                    "\"cpu_us_per_event\":%.3f,\"cpu_us_per_query\":%.3f,\"cpu_seconds\":%.3f,"
                    "\"rss_mb\":%.1f,\"hash\":\"%016llx%016llx\"}",
                    result->cpu_us_per_event, result->cpu_us_per_query, result->cpu_seconds,
                    result->rss_mb, (unsigned long long)result->hash.hi,
                    (unsigned long long)result->hash.lo);
}
