/* SPDX-License-Identifier: Apache-2.0
 *
 * features_ctr: see the door. Owner: the interned ids (large: all sparse features; small: users,
 * items, facets) and one counter row for each id of the large table.
 */
#include "model/features_ctr.h"

#include "base/fmath.h"
#include "base/hash.h"
#include "model/ids.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSION_S = 1800, NAME_BYTES = 48 };
enum { SPARSE_BIAS, SPARSE_USER, SPARSE_ITEM, SPARSE_FACETS }; /* places in the sparse list */

/* Salts of the keys: what is crossed with what. */
enum salt {
    SALT_BIAS = 1,
    SALT_USER,
    SALT_ITEM,
    SALT_FACET,
    SALT_USER_FACET,
    SALT_ITEM_FACET,
    SALT_FACET_FACET,
    SALT_PAIR,
    SALT_POPULARITY
};

struct counter {
    float n, label, residual;
    float recent[3]; /* averages of the newest residuals, rates .1, .3, .7; users only */
    uint32_t last_s, session;
};

/* Dense features before the groups. */
enum dense {
    DENSE_ONE,
    DENSE_USER_ODDS,
    DENSE_ITEM_ODDS,
    DENSE_USER_5,
    DENSE_ITEM_5,
    DENSE_USER_20,
    DENSE_ITEM_20,
    DENSE_RECENT_1,
    DENSE_RECENT_3,
    DENSE_RECENT_7,
    DENSE_USER_COUNT,
    DENSE_ITEM_COUNT,
    DENSE_GAP,
    DENSE_SAME_SECOND,
    DENSE_SESSION,
    DENSE_ITEM_NEW,
    DENSE_USER_SURE,
    DENSE_ITEM_SURE,
    DENSE_FIXED
};
static const char *const dense_names[DENSE_FIXED] = {
    "constant",         "user_odds",        "item_odds",     "user_residual_5", "item_residual_5",
    "user_residual_20", "item_residual_20", "user_recent_1", "user_recent_3",   "user_recent_7",
    "user_count",       "item_count",       "user_gap",      "same_second",     "session_rank",
    "item_new",         "user_sure",        "item_sure",
};

struct model_features {
    struct model_features_options options;
    struct model_ctr_kind kinds[MODEL_CTR_KINDS_MAX];
    struct model_ids *ids, *main;
    struct base_rows *counters;
    /* groups: [1 + side or kind of the left][kind of the right]; 0 = none */
    uint16_t facet_pair[MODEL_CTR_KINDS_MAX][MODEL_CTR_KINDS_MAX];
    uint16_t with_user[MODEL_CTR_KINDS_MAX], with_item[MODEL_CTR_KINDS_MAX];
    uint16_t pair, popularity; /* user x item, user x popularity class */
    uint32_t group_count;
    char names[MODEL_CTR_DENSE_MAX][NAME_BYTES];
    uint32_t number_at[MODEL_CTR_KINDS_MAX]; /* dense index of a numeric kind */
    uint32_t dense_count;
};

static const struct counter no_counter;

/* ---- the layout --------------------------------------------------------------------------- */

static uint16_t add_group(struct model_features *features, const char *left, const char *right)
{
    uint32_t at = DENSE_FIXED + features->group_count;
    if (at >= MODEL_CTR_DENSE_MAX || features->group_count >= MODEL_CTR_GROUPS_MAX)
        return 0;
    snprintf(features->names[at], NAME_BYTES, "%.20s_x_%.20s", left, right);
    return (uint16_t)++features->group_count;
}

static void lay_out_groups(struct model_features *features)
{
    const struct model_ctr_kind *kinds = features->kinds;
    uint32_t count = features->options.kind_count;
    for (uint32_t k = 0; k < count; k++) {
        if (kinds[k].crossed && kinds[k].side != MODEL_CTR_USER)
            features->with_user[k] = add_group(features, "user", kinds[k].name);
        if (kinds[k].crossed && kinds[k].side != MODEL_CTR_ITEM)
            features->with_item[k] = add_group(features, "item", kinds[k].name);
    }
    features->popularity = add_group(features, "user", "popularity");
    if (features->options.repeats)
        features->pair = add_group(features, "user", "item");
    for (uint32_t a = 0; a < count; a++) {
        for (uint32_t b = 0; b < count; b++) {
            if (kinds[a].crossed && kinds[b].crossed && kinds[a].side == MODEL_CTR_USER &&
                kinds[b].side == MODEL_CTR_ITEM)
                features->facet_pair[a][b] = add_group(features, kinds[a].name, kinds[b].name);
        }
    }
}

static void lay_out(struct model_features *features)
{
    for (uint32_t i = 0; i < DENSE_FIXED; i++)
        snprintf(features->names[i], NAME_BYTES, "%s", dense_names[i]);
    lay_out_groups(features);
    features->dense_count = DENSE_FIXED + features->group_count;
    for (uint32_t k = 0; k < features->options.kind_count; k++) {
        if (!features->kinds[k].numeric || features->dense_count == MODEL_CTR_DENSE_MAX)
            continue;
        snprintf(features->names[features->dense_count], NAME_BYTES, "%.40s",
                 features->kinds[k].name);
        features->number_at[k] = features->dense_count++;
    }
}

enum fr_status model_features_new(const struct model_features_options *options,
                                  struct fr_error *error, struct model_features **out_features)
{
    FR_ASSERT(options->kind_count <= MODEL_CTR_KINDS_MAX);
    struct model_features *features = calloc(1, sizeof(*features));
    if (!features)
        return base_fail(error, FR_MEMORY, "model", "no memory for the click features");
    features->options = *options;
    memcpy(features->kinds, options->kinds, options->kind_count * sizeof(*options->kinds));
    features->options.kinds = features->kinds;
    lay_out(features);
    struct model_ids_options large = {.name = "ctr_ids",
                                      .id_max = options->id_max,
                                      .admit_after = options->admit_after,
                                      .expire_s = options->expire_s};
    struct model_ids_options small = {.name = "ctr_main",
                                      .id_max = options->main_max,
                                      .admit_after = 1,
                                      .expire_s = options->expire_s};
    struct base_rows_options counters = {.name = "ctr_counters",
                                         .row_bytes = sizeof(struct counter),
                                         .count_max = options->id_max};
    enum fr_status status = model_ids_new(&large, error, &features->ids);
    if (status == FR_OK)
        status = model_ids_new(&small, error, &features->main);
    if (status == FR_OK)
        status = base_rows_new(&counters, error, &features->counters);
    if (status != FR_OK) {
        model_features_free(features);
        return status;
    }
    *out_features = features;
    return FR_OK;
}

void model_features_free(struct model_features *features)
{
    if (!features)
        return;
    model_ids_free(features->ids);
    model_ids_free(features->main);
    base_rows_free(features->counters);
    free(features);
}

void model_features_tables(struct model_features *features,
                           struct base_rows *out[MODEL_FEATURES_TABLES])
{
    out[0] = model_ids_table(features->ids);
    out[1] = model_ids_table(features->main);
    out[2] = features->counters;
}

uint32_t model_features_dense_count(const struct model_features *features)
{
    return features->dense_count;
}

const char *model_features_dense_name(const struct model_features *features, uint32_t i)
{
    return i < features->dense_count ? features->names[i] : "";
}

uint32_t model_features_field_count(const struct model_features *features)
{
    return 2 + features->options.kind_count;
}

uint32_t model_features_id_max(const struct model_features *features)
{
    return features->options.id_max;
}

uint32_t model_features_main_max(const struct model_features *features)
{
    return features->options.main_max;
}

/* ---- building ----------------------------------------------------------------------------- */

struct builder {
    struct model_features *features;
    const struct model_ctr_row *row;
    struct model_example *out;
    bool writer;
    uint64_t key[MODEL_CTR_SPARSE_MAX];
};

/* What stands at a place of the sparse list, but for its id. */
struct entry {
    uint64_t key;
    uint16_t group;
    float value;
};

static uint64_t key_of(enum salt salt, uint64_t a, uint64_t b)
{
    return base_mix64_pair(a * 16 + (uint64_t)salt, b);
}

static uint64_t facet_key(const struct model_ctr_facet *facet)
{
    return base_mix64_pair(facet->value, facet->kind + 1);
}

static float value_of(const struct builder *builder, const struct model_ctr_facet *facet)
{
    bool weighted = facet->number > 0.0f && !builder->features->kinds[facet->kind].numeric;
    return weighted ? facet->number : 1.0f;
}

/* Notes a key; its id is looked up by look_up(), when all keys' sets are on their way. */
static void add_sparse(struct builder *builder, struct entry entry)
{
    struct model_example *out = builder->out;
    uint32_t at = out->sparse_count;
    if (at == MODEL_CTR_SPARSE_MAX)
        return;
    model_ids_prefetch(builder->features->ids, entry.key);
    builder->key[at] = entry.key;
    out->group[at] = entry.group;
    out->sparse[at] = (struct model_sparse){.value = entry.value};
    out->sparse_count++;
}

/* The ids of the keys noted since `from`. */
static void look_up(struct builder *builder, uint32_t from)
{
    struct model_example *out = builder->out;
    struct model_ids *ids = builder->features->ids;
    for (uint32_t at = from; at < out->sparse_count; at++) {
        bool fresh = false;
        uint32_t id = builder->writer
                          ? model_ids_intern(ids, builder->key[at], builder->row->now_s, &fresh)
                          : model_ids_find(ids, builder->key[at]);
        out->sparse[at].id = id;
        if (fresh)
            out->fresh[out->fresh_count++] = (uint16_t)at;
    }
}

static void add_main(struct builder *builder, uint64_t key, uint32_t field, float value)
{
    struct model_example *out = builder->out;
    uint32_t at = out->main_count++;
    struct model_ids *ids = builder->features->main;
    out->main_fresh[at] = false;
    uint32_t id = builder->writer
                      ? model_ids_intern(ids, key, builder->row->now_s, &out->main_fresh[at])
                      : model_ids_find(ids, key);
    out->main[at] = (struct model_sparse){.id = id, .field = field, .value = value};
    out->main_key[at] = key;
}

static const struct counter *counter_of(const struct builder *builder, uint32_t sparse_at)
{
    uint32_t id = builder->out->sparse[sparse_at].id;
    if (id == 0 || id >= base_rows_count(builder->features->counters))
        return &no_counter;
    return base_rows_at(builder->features->counters, id);
}

static bool is_fresh(const struct model_example *example, uint32_t sparse_at)
{
    for (uint32_t i = 0; i < example->fresh_count; i++) {
        if (example->fresh[i] == sparse_at)
            return true;
    }
    return false;
}

/* The counter's class of popularity: a power of two. */
static uint32_t class_of(float n)
{
    uint32_t c = 0;
    for (; n > 1.0f && c < 20; c++)
        n *= 0.5f;
    return c;
}

static void add_crosses(struct builder *builder)
{
    const struct model_features *features = builder->features;
    const struct model_ctr_row *row = builder->row;
    uint32_t count = FR_MIN(row->facet_count, (uint32_t)MODEL_CTR_FACETS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct model_ctr_facet *a = &row->facets[i];
        uint64_t key = facet_key(a);
        float value = value_of(builder, a);
        uint16_t group = features->with_user[a->kind];
        if (group)
            add_sparse(builder,
                       (struct entry){key_of(SALT_USER_FACET, row->user, key), group, value});
        group = features->with_item[a->kind];
        if (group)
            add_sparse(builder,
                       (struct entry){key_of(SALT_ITEM_FACET, row->item, key), group, value});
        for (uint32_t j = 0; j < count; j++) {
            const struct model_ctr_facet *b = &row->facets[j];
            group = features->facet_pair[a->kind][b->kind];
            if (group)
                add_sparse(builder, (struct entry){key_of(SALT_FACET_FACET, key, facet_key(b)),
                                                   group, value * value_of(builder, b)});
        }
    }
    if (features->pair)
        add_sparse(builder,
                   (struct entry){key_of(SALT_PAIR, row->user, row->item), features->pair, 1.0f});
    uint32_t fresh = is_fresh(builder->out, SPARSE_ITEM);
    uint32_t popularity = fresh ? 0 : class_of(counter_of(builder, SPARSE_ITEM)->n);
    if (features->popularity)
        add_sparse(builder, (struct entry){key_of(SALT_POPULARITY, row->user, popularity),
                                           features->popularity, 1.0f});
}

static float odds(float p)
{
    return base_logf(p / (1.0f - p));
}

static float shrunk(const struct counter *counter, float by)
{
    return counter->residual / (counter->n + by);
}

static float log_count(float n)
{
    return 0.3f * base_logf(1.0f + n) - 1.0f;
}

static void fill_fixed(const struct builder *builder, const struct counter *all,
                       const struct counter *user, const struct counter *item)
{
    struct model_example *out = builder->out;
    float *x = out->dense, g = (all->label + 1.0f) / (all->n + 2.0f);
    out->p_user = (user->label + 5.0f * g) / (user->n + 5.0f);
    out->p_item = (item->label + 5.0f * g) / (item->n + 5.0f);
    float user_odds = odds(out->p_user) - odds(g), item_odds = odds(out->p_item) - odds(g);
    out->p_both = base_sigmoidf(user_odds + item_odds + odds(g));
    uint32_t now_s = builder->row->now_s;
    bool known = user->n > 0;
    uint32_t gap = known && now_s > user->last_s ? now_s - user->last_s : 0;
    uint32_t rank = known && gap <= SESSION_S ? user->session : 0;
    x[DENSE_ONE] = 1.0f;
    x[DENSE_USER_ODDS] = user_odds;
    x[DENSE_ITEM_ODDS] = item_odds;
    x[DENSE_USER_5] = 5.0f * shrunk(user, 5.0f);
    x[DENSE_ITEM_5] = 5.0f * shrunk(item, 5.0f);
    x[DENSE_USER_20] = 5.0f * shrunk(user, 20.0f);
    x[DENSE_ITEM_20] = 5.0f * shrunk(item, 20.0f);
    x[DENSE_RECENT_1] = 3.0f * user->recent[0];
    x[DENSE_RECENT_3] = 3.0f * user->recent[1];
    x[DENSE_RECENT_7] = user->recent[2];
    x[DENSE_USER_COUNT] = log_count(user->n);
    x[DENSE_ITEM_COUNT] = log_count(item->n);
    x[DENSE_GAP] = 0.1f * base_logf(1.0f + (float)gap);
    x[DENSE_SAME_SECOND] = known && gap == 0 ? 1.0f : 0.0f;
    x[DENSE_SESSION] = 0.3f * base_logf(1.0f + (float)rank);
    x[DENSE_ITEM_NEW] = item->n == 0 ? 1.0f : 0.0f;
    x[DENSE_USER_SURE] = out->user_sure = user->n / (user->n + 10.0f);
    x[DENSE_ITEM_SURE] = item->n / (item->n + 10.0f);
}

/* Each group: the mean of its members' shrunk residuals, by their values. */
static void fill_groups(const struct builder *builder)
{
    struct model_example *out = builder->out;
    float values[MODEL_CTR_GROUPS_MAX + 1] = {0};
    float *x = out->dense + DENSE_FIXED - 1; /* group 1 is the first */
    for (uint32_t i = SPARSE_FACETS; i < out->sparse_count; i++) {
        uint16_t group = out->group[i];
        if (group == 0)
            continue;
        x[group] += 5.0f * shrunk(counter_of(builder, i), 8.0f) * out->sparse[i].value;
        values[group] += out->sparse[i].value;
    }
    for (uint32_t g = 1; g <= builder->features->group_count; g++) {
        if (values[g] > 0)
            x[g] /= values[g];
    }
}

/* What the other side's random effects are taken over. Places: 0 one, 1 log count, 2 log-odds,
 * 3 new, 4 .. 7 numbers, 8 .. 31 facets by their value, together of length 1. */
static void describe(const struct builder *builder, enum model_ctr_side side, float *out)
{
    const struct model_ctr_row *row = builder->row;
    const float *x = builder->out->dense;
    bool item = side == MODEL_CTR_ITEM;
    uint32_t numbers = 4;
    float squares = 0;
    uint32_t count = FR_MIN(row->facet_count, (uint32_t)MODEL_CTR_FACETS_MAX);
    memset(out, 0, MODEL_CTR_DESCRIPTOR * sizeof(float));
    out[0] = 1.0f;
    out[1] = x[item ? DENSE_ITEM_COUNT : DENSE_USER_COUNT];
    out[2] = x[item ? DENSE_ITEM_ODDS : DENSE_USER_ODDS];
    out[3] = item ? x[DENSE_ITEM_NEW] : 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        float value = value_of(builder, &row->facets[i]);
        if (builder->features->kinds[row->facets[i].kind].side == side)
            squares += value * value;
    }
    float scale = squares > 0 ? 1.0f / __builtin_sqrtf(squares) : 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        const struct model_ctr_kind *kind = &builder->features->kinds[row->facets[i].kind];
        if (kind->side != side)
            continue;
        if (kind->numeric && numbers < 8)
            out[numbers++] = row->facets[i].number;
        else if (!kind->numeric)
            out[8 + (row->facets[i].value + row->facets[i].kind * 7u) % 24] +=
                scale * value_of(builder, &row->facets[i]);
    }
}

/* During a build of the writer the fresh ids hold another key's counters, or none: not yet reset.
 */
static void reset_fresh(struct builder *builder)
{
    struct model_example *out = builder->out;
    for (uint32_t i = 0; i < out->fresh_count; i++) {
        uint32_t id = out->sparse[out->fresh[i]].id;
        if (model_rows_reach(builder->features->counters, id))
            memset(base_rows_write(builder->features->counters, id), 0, sizeof(struct counter));
    }
}

void model_features_build(struct model_features *features, const struct model_ctr_row *row,
                          bool writer, struct model_example *out_example)
{
    struct builder builder;
    builder.features = features;
    builder.row = row;
    builder.out = out_example;
    builder.writer = writer;
    uint32_t count = FR_MIN(row->facet_count, (uint32_t)MODEL_CTR_FACETS_MAX);
    out_example->sparse_count = out_example->main_count = out_example->fresh_count = 0;
    out_example->dense_count = features->dense_count;
    memset(out_example->dense, 0, features->dense_count * sizeof(float));
    add_sparse(&builder, (struct entry){key_of(SALT_BIAS, 0, 0), 0, 1.0f});
    add_sparse(&builder, (struct entry){key_of(SALT_USER, row->user, 0), 0, 1.0f});
    add_sparse(&builder, (struct entry){key_of(SALT_ITEM, row->item, 0), 0, 1.0f});
    add_main(&builder, key_of(SALT_USER, row->user, 0), 0, 1.0f);
    add_main(&builder, key_of(SALT_ITEM, row->item, 0), 1, 1.0f);
    for (uint32_t i = 0; i < count; i++) {
        const struct model_ctr_facet *facet = &row->facets[i];
        FR_ASSERT(facet->kind < features->options.kind_count);
        if (features->kinds[facet->kind].numeric) {
            if (features->number_at[facet->kind])
                out_example->dense[features->number_at[facet->kind]] = facet->number;
            continue;
        }
        if (features->options.dense_only)
            continue;
        const uint64_t key = key_of(SALT_FACET, facet_key(facet), 0);
        const float value = value_of(&builder, facet);
        add_sparse(&builder, (struct entry){key, 0, value});
        add_main(&builder, key, 2 + facet->kind, value);
    }
    look_up(&builder, 0);
    uint32_t mains = out_example->sparse_count;
    add_crosses(&builder);
    look_up(&builder, mains);
    if (writer)
        reset_fresh(&builder);
    fill_fixed(&builder, counter_of(&builder, SPARSE_BIAS), counter_of(&builder, SPARSE_USER),
               counter_of(&builder, SPARSE_ITEM));
    fill_groups(&builder);
    if (!features->options.descriptors)
        return;
    describe(&builder, MODEL_CTR_ITEM, out_example->of_item);
    describe(&builder, MODEL_CTR_USER, out_example->of_user);
}

/* ---- learning ----------------------------------------------------------------------------- */

static void count(const struct model_features *features, struct counter *counter,
                  const struct model_ctr_row *row, float residual)
{
    counter->n += row->weight;
    counter->label += row->weight * row->label;
    counter->residual += row->weight * residual;
    if (features->options.memory > 0 && counter->n > features->options.memory) {
        counter->n *= 0.5f;
        counter->label *= 0.5f;
        counter->residual *= 0.5f;
    }
}

static void count_user(const struct model_features *features, struct counter *counter,
                       const struct model_ctr_row *row, float residual)
{
    static const float rates[3] = {0.1f, 0.3f, 0.7f};
    uint32_t gap = row->now_s > counter->last_s ? row->now_s - counter->last_s : 0;
    counter->session = counter->n > 0 && gap <= SESSION_S ? counter->session + 1 : 1;
    counter->last_s = row->now_s;
    for (int i = 0; i < 3; i++)
        counter->recent[i] += rates[i] * (residual - counter->recent[i]);
    count(features, counter, row, residual);
}

void model_features_learn(struct model_features *features, const struct model_ctr_row *row,
                          const struct model_example *example)
{
    for (uint32_t i = 0; i < example->sparse_count; i++) {
        uint32_t id = example->sparse[i].id;
        if (id == 0 || !model_rows_reach(features->counters, id))
            continue;
        struct counter *counter = base_rows_write(features->counters, id);
        if (i == SPARSE_USER)
            count_user(features, counter, row, row->label - example->p_item);
        else if (i == SPARSE_ITEM)
            count(features, counter, row, row->label - example->p_user);
        else
            count(features, counter, row, row->label - example->p_both);
    }
}
