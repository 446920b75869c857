/* SPDX-License-Identifier: Apache-2.0
 *
 * model_gather: one pass over the neighbour rows of a query's history, shared by the generators
 * (which items?) and the experts (how much?). A slot for every item met; twelve sums a slot:
 *     sum[s] = over visits h: weight[h][s] . counters of the item in h's row
 * and for each sum the same over whole rows (norm), so that sum / norm is a share in [0, 1].
 * Rows stay in the arena: the shares by visit are computed from the very rows that were scored.
 * Thread: any; lives in an arena.
 */
#ifndef MODEL_GATHER_H
#define MODEL_GATHER_H

#include "model/model.h"

enum { MODEL_GATHER_SUMS = 12, MODEL_SCAN_VISITS = 24 };
enum { MODEL_SLOT_SEEN = 1 };

typedef float model_four __attribute__((vector_size(16)));
struct model_sums {
    union {
        model_four four[MODEL_GATHER_SUMS / 4];
        float at[MODEL_GATHER_SUMS];
    };
};

/* What is known of an item: one cache line. */
struct model_slot {
    struct model_sums sum;
    union {
        uint64_t word; /* the three below, so that a slot is found and made by one load and store */
        struct {
            uint32_t item;
            uint16_t generators;
            uint16_t flags; /* MODEL_SLOT_* */
        };
    };
    uint64_t spare;
};

struct model_visit_row {
    bool any;
    struct state_row_hint hint;
    struct state_row row;
    float weight[STATE_ROW_COUNTERS][MODEL_GATHER_SUMS]; /* the counter's scale included */
};

struct model_gather {
    uint16_t *table; /* open addressing: the slot; 0 = empty */
    uint32_t mask;
    uint32_t count, count_max;
    struct model_slot *slot; /* 1 .. count; slot 0 is none's and stays zero */
    float norm[MODEL_GATHER_SUMS];
    uint32_t visit_count;
    struct model_visit_row *visit;       /* [visit_count] */
    const struct state_follows *follows; /* NULL: the user follows nobody */
};

/* NULL: the arena overflowed. Seen items get their slots first, marked. */
struct model_gather *model_gather_run(const struct state *state, const struct model_query *query,
                                      struct base_arena *arena, bool in_place);

static inline uint32_t model_gather_home(const struct model_gather *gather, uint32_t item)
{
    return (item * 0x9e3779b1u) >> 8 & gather->mask;
}
/* The item's slot, or 0. */
static inline uint32_t model_gather_find(const struct model_gather *gather, uint32_t item)
{
    uint32_t at = model_gather_home(gather, item);
    while (gather->table[at] && gather->slot[gather->table[at]].item != item)
        at = (at + 1) & gather->mask;
    return gather->table[at];
}
/* The item's slot, made if need be; 0 when there is no room. */
uint32_t model_gather_slot(struct model_gather *gather, uint32_t item);

/* The share of one visit in an item's sum. */
float model_gather_part(const struct model_gather *gather, uint32_t visit, uint32_t sum,
                        uint32_t item);

/* The same for many items and all sums: out[i * visit_count + v] holds what
 * visit v puts into the sums of item[i], zero where it says nothing. At most MODEL_PARTS_MAX items,
 * no item twice. NULL: the arena overflowed. */
enum { MODEL_PARTS_MAX = 128 };
struct model_sums *model_gather_parts(const struct model_gather *gather, const uint32_t *item,
                                      uint32_t count, struct base_arena *arena);

/* Where the sums of the candidates go: sum[enum model_sum][stride]. */
struct model_candidates {
    const uint32_t *item;
    uint32_t count, stride;
    float *sum;
};
/* Fills the sums of contexts (MODEL_SUM_DEVICE and on). */
void model_gather_contexts(const struct state *state, const struct model_query *query,
                           struct base_arena *arena, bool in_place,
                           const struct model_candidates *candidates);

#endif
