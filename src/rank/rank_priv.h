/* SPDX-License-Identifier: Apache-2.0
 *
 * rank, inside: the instance, what scoring leaves behind, the rows of blend and figures.
 */
#ifndef RANK_RANK_PRIV_H
#define RANK_RANK_PRIV_H

#include "model/calibration.h"
#include "model/clicks.h"
#include "model/drift.h"
#include "model/gather.h"
#include "model/word.h"
#include "rank/models.h"
#include "rank/rank.h"

enum { BLEND_GLOBAL = 1, BLEND_FIRST_BUCKET = 2 };

struct blend_row { /* weights of all queries, or what a bucket adds to them */
    float weight[MODEL_FEATURES_MAX];
    float squares[MODEL_FEATURES_MAX]; /* Adagrad: sum of squared gradients */
};

struct figure_row {
    uint64_t scored, hit10, hit20;
    double mrr10, ndcg10;
    double recent_hit10, recent_mrr10, recent_weight; /* fading sums, alpha = .999 */
};

/* Of a model: its role, its job, the evidence about it. */
struct model_row {
    uint32_t role, previous_role;
    uint32_t running, version;
    uint32_t kept, spare;    /* kept: parameters were set aside */
    float weight, squares;   /* second stage: of its logit, and Adagrad's sum */
    float rate, spare_float; /* of its steps */
    uint64_t jobs, refused, started, published, learnt;
    uint64_t judged, hit10, examples;
    struct model_window gain;
    struct model_bins bins;
};
_Static_assert(sizeof(struct model_row) % 8 == 0, "rows are whole words");
static inline float rank__row_weight(const struct model_row *row)
{
    return model_word_load(&row->weight);
}
static inline void rank__row_weight_set(struct model_row *row, float weight)
{
    model_word_store(&row->weight, weight);
}

enum { RANK__COLUMNS = 2 + MODEL_EXPERTS_MAX }; /* blend, popular, experts */

/* What a column's scores alone say of one event (health.c). */
struct rank__alone {
    bool any, top_hit;
    float top; /* softmax probability of its first candidate */
    float loss, auc;
};
struct rank__health {
    struct base_rows *cells, *detectors, *inputs, *head, *alarms;
    bool full; /* this event is looked at closely */
    struct rank__alone alone[RANK__COLUMNS];
};

struct rank_refit;

struct rank {
    struct rank_options options;
    struct state *state;
    const struct model_expert *expert[MODEL_EXPERTS_MAX];
    void *self[MODEL_EXPERTS_MAX];
    uint32_t first_feature[MODEL_EXPERTS_MAX + 1];
    uint32_t expert_count, feature_count;                /* features of the linear blend */
    struct rank_feature feature[MODEL_FEATURES_MAX + 2]; /* and the network's, and the clicks' */
    const struct model_feature *model_feature[MODEL_FEATURES_MAX];
    struct base_rows *blend, *twin, *figures, *network, *network_view;
    struct base_rows *tables[STATE_TABLES_MAX];
    uint32_t table_count;
    struct base_arena arena; /* of rank_learn() */
    float expert_rank[MODEL_EXPERTS_MAX];
    struct rank__health health;

    /* the second stage; click_count 0: there is none */
    struct base_rows *models;
    struct model_clicks *clicks;
    struct model_calibration *click_calibration;
    const struct model_click_expert *click[MODEL_CLICK_EXPERTS_MAX];
    void *click_self[MODEL_CLICK_EXPERTS_MAX];
    uint32_t click_count;
    struct model_click_example *click_examples; /* of the event that is learnt */
    struct rank_refit *refit;                   /* notes what is learnt (refit.h); NULL: nobody */
};

/* One more table to save, load and hash. */
static inline void rank__table_add(struct rank *rank, struct base_rows *table)
{
    FR_ASSERT(rank->table_count < FR_COUNT_OF(rank->tables));
    rank->tables[rank->table_count++] = table;
}

static inline void rank__tables_add(struct rank *rank, struct base_rows *const *tables,
                                    uint32_t count)
{
    for (uint32_t t = 0; t < count; t++)
        rank__table_add(rank, tables[t]);
}

/* What the network computed on its way: a row for each candidate that it saw. */
struct rank_activations {
    bool ready;
    uint32_t *index, count;       /* the candidate of each row */
    float *context, *x, *h1, *h2; /* x: of the features that speak */
    float *out;                   /* [stride] its part of the score */
};

/* Everything about one scored query; arrays in the arena, by candidate index. */
struct rank_scoring {
    struct model_batch batch;
    struct retrieve_candidates candidates;
    struct model_gather *gather;
    float *x;      /* [feature_count + 2][stride]: the network's and the clicks' parts come last */
    float *shadow; /* the same for experts that are shadows; NULL: there are none */
    float *weight; /* [feature_count] */
    float *score;  /* [stride] */
    uint8_t speaking[MODEL_FEATURES_MAX]; /* [speaking_count] features that are not all zero */
    uint32_t speaking_count;
    float *linear; /* [stride] without the network */
    struct rank_activations activations;
};
FR_MUST_USE enum fr_status rank__score(const struct rank *rank, const struct model_query *query,
                                       const struct rank_query_options *options,
                                       struct base_arena *arena, struct rank_scoring *out_scoring);

enum fr_status rank__blend_new(struct rank *rank, struct fr_error *error);
/* The weights of a bucket: global + its own. */
void rank__blend_weights(const struct rank *rank, uint32_t bucket, float *out);
/* step * (softmax(score) - [target]) by candidate, zero up to the stride; the step falls with the
 * target's rank. */
void rank__loss_gradient(const struct model_batch *batch, const float *score, uint32_t target,
                         float *gradient);
/* One step of the linear weights along their own loss. */
void rank__blend_learn(struct rank *rank, const struct rank_scoring *scoring,
                       const float *gradient);

enum fr_status rank__network_new(struct rank *rank, struct fr_error *error);
enum fr_status rank__network_check(const struct rank *rank);
void rank__network_score(const struct rank *rank, struct rank_scoring *scoring);
void rank__network_learn(struct rank *rank, const struct rank_scoring *scoring,
                         const float *gradient, uint64_t position);

/* models.c, clicks.c: see models.h */
enum fr_status rank__models_new(struct rank *rank, struct fr_error *error);
enum rank_role rank__model_role(const struct rank *rank, uint32_t model);
struct model_row *rank__model_row(struct rank *rank, uint32_t model); /* W, for changing it */
enum fr_status rank__clicks_new(struct rank *rank, struct fr_error *error);
void rank__clicks_free(struct rank *rank);
enum fr_status rank__clicks_rebuild(struct rank *rank, struct fr_error *error);
/* A sampled event that was scored, before it is learnt: judges and teaches the second stage. */
void rank__clicks_learn(struct rank *rank, const struct rank_scoring *scoring,
                        const struct state_event *event, int32_t target);
/* Is this exposure or dislike to be scored as well, and then told as one that brought nothing? */
bool rank__clicks_wants(struct rank *rank, const struct state_event *event);
void rank__clicks_refused(struct rank *rank, const struct rank_scoring *scoring,
                          const struct state_event *event, int32_t candidate);
void rank__refit_note(struct rank_refit *refit, const struct model_click_example *example);
/* Adds what the live ones say to the scores of the window; false: none is live. */
bool rank__clicks_rerank(const struct rank *rank, struct rank_scoring *scoring);

enum {
    FIGURE_BLEND = 1,
    FIGURE_POPULARITY = 2,
    FIGURE_FIRST_EXPERT = 3,
    FIGURE_CAUSED = FIGURE_FIRST_EXPERT + MODEL_EXPERTS_MAX,
    FIGURE_ROWS
};
enum fr_status rank__figures_new(struct rank *rank, struct fr_error *error);
void rank__figure_add(struct rank *rank, uint32_t row, float target_rank);
uint64_t rank__figure_scored(const struct rank *rank, uint32_t row);

/* health.c: see health.h. Begin, then each column's scores, then the event. */
enum fr_status rank__health_new(struct rank *rank, struct fr_error *error);
void rank__health_free(struct rank *rank);
void rank__health_begin(struct rank *rank, bool learn, uint64_t position);
void rank__health_alone(struct rank *rank, uint32_t column, const float *score,
                        const struct rank_scoring *scoring, int32_t target);
/* Is a twin on trial; and what one event said of it. */
bool rank__health_on_trial(const struct rank *rank);
void rank__health_trial_add(struct rank *rank, const struct state_event *event, float ahead);
void rank__health_add(struct rank *rank, const struct rank_scoring *scoring,
                      const struct state_event *event, const struct rank_outcome *outcome);
/* A context value's index will be another's: its segment is watched no more. */
void rank__health_forget(struct rank *rank, uint32_t value);
/* What remedies do: a twin of the blend begins, with sums of Adagrad of a sixteenth, so that its steps
 * are four times as long; it takes the blend's place; the network's last layer goes to zero. */
void rank__twin_begin(struct rank *rank);
void rank__twin_take(struct rank *rank);
/* One step of the twin's. Gives by how much the blend's loss of this event is above the twin's (before
 * either learnt it), each among the candidates; 0: no room. */
float rank__twin_learn(struct rank *rank, const struct rank_scoring *scoring, uint32_t target,
                       float weight);
void rank__network_forget(struct rank *rank);

/* 0-based rank of `target` among count scores, ties half. */
float rank__rank_of(const float *score, uint32_t count, uint32_t target);

#endif
