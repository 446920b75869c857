/* SPDX-License-Identifier: Apache-2.0
 *
 * calibration: see the door. Row by segment + 1: per bin { weight, labels, predictions }, then the
 * corrections of the logit at the bins' middles, then the count since the last pooling.
 */
#include "model/calibration.h"

#include "base/fmath.h"
#include "model/ids.h"
#include "model/word.h"

#include <stdlib.h>

enum { BINS = MODEL_CALIBRATION_BINS };
static const float logit_low = -10.0f, bin_width = 0.5f;

struct bin {
    float weight, label, predicted;
};

struct row {
    struct bin bin[BINS];
    float shift[BINS];
    uint32_t since, unused;
};

struct model_calibration {
    struct model_calibration_options options;
    struct base_rows *rows;
    float keep; /* what a period leaves of the sums */
};

void model_calibration_defaults(struct model_calibration_options *out_options)
{
    *out_options = (struct model_calibration_options){.name = "calibration",
                                                      .segment_max = 1,
                                                      .half_life = 50000.0f,
                                                      .prior = 200.0f};
}

enum fr_status model_calibration_new(const struct model_calibration_options *options,
                                     struct fr_error *error,
                                     struct model_calibration **out_calibration)
{
    FR_ASSERT(options->segment_max >= 1 && options->half_life > 0 && options->prior >= 0);
    struct model_calibration *calibration = calloc(1, sizeof(*calibration));
    if (!calibration)
        return base_fail(error, FR_MEMORY, "model", "no memory for %s", options->name);
    calibration->options = *options;
    calibration->keep = base_exp2f(-(float)MODEL_CALIBRATION_PERIOD / options->half_life);
    struct base_rows_options table = {.name = options->name,
                                      .row_bytes = sizeof(struct row),
                                      .count_max = options->segment_max + 2};
    enum fr_status status = base_rows_new(&table, error, &calibration->rows);
    if (status != FR_OK) {
        free(calibration);
        return status;
    }
    *out_calibration = calibration;
    return FR_OK;
}

void model_calibration_free(struct model_calibration *calibration)
{
    if (!calibration)
        return;
    base_rows_free(calibration->rows);
    free(calibration);
}

struct base_rows *model_calibration_table(struct model_calibration *calibration)
{
    return calibration->rows;
}

static uint32_t bin_of(float logit)
{
    float at = (logit - logit_low) / bin_width;
    if (!(at > 0))
        return 0;
    return at >= (float)BINS ? BINS - 1 : (uint32_t)at;
}

float model_calibration_apply(const struct model_calibration *calibration, uint32_t segment,
                              float logit)
{
    if (segment + 1 >= base_rows_count(calibration->rows))
        return logit;
    const struct row *row = base_rows_at(calibration->rows, segment + 1);
    float at = (logit - logit_low) / bin_width - 0.5f; /* in middles of bins */
    if (!(at > 0))
        return logit + model_word_load(&row->shift[0]);
    uint32_t left = (uint32_t)FR_MIN(at, (float)(BINS - 1));
    if (left >= BINS - 1)
        return logit + model_word_load(&row->shift[BINS - 1]);
    float part = at - (float)left;
    return logit + model_word_load(&row->shift[left]) * (1.0f - part) +
           model_word_load(&row->shift[left + 1]) * part;
}

static float odds(float p)
{
    p = FR_MIN(FR_MAX(p, 1e-6f), 1.0f - 1e-6f);
    return base_logf(p / (1.0f - p));
}

/* Pool adjacent violators over the bins, then the shift of each bin's middle. */
static void pool(const struct model_calibration *calibration, struct row *row)
{
    float prior = calibration->options.prior, labels[BINS], weights[BINS];
    uint32_t first[BINS], count = 0;
    for (uint32_t b = 0; b < BINS; b++) {
        const struct bin *bin = &row->bin[b];
        float middle = base_sigmoidf(logit_low + ((float)b + 0.5f) * bin_width);
        /* as if the bin's predictions were all at its middle */
        labels[count] = bin->label - bin->predicted + bin->weight * middle + prior * middle;
        weights[count] = bin->weight + prior + 1e-6f;
        first[count++] = b;
        while (count > 1 &&
               labels[count - 1] * weights[count - 2] < labels[count - 2] * weights[count - 1]) {
            labels[count - 2] += labels[count - 1];
            weights[count - 2] += weights[count - 1];
            count--;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t end = i + 1 < count ? first[i + 1] : BINS;
        float pooled = odds(labels[i] / weights[i]);
        for (uint32_t b = first[i]; b < end; b++) {
            float middle = logit_low + ((float)b + 0.5f) * bin_width;
            model_word_store(&row->shift[b], pooled - middle);
        }
    }
}

void model_calibration_learn(struct model_calibration *calibration, uint32_t segment, float logit,
                             float label, float weight)
{
    if (segment >= calibration->options.segment_max ||
        !model_rows_reach(calibration->rows, segment + 1))
        return;
    struct row *row = base_rows_write(calibration->rows, segment + 1);
    struct bin *bin = &row->bin[bin_of(logit)];
    bin->weight += weight;
    bin->label += weight * label;
    bin->predicted += weight * base_sigmoidf(logit);
    if (++row->since < MODEL_CALIBRATION_PERIOD)
        return;
    row->since = 0;
    pool(calibration, row);
    for (uint32_t b = 0; b < BINS; b++) {
        row->bin[b].weight *= calibration->keep;
        row->bin[b].label *= calibration->keep;
        row->bin[b].predicted *= calibration->keep;
    }
}

void model_calibration_stats_get(const struct model_calibration *calibration, uint32_t segment,
                                 struct model_calibration_stats *out_stats)
{
    *out_stats = (struct model_calibration_stats){0};
    if (segment + 1 >= base_rows_count(calibration->rows))
        return;
    const struct row *row = base_rows_at(calibration->rows, segment + 1);
    double labels = 0, predicted = 0, gap = 0;
    for (uint32_t b = 0; b < BINS; b++) {
        const struct bin *bin = &row->bin[b];
        double off = (double)bin->label - (double)bin->predicted;
        out_stats->weight += (double)bin->weight;
        labels += (double)bin->label;
        predicted += (double)bin->predicted;
        gap += off < 0 ? -off : off;
    }
    if (out_stats->weight > 0)
        out_stats->ece = gap / out_stats->weight;
    if (labels > 0)
        out_stats->pcoc = predicted / labels;
}
