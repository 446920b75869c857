/* SPDX-License-Identifier: Apache-2.0
 *
 * data: readers of the public data sets that the offline benches measure on, found through
 * FRESHET_DATA (see each folder's NOTE.txt for origin and terms; none is part of the project).
 */
#ifndef BENCH_LIB_DATA_H
#define BENCH_LIB_DATA_H

#include "base/base.h"

/* Sequences of item ids >= 1, oldest first; user u owns items[start[u]] .. items[start[u + 1] - 1].
 */
struct data_sequences {
    uint32_t *items;
    size_t *start;
    uint32_t user_count, item_max; /* item_max: largest id + 1 */
};

/* Items' categorical attributes: item j owns values[start[j]] .. values[start[j + 1] - 1], each a
 * dense id below value_max. Zeroed when the set has none. */
struct data_attributes {
    uint32_t *values;
    size_t *start;
    uint32_t item_max, value_max;
};

/* NAME: ml100k, ml1m (file order inside a second; a key != 0 shuffles those), beauty, toys,
 * diginetica-train, diginetica-test. FR_NOT_FOUND with a message on stderr when it is absent. */
enum fr_status data_sequences_load(const char *name, uint64_t tie_key,
                                   struct data_sequences *out_data);
void data_sequences_free(struct data_sequences *data);
enum fr_status data_attributes_load(const char *name, uint32_t item_max,
                                    struct data_attributes *out_data);
void data_attributes_free(struct data_attributes *data);

/* gowalla: LightGCN's split. ml100k-split: 75/25 of each user's ratings by keyed hash. */
enum fr_status data_split_load(const char *name, uint64_t key, struct data_sequences *out_train,
                               struct data_sequences *out_test);

#endif
