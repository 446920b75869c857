/* SPDX-License-Identifier: Apache-2.0
 *
 * offline: see the header.
 */
#include "bench/lib/offline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ABSENT (-1e30f)

struct offline_blend {
    uint32_t expert_count, item_max;
    uint32_t case_count, case_room;
    size_t *start;   /* case -> first candidate; the target comes first */
    float *features; /* candidate x expert */
    size_t candidate_count, candidate_room;
    uint32_t *mark; /* item -> case + 1 */
    uint32_t *picked;
};

double offline_cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double offline_rank(const float *scores, uint32_t item_max, const uint32_t *seen, uint32_t stamp,
                    uint32_t target)
{
    if (target >= item_max)
        return 1e9;
    uint32_t above = 0, ties = 0;
    float s = scores[target];
    for (uint32_t j = 1; j < item_max; j++) {
        if (seen[j] == stamp || j == target)
            continue;
        above += scores[j] > s;
        ties += scores[j] == s;
    }
    return (double)above + 0.5 * (double)ties;
}

void offline_metrics_add(struct offline_metrics *metrics, double rank)
{
    metrics->count += 1;
    metrics->hr10 += rank < 10;
    metrics->hr20 += rank < 20;
    metrics->ndcg10 += rank < 10 ? 1.0 / log2(rank + 2.0) : 0.0;
    metrics->mrr20 += rank < 20 ? 1.0 / (rank + 1.0) : 0.0;
}

void offline_metrics_print(const char *label, const struct offline_metrics *metrics)
{
    double n = metrics->count > 0 ? metrics->count : 1;
    printf("%-26s HR@10 %.4f  N@10 %.4f  HR@20 %.4f  MRR@20 %.4f  (%.0f cases)\n", label,
           metrics->hr10 / n, metrics->ndcg10 / n, metrics->hr20 / n, metrics->mrr20 / n,
           metrics->count);
    fflush(stdout);
}

struct offline_blend *offline_blend_new(uint32_t expert_count, uint32_t item_max)
{
    struct offline_blend *blend = calloc(1, sizeof(*blend));
    blend->expert_count = expert_count;
    blend->item_max = item_max;
    blend->mark = calloc(item_max, sizeof(*blend->mark));
    blend->picked = calloc((size_t)expert_count * OFFLINE_CANDIDATES + 1, sizeof(*blend->picked));
    return blend;
}

void offline_blend_free(struct offline_blend *blend)
{
    if (!blend)
        return;
    free(blend->start);
    free(blend->features);
    free(blend->mark);
    free(blend->picked);
    free(blend);
}

void offline_blend_feature(float *scores, uint32_t item_max, const uint32_t *seen, uint32_t stamp)
{
    double sum = 0;
    for (uint32_t j = 1; j < item_max; j++) {
        if (seen[j] == stamp || scores[j] < 0)
            scores[j] = 0;
        sum += (double)scores[j];
    }
    float scale = sum > 0 ? (float)(1.0 / sum) : 0.0f;
    float nothing = logf(1e-4f);
    for (uint32_t j = 0; j < item_max; j++)
        scores[j] = scores[j] > 0 ? logf(scores[j] * scale + 1e-4f) : nothing;
}

/* Selection of the best n by a threshold search over a heap of values. */
static uint32_t pick_best(struct offline_blend *blend, const float *scores, uint32_t n)
{
    float heap[OFFLINE_CANDIDATES];
    uint32_t size = 0, count = n;
    for (uint32_t j = 1; j < blend->item_max; j++) {
        if (size == OFFLINE_CANDIDATES && scores[j] <= heap[0])
            continue;
        uint32_t i = size < OFFLINE_CANDIDATES ? size++ : 0;
        if (i == 0 && size == OFFLINE_CANDIDATES) { /* replace the root */
            for (;;) {
                uint32_t child = 2 * i + 1;
                if (child >= size)
                    break;
                if (child + 1 < size && heap[child + 1] < heap[child])
                    child++;
                if (heap[child] >= scores[j])
                    break;
                heap[i] = heap[child];
                i = child;
            }
            heap[i] = scores[j];
            continue;
        }
        for (; i && heap[(i - 1) / 2] > scores[j]; i = (i - 1) / 2)
            heap[i] = heap[(i - 1) / 2];
        heap[i] = scores[j];
    }
    uint32_t case_mark = blend->case_count + 1;
    for (int ties = 0; ties < 2; ties++) /* those above the threshold first */
        for (uint32_t j = 1; j < blend->item_max && size && count < n + OFFLINE_CANDIDATES; j++)
            if ((ties ? scores[j] == heap[0] : scores[j] > heap[0]) &&
                blend->mark[j] != case_mark) {
                blend->mark[j] = case_mark;
                blend->picked[count++] = j;
            }
    return count;
}

void offline_blend_case(struct offline_blend *blend, float *const *features, const uint32_t *seen,
                        uint32_t stamp, uint32_t target)
{
    uint32_t n = 0;
    blend->mark[target] = blend->case_count + 1;
    blend->picked[n++] = target;
    for (uint32_t e = 0; e < blend->expert_count; e++)
        n = pick_best(blend, features[e], n);
    if (blend->case_count + 2 > blend->case_room) {
        blend->case_room = 2 * blend->case_room + 1024;
        blend->start = realloc(blend->start, blend->case_room * sizeof(*blend->start));
    }
    if (blend->candidate_count + n > blend->candidate_room) {
        blend->candidate_room = 2 * blend->candidate_room + n + 65536;
        blend->features = realloc(blend->features, blend->candidate_room * blend->expert_count *
                                                       sizeof(*blend->features));
    }
    blend->start[blend->case_count++] = blend->candidate_count;
    for (uint32_t i = 0; i < n; i++) {
        if (i && seen[blend->picked[i]] == stamp)
            continue;
        float *row = blend->features + blend->candidate_count++ * blend->expert_count;
        for (uint32_t e = 0; e < blend->expert_count; e++)
            row[e] = features[e][blend->picked[i]];
    }
    blend->start[blend->case_count] = blend->candidate_count;
}

static float row_score(const float *row, const float *weights, uint32_t count)
{
    float sum = 0;
    for (uint32_t e = 0; e < count; e++)
        sum += weights[e] * row[e];
    return sum;
}

static double tune_value(const struct offline_blend *blend, const float *weights)
{
    struct offline_metrics metrics = {0};
    uint32_t n = blend->expert_count;
    double ndcg20 = 0;
    for (uint32_t c = 0; c < blend->case_count; c++) {
        const float *row = blend->features + blend->start[c] * n;
        float target = row_score(row, weights, n);
        double rank = 0;
        for (size_t i = blend->start[c] + 1; i < blend->start[c + 1] && rank < 20; i++) {
            float s = row_score(blend->features + i * n, weights, n);
            rank += s > target ? 1.0 : s == target ? 0.5 : 0.0;
        }
        offline_metrics_add(&metrics, rank);
        ndcg20 += rank < 20 ? 1.0 / log2(rank + 2.0) : 0.0;
    }
    return metrics.count > 0 ? (ndcg20 + 0.5 * metrics.hr20) / metrics.count : 0;
}

/* The best of: each alone, each two alike, all alike. */
static double tune_start(const struct offline_blend *blend, float *weights)
{
    uint32_t n = blend->expert_count;
    double best = -1;
    for (uint32_t e = 0; e < n; e++)
        for (uint32_t f = e; f <= n; f++) {
            float start[OFFLINE_EXPERTS_MAX] = {0};
            for (uint32_t k = 0; k < n; k++)
                start[k] = k == e || k == f || f == n ? 0.5f : 0.0f;
            double value = tune_value(blend, start);
            if (value > best) {
                best = value;
                memcpy(weights, start, n * sizeof(*weights));
            }
        }
    return best;
}

double offline_blend_tune(struct offline_blend *blend, float *weights)
{
    uint32_t n = blend->expert_count;
    double best = tune_start(blend, weights);
    for (float step = 0.5f; step > 0.02f; step *= 0.7f)
        for (uint32_t e = 0; e < 2 * n; e++) {
            float trial[OFFLINE_EXPERTS_MAX];
            memcpy(trial, weights, n * sizeof(*weights));
            trial[e / 2] = FR_MAX(trial[e / 2] + (e % 2 ? step : -step), 0.0f);
            double value = tune_value(blend, trial);
            if (value > best) {
                best = value;
                memcpy(weights, trial, n * sizeof(*weights));
            }
        }
    return best;
}

void offline_blend_apply(const float *weights, float *const *features, uint32_t expert_count,
                         uint32_t item_max, float *out)
{
    memset(out, 0, item_max * sizeof(*out));
    for (uint32_t e = 0; e < expert_count; e++)
        for (uint32_t j = 0; weights[e] != 0.0f && j < item_max; j++)
            out[j] += weights[e] * features[e][j];
}
