/* SPDX-License-Identifier: Apache-2.0
 *
 * ids: see the door. Owner: one table; meta words: [0] ids used, [1] replaced, [2] refused.
 */
#include "model/ids.h"

#include "base/hash.h"

#include <stdlib.h>

enum { WAYS = 8 };
enum { META_USED, META_REPLACED, META_REFUSED };

struct way {
    uint64_t word; /* tag << 32 | id; atomic. The id stays with the way from key to key */
    uint32_t seen_s;
    uint32_t count; /* of the key; 0: a free way, below admit_after: the id is not its own yet */
};

struct set {
    struct way way[WAYS];
};

struct model_ids {
    struct model_ids_options options;
    struct base_rows *rows;
    uint32_t set_mask;
};

enum fr_status model_ids_new(const struct model_ids_options *options, struct fr_error *error,
                             struct model_ids **out_ids)
{
    FR_ASSERT(options->id_max >= 2 && options->id_max <= 1u << 30);
    struct model_ids *ids = calloc(1, sizeof(*ids));
    if (!ids)
        return base_fail(error, FR_MEMORY, "model", "no memory for ids %s", options->name);
    ids->options = *options;
    if (ids->options.admit_after == 0)
        ids->options.admit_after = 1;
    uint32_t sets = 64;
    while (sets < options->id_max / (WAYS / 2)) /* half full at most when all ids are used */
        sets *= 2;
    ids->set_mask = sets - 1;
    struct base_rows_options table = {.name = options->name,
                                      .row_bytes = (uint32_t)sizeof(struct set),
                                      .count_max = sets + 2};
    enum fr_status status = base_rows_new(&table, error, &ids->rows);
    if (status != FR_OK) {
        free(ids);
        return status;
    }
    *out_ids = ids;
    return FR_OK;
}

void model_ids_free(struct model_ids *ids)
{
    if (!ids)
        return;
    base_rows_free(ids->rows);
    free(ids);
}

struct base_rows *model_ids_table(struct model_ids *ids)
{
    return ids->rows;
}

static uint32_t set_of(const struct model_ids *ids, uint64_t key)
{
    return ((uint32_t)key & ids->set_mask) + 1;
}

static uint32_t tag_of(uint64_t key)
{
    return (uint32_t)(key >> 32);
}

void model_ids_prefetch(const struct model_ids *ids, uint64_t key)
{
    /* its first line: sets are half full at most, and filled from the front */
    __builtin_prefetch(base_rows_at(ids->rows, set_of(ids, base_mix64(key))));
}

uint32_t model_ids_find(const struct model_ids *ids, uint64_t key)
{
    key = base_mix64(key);
    uint32_t row = set_of(ids, key);
    if (row >= base_rows_count(ids->rows))
        return 0;
    const struct set *set = base_rows_at(ids->rows, row);
    for (int i = 0; i < WAYS; i++) {
        uint64_t word = FR_LOAD(set->way[i].word);
        if ((uint32_t)(word >> 32) == tag_of(key) &&
            FR_LOAD(set->way[i].count) >= ids->options.admit_after)
            return (uint32_t)word;
    }
    return 0;
}

/* The way for a new key: free, else the stalest that still waits, else the stalest if expired. */
static int victim_of(const struct model_ids *ids, const struct set *set, uint32_t now_s)
{
    int waiting = -1, stale = -1;
    for (int i = 0; i < WAYS; i++) {
        const struct way *way = &set->way[i];
        if (way->count == 0)
            return i;
        int *best = way->count < ids->options.admit_after ? &waiting : &stale;
        if (*best < 0 || way->seen_s < set->way[*best].seen_s)
            *best = i;
    }
    if (waiting >= 0)
        return waiting;
    uint32_t seen_s = set->way[stale].seen_s;
    return now_s > seen_s && now_s - seen_s >= ids->options.expire_s ? stale : -1;
}

/* Counts the key of a way; at its admission the way's old id, or a new one, becomes its own. */
static uint32_t count_way(struct model_ids *ids, struct way *way, uint32_t now_s, bool *out_fresh)
{
    way->seen_s = now_s;
    uint32_t count = way->count + (way->count < UINT32_MAX);
    uint64_t *meta = base_rows_meta(ids->rows);
    if (count == ids->options.admit_after) {
        if ((uint32_t)way->word == 0 && meta[META_USED] + 1 < ids->options.id_max)
            FR_STORE(way->word, way->word | ++meta[META_USED]);
        meta[META_REFUSED] += (uint32_t)way->word == 0;
        *out_fresh = (uint32_t)way->word != 0;
    }
    FR_STORE(way->count, count);
    return count >= ids->options.admit_after ? (uint32_t)way->word : 0;
}

uint32_t model_ids_intern(struct model_ids *ids, uint64_t key, uint32_t now_s, bool *out_fresh)
{
    key = base_mix64(key);
    uint32_t row = set_of(ids, key);
    while (base_rows_count(ids->rows) <= ids->set_mask + 1) /* all sets at the first key */
        FR_ASSERT(base_rows_add(ids->rows) != 0);
    struct set *set = base_rows_write(ids->rows, row);
    *out_fresh = false;
    for (int i = 0; i < WAYS; i++) {
        struct way *way = &set->way[i];
        if (way->count != 0 && (uint32_t)(way->word >> 32) == tag_of(key))
            return count_way(ids, way, now_s, out_fresh);
    }
    int at = victim_of(ids, set, now_s);
    uint64_t *meta = base_rows_meta(ids->rows);
    if (at < 0) {
        meta[META_REFUSED]++;
        return 0;
    }
    struct way *way = &set->way[at];
    meta[META_REPLACED] += way->count >= ids->options.admit_after;
    FR_STORE(way->count, 0);
    FR_STORE(way->word, (uint64_t)tag_of(key) << 32 | (uint32_t)way->word);
    return count_way(ids, way, now_s, out_fresh);
}

void model_ids_stats_get(const struct model_ids *ids, struct model_ids_stats *out_stats)
{
    const uint64_t *meta = base_rows_meta(ids->rows);
    *out_stats = (struct model_ids_stats){.used = (uint32_t)meta[META_USED],
                                          .replaced = meta[META_REPLACED],
                                          .refused = meta[META_REFUSED]};
}

bool model_rows_reach(struct base_rows *rows, uint32_t id)
{
    while (base_rows_count(rows) <= id) {
        if (base_rows_add(rows) == 0)
            return false;
    }
    return true;
}
