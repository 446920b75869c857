/* SPDX-License-Identifier: Apache-2.0
 *
 * ridge: counting, the queue of rows to solve, publication and the query of seq-ridge (the door
 * has the mathematics). ridge_pairs.c has the counts, ridge_solve.c one row's solution.
 * Thread: the writer, but for model_ridge_query() and model_ridge_row().
 */
#include "model/ridge_priv.h"

#include "base/fmath.h"

#include <stdlib.h>
#include <string.h>

enum { ROW_TARGETS_MAX = 1023 };

void model_ridge_defaults(struct model_ridge_options *out_options)
{
    *out_options = (struct model_ridge_options){
        .item_max = 1u << 20,
        .pair_max = 16u << 20,
        .neighbours = 200,
        .row_targets = 511,
        .history_max = 256,
        .window = 20,
        .distance = 0.5f,
        .back = 0.7f,
        .lambda = 100.0f,
        .diagonal = 0.5f,
        .popularity = 0.1f,
        .recency = 0.7f,
        .growth = 0.05f,
    };
}

static enum fr_status options_check(const struct model_ridge_options *o, struct fr_error *error)
{
    if (o->item_max < 2 || o->pair_max < 2 || o->neighbours < 8 ||
        o->neighbours > MODEL_RIDGE_NEIGHBOURS_MAX)
        return base_fail(error, FR_INVALID, "model", "seq-ridge: %u neighbours, %u items, %u pairs",
                         o->neighbours, o->item_max, o->pair_max);
    if (o->row_targets < 63 || o->row_targets > ROW_TARGETS_MAX ||
        ((o->row_targets + 1) & o->row_targets))
        return base_fail(error, FR_INVALID, "model", "seq-ridge: row of %u targets",
                         o->row_targets);
    return FR_OK;
}

static enum fr_status tables_new(struct model_ridge *ridge, struct fr_error *error)
{
    const struct model_ridge_options *o = &ridge->options;
    struct base_rows_options tables[MODEL_RIDGE_TABLES] = {
        [RIDGE_ITEM] = {"ridge-item", sizeof(struct model__ridge_item), o->item_max},
        [RIDGE_PAIR] = {"ridge-pair", sizeof(struct model__ridge_pair), o->pair_max},
        [RIDGE_BUCKET] = {"ridge-bucket", 8, o->pair_max / 2 + 2},
        [RIDGE_SOURCE] = {"ridge-source", 8 * (o->row_targets + 1), o->item_max},
        [RIDGE_TARGET] = {"ridge-target", (8 + 4 * o->neighbours + 7) & ~7u, o->item_max},
    };
    for (int t = 0; t < MODEL_RIDGE_TABLES; t++)
        FR_TRY(base_rows_new(&tables[t], error, &ridge->tables[t]));
    return FR_OK;
}

enum fr_status model_ridge_new(const struct model_ridge_options *options, struct fr_error *error,
                               struct model_ridge **out_ridge)
{
    FR_TRY(options_check(options, error));
    struct model_ridge *ridge = calloc(1, sizeof(*ridge));
    if (!ridge)
        return base_fail(error, FR_MEMORY, "model", "no memory for seq-ridge");
    ridge->options = *options;
    size_t n = options->neighbours;
    ridge->step = calloc(options->window + 1u, sizeof(*ridge->step));
    ridge->step_back = calloc(options->window + 1u, sizeof(*ridge->step_back));
    ridge->matrix = calloc(n * n, sizeof(*ridge->matrix));
    ridge->rhs = calloc(2 * n, sizeof(*ridge->rhs));
    ridge->diag = calloc(n, sizeof(*ridge->diag));
    ridge->near = calloc(n, sizeof(*ridge->near));
    ridge->near_key = calloc(n, sizeof(*ridge->near_key));
    enum fr_status status = FR_MEMORY;
    if (ridge->step && ridge->step_back && ridge->matrix && ridge->rhs && ridge->diag &&
        ridge->near && ridge->near_key)
        status = tables_new(ridge, error);
    if (status != FR_OK) {
        model_ridge_free(ridge);
        return status;
    }
    for (uint32_t d = 1; d <= options->window; d++) {
        float w = base_exp2f(-options->distance * base_log2f((float)d));
        ridge->step[d] = (uint32_t)(w * (float)MODEL__RIDGE_ONE + 0.5f);
        ridge->step_back[d] = (uint32_t)(w * options->back * (float)MODEL__RIDGE_ONE + 0.5f);
    }
    *out_ridge = ridge;
    return FR_OK;
}

void model_ridge_free(struct model_ridge *ridge)
{
    if (!ridge)
        return;
    for (int t = 0; t < MODEL_RIDGE_TABLES; t++)
        base_rows_free(ridge->tables[t]);
    free(ridge->step);
    free(ridge->step_back);
    free(ridge->matrix);
    free(ridge->rhs);
    free(ridge->diag);
    free(ridge->near);
    free(ridge->near_key);
    free(ridge);
}

void model_ridge_tables(struct model_ridge *ridge, struct base_rows *out[MODEL_RIDGE_TABLES])
{
    memcpy(out, ridge->tables, sizeof(ridge->tables));
}

static uint64_t *meta_of(const struct model_ridge *ridge)
{
    return base_rows_meta(ridge->tables[RIDGE_ITEM]);
}

static bool item_known(const struct model_ridge *ridge, uint32_t item)
{
    return item && item < base_rows_count(ridge->tables[RIDGE_ITEM]);
}

static bool item_make(struct model_ridge *ridge, uint32_t item)
{
    struct base_rows *items = ridge->tables[RIDGE_ITEM];
    if (!item || item >= base_rows_count_max(items))
        return false;
    while (item >= base_rows_count(items))
        if (!base_rows_add(items))
            return false;
    return true;
}

/* At the tail of the queue, once (RD2). */
static void queue_add(struct model_ridge *ridge, uint32_t item)
{
    struct model__ridge_item *row = model__ridge_item_write(ridge, item);
    uint64_t *meta = meta_of(ridge);
    if (row->queued)
        return;
    row->queued = 1;
    row->next = 0;
    if (meta[RIDGE_META_TAIL])
        model__ridge_item_write(ridge, (uint32_t)meta[RIDGE_META_TAIL])->next = item;
    else
        meta[RIDGE_META_HEAD] = item;
    meta[RIDGE_META_TAIL] = item;
    meta[RIDGE_META_QUEUED]++;
}

static uint32_t queue_take(struct model_ridge *ridge)
{
    uint64_t *meta = meta_of(ridge);
    uint32_t item = (uint32_t)meta[RIDGE_META_HEAD];
    if (!item)
        return 0;
    struct model__ridge_item *row = model__ridge_item_write(ridge, item);
    meta[RIDGE_META_HEAD] = row->next;
    if (!row->next)
        meta[RIDGE_META_TAIL] = 0;
    meta[RIDGE_META_QUEUED]--;
    row->next = 0;
    row->queued = 0;
    return item;
}

static void mass_add(struct model_ridge *ridge, uint32_t item, uint32_t amount, bool forget)
{
    struct model__ridge_item *row = model__ridge_item_write(ridge, item);
    row->mass = forget ? row->mass - FR_MIN(amount, row->mass) : row->mass + amount;
    uint32_t moved =
        row->mass > row->mass_solved ? row->mass - row->mass_solved : row->mass_solved - row->mass;
    if (forget || (float)moved > ridge->options.growth * (float)row->mass_solved)
        queue_add(ridge, item);
}

/* Gives what D gained towards `to`, for its mass: added once an event. */
static uint32_t pair_add(struct model_ridge *ridge, uint32_t from, uint32_t to, uint32_t distance)
{
    uint32_t i = model__ridge_pair_make(ridge, from, to);
    if (!i) {
        meta_of(ridge)[RIDGE_META_REFUSED]++;
        return 0;
    }
    struct model__ridge_pair *pair = base_rows_write(ridge->tables[RIDGE_PAIR], i);
    pair->both++;
    if (distance > ridge->options.window)
        return 0;
    uint32_t ahead = ridge->step[distance], back = ridge->step_back[distance];
    pair->ab += pair->a == from ? ahead : back;
    pair->ba += pair->a == from ? back : ahead;
    mass_add(ridge, from, back, false);
    return ahead;
}

/* A pair that was refused, or never counted, is left alone. */
static void pair_remove(struct model_ridge *ridge, uint32_t from, uint32_t to, uint32_t distance)
{
    uint32_t i = model__ridge_pair_find(ridge, from, to);
    if (!i)
        return;
    struct model__ridge_pair *pair = base_rows_write(ridge->tables[RIDGE_PAIR], i);
    pair->both -= pair->both ? 1 : 0;
    if (distance > ridge->options.window)
        return;
    uint32_t ahead = ridge->step[distance], back = ridge->step_back[distance];
    uint32_t ab = pair->a == from ? ahead : back, ba = pair->a == from ? back : ahead;
    pair->ab -= FR_MIN(ab, pair->ab);
    pair->ba -= FR_MIN(ba, pair->ba);
    mass_add(ridge, to, ahead, true);
    mass_add(ridge, from, back, true);
}

/* The pairs of a count lie anywhere in memory; asked for ahead, their latencies overlap. */
static void pairs_prefetch(struct model_ridge *ridge, uint32_t item, const uint32_t *history,
                           uint32_t count)
{
    if (base_rows_count(ridge->tables[RIDGE_BUCKET]) < 2)
        return;
    for (uint32_t i = 0; i < count; i++)
        model__ridge_pair_prefetch(ridge, item, history[i]);
    for (uint32_t i = 0; i < count; i++)
        base_rows_prefetch(ridge->tables[RIDGE_PAIR],
                           model__ridge_pair_first(ridge, item, history[i]));
}

void model_ridge_count(struct model_ridge *ridge, uint32_t item, const uint32_t *history,
                       uint32_t count)
{
    if (!item_make(ridge, item))
        return;
    struct model__ridge_item *row = model__ridge_item_write(ridge, item);
    if (!row->users)
        meta_of(ridge)[RIDGE_META_ITEMS]++;
    row->users++;
    count = FR_MIN(count, ridge->options.history_max);
    pairs_prefetch(ridge, item, history, count);
    uint32_t mass = 0;
    for (uint32_t i = 0; i < count; i++)
        if (history[i] != item && item_make(ridge, history[i]))
            mass += pair_add(ridge, history[i], item, i + 1);
    if (mass)
        mass_add(ridge, item, mass, false);
}

void model_ridge_forget(struct model_ridge *ridge, uint32_t item, const uint32_t *history,
                        uint32_t count)
{
    if (!item_known(ridge, item))
        return;
    struct model__ridge_item *row = model__ridge_item_write(ridge, item);
    row->users -= row->users ? 1 : 0;
    if (!row->users)
        meta_of(ridge)[RIDGE_META_ITEMS]--;
    for (uint32_t i = 0; i < FR_MIN(count, ridge->options.history_max); i++)
        if (history[i] != item && item_known(ridge, history[i]))
            pair_remove(ridge, history[i], item, i + 1);
}

/* Target j leaves the row of `source`: the last entry takes its place. */
static void source_drop(struct model_ridge *ridge, uint32_t source, uint32_t j)
{
    uint32_t at = model__ridge_item(ridge, source)->source_row;
    if (!at)
        return;
    struct model__ridge_source *row = base_rows_write(ridge->tables[RIDGE_SOURCE], at);
    uint32_t i = 0;
    while (i < row->count && row->entries[i].target != j)
        i++;
    if (i == row->count)
        return;
    base_row_change(&row->version);
    base_rows_put(&row->entries[i], &row->entries[row->count - 1], sizeof(row->entries[i]));
    FR_STORE(row->count, row->count - 1);
    base_row_done(&row->version);
}

static float magnitude(float x)
{
    return x < 0.0f ? -x : x;
}

/* Target j enters the row of `source`, in a full row in place of the lightest, if that is lighter
 * (RD3). */
static void source_add(struct model_ridge *ridge, uint32_t source, uint32_t j, float weight)
{
    struct base_rows *sources = ridge->tables[RIDGE_SOURCE];
    uint32_t at = model__ridge_item(ridge, source)->source_row;
    if (!at) {
        at = base_rows_add(sources);
        if (!at)
            return;
        FR_STORE(model__ridge_item_write(ridge, source)->source_row, at);
    }
    struct model__ridge_source *row = base_rows_write(sources, at);
    struct model__ridge_entry entry = {j, weight};
    uint32_t i = row->count;
    if (i == ridge->options.row_targets) {
        i = 0;
        for (uint32_t k = 1; k < row->count; k++)
            if (magnitude(row->entries[k].weight) < magnitude(row->entries[i].weight))
                i = k;
        if (magnitude(row->entries[i].weight) >= magnitude(weight))
            return;
    }
    base_row_change(&row->version);
    base_rows_put(&row->entries[i], &entry, sizeof(entry));
    if (i == row->count)
        FR_STORE(row->count, i + 1);
    base_row_done(&row->version);
}

static void publish(struct model_ridge *ridge, uint32_t j, uint32_t n)
{
    struct model__ridge_item *item = model__ridge_item_write(ridge, j);
    if (!item->target_row)
        item->target_row = base_rows_add(ridge->tables[RIDGE_TARGET]);
    if (!item->target_row)
        return;
    struct model__ridge_targets *list =
        base_rows_write(ridge->tables[RIDGE_TARGET], item->target_row);
    for (uint32_t k = 0; k < list->count; k++)
        source_drop(ridge, list->sources[k], j);
    float users = (float)FR_MAX(item->users, 1u);
    float scale = base_exp2f(-ridge->options.popularity * base_log2f(users));
    float largest = 0.0f;
    for (uint32_t k = 0; k < n; k++)
        largest = FR_MAX(largest, magnitude(ridge->rhs[k]));
    list->count = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (magnitude(ridge->rhs[k]) <= largest * 1e-3f)
            continue;
        list->sources[list->count++] = ridge->near[k];
        source_add(ridge, ridge->near[k], j, ridge->rhs[k] * scale);
    }
}

/* The item is a source no more: the lists of its targets lose it (RD3). */
static void sources_forget(struct model_ridge *ridge, uint32_t item)
{
    uint32_t at = model__ridge_item(ridge, item)->source_row;
    if (!at)
        return;
    struct model__ridge_source *row = base_rows_write(ridge->tables[RIDGE_SOURCE], at);
    for (uint32_t i = 0; i < row->count; i++) {
        uint32_t target_row = model__ridge_item(ridge, row->entries[i].target)->target_row;
        struct model__ridge_targets *list =
            base_rows_write(ridge->tables[RIDGE_TARGET], target_row);
        for (uint32_t k = 0; k < list->count; k++)
            if (list->sources[k] == item)
                list->sources[k--] = list->sources[--list->count];
    }
    base_row_change(&row->version);
    FR_STORE(row->count, 0);
    base_row_done(&row->version);
}

/* Its pairs stay in their chains, as pairs that nobody had. */
static void pairs_forget(struct model_ridge *ridge, uint32_t item)
{
    for (uint32_t i = model__ridge_item(ridge, item)->chain; i;) {
        struct model__ridge_pair *pair = base_rows_write(ridge->tables[RIDGE_PAIR], i);
        uint32_t next = model__ridge_next(pair, item);
        mass_add(ridge, model__ridge_other(pair, item), pair->a == item ? pair->ab : pair->ba,
                 true);
        pair->both = pair->ab = pair->ba = 0;
        i = next;
    }
}

void model_ridge_forget_item(struct model_ridge *ridge, uint32_t item)
{
    if (!item_known(ridge, item))
        return;
    pairs_forget(ridge, item);
    sources_forget(ridge, item);
    struct model__ridge_item *row = model__ridge_item_write(ridge, item);
    meta_of(ridge)[RIDGE_META_ITEMS] -= row->users != 0;
    row->users = row->mass = row->mass_solved = 0;
    if (!row->target_row)
        return;
    struct model__ridge_targets *list =
        base_rows_write(ridge->tables[RIDGE_TARGET], row->target_row);
    for (uint32_t k = 0; k < list->count; k++)
        source_drop(ridge, list->sources[k], item);
    list->count = 0;
}

uint32_t model_ridge_solve(struct model_ridge *ridge, uint32_t rows_max)
{
    uint32_t solved = 0;
    while (solved < rows_max) {
        uint32_t j = queue_take(ridge);
        if (!j)
            break;
        publish(ridge, j, model__ridge_row_solve(ridge, j));
        struct model__ridge_item *item = model__ridge_item_write(ridge, j);
        item->mass_solved = item->mass;
        solved++;
    }
    meta_of(ridge)[RIDGE_META_SOLVED] += solved;
    return solved;
}

uint32_t model_ridge_queued(const struct model_ridge *ridge)
{
    return (uint32_t)meta_of(ridge)[RIDGE_META_QUEUED];
}

void model_ridge_queue_all(struct model_ridge *ridge)
{
    uint32_t count = base_rows_count(ridge->tables[RIDGE_ITEM]);
    for (uint32_t item = 1; item < count; item++)
        if (model__ridge_item(ridge, item)->users)
            queue_add(ridge, item);
}

uint32_t model_ridge_row(const struct model_ridge *ridge, uint32_t source, uint32_t *out_target,
                         float *out_weight, uint32_t max)
{
    if (!item_known(ridge, source))
        return 0;
    const struct model__ridge_item *item = base_rows_at(ridge->tables[RIDGE_ITEM], source);
    uint32_t at = FR_LOAD(item->source_row);
    if (!at || at >= base_rows_count(ridge->tables[RIDGE_SOURCE]))
        return 0;
    const struct model__ridge_source *row = base_rows_at(ridge->tables[RIDGE_SOURCE], at);
    _Alignas(8) struct model__ridge_entry entries[ROW_TARGETS_MAX];
    uint32_t version, count;
    do {
        version = base_row_read_begin(&row->version);
        count = FR_MIN(FR_LOAD(row->count), FR_MIN(max, ridge->options.row_targets));
        base_rows_copy(entries, row->entries, count * sizeof(entries[0]));
    } while (!base_row_read_ok(&row->version, version));
    for (uint32_t i = 0; i < count; i++) {
        out_target[i] = entries[i].target;
        out_weight[i] = entries[i].weight;
    }
    return count;
}

void model_ridge_query(const struct model_ridge *ridge, const struct model_ridge_query *query,
                       float *scores, uint32_t score_count)
{
    uint32_t target[ROW_TARGETS_MAX];
    float value[ROW_TARGETS_MAX], recency = 1.0f;
    for (uint32_t i = 0; i < FR_MIN(query->count, (uint32_t)MODEL_RIDGE_QUERY_MAX); i++) {
        float w = query->weight ? query->weight[i] : recency;
        uint32_t n = model_ridge_row(ridge, query->history[i], target, value, ROW_TARGETS_MAX);
        for (uint32_t k = 0; k < n; k++)
            if (target[k] < score_count)
                scores[target[k]] += w * value[k];
        recency *= ridge->options.recency;
    }
}

void model_ridge_stats_get(const struct model_ridge *ridge, struct model_ridge_stats *out_stats)
{
    const uint64_t *meta = meta_of(ridge);
    struct model_ridge_stats stats = {
        .pairs = base_rows_count(ridge->tables[RIDGE_PAIR]) - 1,
        .pairs_refused = meta[RIDGE_META_REFUSED],
        .rows_solved = meta[RIDGE_META_SOLVED],
        .pivots_lifted = meta[RIDGE_META_LIFTED],
        .items = (uint32_t)meta[RIDGE_META_ITEMS],
        .queued = (uint32_t)meta[RIDGE_META_QUEUED],
    };
    for (int t = 0; t < MODEL_RIDGE_TABLES; t++)
        stats.bytes += base_rows_bytes(ridge->tables[t]);
    *out_stats = stats;
}

uint32_t model_ridge_both(const struct model_ridge *ridge, uint32_t a, uint32_t b)
{
    uint32_t i = a == b ? 0 : model__ridge_pair_find(ridge, a, b);
    return i ? model__ridge_pair(ridge, i)->both : 0;
}

float model_ridge_directed(const struct model_ridge *ridge, uint32_t from, uint32_t to)
{
    uint32_t i = from == to ? 0 : model__ridge_pair_find(ridge, from, to);
    if (!i)
        return 0.0f;
    const struct model__ridge_pair *pair = model__ridge_pair(ridge, i);
    return (float)(pair->a == from ? pair->ab : pair->ba) / (float)MODEL__RIDGE_ONE;
}

uint32_t model_ridge_users(const struct model_ridge *ridge, uint32_t item)
{
    return item_known(ridge, item) ? model__ridge_item(ridge, item)->users : 0;
}

void model_ridge_each(const struct model_ridge *ridge, uint32_t item,
                      void (*visit)(void *context, uint32_t other, uint32_t both, float in,
                                    float out),
                      void *context)
{
    if (!item_known(ridge, item))
        return;
    for (uint32_t i = model__ridge_item(ridge, item)->chain; i;) {
        const struct model__ridge_pair *pair = model__ridge_pair(ridge, i);
        float ab = (float)pair->ab / (float)MODEL__RIDGE_ONE;
        float ba = (float)pair->ba / (float)MODEL__RIDGE_ONE;
        bool first = pair->a == item;
        visit(context, model__ridge_other(pair, item), pair->both, first ? ba : ab,
              first ? ab : ba);
        i = model__ridge_next(pair, item);
    }
}
