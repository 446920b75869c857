/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "sessions": session neighbours (sknn.h) as a row of the table: the items of this session, or
 * the newest one when it has none. Names the items with the most votes as candidates. Features =
 * ln(1 + 1000 * share of the votes), by STAN and by VSTAN.
 */
#include "model/sknn.h"
#include "model/model.h"
#include "model/vec.h"

#include <stdlib.h>

enum { NAMED = 48 };

struct expert {
    struct model_sknn *sknn;
    struct base_rows *tables[MODEL_SKNN_TABLES];
};

static const struct model_feature features[MODEL_SKNN_KINDS] = {
    [MODEL_SKNN_STAN] = {"stan", MODEL_REASON_PATTERN, 0.2f, -1, -1},
    [MODEL_SKNN_VSTAN] = {"vstan", MODEL_REASON_PATTERN, 0.2f, -1, -1},
};

static void expert_close(void *self)
{
    struct expert *expert = self;
    if (!expert)
        return;
    model_sknn_free(expert->sknn);
    free(expert);
}
static enum fr_status expert_open(const struct model_setup *setup, struct fr_error *error,
                                  void **out_self)
{
    const struct state_options *limits = state_limits(setup->state);
    struct model_sknn_options options;
    model_sknn_defaults(&options);
    options.item_max = limits->item_count_max + 2;
    options.user_max = limits->user_count_max + 2;
    options.session_max = FR_MIN(limits->user_count_max / 4 + 1, options.session_max);
    struct expert *expert = calloc(1, sizeof(*expert));
    if (!expert)
        return base_fail(error, FR_MEMORY, "model", "no memory for the session neighbours");
    enum fr_status status = model_sknn_new(&options, error, &expert->sknn);
    if (status != FR_OK) {
        expert_close(expert);
        return status;
    }
    model_sknn_tables(expert->sknn, expert->tables);
    *out_self = expert;
    return FR_OK;
}

static struct base_rows *const *expert_tables(void *self, uint32_t *out_count)
{
    struct expert *expert = self;
    *out_count = MODEL_SKNN_TABLES;
    return expert->tables;
}

static uint32_t session_items(const struct model_query *query, uint32_t *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < query->history_count && n < MODEL_SKNN_QUERY_ITEMS; i++)
        if (query->history[i].same_session || i == 0)
            out[n++] = query->history[i].item;
    return n;
}

/* The items with the most votes, best first: insertion into a short list. */
static uint32_t most_voted(const struct model_sknn_votes *votes, uint32_t item[NAMED])
{
    float value[NAMED];
    uint32_t n = 0;
    for (uint32_t s = 0; s <= votes->mask; s++) {
        const struct model_sknn_vote *vote = &votes->slot[s];
        float v = vote->score[MODEL_SKNN_STAN];
        if (!vote->item || (n == NAMED && v <= value[n - 1]))
            continue;
        uint32_t at = n < NAMED ? n++ : n - 1;
        for (; at > 0 && value[at - 1] < v; at--) {
            value[at] = value[at - 1];
            item[at] = item[at - 1];
        }
        value[at] = v;
        item[at] = vote->item;
    }
    return n;
}

static void expert_propose(void *self, const struct state *state, const struct model_query *query,
                           struct base_arena *arena, struct model_proposal *out_proposal)
{
    const struct expert *expert = self;
    (void)state;
    uint32_t items[MODEL_SKNN_QUERY_ITEMS], n = session_items(query, items);
    struct model_sknn_votes *votes = base_arena_alloc(arena, sizeof(*votes));
    uint32_t *named = base_arena_alloc(arena, NAMED * sizeof(*named));
    struct model_sknn_query asked = {.items = items,
                                     .count = n,
                                     .clock_s = query->clock_s,
                                     .user = query->user,
                                     .tag = query->session_tag};
    if (!n || !votes || !named || !model_sknn_query(expert->sknn, &asked, arena, votes))
        return;
    *out_proposal =
        (struct model_proposal){.count = most_voted(votes, named), .item = named, .memo = votes};
}

static void expert_score(void *self, const struct model_batch *batch, float *out)
{
    (void)self;
    const struct model_sknn_votes *votes = batch->memo;
    if (!votes)
        return;
    float sum[MODEL_SKNN_KINDS] = {0};
    for (uint32_t c = 0; c < batch->count; c++) {
        const struct model_sknn_vote *vote = model_sknn_votes_find(votes, batch->item[c]);
        for (uint32_t k = 0; vote && k < MODEL_SKNN_KINDS; k++) {
            out[k * batch->stride + c] = vote->score[k];
            sum[k] += vote->score[k];
        }
    }
    for (uint32_t k = 0; k < MODEL_SKNN_KINDS; k++)
        if (sum[k] > 0.0f)
            vec_log1(out + k * batch->stride, 1e3f / sum[k], out + k * batch->stride,
                     batch->stride);
}

static void expert_apply(void *self, const struct state_event *event)
{
    struct expert *expert = self;
    if (event->signal > 0.0f)
        model_sknn_click(expert->sknn, event->user, event->session_tag, event->item,
                         event->clock_s);
}

static void expert_forget(void *self, enum state_kind kind, uint32_t index)
{
    struct expert *expert = self;
    if (kind == STATE_KIND_USER)
        model_sknn_forget_user(expert->sknn, index);
    if (kind == STATE_KIND_ITEM)
        model_sknn_forget_item(expert->sknn, index);
}

static bool expert_sweep(void *self, const struct state *state, uint32_t *at)
{
    struct expert *expert = self;
    return model_sknn_sweep(expert->sknn, state, at);
}

const struct model_expert model_sknn_expert = {
    .name = "sessions",
    .features = features,
    .feature_count = FR_COUNT_OF(features),
    .leaves_session_out = true,
    .open = expert_open,
    .close = expert_close,
    .tables = expert_tables,
    .propose = expert_propose,
    .score = expert_score,
    .apply = expert_apply,
    .forget = expert_forget,
    .sweep = expert_sweep,
};
