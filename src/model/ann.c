/* SPDX-License-Identifier: Apache-2.0
 *
 * ann: see the door.
 */
#include "model/ann.h"

#include "base/hash.h"
#include "base/rows.h"
#include "model/pick.h"
#include "model/tiles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_ROWS 64
#define BLOCK_TILES (BLOCK_ROWS / SIMD_TILE_I8)
#define KMEANS_ROUNDS 8
#define NONE UINT32_MAX

struct block {
    uint32_t next; /* in its list; NONE at the end */
    uint32_t count;
    uint32_t items[BLOCK_ROWS];
    float scales[BLOCK_ROWS];
};

struct model_ann {
    struct model_ann_options options;
    uint32_t width;      /* bytes a row */
    uint32_t list_count; /* at least one */
    float *centroids;    /* list_count x dimension */
    uint32_t *heads;     /* first block of each list, NONE when empty */
    struct block *blocks;
    int8_t *tiles, *memory;                     /* block_max x BLOCK_TILES; its allocation */
    uint32_t block_max, block_used, free_block; /* free ones are chained */
    uint32_t *place;                            /* item -> 1 + block * BLOCK_ROWS + slot, 0: none */
    uint32_t *list_of;                          /* item -> list */
    uint32_t count;
};

void model_ann_defaults(struct model_ann_options *out_options)
{
    *out_options = (struct model_ann_options){
        .item_max = 200000,
        .dimension = 65,
        .lists = 0,
        .probes = 1,
        .rescored = 200,
        .seed = 1,
    };
}

enum fr_status model_ann_new(const struct model_ann_options *options, struct fr_error *error,
                             struct model_ann **out_ann)
{
    const struct model_ann_options *o = options;
    if (!o->item_max || !o->dimension || o->dimension > MODEL_ANN_DIMENSION_MAX ||
        o->lists > MODEL_ANN_LISTS_MAX || !o->rescored || o->rescored > MODEL_ANN_FOUND_MAX)
        return base_fail(error, FR_INVALID, "model", "index: dimension %u, %u lists, %u rescored",
                         o->dimension, o->lists, o->rescored);
    struct model_ann *ann = calloc(1, sizeof(*ann));
    if (!ann)
        return base_fail(error, FR_MEMORY, "model", "no memory for an index");
    ann->options = *o;
    ann->width = tiles_width(o->dimension);
    ann->list_count = FR_MAX(o->lists, 1u);
    ann->block_max = o->item_max / BLOCK_ROWS + ann->list_count + 1;
    ann->free_block = NONE;
    ann->centroids = calloc((size_t)ann->list_count * o->dimension, sizeof(float));
    ann->heads = malloc(ann->list_count * sizeof(uint32_t));
    ann->blocks = calloc(ann->block_max, sizeof(*ann->blocks));
    ann->memory = calloc((size_t)ann->block_max * BLOCK_ROWS + 1, FR_MAX(ann->width, 64u));
    ann->place = calloc(o->item_max, sizeof(uint32_t));
    ann->list_of = calloc(o->item_max, sizeof(uint32_t));
    if (!ann->centroids || !ann->heads || !ann->blocks || !ann->memory || !ann->place ||
        !ann->list_of) {
        model_ann_free(ann);
        return base_fail(error, FR_MEMORY, "model", "no memory for an index of %u items",
                         o->item_max);
    }
    ann->tiles = ann->memory + (-(uintptr_t)ann->memory & 63); /* whole lines */
    for (uint32_t list = 0; list < ann->list_count; list++)
        ann->heads[list] = NONE;
    *out_ann = ann;
    return FR_OK;
}

void model_ann_free(struct model_ann *ann)
{
    if (!ann)
        return;
    free(ann->centroids);
    free(ann->heads);
    free(ann->blocks);
    free(ann->memory);
    free(ann->place);
    free(ann->list_of);
    free(ann);
}

uint32_t model_ann_count(const struct model_ann *ann)
{
    return FR_LOAD(ann->count);
}

static size_t bytes_with(const struct model_ann *ann, size_t blocks)
{
    return blocks * (sizeof(struct block) + (size_t)BLOCK_ROWS * ann->width) +
           (size_t)ann->options.item_max * 8 +
           (size_t)ann->list_count * ann->options.dimension * sizeof(float);
}

size_t model_ann_bytes(const struct model_ann *ann)
{
    return bytes_with(ann, FR_LOAD(ann->block_used));
}

size_t model_ann_bytes_max(const struct model_ann *ann)
{
    return bytes_with(ann, ann->block_max);
}

static uint32_t nearest(const struct model_ann *ann, const float *vector)
{
    const struct simd_ops *simd = simd_ops();
    uint32_t best = 0;
    float least = 0;
    for (uint32_t list = 0; list < ann->list_count && ann->list_count > 1; list++) {
        const float *centroid = ann->centroids + (size_t)list * ann->options.dimension;
        float distance = simd->l2(centroid, vector, ann->options.dimension);
        if (!list || distance < least) {
            least = distance;
            best = list;
        }
    }
    return best;
}

static void kmeans_round(struct model_ann *ann, const float *vectors, uint32_t count, float *sums,
                         uint32_t *sizes)
{
    uint32_t d = ann->options.dimension;
    memset(sums, 0, (size_t)ann->list_count * d * sizeof(float));
    memset(sizes, 0, ann->list_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t list = nearest(ann, vectors + (size_t)i * d);
        simd_ops()->axpy(sums + (size_t)list * d, 1.0f, vectors + (size_t)i * d, d);
        sizes[list]++;
    }
    for (uint32_t list = 0; list < ann->list_count; list++) {
        float *centroid = ann->centroids + (size_t)list * d;
        for (uint32_t k = 0; k < d && sizes[list]; k++)
            centroid[k] = sums[(size_t)list * d + k] / (float)sizes[list];
    }
}

enum fr_status model_ann_train(struct model_ann *ann, const float *vectors, uint32_t count,
                               struct fr_error *error)
{
    uint32_t d = ann->options.dimension;
    if (!ann->options.lists)
        return FR_OK;
    if (count < ann->list_count || ann->count)
        return base_fail(error, FR_INVALID, "model", "index: %u samples for %u lists, %u items",
                         count, ann->list_count, ann->count);
    float *sums = malloc((size_t)ann->list_count * d * sizeof(float));
    uint32_t *sizes = malloc(ann->list_count * sizeof(uint32_t));
    if (sums && sizes) {
        uint32_t first = (uint32_t)(base_random_u64(ann->options.seed, 0, 0) % count);
        for (uint32_t list = 0; list < ann->list_count; list++) { /* spread over the sample */
            uint64_t i = (first + (uint64_t)list * count / ann->list_count) % count;
            memcpy(ann->centroids + (size_t)list * d, vectors + i * d, d * sizeof(float));
        }
        for (int round = 0; round < KMEANS_ROUNDS; round++)
            kmeans_round(ann, vectors, count, sums, sizes);
    }
    bool good = sums && sizes;
    free(sums);
    free(sizes);
    return good ? FR_OK : base_fail(error, FR_MEMORY, "model", "no memory for k-means");
}

/* ---- slots ------------------------------------------------------------------------------------
 */

static uint32_t block_take(struct model_ann *ann)
{
    uint32_t b = ann->free_block;
    if (b != NONE)
        ann->free_block = ann->blocks[b].next;
    else if (ann->block_used < ann->block_max)
        b = ann->block_used++;
    return b;
}

static int8_t *tile_at(const struct model_ann *ann, uint32_t block, uint32_t slot)
{
    size_t tile = (size_t)block * BLOCK_TILES + slot / SIMD_TILE_I8;
    return ann->tiles + tile * SIMD_TILE_I8 * ann->width;
}

static void row_write(struct model_ann *ann, uint32_t place, const float *vector)
{
    uint32_t block = place / BLOCK_ROWS, slot = place % BLOCK_ROWS;
    int8_t bytes[MODEL_ANN_DIMENSION_MAX];
    float scale = tiles_bytes(vector, ann->options.dimension, bytes);
    tiles_put(tile_at(ann, block, slot), slot % SIMD_TILE_I8, bytes, ann->width);
    __atomic_store(&ann->blocks[block].scales[slot], &scale, __ATOMIC_RELAXED);
}

void model_ann_remove(struct model_ann *ann, uint32_t item)
{
    if (item >= ann->options.item_max || !ann->place[item])
        return;
    uint32_t hole = ann->place[item] - 1, list = ann->list_of[item], b = ann->heads[list];
    struct block *head = &ann->blocks[b];
    uint32_t last = head->count - 1, moved = head->items[last];
    uint32_t to = hole / BLOCK_ROWS, slot = hole % BLOCK_ROWS;
    struct block *block = &ann->blocks[to];
    if (moved != item)
        tiles_copy(tile_at(ann, to, slot), slot % SIMD_TILE_I8, tile_at(ann, b, last),
                   last % SIMD_TILE_I8, ann->width);
    __atomic_store(&block->scales[slot], &head->scales[last], __ATOMIC_RELAXED);
    FR_STORE(block->items[slot], moved);
    ann->place[moved] = hole + 1;
    ann->place[item] = 0;
    FR_STORE(head->count, last);
    if (!last) { /* AN2: the next block is full and becomes the head */
        FR_STORE(ann->heads[list], head->next);
        head->next = ann->free_block;
        ann->free_block = b;
    }
    FR_STORE(ann->count, ann->count - 1);
}

enum fr_status model_ann_put(struct model_ann *ann, uint32_t item, const float *vector)
{
    return model_ann_put_in(ann, item, vector, nearest(ann, vector));
}

enum fr_status model_ann_put_in(struct model_ann *ann, uint32_t item, const float *vector,
                                uint32_t list)
{
    FR_ASSERT(list < ann->list_count);
    if (item >= ann->options.item_max)
        return FR_FULL;
    if (ann->place[item] && ann->list_of[item] == list) {
        row_write(ann, ann->place[item] - 1, vector);
        return FR_OK;
    }
    model_ann_remove(ann, item);
    uint32_t b = ann->heads[list];
    if (b == NONE || ann->blocks[b].count == BLOCK_ROWS) {
        uint32_t fresh = block_take(ann);
        if (fresh == NONE)
            return FR_FULL;
        FR_STORE(ann->blocks[fresh].count, 0);
        FR_STORE(ann->blocks[fresh].next, b);
        __atomic_store_n(&ann->heads[list], fresh, __ATOMIC_RELEASE); /* search: acquire */
        b = fresh;
    }
    struct block *block = &ann->blocks[b];
    uint32_t slot = block->count;
    row_write(ann, b * BLOCK_ROWS + slot, vector);
    FR_STORE(block->items[slot], item);
    ann->place[item] = b * BLOCK_ROWS + slot + 1;
    ann->list_of[item] = list;
    __atomic_store_n(&block->count, slot + 1, __ATOMIC_RELEASE); /* search: acquire */
    FR_STORE(ann->count, ann->count + 1);
    return FR_OK;
}

/* ---- search ---------------------------------------------------------------------------------- */

enum { CHUNK_TILES = 256 };
struct best {
    uint64_t keys[MODEL_ANN_FOUND_MAX + CHUNK_TILES * SIMD_TILE_I8 + 1]; /* key_of() */
    uint32_t count, max;
    float bound; /* what scores less is none of them */
};

/* Scored, not yet looked through. */
struct chunk {
    float scores[CHUNK_TILES][SIMD_TILE_I8]; /* -inf where there is no row */
    float most[CHUNK_TILES];                 /* of each tile */
    const uint32_t *items[CHUNK_TILES];
    uint32_t count;
};

/* Larger: a better score, of equal ones the lower id. */
static uint64_t key_of(float score, uint32_t item)
{
    return (uint64_t)((uint32_t)pick_key(score) ^ 1u << 31) << 32 | (uint32_t)~item;
}

static uint32_t item_of(uint64_t key)
{
    return (uint32_t)~key;
}

static float score_of(uint64_t key)
{
    return pick_value((int32_t)((uint32_t)(key >> 32) ^ 1u << 31));
}

/* Best first: Shell's sort by Ciura's gaps. */
static void keys_sort(uint64_t *keys, uint32_t count)
{
    static const uint32_t gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (uint32_t g = 0; g < FR_COUNT_OF(gaps); g++) {
        for (uint32_t i = gaps[g]; i < count; i++) {
            uint64_t key = keys[i];
            uint32_t at = i;
            for (; at >= gaps[g] && keys[at - gaps[g]] < key; at -= gaps[g])
                keys[at] = keys[at - gaps[g]];
            keys[at] = key;
        }
    }
}

/* Best first, soon where scores are spread: into buckets by score, which leaves little to sort. */
static void keys_order(uint64_t *keys, uint32_t count)
{
    enum { BUCKETS = 64, FEW = 256 };
    uint64_t from[FEW];
    uint8_t bucket[FEW], first[BUCKETS + 1] = {0};
    float most = -INFINITY, least = INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        most = FR_MAX(most, score_of(keys[i]));
        least = FR_MIN(least, score_of(keys[i]));
    }
    if (count < FEW && most - least > 1e-30f && most - least < 1e30f) {
        float by = (BUCKETS - 1) / (most - least);
        for (uint32_t i = 0; i < count; i++) {
            from[i] = keys[i];
            bucket[i] = (uint8_t)((most - score_of(keys[i])) * by);
            first[bucket[i] + 1]++;
        }
        for (uint32_t b = 0; b < BUCKETS; b++)
            first[b + 1] = (uint8_t)(first[b + 1] + first[b]);
        for (uint32_t i = 0; i < count; i++)
            keys[first[bucket[i]]++] = from[i];
    }
    keys_sort(keys, count);
}

static void best_cut(struct best *best)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < best->count; i++) {
        best->keys[count] = best->keys[i];
        count += score_of(best->keys[i]) >= best->bound;
    }
    keys_order(best->keys, count);
    best->count = FR_MIN(count, best->max);
    if (best->count == best->max)
        best->bound = FR_MAX(best->bound, score_of(best->keys[best->max - 1]));
}

/* A score that at least `n` of the maxima reach, so that the n best reach it: the upper half of its bits. */
static float bound_of(const float *most, uint32_t count, uint32_t n)
{
    int32_t keys[PICK_ROOM(CHUNK_TILES)];
    for (uint32_t i = 0; i < count; i++)
        keys[i] = pick_key(most[i]);
    int32_t bound = pick_kth(keys, count, n, 16);
    return bound > pick_key(-INFINITY) ? pick_value(bound) : -INFINITY;
}

/* What of the chunk may be among the best joins them. */
static void chunk_take(struct chunk *chunk, struct best *best)
{
    if (chunk->count >= best->max)
        best->bound = FR_MAX(best->bound, bound_of(chunk->most, chunk->count, best->max));
    uint32_t count = best->count;
    for (uint32_t t = 0; t < chunk->count; t++) {
        if (chunk->most[t] < best->bound)
            continue;
        for (uint32_t r = 0; r < SIMD_TILE_I8; r++) {
            float score = chunk->scores[t][r];
            best->keys[count] = key_of(score, FR_LOAD(chunk->items[t][r]));
            count += score >= best->bound && score > -INFINITY;
        }
    }
    best->count = count;
    chunk->count = 0;
    if (count > MODEL_ANN_FOUND_MAX)
        best_cut(best);
}

static void best_rescore(const struct model_ann_query *query, struct best *best)
{
    uint32_t items[MODEL_ANN_FOUND_MAX];
    float scores[MODEL_ANN_FOUND_MAX];
    for (uint32_t i = 0; i < best->count; i++)
        items[i] = item_of(best->keys[i]);
    query->exact(query->context, items, best->count, scores);
    for (uint32_t i = 0; i < best->count; i++)
        best->keys[i] = key_of(scores[i], items[i]);
    keys_sort(best->keys, best->count);
}

/* A block's rows into the chunk. */
static void block_score(const struct block *block, uint32_t count, const int32_t *dots,
                        struct chunk *chunk)
{
    for (uint32_t slot = 0; slot < count; slot += SIMD_TILE_I8) {
        float scales[SIMD_TILE_I8], *scores = chunk->scores[chunk->count];
        vec4 most = vec4_set(-INFINITY);
        base_rows_copy(scales, block->scales + slot, sizeof(scales));
        for (uint32_t r = 0; r < SIMD_TILE_I8; r += 4) {
            const ivec4 row = {0, 1, 2, 3}, none = (ivec4)vec4_set(-INFINITY);
            ivec4 four, there = row + (int32_t)(slot + r) < (int32_t)count;
            memcpy(&four, dots + slot + r, sizeof(four));
            four = (ivec4)(__builtin_convertvector(four, vec4) * vec4_load(scales + r));
            four = (four & there) | (none & ~there);
            ivec4 more = (vec4)four > most;
            most = (vec4)((four & more) | ((ivec4)most & ~more));
            vec4_store(scores + r, (vec4)four);
        }
        chunk->most[chunk->count] = FR_MAX(FR_MAX(most[0], most[1]), FR_MAX(most[2], most[3]));
        chunk->items[chunk->count++] = block->items + slot;
    }
}

struct search {
    const struct model_ann *ann;
    int8_t q[MODEL_ANN_DIMENSION_MAX];
    struct best best;
    struct chunk chunk;
};

static void list_scan(struct search *search, uint32_t list)
{
    const struct model_ann *ann = search->ann;
    int32_t dots[BLOCK_ROWS];
    uint32_t b = __atomic_load_n(&ann->heads[list], __ATOMIC_ACQUIRE); /* put: release */
    /* a chain that the writer changes under the walk ends or joins another: bounded by the pool */
    for (uint32_t steps = 0; b != NONE && steps < ann->block_max; steps++) {
        const struct block *block = &ann->blocks[b];
        uint32_t count = __atomic_load_n(&block->count, __ATOMIC_ACQUIRE); /* put: release */
        uint32_t next = FR_LOAD(block->next);
        if (next != NONE) {
            __builtin_prefetch(&ann->blocks[next]);
            __builtin_prefetch(tile_at(ann, next, 0));
        }
        if (search->chunk.count + BLOCK_TILES > CHUNK_TILES)
            chunk_take(&search->chunk, &search->best);
        simd_ops()->scan_i8(&(struct simd_scan_i8){search->q, tile_at(ann, b, 0), ann->width,
                                                   (count + SIMD_TILE_I8 - 1) / SIMD_TILE_I8},
                            dots);
        block_score(block, count, dots, &search->chunk);
        b = next;
    }
}

/* The index's own lists whose centroids have the largest product with the vector. */
static void probes_scan(struct search *search, const struct model_ann_query *query)
{
    const struct model_ann *ann = search->ann;
    uint32_t d = ann->options.dimension;
    uint64_t keys[MODEL_ANN_LISTS_MAX];
    for (uint32_t list = 0; list < ann->list_count; list++)
        keys[list] =
            key_of(simd_ops()->dot(ann->centroids + (size_t)list * d, query->vector, d), list);
    keys_sort(keys, ann->list_count);
    uint32_t probes = query->probes ? query->probes : ann->options.probes;
    for (uint32_t i = 0; i < FR_MIN(probes, ann->list_count); i++)
        list_scan(search, item_of(keys[i]));
}

uint32_t model_ann_search(const struct model_ann *ann, const struct model_ann_query *query,
                          uint32_t *out_items, float *out_scores)
{
    struct search search;
    struct best *best = &search.best;
    search.ann = ann;
    search.chunk.count = best->count = 0;
    best->max = query->exact ? ann->options.rescored : query->best;
    best->bound = -INFINITY;
    tiles_bytes(query->vector, ann->options.dimension, search.q);
    for (uint32_t i = 0; query->lists && i < query->list_count; i++)
        list_scan(&search, query->lists[i]);
    if (!query->lists && ann->list_count > 1)
        probes_scan(&search, query);
    else if (!query->lists)
        list_scan(&search, 0);
    chunk_take(&search.chunk, best);
    best_cut(best);
    if (query->exact)
        best_rescore(query, best);
    uint32_t n = 0;
    for (uint32_t i = 0; i < best->count && n < query->best; i++) {
        uint32_t item = item_of(best->keys[i]);
        if (n && out_items[n - 1] == item) /* moved during the scan: equal exact scores */
            continue;
        out_items[n] = item;
        out_scores[n++] = score_of(best->keys[i]);
    }
    return n;
}
