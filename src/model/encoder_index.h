/* SPDX-License-Identifier: Apache-2.0
 *
 * encoder_index: which items' vectors have the largest product with a query's, among all that the
 * encoder (encoder.h) knows. Holds the Out vectors with their bias as int8 and one scale each
 * (ann.h), updated in place after each step of the encoder.
 *
 * Up to `exact` items all are scanned (64-d: some 5 us a thousand). From then on they move to the lists of an
 * inverted file: k-means once, on a sample (some 20 ms on the fold thread), then a few items a step
 * until all are listed; whoever changes often is listed anew now and then, and draws its centroid
 * after it. A search scans about ENCODER_INDEX_SCAN items, whatever the size of the catalogue.
 *
 * State: which list an item is in, and the centroids, in row tables (saved, hashed). The int8 rows
 * follow from them and from the encoder, and are made again after loading.
 *
 * Thread: take, forget, rebuild: the writer. search: any.
 *
 * Invariants
 *   EI1: an item's int8 row is that of its present Out vector.
 *   EI2: what a search gives depends on the tables alone, not on the order of changes before.
 */
#ifndef MODEL_ENCODER_INDEX_H
#define MODEL_ENCODER_INDEX_H

#include "model/encoder.h"

enum {
    MODEL_ENCODER_INDEX_TABLES = 2,
    MODEL_ENCODER_INDEX_FOUND_MAX = 256,
    ENCODER_INDEX_EXACT = 8192, /* items */
    ENCODER_INDEX_LISTS = 256,
    ENCODER_INDEX_SCAN = 4096, /* items */
};

struct model_encoder_index;
struct model_encoder_index_options {
    struct model_encoder *encoder; /* borrowed, outlives the index */
    uint32_t item_max;
    uint32_t dimension;   /* the encoder's */
    uint32_t exact, scan; /* 0: ENCODER_INDEX_EXACT, ENCODER_INDEX_SCAN */
};

FR_MUST_USE enum fr_status model_encoder_index_new(
    const struct model_encoder_index_options *options, struct fr_error *error,
    struct model_encoder_index **out_index);
void model_encoder_index_free(struct model_encoder_index *index);
/* Its tables, in the order in which they are saved and hashed. */
void model_encoder_index_tables(struct model_encoder_index *index,
                                struct base_rows *out[MODEL_ENCODER_INDEX_TABLES]);

/* Any thread. Memory of the int8 rows, which no table holds. */
size_t model_encoder_index_bytes(const struct model_encoder_index *index);
size_t model_encoder_index_bytes_max(const struct model_encoder_index *index);

/* Writer, after a step of the encoder. */
void model_encoder_index_take(struct model_encoder_index *index);
/* Writer. The item is no longer known. */
void model_encoder_index_forget(struct model_encoder_index *index, uint32_t item);
/* A. After the tables of the index and of the encoder were loaded; FR_CORRUPT when a list is none. */
FR_MUST_USE enum fr_status model_encoder_index_rebuild(struct model_encoder_index *index,
                                                       struct fr_error *error);
/* At most `best` items (<= MODEL_ENCODER_INDEX_FOUND_MAX), best first; gives their number. `vector`:
 * of model_encoder_vector(). */
uint32_t model_encoder_index_search(const struct model_encoder_index *index, const float *vector,
                                    uint32_t best, uint32_t *out_items);

#endif
