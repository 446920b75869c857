/* SPDX-License-Identifier: Apache-2.0
 *
 * eval/ctr: see the door. Metrics are read by people and compared with thresholds; they are no part
 * of the state, so libm and double serve.
 */
#include "eval/ctr.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ECE_BINS = 20 };

struct scored {
    float p;
    uint8_t label;
};

static double loss_of(double p, bool label)
{
    p = FR_MIN(FR_MAX(p, 1e-6), 1.0 - 1e-6);
    return label ? -log(p) : -log(1.0 - p);
}

static int by_prediction(const void *a, const void *b)
{
    float x = ((const struct scored *)a)->p, y = ((const struct scored *)b)->p;
    return (x > y) - (x < y);
}

/* The Mann-Whitney statistic with averaged ranks of ties. */
static double auc_of(struct scored *all, uint64_t count, uint64_t positives)
{
    uint64_t negatives = count - positives;
    if (positives == 0 || negatives == 0)
        return 0.5;
    qsort(all, count, sizeof(*all), by_prediction);
    double ranks = 0;
    for (uint64_t i = 0; i < count;) {
        uint64_t end = i, hits = 0;
        for (; end < count && all[end].p == all[i].p; end++)
            hits += all[end].label;
        ranks += (double)hits * ((double)(i + 1) + (double)end) / 2.0;
        i = end;
    }
    double n = (double)positives;
    return (ranks - n * (n + 1) / 2.0) / (n * (double)negatives);
}

static void calibration_of(const struct scored *all, uint64_t count, struct eval_ctr_result *result)
{
    double predicted[ECE_BINS] = {0}, labels[ECE_BINS] = {0}, sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bin = (uint32_t)FR_MIN((double)all[i].p * ECE_BINS, ECE_BINS - 1.0);
        predicted[bin] += (double)all[i].p;
        labels[bin] += all[i].label;
    }
    for (int b = 0; b < ECE_BINS; b++) {
        result->ece += fabs(predicted[b] - labels[b]) / (double)count;
        sum += predicted[b];
    }
    result->pcoc = result->positives ? sum / (double)result->positives : 0;
}

enum fr_status eval_ctr_score(const float *p, const uint8_t *label, uint64_t count, double prior,
                              struct eval_ctr_result *out_result)
{
    struct eval_ctr_result result = {.scored = count};
    struct scored *all = malloc((count + 1) * sizeof(*all));
    uint64_t sizes[EVAL_CTR_BLOCKS] = {0};
    if (!all)
        return FR_MEMORY;
    for (uint64_t i = 0; i < count; i++) {
        double loss = loss_of((double)p[i], label[i]);
        uint64_t block = i * EVAL_CTR_BLOCKS / count;
        all[i] = (struct scored){p[i], label[i]};
        result.positives += label[i];
        result.log_loss += loss / (double)count;
        result.block[block] += loss;
        sizes[block]++;
    }
    for (int b = 0; b < EVAL_CTR_BLOCKS; b++)
        result.block[b] /= (double)FR_MAX(sizes[b], (uint64_t)1);
    if (count > 0) {
        calibration_of(all, count, &result);
        result.auc = auc_of(all, count, result.positives);
        result.rig = prior > 0 ? 1.0 - result.log_loss / prior : 0;
    }
    free(all);
    *out_result = result;
    return FR_OK;
}

/* The predictions that are to be scored, growing. */
struct kept {
    float *p;
    uint8_t *label;
    uint64_t count, capacity;
};

static enum fr_status keep(struct kept *kept, float p, bool label)
{
    if (kept->count == kept->capacity) {
        uint64_t capacity = kept->capacity ? kept->capacity * 2 : 65536;
        float *ps = realloc(kept->p, capacity * sizeof(*ps));
        if (ps)
            kept->p = ps;
        uint8_t *labels = realloc(kept->label, capacity);
        if (labels)
            kept->label = labels;
        if (!ps || !labels)
            return FR_MEMORY;
        kept->capacity = capacity;
    }
    kept->p[kept->count] = p;
    kept->label[kept->count++] = label;
    return FR_OK;
}

enum fr_status eval_ctr_run(const struct eval_ctr_options *options, struct model_ctr *ctr,
                            struct eval_ctr_stream stream, struct eval_ctr_result *out_result)
{
    struct kept kept = {0};
    struct model_ctr_row row;
    enum fr_status status = FR_OK;
    double seen = 2, clicks = 1, prior = 0;
    for (uint64_t i = 0; status == FR_OK && stream.next(stream.context, &row); i++) {
        struct model_ctr_answer answer;
        bool label = row.label > 0.5f;
        if (options->learn_to != 0 && i >= options->learn_to)
            model_ctr_score(ctr, &row, &answer);
        else
            model_ctr_learn(ctr, &row, &answer);
        if (stream.answered)
            stream.answered(stream.context, &row, &answer);
        if (i >= options->from && (options->to == 0 || i < options->to)) {
            prior += loss_of(clicks / seen, label);
            status = keep(&kept, answer.probability, label);
        }
        seen += 1;
        clicks += label;
    }
    if (status == FR_OK)
        status = eval_ctr_score(kept.p, kept.label, kept.count,
                                kept.count ? prior / (double)kept.count : 0, out_result);
    free(kept.p);
    free(kept.label);
    return status;
}

void eval_ctr_line(const struct eval_ctr_result *result, const char *name, struct base_buf *out)
{
    base_buf_printf(out, "%-14s %8llu log loss %.4f AUC %.4f ", name,
                    (unsigned long long)result->scored, result->log_loss, result->auc);
    if (result->rig != 0) /* a part's base rate is not kept */
        base_buf_printf(out, "RIG %.4f ", result->rig);
    base_buf_printf(out, "ECE %.4f PCOC %.3f\n", result->ece, result->pcoc);
}
