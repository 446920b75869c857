/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/lists: lists that are not personal: items like one item, and what trends.
 */
#include <string.h>

#include "serve/ask.h"

/* A policy for nobody in particular: catalogue filters, exclusions, categories. */
struct listing {
    struct serve_ask ask;
    struct model_query query;
    struct policy_request request;
    struct policy *policy;
    struct policy_slate slate;
};

static struct listing *listing_begin(struct serve_call *call, const uint32_t *also_exclude)
{
    const struct serve_options *options = &call->serve->options;
    struct listing *listing = base_arena_zalloc(call->arena, sizeof *listing);
    if (!listing)
        return NULL;
    struct serve_ask *ask = &listing->ask;
    serve__ask_read(call, ask);
    if (also_exclude && ask->exclude_count < SERVE_EXCLUDE_MAX)
        ask->exclude[ask->exclude_count++] = *also_exclude;
    listing->query.clock_s = (uint32_t)(state_clock_us(options->state) / 1000000);
    listing->request = (struct policy_request){
        .state = options->state,
        .query = &listing->query,
        .now_s = (uint32_t)(os_wall_us(options->os) / 1000000),
        .exclude = ask->exclude,
        .exclude_count = ask->exclude_count,
        .categories = ask->category,
        .category_count = ask->category_count,
        .categories_all = ask->categories_all,
        .n = ask->n,
        .offset = ask->offset,
        .request_id = call->id,
    };
    return policy_new(&listing->request, call->arena, &listing->policy) == FR_OK ? listing : NULL;
}

static void listing_print(struct serve_call *call, const struct listing *listing,
                          const float *score)
{
    const struct state *state = call->serve->options.state;
    struct base_buf *out = call->out;
    serve__key(out, "items");
    base_buf_put_str(out, "[");
    for (uint32_t i = 0; i < listing->slate.count; i++) {
        const struct policy_place *place = &listing->slate.place[i];
        struct serve_card card;
        serve__card(state, place->item, call->arena, &card);
        base_buf_put_str(out, i ? ",{" : "{");
        serve__pair_text(out, "id", state_item_id(state, place->item));
        serve__pair_u64(out, "rank", listing->ask.offset + i + 1);
        serve__pair_fixed(out, "score", (double)score[place->result], 6);
        serve__card_print(&card, out);
        base_buf_put_str(out, "}");
    }
    base_buf_put_str(out, "]");
}

static void out_of_memory(struct serve_call *call)
{
    serve__problem(call, 503, "request_memory", "ask for less at once",
                   "the request used up its memory");
}

/* ---- similar ----------------------------------------------------------------------------- */

void serve__handle_similar(struct serve_call *call)
{
    const struct serve_options *options = &call->serve->options;
    uint32_t item = state_item_find(options->state, call->path_value[0]);
    if (item == 0) {
        serve__problem(call, 404, "unknown_item", "PUT it first, or check the id",
                       "there is no such item");
        return;
    }
    struct listing *listing = listing_begin(call, &item);
    struct rank_result *result = base_arena_zalloc(call->arena, sizeof *result);
    if (!listing || !result) {
        out_of_memory(call);
        return;
    }
    struct retrieve_options retrieve = {.candidates_max = options->candidates_max,
                                        .accept = policy_accept,
                                        .accept_context = listing->policy,
                                        .allow_unservable = true};
    if (rank_similar(options->rank, item, &retrieve, call->arena, result) != FR_OK ||
        policy_decide(listing->policy, result->item, result->count, call->arena, &listing->slate) !=
            FR_OK) {
        out_of_memory(call);
        return;
    }
    serve__json(call, 200);
    base_buf_put_str(call->out, "{");
    serve__pair_text(call->out, "request_id", fr_slice_str(call->id_text));
    serve__pair_text(call->out, "item", call->path_value[0]);
    listing_print(call, listing, result->score);
    base_buf_put_str(call->out, "}");
}

/* ---- trending ---------------------------------------------------------------------------- */

struct trend {
    enum state_row_kind kind;
    uint32_t key;
    const char *of; /* "everyone", "region", ... */
    struct fr_slice value;
    bool known;
};

static struct trend trend_of(const struct serve_call *call)
{
    static const struct {
        const char *name;
        enum state_context_field field;
    } row[] = {{"region", STATE_REGION},    {"country", STATE_COUNTRY},   {"city", STATE_CITY},
               {"device", STATE_DEVICE},    {"language", STATE_LANGUAGE}, {"os", STATE_OS},
               {"referrer", STATE_REFERRER}};
    const struct state *state = call->serve->options.state;
    struct trend trend = {.kind = STATE_ROW_EVERYONE, .of = "everyone", .known = true};
    struct fr_slice category = serve_args_text(call->args, "category");
    if (category.ptr) {
        uint32_t token = state_category_find(state, category);
        return (struct trend){STATE_ROW_CATEGORY, token, "category", category, token != 0};
    }
    for (size_t i = 0; i < FR_COUNT_OF(row); i++) {
        struct fr_slice value = serve_args_text(call->args, row[i].name);
        if (!value.ptr)
            continue;
        uint32_t key = state_context_find(state, row[i].field, value);
        return (struct trend){STATE_ROW_CONTEXT, key, row[i].name, value, key != 0};
    }
    return trend;
}

/* Largest score first; equal ones by index, so that an answer can be made again. */
static void sort_leaders(uint32_t *item, float *score, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint32_t moving = item[i], at = i;
        float value = score[i];
        while (at > 0 &&
               (score[at - 1] < value || (score[at - 1] == value && item[at - 1] > moving))) {
            item[at] = item[at - 1];
            score[at] = score[at - 1];
            at--;
        }
        item[at] = moving;
        score[at] = value;
    }
}

void serve__leaders_take(struct serve_call *call, struct serve_leaders *leaders)
{
    const struct state *state = call->serve->options.state;
    uint32_t clock_s = (uint32_t)(state_clock_us(state) / 1000000);
    struct state_row row;
    leaders->count = 0;
    if (!state_row_get(state, leaders->kind, leaders->key, clock_s, call->arena, false, &row))
        return;
    uint32_t *item = base_arena_alloc(call->arena, (row.count + 1) * sizeof *item);
    float *score = base_arena_alloc(call->arena, (row.count + 1) * sizeof *score);
    if (!item || !score)
        return;
    for (uint32_t e = 0; e < row.count; e++) {
        float value = (float)row.counter[e][leaders->counter] * row.scale[leaders->counter];
        if (value <= 0)
            continue;
        item[leaders->count] = row.item[e];
        score[leaders->count++] = value;
    }
    sort_leaders(item, score, leaders->count);
    leaders->item = item;
    leaders->score = score;
}

void serve__handle_trending(struct serve_call *call)
{
    struct trend trend = trend_of(call);
    bool slow = serve_args_is(call->args, "window", "long");
    struct listing *listing = listing_begin(call, NULL);
    struct serve_leaders leaders = {.kind = trend.kind,
                                    .key = trend.key,
                                    .counter = slow ? STATE_POP_SLOW : STATE_POP_17MIN};
    if (trend.known)
        serve__leaders_take(call, &leaders);
    if (!listing ||
        (leaders.count > 0 && policy_decide(listing->policy, leaders.item, leaders.count,
                                            call->arena, &listing->slate) != FR_OK)) {
        out_of_memory(call);
        return;
    }
    serve__json(call, 200);
    base_buf_put_str(call->out, "{");
    serve__pair_text(call->out, "request_id", fr_slice_str(call->id_text));
    serve__pair_text(call->out, "of", fr_slice_str(trend.of));
    serve__key(call->out, "value");
    if (trend.value.ptr)
        base_buf_json_string(call->out, trend.value);
    else
        base_buf_put_str(call->out, "null");
    serve__pair_text(call->out, "window", fr_slice_str(slow ? "long" : "now"));
    listing_print(call, listing, leaders.score);
    base_buf_put_str(call->out, "}");
}
