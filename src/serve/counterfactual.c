/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/counterfactual: on which visits does the first item stand? A smallest found set of visits
 * without which another item would be first.
 *
 * Found: by how much each visit speaks for the first item more than for the second (its shares of
 * both scores, exact parts of the blend's sum), visits are put in order; the shortest beginning of
 * that order whose shares outweigh the distance between the two is the proposal. Features are logs
 * of sums, so that a share is what a visit holds, not what would be missing; therefore every answer
 * is confirmed by ranking again with a query that lacks those visits, and the length is searched by
 * doubling and halving around the proposal. What is told was always confirmed.
 *
 * It changes the view of this person only: co-counts, popularity and weights to which the visits
 * once added stay as they are, and the visited items stay excluded as seen.
 *
 * Cost: at most 1 + 7 + 6 rankings; usually 2 or 3. Memory: the request's arena.
 */
#include <string.h>

#include "serve/ask.h"

enum { RESCORED_MAX = 16 };

struct search {
    struct serve_answering *answering;
    struct serve_counterfactual *out;
    uint32_t visits;
    uint32_t order[MODEL_HISTORY_MAX]; /* heaviest first */
    float weight[MODEL_HISTORY_MAX];   /* of visit h, for the first over the second */
};

/* What visit h puts into the score of the first result, less what it puts into the second's. */
static enum fr_status weigh(struct search *search)
{
    const struct rank_result *result = &search->answering->result;
    struct base_arena *arena = search->answering->call->arena;
    const uint32_t r[2] = {0, 1};
    uint32_t count = FR_MIN(result->count, 2u);
    struct rank_parts parts;
    FR_TRY(rank_history_parts(result, r, count, arena, &parts));
    for (uint32_t i = 0; i < count; i++) {
        const float(*part)[RANK_SUMS] = parts.part + i * parts.visits;
        for (uint32_t f = 0; f < result->feature_count; f++) {
            int sum = rank_feature_sum(result, f);
            float whole = 0, contribution = rank_contribution(result, r[i], f);
            for (uint32_t h = 0; sum >= 0 && h < parts.visits; h++)
                whole += part[h][sum];
            for (uint32_t h = 0; whole > 0 && h < parts.visits; h++)
                search->weight[h] += (i ? -1.0f : 1.0f) * contribution * part[h][sum] / whole;
        }
    }
    return FR_OK;
}

static void put_in_order(struct search *search)
{
    for (uint32_t i = 0; i < search->visits; i++) {
        uint32_t at = i;
        for (; at > 0 && search->weight[search->order[at - 1]] < search->weight[i]; at--)
            search->order[at] = search->order[at - 1];
        search->order[at] = i;
    }
}

static uint32_t proposal(const struct search *search)
{
    const struct rank_result *result = &search->answering->result;
    float left = result->count > 1 ? result->score[0] - result->score[1] : 0;
    uint32_t count = 0;
    while (count < search->visits && (left >= 0 || count == 0))
        left -= search->weight[search->order[count++]];
    return FR_MAX(count, 1u);
}

/* Ranks again without the first `count` visits of the order. */
static enum fr_status rescore(struct search *search, uint32_t count, bool *out_first)
{
    struct serve_answering *answering = search->answering;
    struct serve_counterfactual *out = search->out;
    struct base_arena *arena = answering->call->arena;
    bool drop[MODEL_HISTORY_MAX] = {false};
    struct rank_query_options options;
    struct rank_result result;
    struct model_query query;
    size_t mark = base_arena_mark(arena);
    for (uint32_t i = 0; i < count; i++)
        drop[search->order[i]] = true;
    serve__rank_options(answering, &options);
    enum fr_status status = model_query_without(&answering->query, drop, arena, &query);
    if (status == FR_OK)
        status = rank_query(answering->call->serve->options.rank, &query, &options, arena, &result);
    if (status == FR_OK) {
        uint32_t place = 0;
        out->rescored++;
        while (place < result.count && result.item[place] != out->item)
            place++;
        *out_first = place == 0 && result.count > 0;
        if (!*out_first) {
            out->outcome = place < FR_MIN(result.count, answering->ask.n) ? SERVE_NOT_FIRST
                                                                          : SERVE_NOT_IN_LIST;
            out->instead = result.count ? result.item[0] : 0;
            out->dropped_count = count;
        }
    }
    if (status != FR_OK)
        arena->overflowed = false; /* the rest of the answer still fits behind the mark */
    base_arena_rewind(arena, mark);
    return status;
}

/* The length of the shortest beginning that does it: `stays` is too short, `leaves` does it. */
static enum fr_status find(struct search *search)
{
    uint32_t stays = 0, leaves = search->visits + 1, probe = search->out->proposed_count;
    while (leaves - stays > 1 && search->out->rescored < RESCORED_MAX) {
        bool first = false;
        FR_TRY(rescore(search, probe, &first));
        if (first)
            stays = probe;
        else
            leaves = probe;
        probe = leaves > search->visits ? FR_MIN(2 * stays, search->visits) : (stays + leaves) / 2;
    }
    return FR_OK;
}

enum fr_status serve__counterfactual(struct serve_answering *answering)
{
    const struct policy_slate *slate = &answering->slate;
    struct base_arena *arena = answering->call->arena;
    if (!answering->ranked || slate->count == 0 || slate->place[0].result != 0)
        return FR_NOT_FOUND;
    struct serve_counterfactual *out = base_arena_zalloc(arena, sizeof *out);
    struct search *search = base_arena_zalloc(arena, sizeof *search);
    if (!out || !search)
        return FR_FULL;
    *search = (struct search){.answering = answering,
                              .out = out,
                              .visits = answering->query.history_count};
    out->item = slate->place[0].item;
    out->outcome = search->visits ? SERVE_STAYS : SERVE_NO_HISTORY;
    if (search->visits) {
        FR_TRY(weigh(search));
        put_in_order(search);
        out->proposed_count = proposal(search);
        FR_TRY(find(search));
    }
    for (uint32_t i = 0; i < out->dropped_count; i++)
        out->dropped[i] = answering->query.history[search->order[i]].item;
    answering->counterfactual = out;
    return FR_OK;
}

void serve__counterfactual_print(const struct serve_counterfactual *counterfactual,
                                 const struct state *state, struct base_buf *out)
{
    static const char *const name[] = {"no_history", "stays", "not_first", "not_in_list"};
    serve__key(out, "counterfactual");
    base_buf_put_str(out, "{");
    serve__pair_text(out, "item", state_item_id(state, counterfactual->item));
    serve__pair_text(out, "outcome", fr_slice_str(name[counterfactual->outcome]));
    serve__pair_bool(out, "verified", counterfactual->rescored > 0);
    serve__key(out, "without");
    base_buf_put_str(out, "[");
    for (uint32_t i = 0; i < counterfactual->dropped_count; i++) {
        if (i)
            base_buf_put_str(out, ",");
        base_buf_json_string(out, state_item_id(state, counterfactual->dropped[i]));
    }
    base_buf_put_str(out, "]");
    serve__key(out, "instead");
    if (counterfactual->instead)
        base_buf_json_string(out, state_item_id(state, counterfactual->instead));
    else
        base_buf_put_str(out, "null");
    serve__pair_u64(out, "proposed", counterfactual->proposed_count);
    serve__pair_u64(out, "rescored", counterfactual->rescored);
    base_buf_put_str(out, "}");
}
