/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/recommend: the way of one answer. Context, user view, candidates and rank, policy, explain;
 * then the JSON, the decision record and the slate.
 *
 * The ladder: a stage that fails is named in degraded_reason and left out. Without ranking the
 * answer is the popular list; without explaining, the answer has no reasons. A request never fails
 * for want of a stage. Cost: no malloc once buffers are warm; everything else lies in the arena.
 */
#include <string.h>
#include <time.h>

#include "obs/obs.h"
#include "serve/ask.h"

enum { SHOWN_FULL = 12, GENERATORS = RETRIEVE_GENERATOR_COUNT };
enum { TRIES_MAX = 3, NAPS_MAX = 5, NAP_NS = 20000, SHORT_UNIT = 16 };

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void stage_end(struct serve_answering *answering, enum serve_stage stage)
{
    static const enum obs_histogram_id histogram[SERVE_STAGE_COUNT] = {OBS_STAGE_CONTEXT,
                                                                       OBS_STAGE_RANK,
                                                                       OBS_STAGE_POLICY,
                                                                       OBS_STAGE_EXPLAIN};
    int64_t now = now_ns();
    uint64_t spent = (uint64_t)(now - answering->stage_began_ns);
    answering->call->thread->decision->timing.stage_ns[stage] = (uint32_t)FR_MIN(spent, UINT32_MAX);
    obs_histogram_record(histogram[stage], spent);
    answering->stage_began_ns = now;
}

static void degrade(struct serve_answering *answering, const char *reason)
{
    if (!answering->degraded_reason)
        answering->degraded_reason = reason;
}

/* ---- stages ----------------------------------------------------------------------------- */

static enum fr_status view(struct serve_answering *answering)
{
    const struct serve_options *options = &answering->call->serve->options;
    const struct serve_settings *settings = &answering->call->thread->settings;
    struct serve_ask *ask = &answering->ask;
    struct base_arena *arena = answering->call->arena;
    FR_TRY(model_query_build(options->state, &ask->model, arena, &answering->query));
    answering->policy_request = (struct policy_request){
        .state = options->state,
        .query = &answering->query,
        .now_s = (uint32_t)(answering->moment->now_us / 1000000),
        .exclude = ask->exclude,
        .exclude_count = ask->exclude_count,
        .categories = ask->category,
        .category_count = ask->category_count,
        .categories_all = ask->categories_all,
        .n = ask->n,
        .offset = ask->offset,
        .new_share = FR_MAX(settings->new_share, 0.0f),
        .new_age_s = settings->new_age_s,
        .category_cap = ask->category_cap,
        .author_cap = ask->author_cap,
        .seed = settings->seed,
        .request_id = answering->call->id,
    };
    return policy_new(&answering->policy_request, arena, &answering->policy);
}

void serve__rank_options(const struct serve_answering *answering,
                         struct rank_query_options *out_options)
{
    const struct serve_settings *settings = &answering->call->thread->settings;
    const struct serve_ask *ask = &answering->ask;
    uint32_t wanted = ask->offset + 2 * ask->n;
    *out_options = (struct rank_query_options){
        .retrieve = {
            .candidates_max =
                FR_MIN(FR_MAX(settings->candidates_max, wanted), (uint32_t)MODEL_BATCH_MAX),
            .categories = ask->category,
            .category_count = ask->category_count,
            .accept = policy_accept,
            .accept_context = answering->policy,
            .allow_unservable = true, /* policy_accept decides, by the clock of this answer */
        }};
}

static void rank_them(struct serve_answering *answering)
{
    struct serve_call *call = answering->call;
    struct rank_query_options rank_options;
    serve__rank_options(answering, &rank_options);
    size_t mark = base_arena_mark(call->arena);
    enum fr_status status = rank_query(call->serve->options.rank, &answering->query, &rank_options,
                                       call->arena, &answering->result);
    answering->ranked = status == FR_OK;
    if (!answering->ranked) {
        degrade(answering, status == FR_FULL ? "ranking left out: request memory used up"
                                             : "ranking left out: it failed");
        if (base_arena_overflowed(call->arena))
            call->arena->overflowed = false; /* the popular list still fits behind the mark */
        base_arena_rewind(call->arena, mark);
    } else if (answering->result.degraded_reason) {
        degrade(answering, answering->result.degraded_reason);
    }
}

/* The ladder's end: the leaders of everyone, by the long count. */
static void take_popular(struct serve_answering *answering)
{
    struct serve_leaders leaders = {.kind = STATE_ROW_EVERYONE, .counter = STATE_POP_SLOW};
    serve__leaders_take(answering->call, &leaders);
    answering->fallback = leaders.item;
    answering->fallback_score = leaders.score;
    answering->fallback_count = leaders.count;
}

static void decide(struct serve_answering *answering)
{
    const uint32_t *item = answering->ranked ? answering->result.item : answering->fallback;
    uint32_t count = answering->ranked ? answering->result.count : answering->fallback_count;
    if (count == 0 || policy_decide(answering->policy, item, count, answering->call->arena,
                                    &answering->slate) == FR_OK)
        return;
    degrade(answering, "no answer: request memory used up");
    answering->slate = (struct policy_slate){0};
}

static void explain_popular(const struct serve_answering *answering, uint32_t result,
                            struct explain_reasons *out)
{
    out->count = 1;
    out->reason[0] = (struct explain_reason){.kind = EXPLAIN_POPULAR,
                                             .context_field = -1,
                                             .contribution = answering->fallback_score[result],
                                             .share = 1};
}

/* Ids and titles that will be printed come from memory: asked for while reasons are found. */
static void ask_for_texts(const struct serve_answering *answering)
{
    const struct state *state = answering->call->serve->options.state;
    for (uint32_t i = 0; i < answering->slate.count; i++)
        state_item_prefetch_text(state, answering->slate.place[i].item);
    for (uint32_t h = 0; h < answering->query.history_count; h++)
        state_item_prefetch_text(state, answering->query.history[h].item);
}

static void explain(struct serve_answering *answering)
{
    struct base_arena *arena = answering->call->arena;
    bool full = answering->ask.explain == SERVE_EXPLAIN_FULL;
    struct explain_options options = {.shown_max = full ? SHOWN_FULL : 0,
                                      .share_min = full ? 0.002f : 0.02f};
    uint32_t count = answering->slate.count;
    struct explain_reasons *reasons = base_arena_alloc(arena, (count + 1) * sizeof *reasons);
    uint32_t *result = base_arena_alloc(arena, (count + 1) * sizeof *result);
    bool fine = reasons && result;
    for (uint32_t i = 0; fine && i < count; i++) {
        result[i] = answering->slate.place[i].result;
        if (!answering->ranked)
            explain_popular(answering, result[i], &reasons[i]);
    }
    options.r = result;
    options.count = count;
    if (fine && answering->ranked)
        fine = explain_items(&answering->result, &options, arena, reasons) == FR_OK;
    if (fine)
        answering->reasons = reasons;
    else
        degrade(answering, "reasons left out: request memory used up");
}

static void answer_stages(struct serve_answering *answering)
{
    if (view(answering) != FR_OK) {
        degrade(answering, "no answer: request memory used up");
        return;
    }
    stage_end(answering, SERVE_STAGE_CONTEXT);
    rank_them(answering);
    if (!answering->ranked)
        take_popular(answering);
    stage_end(answering, SERVE_STAGE_CANDIDATES);
    decide(answering);
    stage_end(answering, SERVE_STAGE_POLICY);
    ask_for_texts(answering);
    if (answering->ask.explain != SERVE_EXPLAIN_NONE)
        explain(answering);
    if (answering->ask.counterfactual && serve__counterfactual(answering) == FR_FULL)
        degrade(answering, "counterfactual left out: request memory used up");
    stage_end(answering, SERVE_STAGE_EXPLAIN);
}

/* ---- the record ------------------------------------------------------------------------- */

static float score_of(const struct serve_answering *answering, uint32_t result)
{
    return answering->ranked ? answering->result.score[result] : answering->fallback_score[result];
}

static void count_generators(const struct serve_answering *answering,
                             struct serve_decision *decision)
{
    for (uint32_t r = 0; r < answering->result.count; r++)
        for (uint32_t g = 0; g < GENERATORS; g++)
            decision->generator_count[g] += answering->result.generators[r] >> g & 1;
}

static void record_places(const struct serve_answering *answering, struct serve_decision *decision)
{
    const struct state *state = answering->call->serve->options.state;
    decision->place_count = answering->slate.count;
    decision->feature_count = answering->ranked ? answering->result.feature_count : 0;
    FR_ASSERT(decision->feature_count <= SERVE_FEATURES_MAX);
    for (uint32_t i = 0; i < answering->slate.count; i++) {
        const struct policy_place *place = &answering->slate.place[i];
        uint16_t generators =
            answering->ranked ? answering->result.generators[place->result] : 1 << RETRIEVE_POPULAR;
        decision->place[i] =
            (struct serve_place){.item = place->item,
                                 .lives = state_lives(state, STATE_KIND_ITEM, place->item),
                                 .result = place->result,
                                 .score = score_of(answering, place->result),
                                 .propensity = place->propensity,
                                 .generators = generators,
                                 .move = (uint8_t)place->move};
        for (uint32_t g = 0; g < GENERATORS; g++)
            decision->kept_count[g] += generators >> g & 1;
        if (answering->ranked)
            rank_contributions(&answering->result, place->result, decision->part[i]);
    }
}

static void record(const struct serve_answering *answering)
{
    const struct serve_call *call = answering->call;
    struct serve_decision *decision = call->thread->decision;
    decision->id = call->id;
    decision->position = answering->moment->position;
    decision->time_us = answering->moment->now_us;
    decision->still = false; /* known when all is printed */
    decision->user = answering->ask.model.user;
    decision->bucket = answering->query.bucket;
    decision->history_count = answering->query.history_count;
    decision->seen_count = answering->query.seen_count;
    decision->n = answering->ask.n;
    decision->offset = answering->ask.offset;
    decision->candidate_count =
        answering->ranked ? answering->result.count : answering->fallback_count;
    memset(decision->generator_count, 0, sizeof decision->generator_count);
    memset(decision->kept_count, 0, sizeof decision->kept_count);
    memcpy(decision->rejected, answering->slate.rejected, sizeof decision->rejected);
    decision->new_pool = answering->slate.new_pool;
    decision->new_placed = answering->slate.new_placed;
    size_t bytes = FR_MIN(answering->ask.user_id.bytes, sizeof decision->user_id - 1);
    if (bytes)
        memcpy(decision->user_id, answering->ask.user_id.ptr, bytes);
    decision->user_id[bytes] = 0;
    const char *reason = answering->degraded_reason ? answering->degraded_reason : "";
    bytes = FR_MIN(strlen(reason), sizeof decision->degraded_reason - 1);
    memcpy(decision->degraded_reason, reason, bytes);
    decision->degraded_reason[bytes] = 0;
    if (answering->ranked)
        count_generators(answering, decision);
    record_places(answering, decision);
}

/* ---- the JSON --------------------------------------------------------------------------- */

/* Titles of items that reasons speak of: asked for once an answer. */
struct titles {
    uint32_t item[MODEL_HISTORY_MAX + SERVE_RECENT_MAX];
    struct fr_slice title[MODEL_HISTORY_MAX + SERVE_RECENT_MAX];
    uint32_t count;
};

static struct fr_slice title_of(struct titles *titles, const struct serve_call *call, uint32_t item)
{
    struct serve_card card;
    for (uint32_t i = 0; i < titles->count; i++)
        if (titles->item[i] == item)
            return titles->title[i];
    serve__card(call->serve->options.state, item, call->arena, &card);
    if (titles->count < FR_COUNT_OF(titles->item)) {
        titles->item[titles->count] = item;
        titles->title[titles->count++] = card.title;
    }
    return card.title;
}

static void print_reason(const struct serve_call *call, struct titles *titles,
                         const struct explain_reason *reason, struct base_buf *out)
{
    const struct state *state = call->serve->options.state;
    struct base_buf *text = &call->thread->scratch;
    struct fr_slice title = {0};
    if (reason->item)
        title = title_of(titles, call, reason->item);
    base_buf_clear(text);
    explain_text(reason, state, title, text);
    base_buf_put_str(out, "{\"kind\":\"");
    base_buf_put_str(out, explain_kind_name(reason->kind));
    base_buf_put_str(out, "\",\"text\":");
    base_buf_json_string(out, base_buf_slice(text));
    if (reason->item) {
        serve__pair_text(out, "item", state_item_id(state, reason->item));
        serve__pair_text(out, "title", title);
    }
    serve__pair_fixed(out, "share", (double)reason->share, 6);
    serve__pair_fixed(out, "contribution", (double)reason->contribution, 6);
    base_buf_put_str(out, ",\"icon\":\"");
    base_buf_put_str(out, explain_kind_icon(reason->kind));
    base_buf_put_str(out, "\"}");
}

static void print_item(const struct serve_answering *answering, uint32_t i, struct titles *titles)
{
    const struct serve_call *call = answering->call;
    const struct state *state = call->serve->options.state;
    const struct policy_place *place = &answering->slate.place[i];
    struct base_buf *out = call->out;
    struct serve_card card;
    serve__card(state, place->item, call->arena, &card);
    base_buf_put_str(out, i ? ",{" : "{");
    serve__pair_text(out, "id", state_item_id(state, place->item));
    serve__pair_u64(out, "rank", answering->ask.offset + i + 1);
    serve__pair_fixed(out, "score", (double)score_of(answering, place->result), 6);
    serve__card_print(&card, out);
    if (answering->reasons) {
        const struct explain_reasons *reasons = &answering->reasons[i];
        base_buf_put_str(out, ",\"reasons\":[");
        for (uint32_t r = 0; r < reasons->count; r++) {
            if (r)
                base_buf_put(out, ",", 1);
            print_reason(call, titles, &reasons->reason[r], out);
        }
        base_buf_put_str(out, "]");
    }
    base_buf_put_str(out, "}");
}

static void print(const struct serve_answering *answering)
{
    const struct serve_call *call = answering->call;
    struct base_buf *out = call->out;
    struct titles titles;
    titles.count = 0;
    base_buf_put_str(out, "{");
    serve__pair_text(out, "request_id", fr_slice_str(call->id_text));
    serve__key(out, "user");
    if (answering->ask.user_id.bytes)
        base_buf_json_string(out, answering->ask.user_id);
    else
        base_buf_put_str(out, "null");
    serve__pair_u64(out, "position", answering->moment->position);
    serve__key(out, "items");
    base_buf_put_str(out, "[");
    for (uint32_t i = 0; i < answering->slate.count; i++)
        print_item(answering, i, &titles);
    base_buf_put_str(out, "]");
    if (answering->counterfactual)
        serve__counterfactual_print(answering->counterfactual, call->serve->options.state, out);
    serve__key(out, "degraded_reason");
    if (answering->degraded_reason)
        base_buf_json_string(out, fr_slice_str(answering->degraded_reason));
    else
        base_buf_put_str(out, "null");
}

static void count_answer(const struct serve_answering *answering, uint64_t took_ns)
{
    obs_counter_add(OBS_RECOMMENDS, 1);
    obs_counter_add(OBS_ITEMS_SERVED, answering->slate.count);
    if (answering->degraded_reason)
        obs_counter_add(OBS_RECOMMENDS_DEGRADED, 1);
    if (answering->query.history_count == 0)
        obs_counter_add(OBS_RECOMMENDS_COLD, 1);
    if (answering->ranked)
        obs_histogram_record(OBS_CANDIDATES, answering->result.count);
    obs_histogram_record(OBS_RECOMMEND, took_ns);
}

/* The slate, into scratch. */
static void encode(const struct serve_call *call)
{
    const struct serve *serve = call->serve;
    const struct serve_decision *decision = call->thread->decision;
    base_buf_clear(&call->thread->scratch);
    if (!serve->slates)
        return;
    struct serve_inputs inputs = {.args = call->args,
                                  .version = serve->options.version,
                                  .settings = call->thread->settings,
                                  .answer = base_buf_slice(call->out)};
    if (serve_slates_samples(call->id, serve->options.record_one_in)) {
        base_buf_clear(&call->thread->record);
        serve_decision_print(decision, serve->options.state, serve->options.rank,
                             &call->thread->record);
        inputs.record = base_buf_slice(&call->thread->record);
    }
    serve_slates_encode(decision, &inputs, serve->options.state, &call->thread->scratch);
}

static void keep(const struct serve_call *call)
{
    const struct serve *serve = call->serve;
    serve_decisions_put(serve->decisions, call->thread->index, call->thread->decision);
    if (serve->slates)
        serve_slates_put(serve->slates, base_buf_slice(&call->thread->scratch));
}

void serve__settings_of(const struct serve_options *options, struct serve_settings *out_settings)
{
    *out_settings = (struct serve_settings){.seed = options->seed,
                                            .candidates_max = options->candidates_max,
                                            .new_age_s = options->new_age_s,
                                            .category_cap = options->category_cap,
                                            .author_cap = options->author_cap,
                                            .new_share = options->new_share,
                                            .repeats = options->repeats};
}

struct serve_answering *serve__recommend(struct serve_call *call, const struct serve_moment *moment)
{
    struct serve *serve = call->serve;
    struct serve_timing *timing = &call->thread->decision->timing;
    struct serve_answering *answering = base_arena_zalloc(call->arena, sizeof *answering);
    if (!answering)
        return NULL;
    memset(timing, 0, sizeof *timing);
    answering->call = call;
    answering->moment = moment;
    answering->stage_began_ns = now_ns();
    serve__ask_read(call, &answering->ask);
    answer_stages(answering);
    serve__json(call, 200);
    print(answering);
    record(answering);
    timing->took_us = (uint32_t)((now_ns() - call->began_ns) / 1000);
    if (moment->timing)
        *timing = *moment->timing;
    if (answering->ask.explain == SERVE_EXPLAIN_FULL) {
        serve__key(call->out, "decision");
        serve_decision_print(call->thread->decision, serve->options.state, serve->options.rank,
                             call->out);
    }
    serve__pair_u64(call->out, "took_us", timing->took_us);
    base_buf_put_str(call->out, "}");
    return answering;
}

/* The position of a state at rest, or 0. Waits for the fold's unit to end when it is a short one, a
 * quarter of a millisecond at most: at 200 posts of 100 events a second, naps for long ones found rest
 * one time in thirteen. */
static uint64_t rest_begin(const struct fold *fold, uint32_t *naps)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    uint64_t began = fold_still_begin(fold);
    for (; began == 0 && *naps < NAPS_MAX && fold_under_way(fold) <= SHORT_UNIT; ++*naps) {
        nanosleep(&nap, NULL);
        began = fold_still_begin(fold);
    }
    return began;
}

/* An answer computed while records were being applied has seen neither the state before nor the one
 * after: it is computed again, unless the fold stays at work, when trying again would only cost.
 */
static struct serve_answering *recommend_at_rest(struct serve_call *call)
{
    const struct serve_options *options = &call->serve->options;
    struct serve_moment *moment = base_arena_zalloc(call->arena, sizeof *moment);
    struct serve_answering *answering = NULL;
    uint32_t naps = 0;
    if (!moment)
        return NULL;
    size_t mark = base_arena_mark(call->arena);
    for (uint32_t tries = 0; tries < TRIES_MAX && !moment->still; tries++) {
        uint64_t began = rest_begin(options->fold, &naps);
        if (tries > 0 && began == 0)
            break;
        base_arena_rewind(call->arena, mark);
        call->arena->overflowed = false;
        moment->now_us = os_wall_us(options->os);
        moment->position = began ? began : fold_applied(options->fold);
        answering = serve__recommend(call, moment);
        if (!answering)
            return NULL;
        moment->still = fold_still(options->fold, began);
    }
    call->thread->decision->still = moment->still;
    return answering;
}

void serve__handle_recommend(struct serve_call *call)
{
    if (serve_args_int(call->args, "n", 10) > call->thread->n_max) {
        serve__problem(call, 400, "n_too_large", "ask for less, or for the next page with offset",
                       "n is above this server's recommend-n-max");
        return;
    }
    call->answering = recommend_at_rest(call);
    if (call->answering)
        encode(call);
    else
        serve__problem(call, 503, "request_memory", "ask for less at once",
                       "the request used up its memory");
}

void serve__recommend_done(struct serve_call *call)
{
    keep(call);
    count_answer(call->answering, (uint64_t)(now_ns() - call->began_ns));
}
