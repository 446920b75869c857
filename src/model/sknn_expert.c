/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "sknn": session neighbours (sknn.h) as a row of the table: the items of this session, or
 * the newest ones when it has none. Feature = ln(1 + 1000 * share among candidates).
 */
#include "model/deep_lookup.h"
#include "model/sknn.h"

#include <stdlib.h>

struct expert {
    struct model_sknn *sknn;
    struct base_rows *tables[MODEL_SKNN_TABLES];
};

static const struct model_feature features[] = {
    {"session_neighbours", MODEL_REASON_PATTERN, 0.3f, -1, -1},
};

static void expert_close(void *self)
{
    struct expert *expert = self;
    if (!expert)
        return;
    model_sknn_free(expert->sknn);
    free(expert);
}

static enum fr_status expert_open(struct state *state, uint64_t seed, struct fr_error *error,
                                  void **out_self)
{
    (void)state;
    (void)seed; /* nothing is drawn */
    struct model_sknn_options options;
    model_sknn_defaults(&options);
    options.postings = 126;
    options.sessions = 250;
    options.neighbours = 100;
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

static void expert_score(void *self, const struct model_batch *batch, float *out)
{
    struct expert *expert = self;
    struct model_deep_lookup lookup;
    uint32_t items[MODEL_SKNN_QUERY_ITEMS], n = session_items(batch->query, items);
    if (!n || !model_deep_lookup_init(&lookup, batch))
        return;
    uint32_t max = 100 * MODEL_SKNN_SESSION_ITEMS;
    struct model_sknn_scratch *scratch = NULL;
    void *memory = base_arena_alloc(batch->arena, model_sknn_scratch_bytes(expert->sknn));
    uint32_t *found = base_arena_alloc(batch->arena, max * sizeof(*found));
    float *score = base_arena_alloc(batch->arena, max * sizeof(*score));
    if (!memory || !found || !score)
        return;
    scratch = model_sknn_scratch_place(expert->sknn, memory);
    struct model_sknn_query query = {.items = items, .count = n, .clock_s = batch->query->clock_s};
    struct model_sknn_votes votes = {found, score, max};
    uint32_t count = model_sknn_query(expert->sknn, &query, scratch, &votes);
    for (uint32_t i = 0; i < count; i++) {
        int32_t c = model_deep_lookup_find(&lookup, found[i]);
        if (c >= 0)
            out[c] += score[i];
    }
    model_deep_shares(out, batch->count, batch->stride);
}

static void expert_apply(void *self, const struct state_event *event)
{
    struct expert *expert = self;
    if (event->signal > 0.0f)
        model_sknn_click(expert->sknn, event->user, event->session_tag, event->item,
                         event->clock_s);
}

const struct model_expert model_sknn_expert = {
    .name = "sknn",
    .features = features,
    .feature_count = FR_COUNT_OF(features),
    .open = expert_open,
    .close = expert_close,
    .tables = expert_tables,
    .score = expert_score,
    .apply = expert_apply,
};
