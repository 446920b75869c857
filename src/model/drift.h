/* SPDX-License-Identifier: Apache-2.0
 *
 * drift: has what we see changed, and how sure may we be of a mean that we look at all the time?
 *
 *   window      mean of the newest `length` to 2 * length values with an interval that is valid at
 *               every look ("confidence sequence"): empirical Bernstein, Howard, Ramdas, McAuliffe,
 *               Sekhon: Time-uniform, nonparametric, nonasymptotic confidence sequences (Annals of
 *               Statistics 2021), Theorem 4 with the stitched boundary, eq. (10), eta 2, s 1.4, m 10
 *   fading      mean with weight alpha^age: Gama, Sebastiao, Rodrigues: On evaluating stream
 *               learning algorithms (Machine Learning 2013), section 3
 *   adwin       change of a mean: Bifet, Gavalda: Learning from time-changing data with adaptive
 *               windowing (SDM 2007), ADWIN2 with the normal-case cut of its section 3.2 (eq. 3.1)
 *   bins        of predicted probabilities by their logit (-8 .. 8, halves), halved every `length`
 *               examples: log loss; ECE (Naeini, Cooper, Hauskrecht, AAAI 2015); PCOC = sum predicted /
 *               sum observed; AUC over a fading window (after Brzezinski, Stefanowski: Prequential
 *               AUC, KAIS 2017; binned: ties within a bin count half)
 *   histogram   PSI = sum (p - q) ln(p / q) and KL = sum p ln(p / q) of a window (p) against a
 *               reference window (q) over fixed bins, half an observation added to each (Kullback,
 *               Leibler 1951; Jeffreys 1946)
 *
 * All are plain data, zeroed = empty, made to lie in row tables: sizes are multiples of 8, nothing
 * points. IEEE + - * / and sqrt in a fixed order, base/fmath for logarithms: equal bit for bit
 * everywhere. Thread: who owns the data; nothing here is atomic.
 */
#ifndef MODEL_DRIFT_H
#define MODEL_DRIFT_H

#include "base/base.h"

/* ---- means with intervals ------------------------------------------------------------------- */

struct model_series { /* since its start */
    uint32_t count, spare;
    double sum;
    double variance; /* sum of (x - mean of those before it)^2 */
};

/* The older part holds length .. 2 * length values; the younger takes its place. */
struct model_window {
    struct model_series part[2];
};

struct model_interval {
    uint64_t count; /* values that it is about */
    double mean, low, high;
};

/* x in [0, 1]; a difference of two models' hits d goes in as (1 + d) / 2. length 0: nothing is ever
 * forgotten. O(1). */
void model_window_add(struct model_window *window, double x, uint32_t length);
/* The mean of the values' expectations lies in [low, high] at all times at once with probability
 * 1 - alpha; per part: a part that takes another's place begins anew. Empty: [0, 1]. */
void model_window_interval(const struct model_window *window, double alpha,
                           struct model_interval *out_interval);

struct model_fading {
    double sum, weight;
};
static inline void model_fading_add(struct model_fading *fading, double x, double alpha)
{
    fading->sum = fading->sum * alpha + x;
    fading->weight = fading->weight * alpha + 1.0;
}
static inline double model_fading_mean(const struct model_fading *fading)
{
    return fading->weight > 0.0 ? fading->sum / fading->weight : 0.0;
}

/* ---- change of a mean ----------------------------------------------------------------------- */

/* An exponential histogram: row r holds up to BUCKETS buckets of 2^r values each, newest last. The
 * oldest bucket is dropped when the last row is full (a window of 300 k values). */
enum { MODEL_ADWIN_ROWS = 16, MODEL_ADWIN_BUCKETS = 6, MODEL_ADWIN_EVERY = 32 };

struct model_adwin {
    uint32_t rows, since; /* since: values after the last look */
    uint64_t width;
    double total, variance;
    uint32_t used[MODEL_ADWIN_ROWS];
    struct {
        double total, variance;
    } bucket[MODEL_ADWIN_ROWS][MODEL_ADWIN_BUCKETS];
};

struct model_change {
    double before, after; /* means on both sides of the first cut */
    uint64_t count_before, count_after;
    double excess; /* |before - after| / the cut's threshold, >= 1 */
};

/* Takes x in [0, 1]; every MODEL_ADWIN_EVERY values looks for a cut whose sides differ more than
 * chance allows with confidence 1 - delta, and drops what is older. True: there was one.
 * O(1), a look O(log width). */
bool model_adwin_add(struct model_adwin *adwin, double x, double delta,
                     struct model_change *out_change);
double model_adwin_mean(const struct model_adwin *adwin);

/* ---- probabilities -------------------------------------------------------------------------- */

enum { MODEL_BINS = 32 };

struct model_bins {
    struct {
        float weight, label, predicted;
    } bin[MODEL_BINS];
    uint32_t count, since; /* ever; since the last halving */
    double loss;           /* sum, halved with the bins */
};

struct model_bins_figures {
    double weight; /* examples, faded */
    double logloss, ece, pcoc, auc;
};

/* p is clipped to [1e-6, 1 - 1e-6]; label 0 or 1. length 0: never halved. O(1). */
void model_bins_add(struct model_bins *bins, float p, bool label, uint32_t length);
void model_bins_figures_get(const struct model_bins *bins, struct model_bins_figures *out_figures);

/* ---- distributions -------------------------------------------------------------------------- */

enum { MODEL_HISTOGRAM_BINS = 16 };

struct model_histogram {
    uint32_t reference[MODEL_HISTOGRAM_BINS], current[MODEL_HISTOGRAM_BINS];
    uint32_t reference_count, current_count;
};

struct model_divergence {
    double psi, kl;
};

/* Bin of x >= 0 on a scale for ln(1 + share / floor): 0 alone, then halves; the last is open. */
uint32_t model_histogram_bin(float x);
static inline void model_histogram_add(struct model_histogram *histogram, uint32_t bin)
{
    histogram->current[bin]++;
    histogram->current_count++;
}
/* Current against reference; both zero while either is empty. */
void model_histogram_compare(const struct model_histogram *histogram,
                             struct model_divergence *out_divergence);
/* The current window becomes the reference (when asked to), and a new one begins. */
void model_histogram_turn(struct model_histogram *histogram, bool becomes_reference);

#endif
