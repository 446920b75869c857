/* SPDX-License-Identifier: Apache-2.0
 *
 * encoder_index: see the door. Row layouts (saved):
 *   place     u32 list + 1 (0: not indexed), changes         one an item
 *   centroid  float vector[d + 1], pad                       one a list but list 0
 * List 0 holds what has not been listed: everything until k-means has run.
 */
#include "model/encoder_index.h"

#include "model/ann.h"
#include "model/pick.h"
#include "model/tiles.h"

#include <stdlib.h>
#include <string.h>

enum { PLACE, CENTROID };
enum { META_LISTED, META_CURSOR }; /* of the places: k-means has run; the next item to list */
enum {
    SAMPLE = 4096,
    ROUNDS = 6,
    CHANGES = 16, /* an item is listed anew at every so many changes, and at powers of two before */
    LISTED_A_STEP = 32,
    WIDTH = MODEL_ENCODER_DIMENSION_MAX + 16,
};

struct place {
    uint32_t list; /* + 1 */
    uint32_t changes;
};

struct model_encoder_index {
    struct model_encoder_index_options options;
    struct base_rows *tables[MODEL_ENCODER_INDEX_TABLES];
    struct model_ann *ann;
    uint32_t width;  /* of a vector: dimension + 1 */
    uint32_t listed; /* META_LISTED for readers */
    float *sums;     /* scratch of k-means */
    struct coarse *coarse;
};

/* The centroids as int8, by list - 1, made from their rows: what searching and listing compare with. */
struct coarse {
    int8_t tiles[ENCODER_INDEX_LISTS * WIDTH];
    float scale[ENCODER_INDEX_LISTS];
    float half[ENCODER_INDEX_LISTS]; /* half of the squared length; the writer's */
};
_Static_assert(ENCODER_INDEX_LISTS % SIMD_TILE_I8 == 0, "whole tiles");

enum fr_status model_encoder_index_new(const struct model_encoder_index_options *options,
                                       struct fr_error *error,
                                       struct model_encoder_index **out_index)
{
    struct model_encoder_index *index = calloc(1, sizeof(*index));
    if (!index)
        return base_fail(error, FR_MEMORY, "model", "no memory for the index of vectors");
    index->options = *options;
    index->options.exact = options->exact ? options->exact : (uint32_t)ENCODER_INDEX_EXACT;
    index->options.scan = options->scan ? options->scan : (uint32_t)ENCODER_INDEX_SCAN;
    index->width = options->dimension + 1;
    index->sums = calloc((size_t)ENCODER_INDEX_LISTS * index->width, sizeof(float));
    index->coarse = calloc(1, sizeof(*index->coarse));
    const uint32_t bytes = (index->width + 15u) / 16 * 16 * sizeof(float);
    const struct base_rows_options place = {"encoder-place", sizeof(struct place),
                                            options->item_max};
    const struct base_rows_options centroid = {"encoder-centroid", bytes, ENCODER_INDEX_LISTS + 1};
    struct model_ann_options ann;
    model_ann_defaults(&ann);
    ann.item_max = options->item_max;
    ann.dimension = index->width;
    if (options->item_max > index->options.exact) /* else nothing will ever be listed */
        ann.lists = ENCODER_INDEX_LISTS + 1;
    ann.rescored = MODEL_ENCODER_INDEX_FOUND_MAX;
    enum fr_status status = index->sums && index->coarse ? FR_OK : FR_MEMORY;
    if (status == FR_OK)
        status = base_rows_new(&place, error, &index->tables[PLACE]);
    if (status == FR_OK)
        status = base_rows_new(&centroid, error, &index->tables[CENTROID]);
    if (status == FR_OK)
        status = model_ann_new(&ann, error, &index->ann);
    if (status != FR_OK) {
        model_encoder_index_free(index);
        return status;
    }
    *out_index = index;
    return FR_OK;
}

void model_encoder_index_free(struct model_encoder_index *index)
{
    if (!index)
        return;
    for (uint32_t t = 0; t < MODEL_ENCODER_INDEX_TABLES; t++)
        base_rows_free(index->tables[t]);
    model_ann_free(index->ann);
    free(index->sums);
    free(index->coarse);
    free(index);
}

void model_encoder_index_tables(struct model_encoder_index *index,
                                struct base_rows *out[MODEL_ENCODER_INDEX_TABLES])
{
    memcpy(out, index->tables, sizeof(index->tables));
}

/* ---- lists ---------------------------------------------------------------------------------- */

/* By list - 1: the centroids' products with the vector, near enough. */
static void coarse_products(const struct model_encoder_index *index, const float *vector,
                            float out[ENCODER_INDEX_LISTS])
{
    const struct coarse *coarse = index->coarse;
    const struct simd_ops *simd = simd_ops();
    int8_t bytes[WIDTH];
    int32_t dots[ENCODER_INDEX_LISTS];
    float scale = tiles_bytes(vector, index->width, bytes);
    simd->scan_i8(&(struct simd_scan_i8){bytes, coarse->tiles, tiles_width(index->width),
                                         ENCODER_INDEX_LISTS / SIMD_TILE_I8},
                  dots);
    float by[ENCODER_INDEX_LISTS];
    base_rows_copy(by, coarse->scale, sizeof(by));
    for (uint32_t i = 0; i < ENCODER_INDEX_LISTS; i += 4) {
        ivec4 four;
        memcpy(&four, dots + i, sizeof(four));
        vec4_store(out + i, __builtin_convertvector(four, vec4) * (vec4_load(by + i) * scale));
    }
}

/* The writer's: the list 1 .. ENCODER_INDEX_LISTS whose centroid is nearest: |c - v|^2 is least where
 * c . v - |c|^2 / 2 is largest. */
static uint32_t nearest(const struct model_encoder_index *index, const float *vector)
{
    float product[ENCODER_INDEX_LISTS], most = -1e30f;
    uint32_t best = 1;
    coarse_products(index, vector, product);
    for (uint32_t i = 0; i < ENCODER_INDEX_LISTS; i++) {
        float value = product[i] - index->coarse->half[i];
        best = value > most ? i + 1 : best;
        most = FR_MAX(most, value);
    }
    return best;
}

/* The centroid's int8 row follows. */
static void coarse_put(struct model_encoder_index *index, uint32_t list)
{
    struct coarse *coarse = index->coarse;
    const float *row = base_rows_at(index->tables[CENTROID], list);
    uint32_t width = tiles_width(index->width), at = list - 1;
    int8_t bytes[WIDTH];
    float scale = tiles_bytes(row, index->width, bytes);
    int8_t *tile = coarse->tiles + (size_t)(at / SIMD_TILE_I8) * SIMD_TILE_I8 * width;
    tiles_put(tile, at % SIMD_TILE_I8, bytes, width);
    base_rows_put(&coarse->scale[at], &scale, sizeof(scale));
    coarse->half[at] = 0.5f * simd_ops()->dot(row, row, index->width);
}

static void centroid_put(struct model_encoder_index *index, uint32_t list, const float *vector)
{
    base_rows_put(base_rows_write(index->tables[CENTROID], list), vector,
                  index->width * sizeof(float));
    coarse_put(index, list);
}

/* The centroid follows those who come. */
static void follow(struct model_encoder_index *index, uint32_t list, const float *vector)
{
    const float *row = base_rows_at(index->tables[CENTROID], list);
    float moved[WIDTH];
    for (uint32_t k = 0; k < index->width; k++)
        moved[k] = row[k] + (vector[k] - row[k]) * (1.0f / 128.0f);
    centroid_put(index, list, moved);
}

/* One round of k-means over every `stride`-th item. */
static void kmeans_round(struct model_encoder_index *index, uint32_t stride)
{
    uint32_t sizes[ENCODER_INDEX_LISTS + 1] = {0};
    uint32_t count = base_rows_count(index->tables[PLACE]), width = index->width;
    float vector[WIDTH];
    memset(index->sums, 0, (size_t)ENCODER_INDEX_LISTS * width * sizeof(float));
    for (uint32_t item = 1; item < count; item += stride) {
        if (!model_encoder_item(index->options.encoder, item, vector))
            continue;
        uint32_t list = nearest(index, vector);
        simd_ops()->axpy(index->sums + (size_t)(list - 1) * width, 1.0f, vector, width);
        sizes[list]++;
    }
    for (uint32_t list = 1; list <= ENCODER_INDEX_LISTS; list++) {
        float *sum = index->sums + (size_t)(list - 1) * width;
        for (uint32_t k = 0; k < width && sizes[list]; k++)
            sum[k] /= (float)sizes[list];
        if (sizes[list])
            centroid_put(index, list, sum);
    }
}

/* Centroids from a sample, begun at items spread over it. */
static void lists_make(struct model_encoder_index *index)
{
    uint32_t count = base_rows_count(index->tables[PLACE]);
    float vector[WIDTH];
    while (base_rows_count(index->tables[CENTROID]) <= ENCODER_INDEX_LISTS)
        if (!base_rows_add(index->tables[CENTROID]))
            return;
    for (uint32_t list = 1; list <= ENCODER_INDEX_LISTS; list++) {
        uint32_t item = 1 + (uint32_t)((uint64_t)(list - 1) * (count - 1) / ENCODER_INDEX_LISTS);
        while (item < count && !model_encoder_item(index->options.encoder, item, vector))
            item++;
        if (item < count)
            centroid_put(index, list, vector);
    }
    for (uint32_t round = 0; round < ROUNDS; round++)
        kmeans_round(index, 1 + count / SAMPLE);
    uint64_t *meta = base_rows_meta(index->tables[PLACE]);
    meta[META_LISTED] = 1;
    meta[META_CURSOR] = 1;
    FR_STORE(index->listed, 1);
}

/* ---- writing -------------------------------------------------------------------------------- */

static struct place *place_of(struct model_encoder_index *index, uint32_t item)
{
    while (base_rows_count(index->tables[PLACE]) <= item)
        if (!base_rows_add(index->tables[PLACE]))
            return NULL;
    return base_rows_write(index->tables[PLACE], item);
}

static bool is_due(uint32_t changes)
{
    return changes % CHANGES == 0 || (changes & (changes - 1)) == 0;
}

static void item_put(struct model_encoder_index *index, uint32_t item)
{
    float vector[WIDTH];
    struct place *place = place_of(index, item);
    if (!place || !model_encoder_item(index->options.encoder, item, vector))
        return;
    uint32_t list = place->list ? place->list - 1 : 0;
    if (index->listed && (!list || is_due(++place->changes))) {
        list = nearest(index, vector);
        follow(index, list, vector);
    }
    place->list = list + 1;
    fr_ignore(model_ann_put_in(index->ann, item, vector, list), "an item beyond the table");
}

void model_encoder_index_take(struct model_encoder_index *index)
{
    const uint32_t *items;
    uint32_t count = model_encoder_changed(index->options.encoder, &items);
    for (uint32_t i = 0; i < count; i++)
        item_put(index, items[i]);
    if (!index->listed && model_ann_count(index->ann) >= index->options.exact)
        lists_make(index);
    if (!index->listed)
        return;
    uint64_t *meta = base_rows_meta(index->tables[PLACE]);
    uint64_t end =
        FR_MIN(meta[META_CURSOR] + LISTED_A_STEP, (uint64_t)base_rows_count(index->tables[PLACE]));
    for (; meta[META_CURSOR] < end; meta[META_CURSOR]++) {
        const struct place *place = base_rows_at(index->tables[PLACE], (uint32_t)meta[META_CURSOR]);
        if (place->list == 1)
            item_put(index, (uint32_t)meta[META_CURSOR]);
    }
}

size_t model_encoder_index_bytes(const struct model_encoder_index *index)
{
    return model_ann_bytes(index->ann);
}

size_t model_encoder_index_bytes_max(const struct model_encoder_index *index)
{
    return model_ann_bytes_max(index->ann);
}

void model_encoder_index_forget(struct model_encoder_index *index, uint32_t item)
{
    if (item >= base_rows_count(index->tables[PLACE]))
        return;
    memset(base_rows_write(index->tables[PLACE], item), 0, sizeof(struct place));
    model_ann_remove(index->ann, item);
}

enum fr_status model_encoder_index_rebuild(struct model_encoder_index *index,
                                           struct fr_error *error)
{
    uint32_t count = base_rows_count(index->tables[PLACE]);
    float vector[WIDTH];
    FR_STORE(index->listed, (uint32_t)base_rows_meta(index->tables[PLACE])[META_LISTED]);
    for (uint32_t item = 1; item < index->options.item_max; item++)
        model_ann_remove(index->ann, item);
    if (index->listed && base_rows_count(index->tables[CENTROID]) != ENCODER_INDEX_LISTS + 1)
        return base_fail(error, FR_CORRUPT, "model", "the index of vectors has no centroids");
    for (uint32_t list = 1; index->listed && list <= ENCODER_INDEX_LISTS; list++)
        coarse_put(index, list);
    for (uint32_t item = 1; item < count; item++) {
        const struct place *place = base_rows_at(index->tables[PLACE], item);
        if (place->list > ENCODER_INDEX_LISTS + 1)
            return base_fail(error, FR_CORRUPT, "model", "item %u is in list %u", item,
                             place->list);
        if (place->list && model_encoder_item(index->options.encoder, item, vector))
            FR_TRY(model_ann_put_in(index->ann, item, vector, place->list - 1));
    }
    return FR_OK;
}

/* ---- searching ------------------------------------------------------------------------------ */

/* List 0, and those with the largest product, as many as hold about `scan` items: what reaches the
 * last of them; of equal ones the first. */
static uint32_t lists_of(const struct model_encoder_index *index, const float *query,
                         uint32_t lists[ENCODER_INDEX_LISTS + 1])
{
    float product[ENCODER_INDEX_LISTS];
    int32_t key[ENCODER_INDEX_LISTS];
    uint32_t n = 0;
    uint64_t wanted = (uint64_t)index->options.scan * ENCODER_INDEX_LISTS;
    uint32_t probes = (uint32_t)(wanted / FR_MAX(model_ann_count(index->ann), 1u));
    probes = FR_MIN(FR_MAX(probes, 1u), (uint32_t)ENCODER_INDEX_LISTS);
    coarse_products(index, query, product);
    for (uint32_t i = 0; i < ENCODER_INDEX_LISTS; i++)
        key[i] = pick_key(product[i]);
    const int32_t last = pick_kth(key, ENCODER_INDEX_LISTS, probes, 0);
    for (uint32_t i = 0; i < ENCODER_INDEX_LISTS; i++)
        if (key[i] > last)
            lists[n++] = i + 1;
    for (uint32_t i = 0; i < ENCODER_INDEX_LISTS && n < probes; i++)
        if (key[i] == last)
            lists[n++] = i + 1;
    lists[n++] = 0;
    return n;
}

uint32_t model_encoder_index_search(const struct model_encoder_index *index, const float *vector,
                                    uint32_t best, uint32_t *out_items)
{
    float query[WIDTH], scores[MODEL_ENCODER_INDEX_FOUND_MAX];
    uint32_t lists[ENCODER_INDEX_LISTS + 1] = {0}, count = 1;
    FR_ASSERT(best <= MODEL_ENCODER_INDEX_FOUND_MAX);
    memcpy(query, vector, index->options.dimension * sizeof(float));
    query[index->options.dimension] = 1.0f; /* the bias's */
    if (FR_LOAD(index->listed))
        count = lists_of(index, query, lists);
    const struct model_ann_query asked = {.vector = query,
                                          .best = best,
                                          .lists = lists,
                                          .list_count = count};
    return model_ann_search(index->ann, &asked, out_items, scores);
}
