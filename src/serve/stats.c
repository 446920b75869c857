/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/stats: how the program is: /v1/stats for the page, /metrics for Prometheus, and the two
 * health answers. Rates come from counts taken four times a second on the acceptor's thread.
 */
#include "serve/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "obs/obs.h"
#include "rank/models.h"
#include "state/figures.h"

enum { RATE_SAMPLES = 9, SAMPLE_USERS = 7, SAMPLE_SCANNED = 400, FIGURES_MAX = 32 };

struct serve_rates {
    _Atomic uint64_t events_per_s_milli;
    uint64_t events[RATE_SAMPLES];
    int64_t at_ns[RATE_SAMPLES];
    uint32_t turn;
    uint64_t timeouts;
};

struct serve_rates *serve__rates_new(void)
{
    return calloc(1, sizeof(struct serve_rates));
}

void serve__rates_free(struct serve_rates *rates)
{
    free(rates);
}

/* The acceptor's thread. */
void serve__rates_tick(struct serve *serve)
{
    struct serve_rates *rates = serve->rates;
    struct fold_stats stats;
    struct http_stats http;
    fold_stats_get(serve->options.fold, &stats);
    uint32_t now = rates->turn % RATE_SAMPLES;
    rates->events[now] = stats.events;
    rates->at_ns[now] = os_mono_ns(serve->options.os);
    rates->turn++;
    if (rates->turn >= RATE_SAMPLES) {
        uint32_t oldest = rates->turn % RATE_SAMPLES;
        double seconds = (double)(rates->at_ns[now] - rates->at_ns[oldest]) / 1e9;
        double events = (double)(rates->events[now] - rates->events[oldest]);
        atomic_store_explicit(&rates->events_per_s_milli,
                              seconds > 0 ? (uint64_t)(events / seconds * 1000) : 0,
                              memory_order_relaxed);
    }
    if (!atomic_load_explicit(&serve->ready, memory_order_acquire))
        return; /* serve->http is set before ready */
    http_stats_get(serve->http, &http);
    uint64_t timeouts = http.reaped_head + http.reaped_body + http.reaped_answer;
    obs_counter_add(OBS_HTTP_TIMEOUTS, timeouts - rates->timeouts);
    rates->timeouts = timeouts;
    obs_gauge_set(OBS_HTTP_CONNECTIONS, http.connections);
}

/* ---- the process -------------------------------------------------------------------------- */

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) != 0)
        return 0;
    return (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* ---- health ------------------------------------------------------------------------------- */

void serve__handle_live(struct serve_call *call)
{
    if (fold_failed(call->serve->options.fold)) {
        serve__problem(call, 503, "journal_failed", "restart it: it recovers by itself",
                       "the journal has failed");
        return;
    }
    serve__json(call, 200);
    base_buf_put_str(call->out, "{\"status\":\"alive\"}");
}

void serve__handle_ready(struct serve_call *call)
{
    struct serve *serve = call->serve;
    if (!atomic_load_explicit(&serve->ready, memory_order_acquire) ||
        fold_failed(serve->options.fold)) {
        serve__problem(call, 503, "not_ready", "ask again", "the server is starting or stopping");
        serve__header(call->http, "Retry-After", "1");
        return;
    }
    serve__json(call, 200);
    base_buf_put_str(call->out, "{\"status\":\"ready\"");
    serve__pair_u64(call->out, "position", fold_applied(serve->options.fold));
    base_buf_put_str(call->out, "}");
}

/* ---- /metrics ----------------------------------------------------------------------------- */

void serve__handle_metrics(struct serve_call *call)
{
    serve__json(call, 200);
    call->http->content_type = OBS_CONTENT_TYPE;
    obs_metrics_print(call->out);
}

/* ---- /v1/stats ---------------------------------------------------------------------------- */

static void print_quantiles(struct base_buf *out, const char *key, enum obs_histogram_id histogram)
{
    serve__key(out, key);
    base_buf_put_str(out, "{");
    serve__pair_fixed(out, "p50", (double)obs_histogram_quantile(histogram, 0.5) / 1e3, 1);
    serve__pair_fixed(out, "p99", (double)obs_histogram_quantile(histogram, 0.99) / 1e3, 1);
    serve__pair_u64(out, "count", obs_histogram_count(histogram));
    base_buf_put_str(out, "}");
}

static const struct rank_figure *figure_find(const struct rank_figure *figure, uint32_t count,
                                             const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(figure[i].name, name) == 0)
            return &figure[i];
    return NULL;
}

static void print_experts(struct base_buf *out, const struct rank_figure *figure, uint32_t count)
{
    serve__key(out, "experts");
    base_buf_put_str(out, "[");
    for (uint32_t i = 0; i < count; i++) {
        base_buf_put_str(out, i ? ",{" : "{");
        serve__pair_text(out, "name", fr_slice_str(figure[i].name));
        serve__pair_fixed(out, "hr10", figure[i].hit10, 5);
        serve__pair_fixed(out, "mrr10", figure[i].mrr10, 5);
        serve__pair_fixed(out, "ndcg10", figure[i].ndcg10, 5);
        serve__pair_fixed(out, "recent_hr10", figure[i].recent_hit10, 5);
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "]");
}

static void print_quality(struct base_buf *out, const struct serve *serve, uint32_t sample_one_in)
{
    struct rank_figure figure[FIGURES_MAX];
    uint32_t count = rank_figures(serve->options.rank, figure, FIGURES_MAX);
    const struct rank_figure *blend = figure_find(figure, count, "blend");
    const struct rank_figure *popular = figure_find(figure, count, "popular");
    struct rank_figure caused;
    rank_figure_caused(serve->options.rank, &caused);
    serve__key(out, "quality");
    base_buf_put_str(out, "{");
    serve__pair_u64(out, "scored", blend ? blend->scored : 0);
    serve__pair_fixed(out, "hr10", blend ? blend->hit10 : 0, 5);
    serve__pair_fixed(out, "popular_hr10", popular ? popular->hit10 : 0, 5);
    serve__pair_fixed(out, "recent_hr10", blend ? blend->recent_hit10 : 0, 5);
    serve__pair_u64(out, "slates_scored", caused.scored);
    serve__pair_fixed(out, "slates_hr10", caused.hit10, 5);
    serve__pair_u64(out, "sample_one_in", sample_one_in);
    print_experts(out, figure, count);
    base_buf_put_str(out, "}");
}

/* A few people with something behind them, for the page to start with. */
static void print_learners_of(struct base_buf *out, const struct rank_model *model,
                              uint64_t applied)
{
    bool behind = model->running || model->waiting > 0;
    uint64_t learnt = FR_MIN(model->learnt_position, applied);
    base_buf_put_str(out, "{");
    serve__pair_text(out, "name", fr_slice_str(model->name));
    serve__pair_text(out, "role", fr_slice_str(rank_role_name(model->role)));
    serve__pair_u64(out, "lag_records", behind ? applied - learnt : 0);
    serve__pair_u64(out, "waiting", model->waiting);
    serve__pair_bool(out, "running", model->running);
    base_buf_put_str(out, "}");
}

/* Those that learn beside the fold, and how far behind they are. */
static void print_learners(struct base_buf *out, const struct serve *serve)
{
    struct rank_model model[RANK_MODELS_MAX];
    uint64_t applied = fold_applied(serve->options.fold);
    uint32_t count = rank_models(serve->options.rank, model, RANK_MODELS_MAX), shown = 0;
    serve__key(out, "learners");
    base_buf_put_str(out, "[");
    for (uint32_t m = 0; m < count; m++) {
        if (!model[m].deferred)
            continue;
        if (shown++)
            base_buf_put_str(out, ",");
        print_learners_of(out, &model[m], applied);
    }
    base_buf_put_str(out, "]");
}

static void print_users(struct serve_call *call)
{
    const struct state *state = call->serve->options.state;
    struct base_buf *out = call->out;
    uint32_t count = FR_MIN(state_user_count(state), (uint32_t)SAMPLE_SCANNED), shown = 0;
    serve__key(out, "sample_users");
    base_buf_put_str(out, "[");
    for (uint32_t least = 20; least > 0 && shown == 0; least = least > 2 ? 2 : least - 1) {
        for (uint32_t user = 1; user < count && shown < SAMPLE_USERS; user++) {
            struct state_visit last;
            struct serve_card card;
            uint32_t events = state_history_count(state, user);
            if (events < least || state_history(state, user, &last, 1) != 1)
                continue;
            serve__card(state, last.item, call->arena, &card);
            base_buf_put_str(out, shown++ ? ",{" : "{");
            serve__pair_text(out, "id", state_user_id(state, user));
            serve__pair_u64(out, "events", events);
            serve__pair_text(out, "last_title", card.title);
            base_buf_put_str(out, "}");
        }
    }
    base_buf_put_str(out, "]");
}

static void print_memory(struct base_buf *out, const struct state_stats *state)
{
    serve__key(out, "memory");
    base_buf_put_str(out, "{");
    serve__pair_u64(out, "state_bytes", state->bytes);
    serve__pair_u64(out, "items_bytes", state->bytes_items);
    serve__pair_u64(out, "users_bytes", state->bytes_users);
    serve__pair_u64(out, "history_bytes", state->bytes_history);
    serve__pair_u64(out, "pairs_bytes", state->bytes_pairs);
    serve__pair_u64(out, "text_bytes", state->bytes_text);
    serve__pair_u64(out, "dedupe_bytes", state->bytes_dedupe);
    serve__pair_u64(out, "index_bytes", state->bytes_index);
    serve__pair_u64(out, "refused_users", state->refused_users);
    serve__pair_u64(out, "refused_items", state->refused_items);
    serve__pair_u64(out, "refused_contexts", state->refused_contexts);
    serve__pair_u64(out, "expired_users", state->expired_users);
    serve__pair_u64(out, "expired_items", state->expired_items);
    serve__pair_u64(out, "expired_contexts", state->expired_contexts);
    serve__pair_u64(out, "expired_tokens", state->expired_tokens);
    base_buf_put_str(out, "}");
}

void serve__handle_stats(struct serve_call *call)
{
    struct serve *serve = call->serve;
    struct base_buf *out = call->out;
    struct state_stats state;
    struct fold_stats fold;
    state_stats_get(serve->options.state, &state);
    fold_stats_get(serve->options.fold, &fold);
    serve__json(call, 200);
    base_buf_put_str(out, "{");
    serve__pair_text(out, "version",
                     fr_slice_str(serve->options.version ? serve->options.version : ""));
    serve__pair_u64(out, "position", fold_applied(serve->options.fold));
    serve__pair_u64(out, "durable_position", fold_durable(serve->options.fold));
    serve__pair_u64(out, "events", state.events);
    serve__pair_fixed(out, "events_per_s",
                      (double)atomic_load_explicit(&serve->rates->events_per_s_milli,
                                                   memory_order_relaxed) /
                          1e3,
                      1);
    serve__pair_u64(out, "users", state.users);
    serve__pair_u64(out, "items", state.items);
    serve__pair_u64(out, "duplicates", fold.duplicates);
    serve__pair_u64(out, "recommendations", obs_counter_value(OBS_RECOMMENDS));
    serve__pair_u64(out, "rss_bytes", resident_bytes());
    serve__pair_fixed(out, "cpu_seconds", cpu_seconds(), 2);
    serve__pair_fixed(out, "uptime_seconds",
                      (double)(os_wall_us(serve->options.os) - serve->started_us) / 1e6, 1);
    print_quantiles(out, "freshness_us", OBS_APPLY);
    print_quantiles(out, "recommend_us", OBS_RECOMMEND);
    print_quantiles(out, "sync_us", OBS_JOURNAL_SYNC);
    print_quality(out, serve, fold.sample_one_in);
    print_learners(out, serve);
    print_memory(out, &state);
    print_users(call);
    base_buf_put_str(out, "}");
}
