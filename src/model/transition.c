/* SPDX-License-Identifier: Apache-2.0
 *
 * Expert "transition": what follows in the same session just now. Next item after the last one and
 * after the session's items (half-life 17 min), what shares sessions with them (2.3 h), and the
 * same from the user's earlier sessions. Feature = ln(1 + 1000 * share), the share shrunk by a few
 * events of nothing, so that thin evidence says little. No parameters of its own.
 */
#include "model/gather.h"
#include "model/vec.h"

enum { T_NEXT_LAST, T_NEXT_SESSION, T_SESSION, T_EARLIER, T_COUNT };

static const struct model_feature features[T_COUNT] = {
    [T_NEXT_LAST] = {"next_last", MODEL_REASON_NEXT, 0.3f, MODEL_SUM_NEXT_LAST, -1},
    [T_NEXT_SESSION] = {"next_session", MODEL_REASON_NEXT, 0.1f, MODEL_SUM_NEXT_SESSION, -1},
    [T_SESSION] = {"session", MODEL_REASON_HISTORY, 0.2f, MODEL_SUM_SESSION, -1},
    [T_EARLIER] = {"earlier", MODEL_REASON_HISTORY, 0.1f, MODEL_SUM_EARLIER, -1},
};
static const float shrink[T_COUNT] = {4.0f, 2.0f, 2.0f, 2.0f};

static void score(void *self, const struct model_batch *batch, float *out)
{
    (void)self;
    for (uint32_t f = 0; f < T_COUNT; f++) {
        uint32_t sum = (uint32_t)features[f].sum;
        vec_log1(batch->sum + sum * batch->stride, 1e3f / (batch->gather->norm[sum] + shrink[f]),
                 out + f * batch->stride, batch->stride);
    }
}

const struct model_expert model_transition = {
    .name = "transition",
    .features = features,
    .feature_count = T_COUNT,
    .score = score,
};
