/* SPDX-License-Identifier: Apache-2.0
 *
 * eval/clicks, boosted trees: as the click expert "gbt", but that a job is done at once: the reservoir, and
 * after every MODEL_GBT_JOB_ROWS examples learnt a few more rounds of libxgboost on it. Thread: main.
 */
#include <stdlib.h>

#include "eval/eval_priv.h"
#include "model/gbt.h"
#include "model/trees.h"

struct eval__trees {
    struct model_gbt_options options;
    struct model_gbt *gbt;
    struct model_trees *trees; /* NULL before the first job */
    float *features, *labels, *weights;
    struct base_buf before, after;
};

enum fr_status eval__trees_new(uint32_t inputs, struct fr_error *error,
                               struct eval__trees **out_trees)
{
    struct eval__trees *trees = calloc(1, sizeof(*trees));
    if (!trees)
        return base_fail(error, FR_MEMORY, "eval", "no memory for boosted trees");
    model_gbt_click_options(&trees->options);
    trees->options.features = inputs;
    base_buf_init(&trees->before, 0);
    base_buf_init(&trees->after, 0);
    trees->features = calloc((size_t)trees->options.rows * inputs, sizeof(float));
    trees->labels = calloc(trees->options.rows, sizeof(float));
    trees->weights = calloc(trees->options.rows, sizeof(float));
    enum fr_status status = FR_MEMORY;
    if (trees->features && trees->labels && trees->weights)
        status = model_gbt_new(&trees->options, error, &trees->gbt);
    if (status != FR_OK) {
        eval__trees_free(trees);
        return base_fail(error, status, "eval", "no memory for boosted trees");
    }
    *out_trees = trees;
    return FR_OK;
}

void eval__trees_free(struct eval__trees *trees)
{
    if (!trees)
        return;
    model_gbt_free(trees->gbt);
    model_trees_free(trees->trees);
    free(trees->features);
    free(trees->labels);
    free(trees->weights);
    base_buf_release(&trees->before);
    base_buf_release(&trees->after);
    free(trees);
}

float eval__trees_score(const struct eval__trees *trees, const float *inputs)
{
    float margin = 0.0f;
    if (trees->trees)
        model_trees_predict(trees->trees, inputs, trees->options.features, 1, &margin);
    return margin;
}

static enum fr_status boost(struct eval__trees *trees, struct fr_error *error)
{
    const struct model_gbt_data data = {trees->features, trees->labels, trees->weights,
                                        model_gbt_row_count(trees->gbt)};
    struct model_trees *grown = NULL;
    model_gbt_copy(trees->gbt, trees->features, trees->labels, trees->weights);
    base_buf_clear(&trees->before);
    base_buf_put_slice(&trees->before, base_buf_slice(&trees->after));
    FR_TRY(model_gbt_train(&trees->options, &data, base_buf_slice(&trees->before), error,
                           &trees->after));
    FR_TRY(model_trees_parse(base_buf_slice(&trees->after), error, &grown));
    model_trees_free(trees->trees);
    trees->trees = grown;
    return FR_OK;
}

enum fr_status eval__trees_learn(struct eval__trees *trees, const float *inputs, float label,
                                 struct fr_error *error)
{
    model_gbt_add(trees->gbt, inputs, label, 1.0f);
    return model_gbt_seen(trees->gbt) % MODEL_GBT_JOB_ROWS == 0 ? boost(trees, error) : FR_OK;
}
