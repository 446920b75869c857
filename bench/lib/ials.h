/* SPDX-License-Identifier: Apache-2.0
 *
 * ials: implicit alternating least squares (Hu ICDM'08) with the settings of Rendle RecSys'22:
 * frequency-scaled regularisation lambda (|u| + alpha I), sigma .1 / sqrt(d). A peer and a member
 * of the offline blends; batch, in floats, not part of the engine.
 */
#ifndef BENCH_LIB_IALS_H
#define BENCH_LIB_IALS_H

#include "bench/lib/data.h"

struct ials;
struct ials_options {
    uint32_t dimension, epochs;
    float alpha, lambda;
    uint64_t seed;
};

/* by_item: the users of each item. dimension 0 gives NULL. */
struct ials *ials_fit(const struct ials_options *options, const struct data_sequences *by_user,
                      const struct data_sequences *by_item, uint32_t item_count);
void ials_free(struct ials *ials);
/* exp of the scaled scores, so that they read as weights: scores[item_count]. */
void ials_scores(const struct ials *ials, uint32_t user, float *scores);

#endif
