/* SPDX-License-Identifier: Apache-2.0
 *
 * deep_lookup: item -> candidate of a batch, for experts whose own rows name items. Open addressing
 * in the arena, a quarter full. Thread: any.
 */
#ifndef MODEL_DEEP_LOOKUP_H
#define MODEL_DEEP_LOOKUP_H

#include "model/model.h"
#include "model/vec.h"

struct model_deep_lookup {
    uint32_t *slots; /* candidate + 1 */
    const uint32_t *item;
    uint32_t mask;
};

/* False: the arena overflowed. */
static inline bool model_deep_lookup_init(struct model_deep_lookup *lookup,
                                          const struct model_batch *batch)
{
    uint32_t size = 64;
    while (size < 4 * batch->count)
        size *= 2;
    lookup->slots = base_arena_zalloc(batch->arena, size * sizeof(*lookup->slots));
    lookup->item = batch->item;
    lookup->mask = size - 1;
    if (!lookup->slots)
        return false;
    for (uint32_t c = 0; c < batch->count; c++) {
        uint32_t at = batch->item[c] * 0x9e3779b1u >> 8;
        while (lookup->slots[at & lookup->mask])
            at++;
        lookup->slots[at & lookup->mask] = c + 1;
    }
    return true;
}

/* The item's candidate, or -1. */
static inline int32_t model_deep_lookup_find(const struct model_deep_lookup *lookup, uint32_t item)
{
    for (uint32_t at = item * 0x9e3779b1u >> 8;; at++) {
        uint32_t slot = lookup->slots[at & lookup->mask];
        if (!slot || lookup->item[slot - 1] == item)
            return (int32_t)slot - 1;
    }
}

/* What is told to the blend: ln(1 + 1000 * share of the batch's positive scores). */
static inline void model_deep_shares(float *scores, uint32_t count, uint32_t stride)
{
    float sum = 0.0f;
    for (uint32_t c = 0; c < count; c++) {
        scores[c] = scores[c] > 0.0f ? scores[c] : 0.0f;
        sum += scores[c];
    }
    for (uint32_t c = count; c < stride; c++)
        scores[c] = 0.0f;
    if (sum > 0.0f)
        vec_log1(scores, 1e3f / sum, scores, stride);
}

#endif
