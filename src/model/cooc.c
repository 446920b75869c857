/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "cooc": windowed, distance-weighted co-counts of the history with the candidate
 * ("seq-cooc"), with the query's visits weighted by recency (.6 and .8 a step side by side), both
 * ways and forward only. Feature = ln(1 + share / 1e-4): share = sum / norm of the gather, so
 * "because you viewed X" has the exact share of visit X in the sum. Sources: docs/PAPERS.md
 * (Deshpande & Karypis 2004, SR). No parameters of its own.
 */
#include "model/gather.h"
#include "model/vec.h"

enum { C_SEQ_6, C_SEQ_8, C_FORWARD_LAST, C_FORWARD_8, C_NEAR_6, C_NEAR_LAST, C_SEQ_95, C_COUNT };

static const struct model_feature features[C_COUNT] = {
    [C_SEQ_6] = {"seq_6", MODEL_REASON_HISTORY, 0.3f, MODEL_SUM_SEQ_6, -1},
    [C_SEQ_8] = {"seq_8", MODEL_REASON_HISTORY, 0.6f, MODEL_SUM_SEQ_8, -1},
    [C_FORWARD_LAST] = {"forward_last", MODEL_REASON_HISTORY, 0.1f, MODEL_SUM_FORWARD_LAST, -1},
    [C_FORWARD_8] = {"forward_8", MODEL_REASON_HISTORY, 0.2f, MODEL_SUM_FORWARD_8, -1},
    [C_NEAR_6] = {"near_6", MODEL_REASON_HISTORY, 0.2f, MODEL_SUM_NEAR_6, -1},
    [C_NEAR_LAST] = {"near_last", MODEL_REASON_HISTORY, 0.05f, MODEL_SUM_NEAR_LAST, -1},
    [C_SEQ_95] = {"seq_95", MODEL_REASON_HISTORY, 0.1f, MODEL_SUM_SEQ_95, -1},
};

static void score(void *self, const struct model_batch *batch, float *out)
{
    (void)self;
    for (uint32_t f = 0; f < C_COUNT; f++) {
        uint32_t sum = (uint32_t)features[f].sum;
        vec_log1(batch->sum + sum * batch->stride, 1e4f / (batch->gather->norm[sum] + 1.0f),
                 out + f * batch->stride, batch->stride);
    }
}

const struct model_expert model_cooc = {
    .name = "cooc",
    .features = features,
    .feature_count = C_COUNT,
    .score = score,
};
