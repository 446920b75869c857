/* SPDX-License-Identifier: Apache-2.0
 *
 * drift: see the door for papers and equations.
 */
#include "model/drift.h"

#include "base/fmath.h"

#include <string.h>

static double natural_log(double x)
{
    return (double)base_logf((float)x);
}

/* ---- means with intervals ------------------------------------------------------------------- */

static void series_add(struct model_series *series, double x)
{
    /* the guess before x: the mean of the others and of one value of a half (predictable) */
    double guess = (series->sum + 0.5) / ((double)series->count + 1.0);
    series->variance += (x - guess) * (x - guess);
    series->sum += x;
    series->count++;
}

void model_window_add(struct model_window *window, double x, uint32_t length)
{
    series_add(&window->part[0], x);
    if (length == 0 || window->part[0].count <= length)
        return;
    series_add(&window->part[1], x);
    if (window->part[1].count < length)
        return;
    window->part[0] = window->part[1];
    window->part[1] = (struct model_series){0};
}

/* Eq. (10): the sum's distance from what is expected, for values in [0, 1] (scale c = 1). */
static double boundary(double variance, double alpha)
{
    const double m = 10.0, k1 = 1.4355, k2 = 1.2072, log_zeta = 1.1332; /* ln zeta(1.4) */
    double v = FR_MAX(variance, m);
    double log2_v = natural_log(v / m) * 1.4426950408889634;
    double l = 1.4 * natural_log(1.0 + log2_v) + log_zeta + natural_log(2.0 / alpha);
    return __builtin_sqrt(k1 * k1 * v * l + k2 * k2 * l * l) + k2 * l;
}

void model_window_interval(const struct model_window *window, double alpha,
                           struct model_interval *out_interval)
{
    const struct model_series *series = &window->part[0];
    *out_interval = (struct model_interval){.count = series->count, .high = 1.0};
    if (series->count == 0)
        return;
    double n = (double)series->count, mean = series->sum / n;
    double half = boundary(series->variance, alpha) / n;
    out_interval->mean = mean;
    out_interval->low = FR_MAX(mean - half, 0.0);
    out_interval->high = FR_MIN(mean + half, 1.0);
}

/* ---- ADWIN ---------------------------------------------------------------------------------- */

static void bucket_append(struct model_adwin *adwin, uint32_t row, double total, double variance)
{
    uint32_t at = adwin->used[row]++;
    FR_ASSERT(at < MODEL_ADWIN_BUCKETS);
    adwin->bucket[row][at].total = total;
    adwin->bucket[row][at].variance = variance;
    adwin->rows = FR_MAX(adwin->rows, row + 1);
}

static void bucket_remove(struct model_adwin *adwin, uint32_t row, uint32_t count)
{
    adwin->used[row] -= count;
    memmove(&adwin->bucket[row][0], &adwin->bucket[row][count],
            adwin->used[row] * sizeof(adwin->bucket[row][0]));
    memset(&adwin->bucket[row][adwin->used[row]], 0, count * sizeof(adwin->bucket[row][0]));
}

/* Two oldest buckets of a full row become one of the next. */
static void compress(struct model_adwin *adwin)
{
    for (uint32_t row = 0; adwin->used[row] == MODEL_ADWIN_BUCKETS; row++) {
        double each = (double)(1u << row);
        double t0 = adwin->bucket[row][0].total, t1 = adwin->bucket[row][1].total;
        double apart = (t0 - t1) / each;
        double variance = adwin->bucket[row][0].variance + adwin->bucket[row][1].variance +
                          apart * apart * each * 0.5;
        bucket_remove(adwin, row, 2);
        bucket_append(adwin, row + 1, t0 + t1, variance);
        if (row + 2 == MODEL_ADWIN_ROWS)
            break;
    }
}

static void oldest_drop(struct model_adwin *adwin)
{
    uint32_t row = adwin->rows - 1;
    double n = (double)(1u << row), total = adwin->bucket[row][0].total;
    double rest = (double)adwin->width - n;
    double apart = rest > 0.0 ? total / n - (adwin->total - total) / rest : 0.0;
    adwin->variance -= adwin->bucket[row][0].variance;
    if (rest > 0.0)
        adwin->variance -= n * rest * apart * apart / (n + rest);
    adwin->variance = FR_MAX(adwin->variance, 0.0);
    adwin->width -= (uint64_t)1 << row;
    adwin->total -= total;
    bucket_remove(adwin, row, 1);
    while (adwin->rows > 0 && adwin->used[adwin->rows - 1] == 0)
        adwin->rows--;
}

/* The first cut from the oldest on whose sides differ too much. */
static bool cut_find(const struct model_adwin *adwin, double delta, struct model_change *out_change)
{
    enum { SIDE_MIN = 5 };
    double width = (double)adwin->width, n0 = 0.0, total0 = 0.0;
    double log_delta = natural_log(2.0 * natural_log(width) / delta);
    double variance = adwin->variance / width;
    for (uint32_t row = adwin->rows; row-- > 0;) {
        for (uint32_t b = 0; b < adwin->used[row]; b++) {
            n0 += (double)(1u << row);
            total0 += adwin->bucket[row][b].total;
            double n1 = width - n0;
            if (n1 < SIDE_MIN)
                return false;
            if (n0 < SIDE_MIN)
                continue;
            double u0 = total0 / n0, u1 = (adwin->total - total0) / n1;
            double m = 1.0 / (n0 - SIDE_MIN + 1.0) + 1.0 / (n1 - SIDE_MIN + 1.0);
            double most =
                __builtin_sqrt(2.0 * m * variance * log_delta) + 2.0 / 3.0 * m * log_delta;
            double apart = u0 > u1 ? u0 - u1 : u1 - u0;
            if (apart <= most)
                continue;
            *out_change = (struct model_change){u0, u1, (uint64_t)n0, (uint64_t)n1, apart / most};
            return true;
        }
    }
    return false;
}

bool model_adwin_add(struct model_adwin *adwin, double x, double delta,
                     struct model_change *out_change)
{
    if (adwin->width > 0) {
        double before = adwin->total / (double)adwin->width;
        adwin->variance +=
            (double)adwin->width * (x - before) * (x - before) / ((double)adwin->width + 1.0);
    }
    if (adwin->used[MODEL_ADWIN_ROWS - 1] == MODEL_ADWIN_BUCKETS - 1)
        oldest_drop(adwin);
    adwin->width++;
    adwin->total += x;
    bucket_append(adwin, 0, x, 0.0);
    compress(adwin);
    if (++adwin->since < MODEL_ADWIN_EVERY)
        return false;
    adwin->since = 0;
    struct model_change further;
    if (!cut_find(adwin, delta, out_change))
        return false;
    do {
        oldest_drop(adwin);
    } while (adwin->width > 2 * MODEL_ADWIN_EVERY && cut_find(adwin, delta, &further));
    return true;
}

double model_adwin_mean(const struct model_adwin *adwin)
{
    return adwin->width ? adwin->total / (double)adwin->width : 0.0;
}

/* ---- probabilities -------------------------------------------------------------------------- */

void model_bins_add(struct model_bins *bins, float p, bool label, uint32_t length)
{
    p = FR_MIN(FR_MAX(p, 1e-6f), 1.0f - 1e-6f);
    float logit = base_logf(p) - base_logf(1.0f - p);
    float at = FR_MIN(FR_MAX(logit * 2.0f + MODEL_BINS / 2, 0.0f), MODEL_BINS - 1.0f);
    uint32_t b = (uint32_t)at;
    bins->bin[b].weight += 1.0f;
    bins->bin[b].label += label ? 1.0f : 0.0f;
    bins->bin[b].predicted += p;
    bins->loss -= (double)base_logf(label ? p : 1.0f - p);
    bins->count++;
    if (length == 0 || ++bins->since < length)
        return;
    bins->since = 0;
    bins->loss *= 0.5;
    for (b = 0; b < MODEL_BINS; b++) {
        bins->bin[b].weight *= 0.5f;
        bins->bin[b].label *= 0.5f;
        bins->bin[b].predicted *= 0.5f;
    }
}

void model_bins_figures_get(const struct model_bins *bins, struct model_bins_figures *out_figures)
{
    double weight = 0, label = 0, predicted = 0, apart = 0, below = 0, pairs = 0;
    for (uint32_t b = 0; b < MODEL_BINS; b++) {
        double w = (double)bins->bin[b].weight, l = (double)bins->bin[b].label;
        double p = (double)bins->bin[b].predicted;
        apart += p > l ? p - l : l - p;
        pairs += l * (below + 0.5 * (w - l)); /* positives above negatives, ties half */
        below += w - l;
        weight += w;
        label += l;
        predicted += p;
    }
    *out_figures = (struct model_bins_figures){.weight = weight, .auc = 0.5, .pcoc = 1.0};
    if (weight <= 0)
        return;
    out_figures->logloss = bins->loss / weight;
    out_figures->ece = apart / weight;
    if (label > 0)
        out_figures->pcoc = predicted / label;
    if (label > 0 && below > 0)
        out_figures->auc = pairs / (label * below);
}

/* ---- distributions -------------------------------------------------------------------------- */

uint32_t model_histogram_bin(float x)
{
    if (!(x > 0.0f))
        return 0;
    return 1 + (uint32_t)FR_MIN(x * 2.0f, (float)(MODEL_HISTOGRAM_BINS - 2));
}

void model_histogram_compare(const struct model_histogram *histogram,
                             struct model_divergence *out_divergence)
{
    *out_divergence = (struct model_divergence){0, 0};
    if (histogram->reference_count == 0 || histogram->current_count == 0)
        return;
    const double more = 0.5, bins = MODEL_HISTOGRAM_BINS;
    double of_current = 1.0 / ((double)histogram->current_count + more * bins);
    double of_reference = 1.0 / ((double)histogram->reference_count + more * bins);
    for (uint32_t b = 0; b < MODEL_HISTOGRAM_BINS; b++) {
        double p = ((double)histogram->current[b] + more) * of_current;
        double q = ((double)histogram->reference[b] + more) * of_reference;
        double ratio = natural_log(p / q);
        out_divergence->psi += (p - q) * ratio;
        out_divergence->kl += p * ratio;
    }
}

void model_histogram_turn(struct model_histogram *histogram, bool becomes_reference)
{
    if (becomes_reference) {
        memcpy(histogram->reference, histogram->current, sizeof(histogram->current));
        histogram->reference_count = histogram->current_count;
    }
    memset(histogram->current, 0, sizeof(histogram->current));
    histogram->current_count = 0;
}
