/* SPDX-License-Identifier: Apache-2.0
 *
 * eval/ope: see the door. Read by people, no part of the state: double and libm serve.
 */
#include "eval/ope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum weighting { WEIGHT_CLIPPED, WEIGHT_NORMALISED, WEIGHT_SUBGAUSSIAN, WEIGHT_SWITCH, WEIGHT_OS };

/* The estimators: an estimator is a row. A limit of 0 under WEIGHT_CLIPPED is DM. */
static const struct estimator {
    const char *name;
    bool model;
    enum weighting weighting;
    double limit;
} estimators[] = {
    {"IPS", false, WEIGHT_CLIPPED, INFINITY},
    {"IPS clip 10", false, WEIGHT_CLIPPED, 10},
    {"IPS clip 100", false, WEIGHT_CLIPPED, 100},
    {"SNIPS", false, WEIGHT_NORMALISED, 0},
    {"SubGaussian IPS 0.1", false, WEIGHT_SUBGAUSSIAN, 0.1},
    {"DM", true, WEIGHT_CLIPPED, 0},
    {"DR", true, WEIGHT_CLIPPED, INFINITY},
    {"DR clip 10", true, WEIGHT_CLIPPED, 10},
    {"SNDR", true, WEIGHT_NORMALISED, 0},
    {"SwitchDR 10", true, WEIGHT_SWITCH, 10},
    {"DRos 10", true, WEIGHT_OS, 10},
    {"DRos 100", true, WEIGHT_OS, 100},
};
_Static_assert(FR_COUNT_OF(estimators) <= EVAL_OPE_ESTIMATES_MAX, "more estimators than room");

static double weighted(const struct estimator *estimator, double w, double mean)
{
    double limit = estimator->limit;
    switch (estimator->weighting) {
    case WEIGHT_CLIPPED:
        return FR_MIN(w, limit);
    case WEIGHT_NORMALISED:
        return w / mean;
    case WEIGHT_SUBGAUSSIAN:
        return w / (1 - limit + limit * w);
    case WEIGHT_SWITCH:
        return w <= limit ? w : 0;
    case WEIGHT_OS:
        return limit * w / (w * w + limit);
    }
    return 0;
}

struct work {
    const struct eval_ope_round *rounds;
    uint64_t count;
    const struct eval_ope_policy *policy;
    double *q, *seen;   /* a cell each: the model, rounds */
    double *model_mean; /* a position each: sum_a pi q */
};

static size_t cell_of(const struct work *work, const struct eval_ope_round *round)
{
    return (size_t)round->action * work->policy->positions + round->position;
}

static enum fr_status check(const struct work *work, struct fr_error *error)
{
    const struct eval_ope_policy *policy = work->policy;
    if (work->count == 0 || policy->actions == 0 || policy->positions == 0)
        return base_fail(error, FR_INVALID, "eval", "the log has no rounds");
    for (uint64_t i = 0; i < work->count; i++) {
        const struct eval_ope_round *round = &work->rounds[i];
        if (round->action >= policy->actions || round->position >= policy->positions)
            return base_fail(error, FR_INVALID, "eval", "round %llu lies outside of the policy",
                             (unsigned long long)i + 1);
        if (!(round->propensity > 0) || round->propensity > 1)
            return base_fail(error, FR_INVALID, "eval",
                             "round %llu has propensity %g; it lies above 0 and up to 1",
                             (unsigned long long)i + 1, round->propensity);
    }
    for (uint32_t p = 0; p < policy->positions; p++) {
        double sum = 0;
        for (uint32_t a = 0; a < policy->actions; a++)
            sum += policy->pi[(size_t)a * policy->positions + p];
        if (!(fabs(sum - 1) <= 0.01))
            return base_fail(error, FR_INVALID, "eval",
                             "the policy of position %u adds up to %.4f instead of 1", p + 1, sum);
    }
    return FR_OK;
}

static enum fr_status fit_model(struct work *work, double mean)
{
    const struct eval_ope_policy *policy = work->policy;
    size_t cells = (size_t)policy->actions * policy->positions;
    work->q = calloc(cells, sizeof(double));
    work->seen = calloc(cells, sizeof(double));
    work->model_mean = calloc(policy->positions, sizeof(double));
    if (!work->q || !work->seen || !work->model_mean)
        return FR_MEMORY;
    for (uint64_t i = 0; i < work->count; i++) {
        work->q[cell_of(work, &work->rounds[i])] += work->rounds[i].reward;
        work->seen[cell_of(work, &work->rounds[i])] += 1;
    }
    for (size_t c = 0; c < cells; c++) {
        work->q[c] = (work->q[c] + EVAL_OPE_SHRINK * mean) / (work->seen[c] + EVAL_OPE_SHRINK);
        work->model_mean[c % policy->positions] += policy->pi[c] * work->q[c];
    }
    return FR_OK;
}

static struct eval_ope_estimate estimate(const struct work *work, const struct estimator *estimator,
                                         double mean_weight)
{
    double sum = 0, squares = 0, n = (double)work->count;
    for (uint64_t i = 0; i < work->count; i++) {
        const struct eval_ope_round *round = &work->rounds[i];
        size_t cell = cell_of(work, round);
        double f = weighted(estimator, work->policy->pi[cell] / round->propensity, mean_weight);
        double term = estimator->model
                          ? work->model_mean[round->position] + f * (round->reward - work->q[cell])
                          : f * round->reward;
        sum += term;
        squares += term * term;
    }
    double value = sum / n;
    double variance = n > 1 ? FR_MAX((squares - sum * value) / (n - 1), 0.0) : 0;
    double half = 1.959964 * sqrt(variance / n);
    return (struct eval_ope_estimate){estimator->name, value, value - half, value + half};
}

static void diagnose(const struct work *work, struct eval_ope_result *result)
{
    double squares = 0;
    for (uint64_t i = 0; i < work->count; i++) {
        const struct eval_ope_round *round = &work->rounds[i];
        double w = work->policy->pi[cell_of(work, round)] / round->propensity;
        result->logged += round->reward / (double)work->count;
        result->weight_sum += w;
        result->weight_max = FR_MAX(result->weight_max, w);
        squares += w * w;
    }
    result->ess = squares > 0 ? result->weight_sum * result->weight_sum / squares : 0;
    result->refused = !(result->ess >= result->ess_min);
}

enum fr_status eval_ope_run(const struct eval_ope_log *log, const struct eval_ope_policy *policy,
                            double ess_min, struct fr_error *error,
                            struct eval_ope_result *out_result)
{
    struct work work = {.rounds = log->rounds, .count = log->count, .policy = policy};
    struct eval_ope_result result = {.rounds = log->count,
                                     .ess_min = ess_min > 0 ? ess_min : EVAL_OPE_ESS_MIN};
    FR_TRY(check(&work, error));
    diagnose(&work, &result);
    enum fr_status status = fit_model(&work, result.logged);
    for (size_t e = 0; status == FR_OK && !result.refused && e < FR_COUNT_OF(estimators); e++)
        result.estimates[result.estimate_count++] =
            estimate(&work, &estimators[e], result.weight_sum / (double)log->count);
    free(work.q);
    free(work.seen);
    free(work.model_mean);
    if (status != FR_OK)
        return base_fail(error, status, "eval", "no memory for %u actions", policy->actions);
    *out_result = result;
    return FR_OK;
}

const struct eval_ope_estimate *eval_ope_find(const struct eval_ope_result *result,
                                              const char *name)
{
    for (uint32_t e = 0; e < result->estimate_count; e++)
        if (strcmp(result->estimates[e].name, name) == 0)
            return &result->estimates[e];
    return NULL;
}

void eval_ope_table(const struct eval_ope_result *result, struct base_buf *out)
{
    base_buf_printf(out,
                    "bandit: %llu rounds, mean reward %.6f as logged\n"
                    "weights: mean %.4f, largest %.4g; effective sample size %.1f\n",
                    (unsigned long long)result->rounds, result->logged,
                    result->weight_sum / (double)result->rounds, result->weight_max, result->ess);
    if (result->refused) {
        base_buf_printf(out,
                        "refused: an effective sample size of %.1f is below %.0f; this log says "
                        "too little about that policy\n",
                        result->ess, result->ess_min);
        return;
    }
    base_buf_printf(out, "%-20s  %9s  %9s .. %9s\n", "", "estimate", "95 %", "");
    for (uint32_t e = 0; e < result->estimate_count; e++)
        base_buf_printf(out, "%-20s  %9.6f  %9.6f .. %9.6f\n", result->estimates[e].name,
                        result->estimates[e].value, result->estimates[e].low,
                        result->estimates[e].high);
}

void eval_ope_json(const struct eval_ope_result *result, struct base_buf *out)
{
    base_buf_printf(out,
                    "{\"protocol\":\"bandit\",\"rounds\":%llu,\"logged\":%.8f,"
                    "\"weight_sum\":%.6f,\"weight_max\":%.6f,\"ess\":%.4f,\"ess_min\":%.1f,"
                    "\"refused\":%s,\"estimates\":{",
                    (unsigned long long)result->rounds, result->logged, result->weight_sum,
                    result->weight_max, result->ess, result->ess_min,
                    result->refused ? "true" : "false");
    for (uint32_t e = 0; e < result->estimate_count; e++)
        base_buf_printf(out, "%s\"%s\":{\"value\":%.8f,\"low\":%.8f,\"high\":%.8f}", e ? "," : "",
                        result->estimates[e].name, result->estimates[e].value,
                        result->estimates[e].low, result->estimates[e].high);
    base_buf_put_str(out, "}}");
}
