/* SPDX-License-Identifier: Apache-2.0
 *
 * Click expert "mlp": the network of mlp.h (128-64-1) over the click examples: dense numbers, the
 * first stage's features, embeddings of user, item, category, author and the item before. Deferred:
 * examples gather in one half of a table while a job learns the other half.
 *
 * Three networks of one shape:
 *   front     what scores; state. Changed at install() and by acts only
 *   previous  what an act replaced, for the way back; state
 *   back      the worker's own: front as of the job's start, then stepped; not state
 *
 * Table "click_mlp_samples": rows 1 .. HALF and HALF + 1 .. 2 HALF, each { f32 label, weight, rate,
 * u32 clock_s, u32 ids[], f32 input[] }. Meta: [0] which half is being filled, [1] examples in it,
 * [2] examples in the other one, [3] clock of its first example, [4] examples dropped because a job
 * was still running, [5] examples learnt.
 *
 * Cost: an example learnt about 25 us (60 k weights, three passes), scored 4 us.
 */
#include "model/clicks.h"
#include "model/ids.h"
#include "model/mlp.h"

#include <string.h>

enum {
    HALF = 1024, /* a job begins when so many wait, */
    LEAST = 128, /* or so many, when the oldest waits so long: */
    PATIENCE_S = 300,
    DIMENSION = 8,
    BATCH = 32,
    LAYERS = 3, /* 128-64-1 */
};
enum { META_HALF, META_FILLED, META_FROZEN, META_FIRST_S, META_DROPPED, META_LEARNT };

struct sample { /* then ids, then inputs */
    float label, weight, rate;
    uint32_t clock_s;
};

struct expert {
    struct model_mlp *front, *previous, *back;
    struct base_rows *samples;
    uint32_t input_count;
    float rate;      /* of the options */
    uint64_t result; /* digest of back after work() */
};

static const char *const front_names[MODEL_MLP_TABLES] = {"click_mlp_weights", "click_mlp_first",
                                                          "click_mlp_second", "click_mlp_waiting",
                                                          "click_mlp_embeddings"};
static const char *const previous_names[MODEL_MLP_TABLES] = {"click_mlp_old_weights",
                                                             "click_mlp_old_first",
                                                             "click_mlp_old_second",
                                                             "click_mlp_old_waiting",
                                                             "click_mlp_old_embeddings"};

static void expert_close(void *self)
{
    struct expert *expert = self;
    model_mlp_free(expert->front);
    model_mlp_free(expert->previous);
    model_mlp_free(expert->back);
    base_rows_free(expert->samples);
}

static enum fr_status expert_open(void *self, const struct model_click_shape *shape,
                                  struct fr_error *error)
{
    struct expert *expert = self;
    struct model_mlp_options options;
    model_mlp_defaults(&options);
    expert->input_count = model_clicks_input_count(shape->clicks);
    expert->rate = options.rate;
    options.dense = expert->input_count;
    options.slots = MODEL_CLICK_SLOTS;
    options.dim = DIMENSION;
    options.id_max = model_features_main_max(model_clicks_features(shape->clicks));
    options.batch_count = BATCH;
    FR_ASSERT(options.layers == LAYERS);
    options.dropout = 0.1f;
    options.l2 = 1e-6f;
    options.clip = 1.0f;
    options.seed = shape->seed;
    options.names = front_names;
    FR_TRY(model_mlp_new(&options, error, &expert->front));
    options.names = previous_names;
    FR_TRY(model_mlp_new(&options, error, &expert->previous));
    options.names = NULL;
    FR_TRY(model_mlp_new(&options, error, &expert->back));
    size_t bytes = sizeof(struct sample) + MODEL_CLICK_SLOTS * sizeof(uint32_t) +
                   expert->input_count * sizeof(float);
    struct base_rows_options samples = {.name = "click_mlp_samples",
                                        .row_bytes = (uint32_t)((bytes + 7) / 8 * 8),
                                        .count_max = 2 * HALF + 1};
    return base_rows_new(&samples, error, &expert->samples);
}

static uint32_t expert_tables(void *self, struct base_rows *out[MODEL_CLICK_TABLES_MAX])
{
    struct expert *expert = self;
    model_mlp_tables(expert->front, out);
    model_mlp_tables(expert->previous, out + MODEL_MLP_TABLES);
    out[2 * MODEL_MLP_TABLES] = expert->samples;
    return 2 * MODEL_MLP_TABLES + 1;
}

static enum fr_status expert_rebuild(void *self, struct fr_error *error)
{
    struct expert *expert = self;
    const uint64_t *meta = base_rows_meta(expert->samples);
    if (meta[META_HALF] > 1 || meta[META_FILLED] > HALF || meta[META_FROZEN] > HALF)
        return base_fail(error, FR_CORRUPT, "model",
                         "table \"click_mlp_samples\" has %llu and "
                         "%llu examples waiting, %u at most",
                         (unsigned long long)meta[META_FILLED],
                         (unsigned long long)meta[META_FROZEN], HALF);
    (void)model_mlp_publish(expert->front);
    return FR_OK;
}

static void expert_score(void *self, const struct model_click_example *examples, uint32_t count,
                         bool in_place, float *out_logit)
{
    struct expert *expert = self;
    struct model_mlp_view *view = in_place ? NULL : model_mlp_acquire(expert->front);
    for (uint32_t i = 0; i < count; i++) {
        struct model_mlp_input input = {examples[i].input, examples[i].ids, 1};
        if (in_place)
            model_mlp_score(expert->front, input, &out_logit[i]);
        else
            model_mlp_view_score(view, input, &out_logit[i]);
    }
    model_mlp_drop(view);
}

/* ---- gathering ------------------------------------------------------------------------------ */

static void *sample_row(struct expert *expert, uint64_t half, uint64_t i)
{
    uint32_t row = (uint32_t)(1 + half * HALF + i);
    FR_ASSERT(model_rows_reach(expert->samples, row)); /* pages come with use */
    return base_rows_write(expert->samples, row);
}

static void expert_learn(void *self, const struct model_click_example *example)
{
    struct expert *expert = self;
    uint64_t *meta = base_rows_meta(expert->samples);
    if (meta[META_FILLED] == HALF) {
        FR_STORE(meta[META_DROPPED], meta[META_DROPPED] + 1);
        return;
    }
    if (meta[META_FILLED] == 0)
        meta[META_FIRST_S] = example->row.now_s;
    struct sample *sample = sample_row(expert, meta[META_HALF], meta[META_FILLED]);
    *sample =
        (struct sample){example->row.label, example->row.weight, example->rate, example->row.now_s};
    uint32_t *ids = (uint32_t *)(sample + 1);
    memcpy(ids, example->ids, sizeof(example->ids));
    memcpy(ids + MODEL_CLICK_SLOTS, example->input, expert->input_count * sizeof(float));
    FR_STORE(meta[META_FILLED], meta[META_FILLED] + 1);
}

static uint32_t expert_waiting(void *self)
{
    struct expert *expert = self;
    return (uint32_t)FR_LOAD(base_rows_meta(expert->samples)[META_FILLED]);
}

static bool expert_due(void *self, uint32_t clock_s)
{
    struct expert *expert = self;
    const uint64_t *meta = base_rows_meta(expert->samples);
    return meta[META_FILLED] == HALF ||
           (meta[META_FILLED] >= LEAST && clock_s >= meta[META_FIRST_S] + PATIENCE_S);
}

/* ---- the job -------------------------------------------------------------------------------- */

static void expert_start(void *self)
{
    struct expert *expert = self;
    uint64_t *meta = base_rows_meta(expert->samples);
    meta[META_HALF] ^= 1;
    meta[META_FROZEN] = meta[META_FILLED];
    FR_STORE(meta[META_FILLED], 0);
}

static enum fr_status expert_work(void *self, const struct model_pace *pace, struct fr_error *error)
{
    struct expert *expert = self;
    const uint64_t *meta = base_rows_meta(expert->samples);
    uint64_t half = meta[META_HALF] ^ 1, count = meta[META_FROZEN];
    (void)error;
    model_mlp_copy(expert->back, expert->front);
    for (uint64_t i = 0; i < count; i++) {
        const struct sample *sample =
            base_rows_at(expert->samples, (uint32_t)(1 + half * HALF + i));
        const uint32_t *ids = (const uint32_t *)(sample + 1);
        struct model_mlp_input input = {(const float *)(ids + MODEL_CLICK_SLOTS), ids, 1};
        struct model_mlp_target target = {.label = sample->label,
                                          .weight = sample->weight,
                                          .now_s = sample->clock_s};
        model_mlp_set_rate(expert->back, expert->rate * sample->rate);
        if (model_mlp_learn(expert->back, input, target) && pace && !pace->step(pace->context))
            return FR_AGAIN;
    }
    (void)model_mlp_step(expert->back);
    expert->result = model_mlp_digest(expert->back);
    return FR_OK;
}

static uint64_t expert_digest(void *self)
{
    const struct expert *expert = self;
    return expert->result;
}

static enum fr_status expert_install(void *self, struct fr_slice bytes, struct fr_error *error)
{
    struct expert *expert = self;
    (void)bytes;
    uint64_t *meta = base_rows_meta(expert->samples);
    FR_STORE(meta[META_LEARNT], meta[META_LEARNT] + meta[META_FROZEN]);
    meta[META_FROZEN] = 0;
    if (!model_mlp_is_finite(expert->back))
        return base_fail(error, FR_INVALID, "model",
                         "the network's new weights are not finite; the old ones stay");
    model_mlp_copy(expert->front, expert->back);
    (void)model_mlp_publish(expert->front);
    return FR_OK;
}

static const struct model_deferred deferred = {
    .due = expert_due,
    .waiting = expert_waiting,
    .start = expert_start,
    .work = expert_work,
    .digest = expert_digest,
    .install = expert_install,
};

/* ---- acts ----------------------------------------------------------------------------------- */

static void expert_keep(void *self)
{
    struct expert *expert = self;
    model_mlp_copy(expert->previous, expert->front);
}

static void expert_swap(void *self)
{
    struct expert *expert = self;
    model_mlp_copy(expert->back, expert->front);
    model_mlp_copy(expert->front, expert->previous);
    model_mlp_copy(expert->previous, expert->back);
    (void)model_mlp_publish(expert->front);
}

static enum fr_status expert_reset_layer(void *self, uint32_t layer, struct fr_error *error)
{
    struct expert *expert = self;
    if (layer >= LAYERS)
        return base_fail(error, FR_INVALID, "model", "the network has layers 0 to %u", LAYERS - 1);
    model_mlp_reset_layer(expert->front, layer);
    (void)model_mlp_publish(expert->front);
    return FR_OK;
}

static enum fr_status expert_check(void *self, struct fr_slice bytes, struct fr_error *error)
{
    struct expert *expert = self;
    return model_mlp_is_saved(bytes) ? model_mlp_check(expert->front, bytes, error)
                                     : model_mlp_check_npz(expert->front, bytes, error);
}

static enum fr_status expert_load(void *self, struct fr_slice bytes, struct fr_error *error)
{
    struct expert *expert = self;
    FR_TRY(model_mlp_is_saved(bytes) ? model_mlp_load(expert->front, bytes, error)
                                     : model_mlp_import_npz(expert->front, bytes, error));
    (void)model_mlp_publish(expert->front);
    return FR_OK;
}

static enum fr_status expert_save(void *self, struct base_buf *out)
{
    struct expert *expert = self;
    return model_mlp_save(expert->front, out);
}

static uint64_t expert_steps(void *self)
{
    struct expert *expert = self;
    return model_mlp_steps(expert->front);
}

const struct model_click_expert model_click_mlp = {
    .name = "mlp",
    .self_bytes = sizeof(struct expert),
    .open = expert_open,
    .close = expert_close,
    .tables = expert_tables,
    .rebuild = expert_rebuild,
    .score = expert_score,
    .learn = expert_learn,
    .deferred = &deferred,
    .layers = LAYERS,
    .keep = expert_keep,
    .swap = expert_swap,
    .reset_layer = expert_reset_layer,
    .check = expert_check,
    .load = expert_load,
    .save = expert_save,
    .steps = expert_steps,
};
