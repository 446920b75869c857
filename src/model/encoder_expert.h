/* SPDX-License-Identifier: Apache-2.0
 *
 * encoder_expert: what the experts that hold an encoder (encoder.h) ask it and tell the blend.
 */
#ifndef MODEL_ENCODER_EXPERT_H
#define MODEL_ENCODER_EXPERT_H

#include "model/encoder.h"
#include "model/model.h"

enum { MODEL_ENCODER_VALUES = 2 + STATE_EXTRA_FIRST, MODEL_ENCODER_VALUE_ROWS = 2048 };

/* The values of a query: the hour, the place in the session, the context. Gives how many. */
uint32_t model_encoder_values(const struct model_query *query, uint32_t out[MODEL_ENCODER_VALUES]);

/* out = ln(1 + 1000 * softmax among the candidates of u . Out[j] + bias_j), zero up to the stride; read in
 * place where the batch says so. */
void model_encoder_shares(const struct model_encoder *encoder, const float *vector,
                          const struct model_batch *batch, float *out);

#endif
