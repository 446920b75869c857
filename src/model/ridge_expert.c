/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "ridge": seq-ridge (ridge.h) as a row of the table. Every event counts; after each 64th
 * one queued row is solved, a budget in events so that a replay solves at the same positions (about
 * 0.3 ms a row of 100 neighbours: 4 us an event). Feature = ln(1 + 1000 * share among candidates).
 *
 * On request: beside the other experts it moved HR@10 of the films by .0001 and costs 100 us and more a
 * sampled event; alone, over what is not ordered by time, it is the best of the cheap ones. Its tables
 * take as much as the neighbour rows may (state_limits), half for the pairs, half for the items.
 */
#include "model/deep_lookup.h"
#include "model/ridge.h"

#include <stdlib.h>

#define EVENTS_A_ROW 64
#define NEIGHBOURS 100
#define ROW_TARGETS 255
/* what an item takes in the tables: itself, its source row, the list of its target; a pair, its bucket */
#define ITEM_BYTES (32 + 8 * (ROW_TARGETS + 1) + 8 + 4 * NEIGHBOURS)
#define PAIR_BYTES (32 + 4)
#define COUNTED 32 /* newest items of a user that an event is counted with */

struct expert {
    struct state *state;
    struct model_ridge *ridge;
    struct base_rows *tables[MODEL_RIDGE_TABLES];
};

static const struct model_feature features[] = {
    {"ridge", MODEL_REASON_PATTERN, 0.3f, -1, -1},
};

static void expert_close(void *self)
{
    struct expert *expert = self;
    if (!expert)
        return;
    model_ridge_free(expert->ridge);
    free(expert);
}

static enum fr_status expert_open(const struct model_setup *setup, struct fr_error *error,
                                  void **out_self)
{
    struct model_ridge_options options;
    model_ridge_defaults(&options);
    const struct state_options *limits = state_limits(setup->state);
    uint64_t half = limits->pair_bytes_max / 2;
    options.neighbours = NEIGHBOURS;
    options.row_targets = ROW_TARGETS;
    options.item_max = (uint32_t)FR_MIN(half / ITEM_BYTES, limits->item_count_max + 1ull);
    options.pair_max = (uint32_t)FR_MIN(half / PAIR_BYTES, (uint64_t)options.pair_max);
    options.history_max = COUNTED;
    struct expert *expert = calloc(1, sizeof(*expert));
    if (!expert)
        return base_fail(error, FR_MEMORY, "model", "no memory for the ridge expert");
    expert->state = setup->state;
    enum fr_status status = model_ridge_new(&options, error, &expert->ridge);
    if (status != FR_OK) {
        expert_close(expert);
        return status;
    }
    model_ridge_tables(expert->ridge, expert->tables);
    *out_self = expert;
    return FR_OK;
}

static struct base_rows *const *expert_tables(void *self, uint32_t *out_count)
{
    struct expert *expert = self;
    *out_count = MODEL_RIDGE_TABLES;
    return expert->tables;
}

static void expert_score(void *self, const struct model_batch *batch, float *out)
{
    struct expert *expert = self;
    struct model_deep_lookup lookup;
    if (!model_deep_lookup_init(&lookup, batch))
        return;
    uint32_t *target = base_arena_alloc(batch->arena, ROW_TARGETS * sizeof(*target));
    float *weight = base_arena_alloc(batch->arena, ROW_TARGETS * sizeof(*weight)), recency = 1.0f;
    if (!target || !weight)
        return;
    for (uint32_t i = 0; i < FR_MIN(batch->query->history_count, 20u); i++, recency *= 0.7f) {
        uint32_t n = model_ridge_row(expert->ridge, batch->query->history[i].item, target, weight,
                                     ROW_TARGETS);
        for (uint32_t k = 0; k < n; k++) {
            int32_t c = model_deep_lookup_find(&lookup, target[k]);
            if (c >= 0)
                out[c] += recency * weight[k];
        }
    }
    model_deep_shares(out, batch->count, batch->stride);
}

/* The user's items before this one: newest first, each once, dislikes left out. False when the item
 * is among them: a repeat is no new pair. */
static bool items_before(const struct state *state, const struct state_event *event,
                         uint32_t out[COUNTED], uint32_t *out_count)
{
    struct state_visit visits[COUNTED + 8];
    uint32_t n = 0, count = state_history(state, event->user, visits, COUNTED + 8);
    for (uint32_t i = 1; i < count; i++) { /* 0 is this event */
        if (visits[i].item == event->item)
            return false;
        bool skip = visits[i].signal <= 0.0f || n == COUNTED;
        for (uint32_t k = 0; k < n && !skip; k++)
            skip = out[k] == visits[i].item;
        if (!skip)
            out[n++] = visits[i].item;
    }
    *out_count = n;
    return true;
}

static void expert_apply(void *self, const struct state_event *event)
{
    struct expert *expert = self;
    if (event->position % EVENTS_A_ROW == 0)
        model_ridge_solve(expert->ridge, 1);
    uint32_t items[COUNTED], n;
    if (event->signal > 0.0f && event->user && items_before(expert->state, event, items, &n))
        model_ridge_count(expert->ridge, event->item, items, n);
}

static void expert_forget(void *self, enum state_kind kind, uint32_t index)
{
    struct expert *expert = self;
    if (kind == STATE_KIND_ITEM)
        model_ridge_forget_item(expert->ridge, index);
}

const struct model_expert model_ridge_expert = {
    .name = "ridge",
    .on_request = true,
    .features = features,
    .feature_count = FR_COUNT_OF(features),
    .open = expert_open,
    .close = expert_close,
    .tables = expert_tables,
    .score = expert_score,
    .apply = expert_apply,
    .forget = expert_forget,
};
