/* SPDX-License-Identifier: Apache-2.0
 *
 * ridge_pairs: the pair counts of seq-ridge. A pair hangs on three chains: that of its hash bucket
 * and those of its two items. The buckets grow by linear hashing (Litwin 1980): each new pair
 * splits one bucket, so that no event ever pays for a rehash and the layout depends on the order
 * of the pairs alone.
 * Thread: the writer.
 */
#include "model/ridge_priv.h"

static uint32_t pair_hash(uint32_t a, uint32_t b)
{
    return (uint32_t)base_mix64_pair(a, b);
}

const struct model__ridge_item *model__ridge_item(const struct model_ridge *ridge, uint32_t item)
{
    return base_rows_at(ridge->tables[RIDGE_ITEM], item);
}

struct model__ridge_item *model__ridge_item_write(struct model_ridge *ridge, uint32_t item)
{
    return base_rows_write(ridge->tables[RIDGE_ITEM], item);
}

const struct model__ridge_pair *model__ridge_pair(const struct model_ridge *ridge, uint32_t i)
{
    return base_rows_at(ridge->tables[RIDGE_PAIR], i);
}

/* Two heads a row; row 0 is never handed out, so bucket k lives in row 1 + k / 2. */
static uint32_t head_get(const struct model_ridge *ridge, uint32_t bucket)
{
    const uint32_t *heads = base_rows_at(ridge->tables[RIDGE_BUCKET], 1 + bucket / 2);
    return heads[bucket & 1];
}

static void head_set(struct model_ridge *ridge, uint32_t bucket, uint32_t pair)
{
    uint32_t *heads = base_rows_write(ridge->tables[RIDGE_BUCKET], 1 + bucket / 2);
    heads[bucket & 1] = pair;
}

/* Buckets in use: one a pair, rounded up to even, at least two. */
static uint32_t bucket_count(const struct model_ridge *ridge)
{
    return 2 * (base_rows_count(ridge->tables[RIDGE_BUCKET]) - 1);
}

static uint32_t bucket_of(uint32_t hash, uint32_t buckets)
{
    uint32_t level = 31u - (uint32_t)__builtin_clz(buckets);
    uint32_t k = hash & ((2u << level) - 1u);
    return k < buckets ? k : hash & ((1u << level) - 1u);
}

/* Moves the pairs of bucket `from` that now belong to another one. */
static void bucket_split(struct model_ridge *ridge, uint32_t from, uint32_t buckets)
{
    uint32_t keep = 0, i = head_get(ridge, from);
    head_set(ridge, from, 0);
    while (i) {
        struct model__ridge_pair *pair = base_rows_write(ridge->tables[RIDGE_PAIR], i);
        uint32_t next = pair->next_hash;
        uint32_t to = bucket_of(pair_hash(pair->a, pair->b), buckets);
        if (to == from) {
            pair->next_hash = keep;
            keep = i;
        } else {
            pair->next_hash = head_get(ridge, to);
            head_set(ridge, to, i);
        }
        i = next;
    }
    head_set(ridge, from, keep);
}

static bool buckets_grow(struct model_ridge *ridge)
{
    uint32_t before = bucket_count(ridge);
    if (!base_rows_add(ridge->tables[RIDGE_BUCKET]))
        return false;
    for (uint32_t k = before; before && k < before + 2; k++) {
        uint32_t level = 31u - (uint32_t)__builtin_clz(k);
        bucket_split(ridge, k & ((1u << level) - 1u), k + 1);
    }
    return true;
}

void model__ridge_pair_prefetch(const struct model_ridge *ridge, uint32_t a, uint32_t b)
{
    uint32_t hash = pair_hash(FR_MIN(a, b), FR_MAX(a, b));
    base_rows_prefetch(ridge->tables[RIDGE_BUCKET], 1 + bucket_of(hash, bucket_count(ridge)) / 2);
}

uint32_t model__ridge_pair_first(const struct model_ridge *ridge, uint32_t a, uint32_t b)
{
    uint32_t hash = pair_hash(FR_MIN(a, b), FR_MAX(a, b));
    return head_get(ridge, bucket_of(hash, bucket_count(ridge)));
}

uint32_t model__ridge_pair_along(const struct model_ridge *ridge, uint32_t i, uint32_t lo,
                                 uint32_t hi)
{
    while (i) {
        const struct model__ridge_pair *pair = model__ridge_pair(ridge, i);
        if (pair->a == lo && pair->b == hi)
            return i;
        i = pair->next_hash;
    }
    return 0;
}

uint32_t model__ridge_pair_find(const struct model_ridge *ridge, uint32_t a, uint32_t b)
{
    if (!bucket_count(ridge))
        return 0;
    return model__ridge_pair_along(ridge, model__ridge_pair_first(ridge, a, b), FR_MIN(a, b),
                                   FR_MAX(a, b));
}

uint32_t model__ridge_pair_make(struct model_ridge *ridge, uint32_t a, uint32_t b)
{
    uint32_t i = model__ridge_pair_find(ridge, a, b);
    if (i)
        return i;
    uint32_t lo = FR_MIN(a, b), hi = FR_MAX(a, b);
    struct base_rows *pairs = ridge->tables[RIDGE_PAIR];
    if (base_rows_count(pairs) >= bucket_count(ridge) && !buckets_grow(ridge))
        return 0;
    i = base_rows_add(pairs);
    if (!i)
        return 0;
    struct model__ridge_pair *pair = base_rows_write(pairs, i);
    struct model__ridge_item *item_lo = model__ridge_item_write(ridge, lo);
    pair->a = lo;
    pair->b = hi;
    pair->next_a = item_lo->chain;
    item_lo->chain = i;
    struct model__ridge_item *item_hi = model__ridge_item_write(ridge, hi);
    pair->next_b = item_hi->chain;
    item_hi->chain = i;
    uint32_t bucket = bucket_of(pair_hash(lo, hi), bucket_count(ridge));
    pair->next_hash = head_get(ridge, bucket);
    head_set(ridge, bucket, i);
    return i;
}
