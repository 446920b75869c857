/* SPDX-License-Identifier: Apache-2.0
 *
 * ials: see the header. Per row: (alpha YtY + sum y y' + reg I) x = sum y, by LDL'.
 */
#include "bench/lib/ials.h"

#include "base/hash.h"
#include "simd/simd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ials {
    struct ials_options options;
    uint32_t user_count, item_count;
    float *users, *items;
};

static void gram(const float *rows, uint32_t count, uint32_t d, float *out)
{
    const struct simd_ops *simd = simd_ops();
    memset(out, 0, (size_t)d * d * sizeof(*out));
    for (uint32_t r = 0; r < count; r++)
        for (uint32_t i = 0; i < d; i++)
            simd->axpy(out + (size_t)i * d, rows[(size_t)r * d + i], rows + (size_t)r * d, d);
}

static void solve(float *a, uint32_t d, float *x)
{
    const struct simd_ops *simd = simd_ops();
    for (uint32_t k = 0; k < d; k++) {
        float *pivot = a + (size_t)k * d;
        for (uint32_t i = k + 1; i < d; i++) { /* upper triangle, right looking */
            float l = pivot[i] / pivot[k];
            simd->axpy(a + (size_t)i * d + i, -l, pivot + i, d - i);
            x[i] -= l * x[k];
        }
    }
    for (uint32_t k = d; k-- > 0;)
        x[k] = (x[k] - simd->dot(a + (size_t)k * d + k + 1, x + k + 1, d - k - 1)) /
               a[(size_t)k * d + k];
}

static void half(const struct ials_options *o, const struct data_sequences *by, uint32_t count,
                 float *rows, const float *others, uint32_t other_count)
{
    const struct simd_ops *simd = simd_ops();
    uint32_t d = o->dimension;
    float *base = malloc((size_t)d * d * sizeof(float)), *a = malloc((size_t)d * d * sizeof(float));
    gram(others, other_count, d, base);
    for (size_t i = 0; i < (size_t)d * d; i++)
        base[i] *= o->alpha;
    for (uint32_t r = 0; r < count; r++) {
        size_t from = by->start[r], to = by->start[r + 1];
        float *x = rows + (size_t)r * d;
        memcpy(a, base, (size_t)d * d * sizeof(float));
        memset(x, 0, d * sizeof(float));
        for (size_t i = from; i < to; i++) {
            const float *y = others + (size_t)by->items[i] * d;
            for (uint32_t k = 0; k < d; k++)
                simd->axpy(a + (size_t)k * d + k, y[k], y + k, d - k);
            simd->axpy(x, 1.0f, y, d);
        }
        float reg = o->lambda * ((float)(to - from) + o->alpha * (float)other_count);
        for (uint32_t k = 0; k < d; k++)
            a[(size_t)k * d + k] += reg;
        if (to > from)
            solve(a, d, x);
    }
    free(base);
    free(a);
}

struct ials *ials_fit(const struct ials_options *options, const struct data_sequences *by_user,
                      const struct data_sequences *by_item, uint32_t item_count)
{
    if (!options->dimension)
        return NULL;
    struct ials *ials = calloc(1, sizeof(*ials));
    uint32_t d = options->dimension;
    ials->options = *options;
    ials->user_count = by_user->user_count;
    ials->item_count = item_count;
    ials->users = calloc((size_t)ials->user_count * d, sizeof(float));
    ials->items = calloc((size_t)item_count * d, sizeof(float));
    for (size_t i = 0; i < (size_t)item_count * d; i++)
        ials->items[i] =
            ((float)base_random_unit(options->seed, i, 0) - 0.5f) * 0.346f / sqrtf((float)d);
    for (uint32_t epoch = 0; epoch < options->epochs; epoch++) {
        half(options, by_user, ials->user_count, ials->users, ials->items, item_count);
        half(options, by_item, item_count, ials->items, ials->users, ials->user_count);
    }
    half(options, by_user, ials->user_count, ials->users, ials->items, item_count);
    return ials;
}

void ials_free(struct ials *ials)
{
    if (!ials)
        return;
    free(ials->users);
    free(ials->items);
    free(ials);
}

void ials_scores(const struct ials *ials, uint32_t user, float *scores)
{
    const struct simd_ops *simd = simd_ops();
    uint32_t d = ials->options.dimension;
    for (uint32_t j = 1; j < ials->item_count; j++)
        scores[j] =
            expf(8.0f * simd->dot(ials->users + (size_t)user * d, ials->items + (size_t)j * d, d));
}
