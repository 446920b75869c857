/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocols. Prequential and the train parts go event by event through state_resolve(),
 * rank_learn(), state_apply(), rank_apply(): what the fold does, with every event sampled. Ranks of
 * all scored events are kept (four bytes each), so that metrics and blocks are made once at the
 * end.
 *
 * Leave-one-out has to know a user's last events before learning the first: events are kept as ids
 * of a second state that only interns, and replayed at the end. The history of a test query holds
 * the validation item whether or not it was learnt.
 */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "eval/eval_priv.h"
#include "rank/models.h"

/* Of the state that only interns; addresses, not memory. It must know everybody. */
#define NAMES_MAX (1u << 26)
#define NAMES_BYTES_MAX ((uint64_t)1 << 34)

const char *eval_protocol_name(enum eval_protocol protocol)
{
    static const char *const names[] = {"prequential", "leave-one-out", "split", "sessions",
                                        "refit"};
    return (size_t)protocol < FR_COUNT_OF(names) ? names[protocol] : "unknown";
}

double eval__cpu_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

/* What reading it twice says when nothing is done in between: a part of whatever is timed. */
static double clock_cost_us(void)
{
    double least = 1e6;
    for (int i = 0; i < 256; i++) {
        double began = eval__cpu_now_us();
        least = FR_MIN(least, eval__cpu_now_us() - began);
    }
    return least;
}

enum fr_status eval__learners_open(struct eval *eval, struct fr_error *error)
{
    const struct eval_options *options = &eval->options;
    rank_free(eval->rank);
    state_free(eval->state);
    eval->rank = NULL;
    eval->state = NULL;
    FR_TRY(state_new(&eval->tables, error, &eval->state));
    struct rank_options rank_options = {
        .state = eval->state,
        .experts = options->experts,
        .candidates_max = options->candidates_max,
        .seed = options->seed,
        .no_network = options->no_network,
        .repeats = options->repeats,
        .session_unit = options->session_unit,
    };
    return rank_new(&rank_options, error, &eval->rank);
}

enum fr_status eval_new(const struct eval_options *options, struct fr_error *error,
                        struct eval **out_eval)
{
    struct eval *eval = calloc(1, sizeof(*eval));
    if (!eval)
        return base_fail(error, FR_MEMORY, "eval", "no memory");
    eval->options = *options;
    eval->tables = options->tables ? *options->tables : (struct state_options){0};
    schema_types_init(&eval->types);
    enum fr_status status = eval__learners_open(eval, error);
    if (status == FR_OK && (options->protocol == EVAL_LEAVE_ONE_OUT ||
                            options->protocol == EVAL_SPLIT || options->protocol == EVAL_REFIT))
        status = state_new(&(struct state_options){.item_count_max = NAMES_MAX,
                                                   .user_count_max = NAMES_MAX,
                                                   .text_bytes_max = NAMES_BYTES_MAX},
                           error, &eval->names);
    if (status != FR_OK) {
        eval_free(eval);
        return status;
    }
    const struct model_expert *experts[EVAL_EXPERTS_MAX];
    eval->expert_count = rank_experts(eval->rank, experts, EVAL_EXPERTS_MAX);
    for (uint32_t e = 0; e < eval->expert_count; e++)
        eval->expert_name[e] = experts[e]->name;
    eval->clock_us = clock_cost_us();
    eval->cpu_started_us = eval__cpu_now_us();
    *out_eval = eval;
    return FR_OK;
}

void eval_free(struct eval *eval)
{
    if (!eval)
        return;
    rank_free(eval->rank);
    state_free(eval->state);
    state_free(eval->names);
    for (uint32_t c = 0; c < EVAL_COLUMNS; c++)
        free(eval->ranks[c]);
    free(eval->kept);
    free(eval);
}

/* One more judged request: the rank by the blend, by popularity, by each expert. What is no question
 * (an item that the user has seen and that may not come back) is left out, in every protocol. */
enum fr_status eval__scored_add(struct eval *eval, const struct rank_outcome *outcome)
{
    if (!outcome->scored)
        return FR_OK;
    uint32_t columns = 2 + eval->expert_count;
    if (eval->scored == eval->scored_max) {
        size_t max = eval->scored_max ? eval->scored_max * 2 : 65536;
        for (uint32_t c = 0; c < columns; c++) {
            float *bigger = realloc(eval->ranks[c], max * sizeof(float));
            if (!bigger)
                return FR_MEMORY;
            eval->ranks[c] = bigger;
        }
        eval->scored_max = max;
    }
    eval->ranks[0][eval->scored] = outcome->rank;
    eval->ranks[1][eval->scored] = outcome->popularity_rank;
    for (uint32_t e = 0; e < eval->expert_count; e++)
        eval->ranks[2 + e][eval->scored] = outcome->expert_rank[e];
    eval->unknown_target += !outcome->known;
    eval->outside += outcome->known && outcome->candidate < 0;
    eval->scored++;
    return FR_OK;
}

/* One event in so many is timed: reading a thread's processor time costs half a microsecond. */
enum { TIMED_ONE_IN = 8 };

static double now_if(bool timed)
{
    return timed ? eval__cpu_now_us() : 0;
}

/* What nearly full tables did not admit is not learnt, there as here; it was a question nevertheless.
 * By session, nobody can tell whether it was the first of one. */
static enum fr_status refused(struct eval *eval, const struct schema_event *event, bool count)
{
    struct rank_outcome outcome;
    eval->refused++;
    if (!count || eval->options.session_unit || eval->events <= eval->options.skip)
        return FR_OK;
    const struct model_request request = {.user = state_user_find(eval->state, event->user),
                                          .repeats = eval->options.repeats};
    rank_judge(eval->rank, &request, state_item_find(eval->state, event->item), &outcome);
    return eval__scored_add(eval, &outcome);
}

/* Learns one event as the fold does. */
enum fr_status eval__learn(struct eval *eval, const struct schema_event *event, bool count)
{
    struct state_event resolved;
    struct rank_outcome outcome;
    struct rank_remedy remedy;
    bool timed = ++eval->events % TIMED_ONE_IN == 0;
    double at[4] = {now_if(timed)};
    enum fr_status status =
        state_resolve(eval->state, event, &eval->types, eval->events, INT64_MAX / 2, &resolved);
    if (status == FR_FULL) {
        rank_make_room(eval->rank, eval->state);
        return refused(eval, event, count);
    }
    FR_TRY(status);
    at[1] = now_if(timed);
    rank_learn(eval->rank, &resolved, true, &outcome);
    at[2] = now_if(timed);
    state_apply(eval->state, &resolved);
    rank_apply(eval->rank, &resolved);
    if (eval->options.remedies &&
        rank_remedy_wanted(eval->rank, &remedy)) /* the fold journals it first */
        rank_remedy_apply(eval->rank, &remedy, eval->events);
    rank_make_room(eval->rank, eval->state);
    at[3] = now_if(timed);
    rank_jobs_now(eval->rank, eval->events); /* beside the fold when serving: not in the times */
    if (timed) {
        eval->event_us += TIMED_ONE_IN * (at[1] - at[0] + (at[3] - at[2]) - 2 * eval->clock_us);
        eval->query_us += TIMED_ONE_IN * (at[2] - at[1] - eval->clock_us);
    }
    eval->queries += timed && outcome.scored ? TIMED_ONE_IN : 0;
    bool first = eval->options.session_unit && resolved.is_first_of_session;
    if (count && outcome.scored && eval->events > eval->options.skip &&
        (!first || eval->options.score_first))
        FR_TRY(eval__scored_add(eval, &outcome));
    if (eval->options.progress && eval->events % 1024 == 0)
        eval->options.progress(eval->options.progress_context, eval->events, eval->scored);
    return FR_OK;
}

static enum fr_status keep(struct eval *eval, const struct schema_event *event)
{
    struct state_event resolved;
    if (eval->kept_count == eval->kept_max) {
        size_t max = eval->kept_max ? eval->kept_max * 2 : 65536;
        struct eval_kept *bigger = realloc(eval->kept, max * sizeof(*bigger));
        if (!bigger)
            return FR_MEMORY;
        eval->kept = bigger;
        eval->kept_max = max;
    }
    FR_TRY(state_resolve(eval->names, event, &eval->types, 0, INT64_MAX / 2, &resolved));
    eval->kept[eval->kept_count++] = (struct eval_kept){
        .user = resolved.user,
        .item = resolved.item,
        .time_us = event->time_us,
        .value = event->value,
        .has_value = event->has_value,
        .type = event->type,
    };
    return FR_OK;
}

enum fr_status eval_event(struct eval *eval, const struct schema_event *event)
{
    if (eval->options.protocol == EVAL_LEAVE_ONE_OUT || eval->options.protocol == EVAL_REFIT)
        return keep(eval, event);
    return eval__learn(eval, event, eval->options.protocol == EVAL_PREQUENTIAL);
}

enum fr_status eval_item(struct eval *eval, const struct schema_item *item)
{
    struct base_buf bytes;
    base_buf_init(&bytes, 0);
    schema_item_encode(item, &bytes);
    enum fr_status status = state_apply_item(eval->state, base_buf_slice(&bytes), 1);
    base_buf_release(&bytes);
    rank_make_room(eval->rank, eval->state);
    eval->refused += status == FR_FULL;
    return status == FR_FULL ? FR_OK : status;
}

/* ---- leave-one-out -------------------------------------------------------------------------- */

struct schema_event eval__kept_event(const struct eval *eval, const struct eval_kept *kept)
{
    return (struct schema_event){
        .user = state_user_id(eval->names, kept->user),
        .item = state_item_id(eval->names, kept->item),
        .time_us = kept->time_us,
        .value = kept->value,
        .has_value = kept->has_value,
        .type = kept->type,
    };
}

/* The user's newest known visit and, when it was not learnt, the same as `ahead`. The list is asked for
 * at that visit's time: by the state's clock, which stands at the end of all users' events, it may be
 * months ago, and the target came right after it as a rule. */
static enum fr_status judge_user(struct eval *eval, const struct eval_kept *newest,
                                 const struct eval_kept *ahead, const struct eval_kept *target)
{
    uint32_t user = state_user_find(eval->state, state_user_id(eval->names, target->user));
    uint32_t item = state_item_find(eval->state, state_item_id(eval->names, target->item));
    uint32_t recent =
        ahead ? state_item_find(eval->state, state_item_id(eval->names, ahead->item)) : 0;
    struct model_request request = {.user = user,
                                    .visit_clock_s = (uint32_t)(newest->time_us / 1000000),
                                    .repeats = eval->options.repeats};
    if (recent) {
        request.recent = &recent;
        request.recent_count = 1;
    }
    struct rank_outcome outcome;
    double started = eval__cpu_now_us();
    rank_judge(eval->rank, &request, item, &outcome);
    eval->query_us += eval__cpu_now_us() - started;
    eval->queries++;
    return eval__scored_add(eval, &outcome);
}

/* A user's part: events in all and still to come, the last two. Tests are users with at least
 * TEST_EVENTS. */
struct held {
    uint32_t many, left;
    size_t last, before, newest; /* indexes of kept, going back */
};
enum { TEST_EVENTS = 3 };

/* Learns what is not held out; notes what is. */
static enum fr_status learn_train_part(struct eval *eval, struct held *held)
{
    const uint32_t held_back =
        eval->options.learn_validation && !eval->options.validation_target ? 1 : 2;
    for (size_t i = 0; i < eval->kept_count; i++) {
        const struct eval_kept *kept = &eval->kept[i];
        struct held *user = &held[kept->user];
        user->newest = user->left == 3 ? i : user->newest;
        user->before = user->left == 2 ? i : user->before;
        user->last = user->left == 1 ? i : user->last;
        if (user->left-- <= held_back && user->many >= TEST_EVENTS)
            continue;
        const struct schema_event event = eval__kept_event(eval, kept);
        FR_TRY(eval__learn(eval, &event, false));
    }
    return FR_OK;
}

static enum fr_status judge_test_part(struct eval *eval, const struct held *held, uint32_t users)
{
    bool tuning = eval->options.validation_target;
    for (uint32_t u = 1; u < users; u++) {
        if (held[u].many < TEST_EVENTS)
            continue;
        const struct eval_kept *target = &eval->kept[tuning ? held[u].before : held[u].last];
        const struct eval_kept *newest = &eval->kept[tuning ? held[u].newest : held[u].before];
        FR_TRY(judge_user(eval, newest, tuning ? NULL : newest, target));
    }
    return FR_OK;
}

static enum fr_status leave_one_out(struct eval *eval)
{
    uint32_t users = state_user_count(eval->names);
    struct held *held = calloc(users, sizeof(*held));
    if (!held)
        return FR_MEMORY;
    for (size_t i = 0; i < eval->kept_count; i++)
        held[eval->kept[i].user].many = ++held[eval->kept[i].user].left;
    enum fr_status status = learn_train_part(eval, held);
    if (status == FR_OK)
        status = judge_test_part(eval, held, users);
    free(held);
    return status;
}

/* ---- sessions ------------------------------------------------------------------------------- */

/* The running test session's items, newest first; a new one starts when user or session changes. */
enum fr_status eval_test_event(struct eval *eval, const struct schema_event *event)
{
    if (eval->options.protocol == EVAL_SPLIT)
        return keep(eval, event);
    if (eval->options.protocol != EVAL_SESSIONS)
        return FR_UNSUPPORTED;
    struct fr_slice name = event->session.bytes ? event->session : event->user;
    uint64_t session = base_hash64_slice(name, 11);
    uint32_t item = state_item_find(eval->state, event->item);
    if (session != eval->session) {
        eval->session = session;
        eval->prefix_count = 0;
    } else {
        struct model_request request = {.repeats = eval->options.repeats,
                                        .recent = eval->prefix,
                                        .recent_count = eval->prefix_count};
        struct rank_outcome outcome;
        double started = eval__cpu_now_us();
        state_context_resolve(eval->state, &event->context, request.context);
        rank_judge(eval->rank, &request, item, &outcome);
        eval->query_us += eval__cpu_now_us() - started;
        eval->queries++;
        FR_TRY(eval__scored_add(eval, &outcome));
    }
    if (item == 0)
        return FR_OK;
    uint32_t kept = FR_MIN(eval->prefix_count, (uint32_t)FR_COUNT_OF(eval->prefix) - 1);
    memmove(eval->prefix + 1, eval->prefix, kept * sizeof(eval->prefix[0]));
    eval->prefix[0] = item;
    eval->prefix_count = kept + 1;
    return FR_OK;
}

/* ---- the end -------------------------------------------------------------------------------- */

static struct eval_metrics metrics_of(const struct eval *eval, const float *ranks, size_t from,
                                      size_t to)
{
    struct eval_metrics metrics = {.scored = to - from};
    for (uint32_t k = 0; k < eval->k_count; k++) {
        double hits = 0, mrr = 0, ndcg = 0;
        for (size_t i = from; i < to; i++) {
            if (ranks[i] >= (float)eval->k[k])
                continue;
            hits += 1;
            mrr += 1.0 / (1.0 + (double)ranks[i]);
            ndcg += 1.0 / log2(2.0 + (double)ranks[i]);
        }
        double n = to > from ? (double)(to - from) : 1.0;
        metrics.hr[k] = hits / n;
        metrics.mrr[k] = mrr / n;
        metrics.ndcg[k] = ndcg / n;
    }
    return metrics;
}

static struct base_hash128 hash_of(const struct eval *eval)
{
    struct base_digest digest;
    uint32_t count;
    base_digest_init(&digest);
    struct base_rows *const *tables = state_tables(eval->state, &count);
    for (uint32_t t = 0; t < count; t++)
        base_rows_digest(tables[t], &digest);
    tables = rank_tables(eval->rank, &count);
    for (uint32_t t = 0; t < count; t++)
        base_rows_digest(tables[t], &digest);
    return base_digest_end(&digest);
}

static void curve_of(const struct eval *eval, const float *ranks, uint32_t blocks, double *out)
{
    for (uint32_t b = 0; b < blocks; b++)
        out[b] = metrics_of(eval, ranks, eval->scored * b / blocks, eval->scored * (b + 1) / blocks)
                     .hr[0];
}

/* From the ranks: the blend, its parts, its blocks. */
static void result_fill(const struct eval *eval, struct eval_result *result)
{
    uint32_t blocks = eval->options.blocks ? eval->options.blocks : 10;
    result->blend = metrics_of(eval, eval->ranks[0], 0, eval->scored);
    result->popularity = metrics_of(eval, eval->ranks[1], 0, eval->scored);
    result->expert_count = eval->expert_count;
    result->block_count = FR_MIN(blocks, (uint32_t)EVAL_BLOCKS_MAX);
    for (uint32_t b = 0; b < result->block_count; b++)
        result->blocks[b] = metrics_of(eval, eval->ranks[0], eval->scored * b / result->block_count,
                                       eval->scored * (b + 1) / result->block_count);
    curve_of(eval, eval->ranks[1], result->block_count, result->popularity_curve);
    for (uint32_t e = 0; e < eval->expert_count; e++) {
        const float *ranks = eval->ranks[2 + e];
        result->experts[e].name = eval->expert_name[e];
        result->experts[e].metrics = metrics_of(eval, ranks, 0, eval->scored);
        curve_of(eval, ranks, result->block_count, result->experts[e].curve);
    }
}

enum fr_status eval_finish(struct eval *eval, struct fr_error *error,
                           struct eval_result *out_result)
{
    const struct eval_options *options = &eval->options;
    eval->k_count = options->k_count ? FR_MIN(options->k_count, (uint32_t)EVAL_K_MAX) : 2;
    for (uint32_t k = 0; k < eval->k_count; k++)
        eval->k[k] = options->k_count ? options->k[k] : k ? 20 : 10;
    enum fr_status status = FR_OK;
    if (options->protocol == EVAL_LEAVE_ONE_OUT)
        status = leave_one_out(eval);
    if (options->protocol == EVAL_SPLIT)
        status = eval__split_finish(eval);
    if (options->protocol == EVAL_REFIT)
        status = eval__refit_finish(eval, error);
    if (status != FR_OK)
        return base_fail(error, status, "eval", "%s stopped after %lu events",
                         eval_protocol_name(options->protocol), (unsigned long)eval->events);
    struct eval_result result = {
        .protocol = options->protocol,
        .k_count = eval->k_count,
        .events = eval->events,
        .scored = eval->scored,
        .unknown_target = eval->unknown_target,
        .outside = eval->outside,
        .refused = eval->refused,
        .cpu_us_per_event = eval->events ? eval->event_us / (double)eval->events : 0,
        .cpu_us_per_query = eval->queries ? eval->query_us / (double)eval->queries : 0,
        .cpu_seconds = (eval__cpu_now_us() - eval->cpu_started_us) * 1e-6,
        .hash = hash_of(eval),
    };
    memcpy(result.k, eval->k, sizeof(result.k));
    if (options->protocol == EVAL_SPLIT)
        result.blend = eval->split;
    else
        result_fill(eval, &result);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    result.rss_mb = (double)usage.ru_maxrss / 1024.0;
    result.alarm_count = rank_alarms(eval->rank, result.alarms, RANK_ALARMS_KEPT);
    rank_alarm_counts(eval->rank, &result.alarms_ever, &result.remedies_ever);
    *out_result = result;
    return FR_OK;
}
