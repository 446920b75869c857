/* SPDX-License-Identifier: Apache-2.0
 *
 * simd, scalar: the reference of every kernel, written as the door's rules V1 to V3 say and nothing
 * else. The other sets are tested bit for bit against this one.
 */
#include "simd/simd_priv.h"

static float tree16(float s[16])
{
    for (int width = 8; width > 0; width /= 2) {
        for (int j = 0; j < width; j++)
            s[j] += s[j + width];
    }
    return s[0];
}

static float scalar_dot(const float *a, const float *b, size_t n)
{
    float s[16] = {0};
    for (size_t i = 0; i < n; i++)
        s[i % 16] += a[i] * b[i];
    return tree16(s);
}

static float scalar_l2(const float *a, const float *b, size_t n)
{
    float s[16] = {0};
    for (size_t i = 0; i < n; i++) {
        float d = a[i] - b[i];
        s[i % 16] += d * d;
    }
    return tree16(s);
}

static void scalar_axpy(float *y, float a, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void scalar_scan_i8(const struct simd_scan_i8 *scan, int32_t *out)
{
    const int8_t *tile = scan->tiles;
    for (uint32_t t = 0; t < scan->tile_count; t++, tile += (size_t)SIMD_TILE_I8 * scan->n) {
        for (uint32_t r = 0; r < SIMD_TILE_I8; r++) {
            int32_t sum = 0;
            for (uint32_t i = 0; i < scan->n; i++)
                sum += (int32_t)scan->q[i] * (int32_t)tile[simd_tile_i8(i, r)];
            out[t * SIMD_TILE_I8 + r] = sum;
        }
    }
}

static void scalar_dense(const struct simd_dense *dense)
{
    for (size_t b = 0; b < dense->batch; b++) {
        for (size_t o = 0; o < dense->out; o++) {
            float sum = dense->bias[o];
            for (size_t i = 0; i < dense->in; i++)
                sum += dense->x[b * dense->in + i] * dense->w[i * dense->out + o];
            if (dense->relu && !(sum > 0))
                sum = 0;
            dense->y[b * dense->out + o] = sum;
        }
    }
}

static void scalar_dense_grad(const struct simd_dense_grad *grad)
{
    for (size_t b = 0; b < grad->batch; b++) {
        const float *x = grad->x + b * grad->in, *dy = grad->dy + b * grad->out;
        for (size_t i = 0; i < grad->in; i++)
            scalar_axpy(grad->dw + i * grad->out, x[i], dy, grad->out);
        for (size_t o = 0; o < grad->out; o++)
            grad->dbias[o] += dy[o];
        for (size_t i = 0; grad->dx && i < grad->in; i++)
            grad->dx[b * grad->in + i] = scalar_dot(grad->w + i * grad->out, dy, grad->out);
    }
}

static void scalar_adam(const struct simd_adam *adam)
{
    float rest1 = 1.0f - adam->beta1, rest2 = 1.0f - adam->beta2;
    for (size_t i = 0; i < adam->n; i++) {
        float g = adam->g[i] * adam->g_scale + adam->l2 * adam->w[i];
        adam->m[i] += (g - adam->m[i]) * rest1;
        adam->v[i] += (g * g - adam->v[i]) * rest2;
        adam->w[i] -= adam->rate * adam->m[i] / (__builtin_sqrtf(adam->v[i]) + adam->epsilon);
    }
}

static void scalar_adagrad(const struct simd_adagrad *adagrad)
{
    for (size_t i = 0; i < adagrad->n; i++) {
        float g = adagrad->g[i] + adagrad->l2 * adagrad->w[i];
        adagrad->s[i] += g * g;
        adagrad->w[i] -= adagrad->rate * g / __builtin_sqrtf(adagrad->s[i]);
    }
}

static float scalar_pairs_dot(const struct simd_pair *pairs, size_t count)
{
    float s[SIMD_PAIR_K] = {0};
    for (size_t p = 0; p < count; p++) {
        for (int k = 0; k < SIMD_PAIR_K; k++)
            s[k] += pairs[p].a[k] * pairs[p].b[k] * pairs[p].scale;
    }
    for (int width = SIMD_PAIR_K / 2; width > 0; width /= 2) {
        for (int j = 0; j < width; j++)
            s[j] += s[j + width];
    }
    return s[0];
}

static void scalar_pairs_step(const struct simd_pair *pairs, size_t count,
                              struct simd_pair_step step)
{
    for (size_t p = 0; p < count; p++) {
        float *a = pairs[p].a, *b = pairs[p].b, pull = step.kappa * pairs[p].scale;
        for (int k = 0; k < SIMD_PAIR_K; k++) {
            float ga = pull * b[k] + step.l2 * a[k], gb = pull * a[k] + step.l2 * b[k];
            a[SIMD_PAIR_K + k] += ga * ga;
            b[SIMD_PAIR_K + k] += gb * gb;
            a[k] -= step.rate * ga / __builtin_sqrtf(a[SIMD_PAIR_K + k]);
            b[k] -= step.rate * gb / __builtin_sqrtf(b[SIMD_PAIR_K + k]);
        }
    }
}

static const struct simd_ops ops = {
    .name = "scalar",
    .dot = scalar_dot,
    .l2 = scalar_l2,
    .axpy = scalar_axpy,
    .scan_i8 = scalar_scan_i8,
    .dense = scalar_dense,
    .dense_grad = scalar_dense_grad,
    .adam = scalar_adam,
    .adagrad = scalar_adagrad,
    .pairs_dot = scalar_pairs_dot,
    .pairs_step = scalar_pairs_step,
};

const struct simd_ops *simd__scalar(void)
{
    return &ops;
}
