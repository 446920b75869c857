/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of experts: order is the order of features in the blend, and stored weights depend on
 * it. Thread: any.
 */
#include "model/model.h"
#include "model/encoder.h"
#include "model/gru.h"
#include "model/ridge.h"
#include "model/sknn.h"

static const struct model_expert *const experts[] = {
    &model_popularity,     &model_cooc,         &model_transition, &model_content,
    &model_encoder_expert, &model_factors,      &model_repeat,     &model_sknn_expert,
    &model_social,         &model_ridge_expert, &model_gru_expert,
};

const struct model_expert *const *model_experts(uint32_t *out_count)
{
    *out_count = (uint32_t)FR_COUNT_OF(experts);
    return experts;
}

const char *model_reason_name(enum model_reason reason)
{
    static const char *const names[MODEL_REASON_COUNT] = {
        [MODEL_REASON_HISTORY] = "history", [MODEL_REASON_NEXT] = "next",
        [MODEL_REASON_POPULAR] = "popular", [MODEL_REASON_TRENDING] = "trending",
        [MODEL_REASON_CONTEXT] = "context", [MODEL_REASON_CONTENT] = "content",
        [MODEL_REASON_NEW] = "new",         [MODEL_REASON_FRIENDS] = "friends",
        [MODEL_REASON_PATTERN] = "pattern",
    };
    return reason < MODEL_REASON_COUNT ? names[reason] : "unknown";
}
