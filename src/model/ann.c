/* SPDX-License-Identifier: Apache-2.0
 *
 * ann: see the door.
 */
#include "model/ann.h"

#include "base/hash.h"
#include "model/vec.h"
#include "simd/simd.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_ROWS 64
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
    uint32_t width;      /* bytes a row: the dimension rounded up to 16 */
    uint32_t list_count; /* at least one */
    float *centroids;    /* list_count x dimension */
    uint32_t *heads;     /* first block of each list, NONE when empty */
    struct block *blocks;
    int8_t *rows;                               /* block_max x BLOCK_ROWS x width */
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
    ann->width = (o->dimension + 15) & ~15u;
    ann->list_count = FR_MAX(o->lists, 1u);
    ann->block_max = o->item_max / BLOCK_ROWS + ann->list_count + 1;
    ann->free_block = NONE;
    ann->centroids = calloc((size_t)ann->list_count * o->dimension, sizeof(float));
    ann->heads = malloc(ann->list_count * sizeof(uint32_t));
    ann->blocks = calloc(ann->block_max, sizeof(*ann->blocks));
    ann->rows = calloc((size_t)ann->block_max * BLOCK_ROWS, ann->width);
    ann->place = calloc(o->item_max, sizeof(uint32_t));
    ann->list_of = calloc(o->item_max, sizeof(uint32_t));
    if (!ann->centroids || !ann->heads || !ann->blocks || !ann->rows || !ann->place ||
        !ann->list_of) {
        model_ann_free(ann);
        return base_fail(error, FR_MEMORY, "model", "no memory for an index of %u items",
                         o->item_max);
    }
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
    free(ann->rows);
    free(ann->place);
    free(ann->list_of);
    free(ann);
}

uint32_t model_ann_count(const struct model_ann *ann)
{
    return FR_LOAD(ann->count);
}

size_t model_ann_bytes(const struct model_ann *ann)
{
    return ann->block_used * (sizeof(struct block) + (size_t)BLOCK_ROWS * ann->width) +
           (size_t)ann->options.item_max * 8 +
           (size_t)ann->list_count * ann->options.dimension * sizeof(float);
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

static int8_t *row_at(const struct model_ann *ann, uint32_t block, uint32_t slot)
{
    return ann->rows + ((size_t)block * BLOCK_ROWS + slot) * ann->width;
}

typedef int8_t bvec4 __attribute__((vector_size(4)));

static int8_t byte_of(float x)
{
    return (int8_t)(x + (x < 0 ? -0.5f : 0.5f));
}

/* The vector in 127ths of its largest element; gives one of those. Four at a time: a step of the
 * learner writes some sixty rows. */
static float bytes_of(const float *vector, uint32_t n, int8_t *out)
{
    const ivec4 sign = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
    ivec4 most = {0}; /* bits of floats >= 0 are ordered as the floats are */
    uint32_t whole = n & ~3u, k = 0;
    for (; k < whole; k += 4) {
        ivec4 bits = (ivec4)vec4_load(vector + k) & ~sign, more = bits > most;
        most = (bits & more) | (most & ~more);
    }
    float lane[4], largest = 1e-20f;
    vec4_store(lane, (vec4)most);
    for (uint32_t l = 0; l < 4; l++)
        largest = FR_MAX(largest, lane[l]);
    for (; k < n; k++)
        largest = FR_MAX(largest, vector[k] < 0 ? -vector[k] : vector[k]);
    float to = 127.0f / largest;
    for (k = 0; k < whole; k += 4) {
        vec4 x = vec4_load(vector + k) * to;
        x += (vec4)(((ivec4)x & sign) | (ivec4)vec4_set(0.5f));
        bvec4 bytes = __builtin_convertvector(__builtin_convertvector(x, ivec4), bvec4);
        memcpy(out + k, &bytes, sizeof(bytes));
    }
    for (; k < n; k++)
        out[k] = byte_of(vector[k] * to);
    return largest / 127.0f;
}

static void row_write(struct model_ann *ann, uint32_t place, const float *vector)
{
    uint32_t block = place / BLOCK_ROWS, slot = place % BLOCK_ROWS;
    float scale = bytes_of(vector, ann->options.dimension, row_at(ann, block, slot));
    __atomic_store(&ann->blocks[block].scales[slot], &scale, __ATOMIC_RELAXED);
}

void model_ann_remove(struct model_ann *ann, uint32_t item)
{
    if (item >= ann->options.item_max || !ann->place[item])
        return;
    uint32_t hole = ann->place[item] - 1, list = ann->list_of[item], b = ann->heads[list];
    struct block *head = &ann->blocks[b];
    uint32_t last = head->count - 1, moved = head->items[last];
    struct block *block = &ann->blocks[hole / BLOCK_ROWS];
    if (moved != item)
        memcpy(row_at(ann, hole / BLOCK_ROWS, hole % BLOCK_ROWS), row_at(ann, b, last), ann->width);
    __atomic_store(&block->scales[hole % BLOCK_ROWS], &head->scales[last], __ATOMIC_RELAXED);
    FR_STORE(block->items[hole % BLOCK_ROWS], moved);
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

/* ---- search -----------------------------------------------------------------------------------
 */

/* The best n so far; a heap whose root is the worst. Ties go to the lower id. */
struct best {
    uint32_t items[MODEL_ANN_FOUND_MAX];
    float scores[MODEL_ANN_FOUND_MAX];
    uint32_t count, max;
};

static bool worse(const struct best *best, uint32_t i, uint32_t k)
{
    return best->scores[i] < best->scores[k] ||
           (best->scores[i] == best->scores[k] && best->items[i] > best->items[k]);
}

static void best_swap(struct best *best, uint32_t i, uint32_t k)
{
    uint32_t item = best->items[i];
    float score = best->scores[i];
    best->items[i] = best->items[k];
    best->scores[i] = best->scores[k];
    best->items[k] = item;
    best->scores[k] = score;
}

static void best_down(struct best *best, uint32_t i, uint32_t n)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && worse(best, child + 1, child))
            child++;
        if (!worse(best, child, i))
            return;
        best_swap(best, i, child);
        i = child;
    }
}

static void best_add(struct best *best, uint32_t item, float score)
{
    if (best->count < best->max) {
        uint32_t i = best->count++;
        best->items[i] = item;
        best->scores[i] = score;
        for (; i && worse(best, i, (i - 1) / 2); i = (i - 1) / 2)
            best_swap(best, i, (i - 1) / 2);
        return;
    }
    if (score < best->scores[0] || (score == best->scores[0] && item >= best->items[0]))
        return;
    best->items[0] = item;
    best->scores[0] = score;
    best_down(best, 0, best->count);
}

/* Best first, in place. */
static void best_sort(struct best *best)
{
    for (uint32_t i = best->count / 2; i-- > 0;)
        best_down(best, i, best->count);
    for (uint32_t n = best->count; n > 1; n--) {
        best_swap(best, 0, n - 1);
        best_down(best, 0, n - 1);
    }
}

static void list_scan(const struct model_ann *ann, uint32_t list, const int8_t *q,
                      struct best *best)
{
    int32_t dots[BLOCK_ROWS];
    uint32_t b = __atomic_load_n(&ann->heads[list], __ATOMIC_ACQUIRE); /* put: release */
    /* a chain that the writer changes under the walk ends or joins another: bounded by the pool */
    for (uint32_t steps = 0; b != NONE && steps < ann->block_max; steps++) {
        const struct block *block = &ann->blocks[b];
        uint32_t count = __atomic_load_n(&block->count, __ATOMIC_ACQUIRE); /* put: release */
        uint32_t next = FR_LOAD(block->next);
        if (next != NONE) {
            __builtin_prefetch(&ann->blocks[next]);
            __builtin_prefetch(row_at(ann, next, 0));
        }
        struct simd_scan_i8 scan = {q, row_at(ann, b, 0), ann->width, ann->width, count};
        simd_ops()->scan_i8(&scan, dots);
        for (uint32_t slot = 0; slot < count; slot++) {
            float scale;
            __atomic_load(&block->scales[slot], &scale, __ATOMIC_RELAXED);
            float score = (float)dots[slot] * scale;
            if (best->count < best->max || score >= best->scores[0])
                best_add(best, FR_LOAD(block->items[slot]), score);
        }
        b = next;
    }
}

static void scan_lists(const struct model_ann *ann, const struct model_ann_query *query,
                       const int8_t *q, struct best *best)
{
    for (uint32_t i = 0; query->lists && i < query->list_count; i++)
        list_scan(ann, query->lists[i], q, best);
    if (query->lists)
        return;
    if (ann->list_count == 1) {
        list_scan(ann, 0, q, best);
        return;
    }
    struct best lists;
    lists.count = 0;
    lists.max = FR_MIN(query->probes ? query->probes : ann->options.probes,
                       FR_MIN(ann->list_count, (uint32_t)MODEL_ANN_FOUND_MAX));
    for (uint32_t list = 0; list < ann->list_count; list++)
        best_add(&lists, list,
                 simd_ops()->dot(ann->centroids + (size_t)list * ann->options.dimension,
                                 query->vector, ann->options.dimension));
    best_sort(&lists);
    for (uint32_t i = 0; i < lists.count; i++)
        list_scan(ann, lists.items[i], q, best);
}

uint32_t model_ann_search(const struct model_ann *ann, const struct model_ann_query *query,
                          uint32_t *out_items, float *out_scores)
{
    int8_t q[MODEL_ANN_DIMENSION_MAX] = {0};
    struct best best;
    best.count = 0;
    best.max = query->exact ? ann->options.rescored : query->best;
    bytes_of(query->vector, ann->options.dimension, q);
    scan_lists(ann, query, q, &best);
    if (query->exact)
        query->exact(query->context, best.items, best.count, best.scores);
    best_sort(&best);
    uint32_t n = 0;
    for (uint32_t i = 0; i < best.count && n < query->best; i++) {
        if (n && out_items[n - 1] == best.items[i]) /* moved during the scan: equal exact scores */
            continue;
        out_items[n] = best.items[i];
        out_scores[n++] = best.scores[i];
    }
    return n;
}
