/* SPDX-License-Identifier: Apache-2.0
 *
 * Click expert "ctr": the online ensemble of ctr.h (Bayesian base, random effects, FTRL, factors,
 * blend) over the shared click features. Learns each example as it comes.
 * Cost: 6 us an example learnt, 3 us scored.
 */
#include "model/clicks.h"
#include "model/ctr.h"

struct expert {
    struct model_ctr *ctr;
    struct base_rows *steps; /* meta [0]: examples learnt */
};

static void expert_close(void *self)
{
    struct expert *expert = self;
    model_ctr_free(expert->ctr);
    base_rows_free(expert->steps);
}

static enum fr_status expert_open(void *self, const struct model_click_shape *shape,
                                  struct fr_error *error)
{
    struct expert *expert = self;
    struct model_ctr_options options;
    model_ctr_defaults(&options);
    options.shared = model_clicks_features(shape->clicks);
    options.features.id_max = model_features_id_max(options.shared);
    options.features.main_max = model_features_main_max(options.shared);
    options.seed = shape->seed;
    FR_TRY(model_ctr_new(&options, error, &expert->ctr));
    struct base_rows_options steps = {.name = "ctr_steps", .row_bytes = 8, .count_max = 2};
    return base_rows_new(&steps, error, &expert->steps);
}

static uint32_t expert_tables(void *self, struct base_rows *out[MODEL_CLICK_TABLES_MAX])
{
    struct expert *expert = self;
    _Static_assert((int)MODEL_CTR_TABLES_MAX < (int)MODEL_CLICK_TABLES_MAX, "all fit");
    uint32_t count = model_ctr_tables(expert->ctr, out);
    out[count++] = expert->steps;
    return count;
}

static void expert_score(void *self, const struct model_click_example *examples, uint32_t count,
                         bool in_place, float *out_logit)
{
    const struct expert *expert = self;
    struct model_ctr_answer answer;
    for (uint32_t i = 0; i < count; i++) {
        model_ctr_score_example(expert->ctr, &examples[i].ctr, in_place, &answer);
        out_logit[i] = answer.blend;
    }
}

static void expert_fresh(void *self, const struct model_click_example *example)
{
    struct expert *expert = self;
    model_ctr_fresh(expert->ctr, &example->ctr);
}

static void expert_learn(void *self, const struct model_click_example *example)
{
    struct expert *expert = self;
    struct model_ctr_answer answer;
    struct model_ctr_row row = example->row;
    row.weight *= example->rate;
    model_ctr_learn_example(expert->ctr, &row, &example->ctr, &answer);
    uint64_t *steps = base_rows_meta(expert->steps);
    FR_STORE(steps[0], steps[0] + 1);
}

static uint64_t expert_steps(void *self)
{
    const struct expert *expert = self;
    return FR_LOAD(base_rows_meta(expert->steps)[0]);
}

const struct model_click_expert model_click_ctr = {
    .name = "ctr",
    .self_bytes = sizeof(struct expert),
    .open = expert_open,
    .close = expert_close,
    .tables = expert_tables,
    .score = expert_score,
    .learn = expert_learn,
    .fresh = expert_fresh,
    .steps = expert_steps,
};
