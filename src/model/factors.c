/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "factors": latent factors on the blend's residual. The query's vector is a
 * recency-weighted mean of the input vectors of its visits (this session's and earlier ones apart)
 * plus vectors of the context values, the hour and the place in the session; the feature is its
 * product with the candidate's output vector.
 *
 *     u = sum_k .75^k in[session visit k] / norm + 1/2 sum_k .85^k in[earlier visit k] / norm
 *         + sum of value[context] + hour + position          x = u . out[candidate]
 *
 * Objective: the blend's own loss, by the gradient that the blend gives (d loss / d score), so the
 * factors learn what the counts do not say yet (measured on news: the largest single gain after
 * transitions). Update: row-wise Adagrad (one sum a vector), .05; small gradients are kept with
 * probability p / .008, as in rank/network.c.
 *
 * Rows: an item's input and output vector, a context value's vector. An item's row is drawn from
 * its index when it is first learnt, so that nothing depends on order of arrival but the learning.
 * Cost: 32 multiply-adds a candidate; ~4 us an event learnt. Thread: learning on the fold thread;
 * scoring from any (words are read relaxed: a vector may be half a step newer).
 */
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "simd/simd.h"

enum { D = 32, VISITS = 20, FIXED_ROWS = 64 };

struct item_factors {
    float in[D], out[D];
    float in_sum, out_sum; /* Adagrad */
    uint32_t known;
    uint32_t spare;
};
struct value_factors {
    float v[D];
    float sum;
    uint32_t spare;
};

struct factors {
    struct base_rows *items, *values;
    struct base_rows *tables[2];
    uint64_t seed;
};

static const float rate = 0.05f, rare = 0.008f, spread = 0.3f;

static const struct model_feature features[] = {
    {"factors", MODEL_REASON_PATTERN, 1.0f, -1, -1},
};

static void factors_close(void *self)
{
    struct factors *factors = self;
    if (!factors)
        return;
    base_rows_free(factors->items);
    base_rows_free(factors->values);
    free(factors);
}

static enum fr_status factors_open(const struct model_setup *setup, struct fr_error *error,
                                   void **out_self)
{
    struct factors *factors = calloc(1, sizeof(*factors));
    if (!factors)
        return base_fail(error, FR_MEMORY, "model", "no memory for the factors");
    factors->seed = setup->seed;
    struct base_rows_options items = {"factors-items", sizeof(struct item_factors),
                                      state_limits(setup->state)->item_count_max + 2};
    struct base_rows_options values = {"factors-values", sizeof(struct value_factors),
                                       state_limits(setup->state)->context_count_max + 2};
    enum fr_status status = base_rows_new(&items, error, &factors->items);
    if (status == FR_OK)
        status = base_rows_new(&values, error, &factors->values);
    if (status != FR_OK) {
        factors_close(factors);
        return status;
    }
    factors->tables[0] = factors->items;
    factors->tables[1] = factors->values;
    *out_self = factors;
    return FR_OK;
}

static struct base_rows *const *factors_tables(void *self, uint32_t *out_count)
{
    struct factors *factors = self;
    *out_count = 2;
    return factors->tables;
}

/* ---- the query's vector --------------------------------------------------------------------- */

/* What u is made of: rows and their weights. */
struct mixture {
    uint32_t item[VISITS], value[STATE_CONTEXT_COUNT + 2];
    float weight[VISITS];
    uint32_t items, values;
};

/* Rows 1 .. FIXED_ROWS - 1 of the values: hours, then places; context values follow. */
static void mix(const struct model_query *query, struct mixture *mixture)
{
    float session = 0.0f, earlier = 0.0f, ws = 1.0f, we = 1.0f;
    bool same[VISITS];
    mixture->items = FR_MIN(query->history_count, (uint32_t)VISITS);
    for (uint32_t k = 0; k < mixture->items; k++) {
        same[k] = query->history[k].same_session;
        mixture->item[k] = query->history[k].item;
        mixture->weight[k] = same[k] ? ws : we;
        *(same[k] ? &session : &earlier) += mixture->weight[k];
        *(same[k] ? &ws : &we) *= same[k] ? 0.75f : 0.85f;
    }
    for (uint32_t k = 0; k < mixture->items; k++)
        mixture->weight[k] *= same[k] ? 1.0f / session : 0.5f / earlier;
    mixture->values = 0;
    mixture->value[mixture->values++] = 1 + query->clock_s / 3600 % 24;
    mixture->value[mixture->values++] = 30 + FR_MIN(query->session_count, 15u);
    for (uint32_t f = 0; f < STATE_EXTRA_FIRST; f++)
        if (query->context[f])
            mixture->value[mixture->values++] = FIXED_ROWS + query->context[f];
}

static void add_row(float u[D], float weight, const float *row)
{
    _Alignas(16) float copy[D];
    base_rows_copy(copy, row, sizeof(copy));
    for (uint32_t d = 0; d < D; d++)
        u[d] += weight * copy[d];
}

static void vector_of(const struct factors *factors, const struct mixture *mixture, float u[D])
{
    uint32_t items = base_rows_count(factors->items), values = base_rows_count(factors->values);
    memset(u, 0, D * sizeof(float));
    for (uint32_t k = 0; k < mixture->items; k++) {
        if (mixture->item[k] >= items)
            continue;
        const struct item_factors *row = base_rows_at(factors->items, mixture->item[k]);
        add_row(u, mixture->weight[k], row->in);
    }
    for (uint32_t k = 0; k < mixture->values; k++) {
        if (mixture->value[k] >= values)
            continue;
        const struct value_factors *row = base_rows_at(factors->values, mixture->value[k]);
        add_row(u, 1.0f, row->v);
    }
}

/* The two lines of an item's output vector. */
static void out_prefetch(const struct factors *factors, uint32_t item)
{
    const struct item_factors *row = base_rows_at(factors->items, item);
    __builtin_prefetch(row->out);
    __builtin_prefetch(row->out + D / 2);
}

static void factors_score(void *self, const struct model_batch *batch, float *out)
{
    const struct factors *factors = self;
    uint32_t items = base_rows_count(factors->items);
    struct mixture mixture;
    float u[D];
    _Alignas(16) float copy[D];
    mix(batch->query, &mixture);
    vector_of(factors, &mixture, u);
    const struct simd_ops *ops = simd_ops();
    for (uint32_t i = 0; i < batch->count; i++) {
        if (i + 16 < batch->count && batch->item[i + 16] < items)
            out_prefetch(factors, batch->item[i + 16]);
        if (batch->item[i] >= items)
            continue;
        const struct item_factors *row = base_rows_at(factors->items, batch->item[i]);
        const float *v = row->out;
        if (!batch->in_place) {
            base_rows_copy(copy, row->out, sizeof(copy));
            v = copy;
        }
        out[i] = ops->dot(u, v, D);
    }
}

/* ---- learning ------------------------------------------------------------------------------- */

static bool rows_reach(struct base_rows *rows, uint32_t index)
{
    while (base_rows_count(rows) <= index)
        if (!base_rows_add(rows))
            return false;
    return true;
}

static struct item_factors *item_row(struct factors *factors, uint32_t item)
{
    if (!rows_reach(factors->items, item))
        return NULL;
    struct item_factors *row = base_rows_write(factors->items, item);
    if (row->known)
        return row;
    float in[D];
    for (uint32_t d = 0; d < D; d++)
        in[d] = ((float)base_random_unit(factors->seed + 77, item, d) * 2.0f - 1.0f) * spread;
    base_rows_put(row->in, in, sizeof(in));
    FR_STORE(row->known, 1);
    return row;
}

static void store(float *to, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    __atomic_store_n((uint32_t *)(void *)to, bits, __ATOMIC_RELAXED);
}

/* row -= rate * weight * g / sqrt(sum of mean squares) */
static void step(float *row, float *sum, const float *g, float weight)
{
    float square = 0.0f;
    for (uint32_t d = 0; d < D; d++)
        square += g[d] * g[d];
    float total = *sum + square * weight * weight * (1.0f / D);
    store(sum, total);
    float by = rate * weight / __builtin_sqrtf(total + 1e-4f);
    for (uint32_t d = 0; d < D; d++)
        store(&row[d], row[d] - by * g[d]);
}

static void factors_learn(void *self, const struct model_batch *batch,
                          const struct state_event *event, int32_t target, const float *gradient)
{
    struct factors *factors = self;
    struct mixture mixture;
    float u[D], du[D] = {0};
    if (!item_row(factors, event->item) || target < 0)
        return;
    mix(batch->query, &mixture);
    vector_of(factors, &mixture, u);
    for (uint32_t i = 0; i < batch->count; i++) {
        float g = gradient[i];
        if (g >= 0.0f && g < rare) {
            if ((float)base_random_unit(factors->seed + 78, event->position, i) * rare >= g)
                continue;
            g = rare;
        }
        struct item_factors *row = item_row(factors, batch->item[i]);
        if (!row)
            continue;
        for (uint32_t d = 0; d < D; d++)
            du[d] += g * row->out[d];
        step(row->out, &row->out_sum, u, g);
    }
    for (uint32_t k = 0; k < mixture.items; k++) {
        struct item_factors *row = item_row(factors, mixture.item[k]);
        if (row)
            step(row->in, &row->in_sum, du, mixture.weight[k]);
    }
    for (uint32_t k = 0; k < mixture.values; k++) {
        if (!rows_reach(factors->values, mixture.value[k]))
            continue;
        struct value_factors *row = base_rows_write(factors->values, mixture.value[k]);
        step(row->v, &row->sum, du, 1.0f);
    }
}

static void factors_forget(void *self, enum state_kind kind, uint32_t index)
{
    struct factors *factors = self;
    static const struct item_factors unknown;
    static const struct value_factors none;
    uint32_t value = FIXED_ROWS + index;
    if (kind == STATE_KIND_ITEM && index < base_rows_count(factors->items))
        base_rows_put(base_rows_write(factors->items, index), &unknown, sizeof(unknown));
    if (kind == STATE_KIND_VALUE && value < base_rows_count(factors->values))
        base_rows_put(base_rows_write(factors->values, value), &none, sizeof(none));
}

const struct model_expert model_factors = {
    .name = "factors",
    .features = features,
    .feature_count = FR_COUNT_OF(features),
    .open = factors_open,
    .close = factors_close,
    .tables = factors_tables,
    .score = factors_score,
    .learn = factors_learn,
    .forget = factors_forget,
};
