/* SPDX-License-Identifier: Apache-2.0
 *
 * ctr: see the door. Owner: the parts and their tables.
 */
#include "model/ctr.h"

#include "base/fmath.h"
#include "model/bayes.h"
#include "model/ffm.h"
#include "model/ftrl.h"

#include <stdlib.h>
#include <string.h>

/* The blend's inputs after the dense features. */
enum blended {
    BLEND_BASE,
    BLEND_USER,
    BLEND_ITEM,
    BLEND_USER_SURE,
    BLEND_ITEM_SURE,
    BLEND_FTRL,
    BLEND_FTRL_SURE,
    BLEND_FFM,
    BLEND_FFM_SURE,
    BLEND_COUNT
};
static const char *const blend_names[BLEND_COUNT] = {
    "base", "user_effect",     "item_effect", "user_effect_sure", "item_effect_sure",
    "ftrl", "ftrl_known_user", "ffm",         "ffm_known_user",
};

struct model_ctr {
    struct model_ctr_options options;
    struct model_features *features;
    struct model_bayes *base, *blend;
    struct model_effects *user, *item;
    struct model_ftrl *ftrl;
    struct model_ffm *ffm;
    struct model_calibration *calibration;
    uint32_t dense;
};

/* One example on its way through the parts. */
struct pass {
    const struct model_example *example;
    struct model_ctr_answer answer;
    float blended[MODEL_CTR_DENSE_MAX + BLEND_COUNT];
    bool writer;
};

void model_ctr_defaults(struct model_ctr_options *out_options)
{
    *out_options = (struct model_ctr_options){
        .features = {.id_max = 1u << 20,
                     .main_max = 1u << 17,
                     .admit_after = 1,
                     .expire_s = 90 * 86400,
                     .memory = 0.0f,
                     .repeats = false},
        .ftrl_alpha = 0.2f,
        .ftrl_l2 = 3.0f,
        .ffm_rate = 0.2f,
        .ffm_lambda = 2e-5f,
        .ffm_normalise = false,
        .base_drift = 1e-6f,
        .blend_drift = 0.0f,
        .effect_variance = 0.1f,
        .effect_bias_variance = 0.05f,
        .ffm = true,
        .effects = true,
        .ftrl = true,
        .blend = true,
        .seed = 1,
    };
}

static enum fr_status open_effects(struct model_ctr *ctr, struct fr_error *error)
{
    float variance[MODEL_CTR_DESCRIPTOR];
    for (uint32_t i = 0; i < MODEL_CTR_DESCRIPTOR; i++)
        variance[i] = ctr->options.effect_variance;
    variance[0] = ctr->options.effect_bias_variance;
    struct model_effects_options options = {.name = "ctr_user_effects",
                                            .id_max = ctr->options.features.main_max,
                                            .d = MODEL_CTR_DESCRIPTOR,
                                            .variance = variance};
    FR_TRY(model_effects_new(&options, error, &ctr->user));
    options.name = "ctr_item_effects";
    return model_effects_new(&options, error, &ctr->item);
}

static enum fr_status open_linear(struct model_ctr *ctr, struct fr_error *error)
{
    float initial[MODEL_CTR_DENSE_MAX + BLEND_COUNT] = {0};
    initial[ctr->dense + BLEND_BASE] = 0.6f;
    struct model_bayes_options options = {.name = "ctr_base",
                                          .n = ctr->dense,
                                          .variance = 0.5f,
                                          .drift = ctr->options.base_drift};
    FR_TRY(model_bayes_new(&options, error, &ctr->base));
    options = (struct model_bayes_options){.name = "ctr_blend",
                                           .n = ctr->dense + BLEND_COUNT,
                                           .variance = 0.1f,
                                           .drift = ctr->options.blend_drift,
                                           .initial = initial};
    return model_bayes_new(&options, error, &ctr->blend);
}

static enum fr_status open_sparse(struct model_ctr *ctr, struct fr_error *error)
{
    struct model_ftrl_options ftrl;
    model_ftrl_defaults(&ftrl);
    ftrl.name = "ctr_ftrl";
    ftrl.id_max = ctr->options.features.id_max;
    ftrl.alpha = ctr->options.ftrl_alpha;
    ftrl.l2 = ctr->options.ftrl_l2;
    FR_TRY(model_ftrl_new(&ftrl, error, &ctr->ftrl));
    struct model_ffm_options ffm;
    model_ffm_defaults(&ffm);
    ffm.name = "ctr_ffm";
    ffm.id_max = ctr->options.features.main_max;
    ffm.fields = model_features_field_count(ctr->features);
    ffm.rate = ctr->options.ffm_rate;
    ffm.lambda = ctr->options.ffm_lambda;
    ffm.normalise = ctr->options.ffm_normalise;
    ffm.seed = ctr->options.seed;
    return model_ffm_new(&ffm, error, &ctr->ffm);
}

static enum fr_status open_parts(struct model_ctr *ctr, struct fr_error *error)
{
    ctr->options.features.descriptors = ctr->options.effects;
    ctr->options.features.dense_only = !ctr->options.ffm && !ctr->options.ftrl;
    if (!ctr->options.shared)
        FR_TRY(model_features_new(&ctr->options.features, error, &ctr->features));
    else
        ctr->features = ctr->options.shared;
    ctr->dense = model_features_dense_count(ctr->features);
    FR_TRY(open_linear(ctr, error));
    FR_TRY(open_effects(ctr, error));
    FR_TRY(open_sparse(ctr, error));
    struct model_calibration_options calibration;
    model_calibration_defaults(&calibration);
    calibration.name = "ctr_calibration";
    return model_calibration_new(&calibration, error, &ctr->calibration);
}

enum fr_status model_ctr_new(const struct model_ctr_options *options, struct fr_error *error,
                             struct model_ctr **out_ctr)
{
    struct model_ctr *ctr = calloc(1, sizeof(*ctr));
    if (!ctr)
        return base_fail(error, FR_MEMORY, "model", "no memory for the click model");
    ctr->options = *options;
    enum fr_status status = open_parts(ctr, error);
    if (status != FR_OK) {
        model_ctr_free(ctr);
        return status;
    }
    *out_ctr = ctr;
    return FR_OK;
}

void model_ctr_free(struct model_ctr *ctr)
{
    if (!ctr)
        return;
    if (!ctr->options.shared)
        model_features_free(ctr->features);
    model_bayes_free(ctr->base);
    model_bayes_free(ctr->blend);
    model_effects_free(ctr->user);
    model_effects_free(ctr->item);
    model_ftrl_free(ctr->ftrl);
    model_ffm_free(ctr->ffm);
    model_calibration_free(ctr->calibration);
    free(ctr);
}

struct model_features *model_ctr_features(struct model_ctr *ctr)
{
    return ctr->features;
}

uint32_t model_ctr_tables(struct model_ctr *ctr, struct base_rows *out[MODEL_CTR_TABLES_MAX])
{
    uint32_t count = ctr->options.shared ? 0 : MODEL_FEATURES_TABLES;
    if (!ctr->options.shared)
        model_features_tables(ctr->features, out);
    out[count++] = model_bayes_table(ctr->base);
    out[count++] = model_bayes_table(ctr->blend);
    out[count++] = model_effects_table(ctr->user);
    out[count++] = model_effects_table(ctr->item);
    out[count++] = model_ftrl_table(ctr->ftrl);
    out[count++] = model_ffm_table(ctr->ffm);
    out[count++] = model_calibration_table(ctr->calibration);
    return count;
}

/* ---- scoring ------------------------------------------------------------------------------ */

/* Rows whose ids have just been handed out start anew. */
void model_ctr_fresh(struct model_ctr *ctr, const struct model_example *example)
{
    for (uint32_t i = 0; i < example->fresh_count; i++)
        model_ftrl_reset(ctr->ftrl, example->sparse[example->fresh[i]].id);
    for (uint32_t i = 0; i < example->main_count; i++) {
        if (!example->main_fresh[i])
            continue;
        if (ctr->options.ffm)
            model_ffm_reset(ctr->ffm, example->main[i].id, example->main_key[i]);
        model_effects_reset(ctr->user, example->main[i].id);
        model_effects_reset(ctr->item, example->main[i].id);
    }
}

/* Factors nobody has trained say nothing: what is new does not take part in the score. */
static float score_ffm(const struct model_ctr *ctr, const struct pass *pass)
{
    struct model_sparse known[MODEL_CTR_MAIN_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < pass->example->main_count; i++) {
        if (!pass->example->main_fresh[i])
            known[count++] = pass->example->main[i];
    }
    return pass->writer ? model_ffm_score(ctr->ffm, known, count)
                        : model_ffm_score_shared(ctr->ffm, known, count);
}

static void score_parts(const struct model_ctr *ctr, struct pass *pass)
{
    struct model_ctr_answer *answer = &pass->answer;
    const struct model_example *example = pass->example;
    float user_variance = 0, item_variance = 0;
    memset(answer, 0, sizeof(*answer));
    answer->base = model_bayes_score(ctr->base, example->dense);
    if (ctr->options.effects) {
        answer->user_effect =
            model_effects_score(ctr->user, example->main[0].id, example->of_item, &user_variance);
        answer->item_effect =
            model_effects_score(ctr->item, example->main[1].id, example->of_user, &item_variance);
    }
    if (ctr->options.ftrl)
        answer->ftrl = model_ftrl_score(ctr->ftrl, example->sparse, example->sparse_count);
    if (ctr->options.ffm)
        answer->ffm = score_ffm(ctr, pass);
    answer->variance = user_variance + item_variance;
    float *x = pass->blended + ctr->dense;
    float sure = example->user_sure;
    memcpy(pass->blended, example->dense, ctr->dense * sizeof(float));
    x[BLEND_BASE] = answer->base;
    x[BLEND_USER] = answer->user_effect;
    x[BLEND_ITEM] = answer->item_effect;
    x[BLEND_USER_SURE] = answer->user_effect / (1.0f + user_variance);
    x[BLEND_ITEM_SURE] = answer->item_effect / (1.0f + item_variance);
    x[BLEND_FTRL] = answer->ftrl;
    x[BLEND_FTRL_SURE] = answer->ftrl * sure;
    x[BLEND_FFM] = answer->ffm;
    x[BLEND_FFM_SURE] = answer->ffm * sure;
    answer->blend = ctr->options.blend ? model_bayes_score(ctr->blend, pass->blended)
                                       : answer->base + answer->user_effect + answer->item_effect;
    answer->probability =
        base_sigmoidf(model_calibration_apply(ctr->calibration, 0, answer->blend));
}

void model_ctr_score(struct model_ctr *ctr, const struct model_ctr_row *row,
                     struct model_ctr_answer *out_answer)
{
    struct model_example example;
    model_features_build(ctr->features, row, false, &example);
    model_ctr_score_example(ctr, &example, false, out_answer);
}

void model_ctr_score_example(const struct model_ctr *ctr, const struct model_example *example,
                             bool in_place, struct model_ctr_answer *out_answer)
{
    struct pass pass;
    pass.writer = in_place;
    pass.example = example;
    score_parts(ctr, &pass);
    *out_answer = pass.answer;
}

/* ---- learning ----------------------------------------------------------------------------- */

static void learn_effects(struct model_ctr *ctr, const struct pass *pass,
                          struct model_bayes_target target)
{
    target.offset = pass->answer.base;
    fr_ignore(model_effects_learn(ctr->user, pass->example->main[0].id, pass->example->of_item,
                                  target),
              "a full table learns no new users");
    fr_ignore(model_effects_learn(ctr->item, pass->example->main[1].id, pass->example->of_user,
                                  target),
              "a full table learns no new items");
}

static void learn_parts(struct model_ctr *ctr, const struct model_ctr_row *row,
                        const struct pass *pass)
{
    const struct model_example *example = pass->example;
    const struct model_ctr_answer *answer = &pass->answer;
    struct model_bayes_target target = {.label = row->label, .weight = row->weight};
    float known = answer->base + answer->user_effect + answer->item_effect;
    model_calibration_learn(ctr->calibration, 0, answer->blend, row->label, row->weight);
    if (ctr->options.effects)
        learn_effects(ctr, pass, target);
    target.score = &answer->blend;
    if (ctr->options.blend)
        model_bayes_learn(ctr->blend, pass->blended, target);
    target.score = &answer->base;
    model_bayes_learn(ctr->base, example->dense, target);
    if (ctr->options.ftrl)
        model_ftrl_step(ctr->ftrl, example->sparse, example->sparse_count,
                        row->weight * (base_sigmoidf(answer->ftrl) - row->label));
    if (ctr->options.ffm)
        model_ffm_step(ctr->ffm, example->main, example->main_count,
                       row->weight * (base_sigmoidf(known + answer->ffm) - row->label));
}

void model_ctr_learn_example(struct model_ctr *ctr, const struct model_ctr_row *row,
                             const struct model_example *example,
                             struct model_ctr_answer *out_answer)
{
    struct pass pass;
    pass.writer = true;
    pass.example = example;
    score_parts(ctr, &pass);
    learn_parts(ctr, row, &pass);
    *out_answer = pass.answer;
}

void model_ctr_learn(struct model_ctr *ctr, const struct model_ctr_row *row,
                     struct model_ctr_answer *out_answer)
{
    struct model_example example;
    model_features_build(ctr->features, row, true, &example);
    model_ctr_fresh(ctr, &example);
    model_ctr_learn_example(ctr, row, &example, out_answer);
    model_features_learn(ctr->features, row, &example);
}

uint32_t model_ctr_explain(struct model_ctr *ctr, const struct model_ctr_row *row,
                           struct model_ctr_part *out_parts, uint32_t max,
                           struct model_ctr_answer *out_answer)
{
    struct model_example example;
    struct pass pass;
    pass.writer = false;
    pass.example = &example;
    model_features_build(ctr->features, row, false, &example);
    score_parts(ctr, &pass);
    const float *weights = model_bayes_weights(ctr->blend);
    uint32_t count = 0;
    for (uint32_t i = 0; i < ctr->dense + BLEND_COUNT; i++) {
        struct model_ctr_part part = {.name = i < ctr->dense
                                                  ? model_features_dense_name(ctr->features, i)
                                                  : blend_names[i - ctr->dense],
                                      .value = pass.blended[i],
                                      .weight = weights[i],
                                      .contribution = pass.blended[i] * weights[i]};
        uint32_t at = count;
        while (at > 0 &&
               __builtin_fabsf(out_parts[at - 1].contribution) < __builtin_fabsf(part.contribution))
            at--;
        if (at >= max)
            continue;
        count = FR_MIN(count + 1, max);
        memmove(out_parts + at + 1, out_parts + at, (count - at - 1) * sizeof(*out_parts));
        out_parts[at] = part;
    }
    *out_answer = pass.answer;
    return count;
}

void model_ctr_calibration(const struct model_ctr *ctr, struct model_calibration_stats *out_stats)
{
    model_calibration_stats_get(ctr->calibration, 0, out_stats);
}
