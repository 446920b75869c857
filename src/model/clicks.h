/* SPDX-License-Identifier: Apache-2.0
 *
 * clicks: the second stage's experts. Each gives the logit that this user acts on this item here and
 * now; they see only the few candidates that the blend put first. One function,
 * model_clicks_build(), makes an example from (query, candidate) for training and for serving alike:
 *   ctr     interned ids, crosses, counters (features_ctr.h)
 *   input   dense numbers of the above, then the first stage's features of the candidate
 *   ids     user, item, first category, author, item before: what embeddings are kept of
 * What is known of an item by its document: categories, author, and its eight words of the largest TF-IDF
 * (title and text, stemmed) in 1,024 buckets; of a user by his: attributes, as hashes of key and value.
 * The place in the slate is a facet of training only: an event may carry it as the context pair
 * "position"; a request never does, so that the place is not learnt as taste.
 *
 * An expert learns online (ctr), or is deferred (mlp, gbt): it gathers examples in row tables, and
 * whoever drives it (fold/jobs.c; eval at once) starts a job, lets it work, installs its result.
 *
 *   C1: between start() and install() nobody but work() writes what work() reads: its inputs are
 *       frozen by construction, so a job begun again after a restart gives the same bits.
 *   C2: an exact learner's result is a function of its tables at start(); an artefact's is not, and
 *       is installed from the bytes that a record carries.
 *
 * Thread: score and build(writer false) any (R); work the worker; the rest the fold thread (W).
 */
#ifndef MODEL_CLICKS_H
#define MODEL_CLICKS_H

#include "base/buf.h"
#include "model/features_ctr.h"
#include "model/model.h"

enum {
    MODEL_CLICK_SLOTS = 5,
    MODEL_CLICK_INPUT_MAX = MODEL_CTR_DENSE_MAX + MODEL_FEATURES_MAX,
    MODEL_CLICK_FACETS_MAX = 32,
    MODEL_CLICK_ATTRIBUTES = 8, /* of a user's document, its first ones */
    MODEL_CLICK_TABLES_MAX = 16,
    MODEL_CLICK_EXPERTS_MAX = 4,
};

/* ---- examples -------------------------------------------------------------------------------- */

struct model_clicks; /* the feature function and what it remembers */

struct model_clicks_options {
    const struct state *state; /* borrowed */
    uint32_t feature_count;    /* of the first stage */
};
FR_MUST_USE enum fr_status model_clicks_new(const struct model_clicks_options *options,
                                            struct fr_error *error,
                                            struct model_clicks **out_clicks);
void model_clicks_free(struct model_clicks *clicks);
void model_clicks_tables(struct model_clicks *clicks, struct base_rows *out[MODEL_FEATURES_TABLES]);
struct model_features *model_clicks_features(struct model_clicks *clicks);
uint32_t model_clicks_input_count(const struct model_clicks *clicks);
/* Name of an input: of the dense features; NULL for the first stage's (the caller's). */
const char *model_clicks_input_name(const struct model_clicks *clicks, uint32_t i);

struct model_click_example {
    struct model_ctr_row row;
    struct model_ctr_facet facet[MODEL_CLICK_FACETS_MAX];
    struct model_example ctr;
    float input[MODEL_CLICK_INPUT_MAX];
    uint32_t ids[MODEL_CLICK_SLOTS];
    float rate; /* steps are multiplied by it; 1 */
};

/* What an example is made of. event: the one that is learnt (its context, its position), NULL when
 * serving. x: the first stage's features of the candidate, `stride` floats apart. */
struct model_click_source {
    const struct model_query *query;
    uint64_t attribute[MODEL_CLICK_ATTRIBUTES];
    uint32_t attribute_count;
    const struct state_event *event;
    uint32_t item;
    const float *x;
    uint32_t stride;
};
/* R. What all candidates of a query have in common: the query and what the user's document says; the rest
 * stays zero. The arena is left as it was. */
void model_clicks_ask(const struct model_clicks *clicks, const struct model_query *query,
                      struct base_arena *arena, struct model_click_source *out_source);
/* writer: interns ids and counts them; else only finds. The numbers are the same either way. Label
 * and weight stay zero. */
void model_clicks_build(struct model_clicks *clicks, const struct model_click_source *source,
                        bool writer, struct model_click_example *out_example);
/* W. After every expert has learnt from it: the counters. */
void model_clicks_learn(struct model_clicks *clicks, const struct model_click_example *example);

/* ---- experts --------------------------------------------------------------------------------- */

struct model_click_shape {
    struct model_clicks *clicks;        /* borrowed */
    const struct state_options *limits; /* tables are sized by them */
    uint64_t seed;
};

/* Called by work() between two steps: may sleep, so that a job takes its share of a core only.
 * False: give up (nothing is installed then). */
struct model_pace {
    bool (*step)(void *context);
    void *context;
};

struct model_deferred {
    bool artefact; /* C2 */
    /* W. Is there enough to begin? */
    bool (*due)(void *self, uint32_t clock_s);
    uint32_t (*waiting)(void *self); /* R. Examples gathered, not learnt */
    void (*start)(void *self);       /* W. Freezes what was gathered */
    /* The worker. FR_AGAIN: gave up. */
    enum fr_status (*work)(void *self, const struct model_pace *pace, struct fr_error *error);
    uint64_t (*digest)(void *self);        /* of work()'s result; exact learners */
    struct fr_slice (*result)(void *self); /* its bytes; artefacts */
    /* W. The result of work(), or (artefacts) these bytes. FR_CORRUPT, FR_INVALID: refused, nothing
     * changed. */
    enum fr_status (*install)(void *self, struct fr_slice bytes, struct fr_error *error);
};

struct model_click_expert {
    const char *name;
    size_t self_bytes;
    /* Fills in `self`, zeros before; close() frees what it holds, of a half opened one too. */
    enum fr_status (*open)(void *self, const struct model_click_shape *shape,
                           struct fr_error *error);
    void (*close)(void *self);
    uint32_t (*tables)(void *self, struct base_rows *out[MODEL_CLICK_TABLES_MAX]);
    enum fr_status (*rebuild)(void *self, struct fr_error *error); /* after loading; may be NULL */
    /* R. Logits of `count` examples; in_place: on the fold thread. */
    void (*score)(void *self, const struct model_click_example *examples, uint32_t count,
                  bool in_place, float *out_logit);
    /* W. A labelled example, after it was scored. */
    void (*learn)(void *self, const struct model_click_example *example);
    /* W. Ids that this example has just been given start anew; may be NULL. */
    void (*fresh)(void *self, const struct model_click_example *example);
    const struct model_deferred *deferred; /* NULL: learns online */
    uint32_t layers;                       /* that reset_layer() takes */

    /* W. Parameters, all may be NULL. No job may be running. `keep` first sets the present ones aside,
     * `swap` brings back what was set aside. */
    void (*keep)(void *self);
    void (*swap)(void *self);
    enum fr_status (*reset_layer)(void *self, uint32_t layer, struct fr_error *error);
    /* R (check), W (load). Bytes of save(), or an .npz of a Keras model. FR_INVALID, FR_CORRUPT,
     * FR_UNSUPPORTED say what does not fit and where; load changes nothing then. */
    enum fr_status (*check)(void *self, struct fr_slice bytes, struct fr_error *error);
    enum fr_status (*load)(void *self, struct fr_slice bytes, struct fr_error *error);
    enum fr_status (*save)(void *self, struct base_buf *out); /* W, or at rest */
    uint64_t (*steps)(void *self);                            /* R. Learning steps taken */
};
/* An instance, owned by the caller; what open() says, or FR_MEMORY. */
FR_MUST_USE enum fr_status model_click_open(const struct model_click_expert *expert,
                                            const struct model_click_shape *shape,
                                            struct fr_error *error, void **out_self);
/* NULL is fine. */
void model_click_close(const struct model_click_expert *expert, void *self);
/* The table, fixed order. */
const struct model_click_expert *const *model_click_experts(uint32_t *out_count);

extern const struct model_click_expert model_click_ctr; /* click_ctr.c: FTRL, FM, effects, blend */
extern const struct model_click_expert model_click_mlp; /* click_mlp.c: the 128-64-1 network */
extern const struct model_click_expert model_click_gbt; /* click_gbt.c: boosted trees */

#endif
