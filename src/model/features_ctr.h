/* SPDX-License-Identifier: Apache-2.0
 *
 * features_ctr: one function from (user, item, context, moment) to the features of the click
 * models, for serving and for learning alike. What it must remember for that (counters, ages, last
 * times) is part of the state.
 *
 * Sparse: a constant, the user, the item, every facet (an attribute value: genre, city, hour ...),
 * and crosses: user x item facet, item x user facet, user facet x item facet, user and item x
 * context facet, and user x item where things repeat. Each is a 64-bit key, interned by
 * model/ids.h. Their value is 1, or a facet's weight, of a cross the product of the weights.
 *
 * Dense: from a counter kept with every interned feature, { n, sum of labels, sum of residuals }:
 *   log-odds of the user and of the item against the whole, shrunk by 5 examples; their residuals
 *   at two shrinkages; per group of crosses (user x genre, item x gender ...) the mean shrunk
 *   residual e / (n + 8), weighted by value; three recency averages of the user's residuals; ages and
 *   ranks; counts.
 * Residual of the user: y - p_item, of the item: y - p_user, of the rest: y - p of both together.
 *
 * Descriptors: what random effects are taken over: of the item for the user's, of the user for the
 * item's; MODEL_CTR_DESCRIPTOR numbers each: 1, log count, log-odds, numbers, hashed facets.
 *
 * A counter halves at `memory` examples, so that it goes on following.
 * Thread: model_features_build() with a row that is only found: any, else the writer.
 */
#ifndef MODEL_FEATURES_CTR_H
#define MODEL_FEATURES_CTR_H

#include "base/base.h"
#include "base/rows.h"
#include "model/ftrl.h"

enum {
    MODEL_CTR_KINDS_MAX = 24,
    MODEL_CTR_FACETS_MAX = 32,  /* of one example; later ones are left out */
    MODEL_CTR_SPARSE_MAX = 256, /* features of one example, crosses included */
    MODEL_CTR_MAIN_MAX = MODEL_CTR_FACETS_MAX + 2,
    MODEL_CTR_DENSE_MAX = 96,
    MODEL_CTR_DESCRIPTOR = 32,
    MODEL_CTR_GROUPS_MAX = 64,
};

enum model_ctr_side { MODEL_CTR_USER, MODEL_CTR_ITEM, MODEL_CTR_CONTEXT };

/* A kind of facet: its name, whose it is, and whether its crosses and its number are used. */
struct model_ctr_kind {
    const char *name; /* static */
    enum model_ctr_side side;
    bool crossed; /* with the other side (a context facet: with user and item) */
    bool numeric; /* `number` of the facet says something: centred, about -1 .. 1 */
};

struct model_ctr_facet {
    uint32_t kind;
    uint64_t value; /* a hash, or a small number */
    float
        number; /* of a numeric kind its number, of another its weight in 0 .. 1; 0 means 1 there */
};

/* One example. */
struct model_ctr_row {
    uint64_t user, item; /* keys: hashes of the ids */
    const struct model_ctr_facet *facets;
    uint32_t facet_count;
    uint32_t now_s;
    float label;  /* 0 or 1; not looked at before learning */
    float weight; /* 1; of the event's type, or one over a propensity */
};

struct model_features_options {
    const struct model_ctr_kind *kinds;
    uint32_t kind_count;
    uint32_t id_max;      /* sparse features kept */
    uint32_t main_max;    /* users, items and facets kept for the factors and the effects */
    uint32_t admit_after; /* of crosses; users, items and facets are admitted at once */
    uint32_t expire_s;
    float memory;     /* examples after which a counter halves; 0 = never */
    bool repeats;     /* the cross user x item */
    bool descriptors; /* of_item and of_user are asked for */
    bool dense_only;  /* facets by themselves are left out: for models without FTRL and factors */
};

struct model_features;

FR_MUST_USE enum fr_status model_features_new(const struct model_features_options *options,
                                              struct fr_error *error,
                                              struct model_features **out_features);
void model_features_free(struct model_features *features);
enum { MODEL_FEATURES_TABLES = 3 };
/* The tables, to be saved and hashed. */
void model_features_tables(struct model_features *features,
                           struct base_rows *out[MODEL_FEATURES_TABLES]);

/* An example's features. Owned by the caller, filled by build. */
struct model_example {
    uint32_t sparse_count, main_count, dense_count, fresh_count;
    struct model_sparse sparse[MODEL_CTR_SPARSE_MAX]; /* ids of the large table: FTRL, counters */
    uint16_t group[MODEL_CTR_SPARSE_MAX];             /* which dense group it speaks for, or 0 */
    struct model_sparse main[MODEL_CTR_MAIN_MAX]; /* user, item, facets: ids of the small table */
    uint64_t main_key[MODEL_CTR_MAIN_MAX];
    bool main_fresh[MODEL_CTR_MAIN_MAX];
    uint16_t fresh[MODEL_CTR_SPARSE_MAX]; /* indices into sparse whose ids are new */
    float dense[MODEL_CTR_DENSE_MAX];
    float of_item[MODEL_CTR_DESCRIPTOR], of_user[MODEL_CTR_DESCRIPTOR];
    float p_user, p_item, p_both; /* what the residuals are taken from */
    float user_sure;              /* n / (n + 10) of the user */
};

/* The features before anything of the row is learnt. writer: interns (fresh ids are marked and must
 * count as unknown for a prediction); else only finds. The numbers are the same either way. */
void model_features_build(struct model_features *features, const struct model_ctr_row *row,
                          bool writer, struct model_example *out_example);
/* Writer, after everything else has learnt from the example: the counters. */
void model_features_learn(struct model_features *features, const struct model_ctr_row *row,
                          const struct model_example *example);

/* How many dense features there are, and each one's name; how many fields `main` has. */
uint32_t model_features_dense_count(const struct model_features *features);
const char *model_features_dense_name(const struct model_features *features, uint32_t i);
uint32_t model_features_field_count(const struct model_features *features); /* of main */
/* Ids of the large and of the small table lie below these. */
uint32_t model_features_id_max(const struct model_features *features);
uint32_t model_features_main_max(const struct model_features *features);

#endif
