/* SPDX-License-Identifier: Apache-2.0
 *
 * rank refit: see refit.h. Examples are kept as { label, weight, logit of the live model, clock, ids,
 * inputs } in a ring; the new model is a second instance of the same expert with tables of its own.
 */
#include "rank/refit.h"

#include <stdlib.h>
#include <string.h>

#include "base/fmath.h"
#include "rank/rank_priv.h"

enum { HELD_OUT_PART = 10 };

struct kept { /* then inputs */
    float label, weight, logit;
    uint32_t now_s;
    uint32_t ids[MODEL_CLICK_SLOTS];
};

struct rank_refit {
    struct rank *rank;
    const struct model_click_expert *click;
    void *live, *anew;
    uint32_t input_count;
    size_t row_bytes, count_max;
    uint64_t count; /* ever; the newest count_max are kept */
    uint8_t *rows;
    struct model_click_example *example; /* one, to hand on */
};

void rank_refit_free(struct rank_refit *refit)
{
    if (!refit)
        return;
    if (refit->rank->refit == refit)
        refit->rank->refit = NULL;
    model_click_close(refit->click, refit->anew);
    free(refit->rows);
    free(refit->example);
    free(refit);
}

static enum fr_status refit_fill(struct rank_refit *refit, struct fr_error *error)
{
    const struct model_click_shape shape = {.clicks = refit->rank->clicks,
                                            .limits = state_limits(refit->rank->state),
                                            .seed = refit->rank->options.seed + 1};
    refit->input_count = model_clicks_input_count(refit->rank->clicks);
    refit->row_bytes = sizeof(struct kept) + refit->input_count * sizeof(float);
    refit->rows = malloc(refit->count_max * refit->row_bytes);
    refit->example = calloc(1, sizeof(*refit->example));
    if (!refit->rows || !refit->example)
        return base_fail(error, FR_MEMORY, "rank", "no memory for %zu examples", refit->count_max);
    return model_click_open(refit->click, &shape, error, &refit->anew);
}

enum fr_status rank_refit_new(struct rank *rank, uint32_t model, uint32_t examples_max,
                              struct fr_error *error, struct rank_refit **out_refit)
{
    uint32_t c = model - rank->expert_count;
    if (model < rank->expert_count || !rank->click[c]->load || !rank->click[c]->deferred)
        return base_fail(error, FR_UNSUPPORTED, "rank",
                         "\"%s\" is what the journal taught it: folding again gives the same",
                         rank_model_name(rank, model));
    struct rank_refit *refit = calloc(1, sizeof(*refit));
    if (!refit)
        return base_fail(error, FR_MEMORY, "rank", "no memory for a refit");
    refit->rank = rank;
    refit->click = rank->click[c];
    refit->live = rank->click_self[c];
    refit->count_max = examples_max;
    enum fr_status status = refit_fill(refit, error);
    if (status != FR_OK) {
        rank_refit_free(refit);
        return status;
    }
    rank->refit = refit;
    *out_refit = refit;
    return FR_OK;
}

void rank__refit_note(struct rank_refit *refit, const struct model_click_example *example)
{
    struct kept kept = {.label = example->row.label,
                        .weight = example->row.weight,
                        .now_s = example->row.now_s};
    uint8_t *row = refit->rows + refit->count++ % refit->count_max * refit->row_bytes;
    refit->click->score(refit->live, example, 1, true, &kept.logit);
    memcpy(kept.ids, example->ids, sizeof(kept.ids));
    memcpy(row, &kept, sizeof(kept));
    memcpy(row + sizeof(kept), example->input, refit->input_count * sizeof(float));
}

/* Example i, oldest first, ready to be learnt or scored. */
static void take(struct rank_refit *refit, uint64_t i, struct kept *out_kept)
{
    uint64_t oldest = refit->count > refit->count_max ? refit->count - refit->count_max : 0;
    const uint8_t *row = refit->rows + (oldest + i) % refit->count_max * refit->row_bytes;
    struct model_click_example *example = refit->example;
    memcpy(out_kept, row, sizeof(*out_kept));
    memcpy(example->input, row + sizeof(*out_kept), refit->input_count * sizeof(float));
    memcpy(example->ids, out_kept->ids, sizeof(out_kept->ids));
    example->row.label = out_kept->label;
    example->row.weight = out_kept->weight;
    example->row.now_s = out_kept->now_s;
    example->rate = 1.0f;
}

static enum fr_status learn_now(struct rank_refit *refit, struct fr_error *error)
{
    const struct model_deferred *deferred = refit->click->deferred;
    deferred->start(refit->anew);
    FR_TRY(deferred->work(refit->anew, NULL, error));
    return deferred->install(refit->anew,
                             deferred->artefact ? deferred->result(refit->anew)
                                                : fr_slice_of(NULL, 0),
                             error);
}

static enum fr_status pass_over(struct rank_refit *refit, uint64_t from, uint64_t to,
                                struct fr_error *error)
{
    const struct model_deferred *deferred = refit->click->deferred;
    struct kept kept;
    for (uint64_t i = from; i < to; i++) {
        take(refit, i, &kept);
        refit->click->learn(refit->anew, refit->example);
        if (deferred->due(refit->anew, kept.now_s))
            FR_TRY(learn_now(refit, error));
    }
    return deferred->waiting(refit->anew) ? learn_now(refit, error) : FR_OK;
}

static double loss_of(float logit, float label)
{
    float p = base_sigmoidf(logit);
    p = p < 1e-6f ? 1e-6f : p > 1.0f - 1e-6f ? 1.0f - 1e-6f : p;
    return -(double)base_logf(label > 0.5f ? p : 1.0f - p);
}

static void compare(struct rank_refit *refit, uint64_t from, uint64_t to,
                    struct rank_refit_result *result)
{
    double live = 0, anew = 0, difference = 0, squares = 0;
    double n = (double)(to - from);
    for (uint64_t i = from; i < to; i++) {
        struct kept kept;
        float logit = 0.0f;
        take(refit, i, &kept);
        refit->click->score(refit->anew, refit->example, 1, true, &logit);
        double l = loss_of(kept.logit, kept.label), a = loss_of(logit, kept.label);
        live += l;
        anew += a;
        difference += l - a;
        squares += (l - a) * (l - a);
    }
    double mean = difference / n, variance = squares / n - mean * mean;
    result->held_out = to - from;
    result->logloss_live = live / n;
    result->logloss_new = anew / n;
    result->z = variance > 0 ? mean / __builtin_sqrt(variance / n) : 0;
}

enum fr_status rank_refit_run(struct rank_refit *refit, uint32_t passes,
                              struct rank_refit_result *out_result, struct base_buf *out_parameters,
                              struct fr_error *error)
{
    uint64_t count = FR_MIN(refit->count, (uint64_t)refit->count_max);
    uint64_t learnt = count - count / HELD_OUT_PART;
    struct rank_refit_result result = {.examples = count};
    if (count < RANK_REFIT_EXAMPLES_LEAST) {
        *out_result = result;
        return FR_OK;
    }
    for (uint32_t pass = 0; pass < passes; pass++)
        FR_TRY(pass_over(refit, 0, learnt, error));
    compare(refit, learnt, count, &result);
    FR_TRY(pass_over(refit, learnt, count, error));
    FR_TRY(refit->click->save(refit->anew, out_parameters));
    *out_result = result;
    return FR_OK;
}
