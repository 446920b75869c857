/* SPDX-License-Identifier: Apache-2.0
 *
 * simd: the vector kernels. Each exists as plain scalar C (the reference) and for several widths;
 * one set is chosen once, at the first simd_ops(), by what the processor can do. FRESHET_SIMD=
 * scalar | baseline | avx2 | avx512 | neon in the environment forces one (ignored, with the choice
 * of the processor kept, when this machine lacks it).
 *
 * Every set gives the same bits, whatever its width:
 *   V1: a reduction keeps 16 partial sums, element i in sum i mod 16, a tail padded with zeros, and
 *       adds them as a tree: s[j] += s[j + 8], then + 4, + 2, + 1.
 *   V2: matrix products run over the output's columns, so that each element of the output is one
 *       sum in the order of the input, starting from the bias (or from what was there).
 *   V3: no fused multiply-add, no reciprocal estimates: IEEE + - * / and square root only.
 * Thread: any. Nothing here allocates, or keeps a pointer. Pointers need no alignment; 64 is best.
 */
#ifndef SIMD_SIMD_H
#define SIMD_SIMD_H

#include "base/base.h"

/* A dense layer over a batch, row-major without gaps:
 *   y[b][o] = act(bias[o] + sum over i of x[b][i] * w[i][o]),   x: batch * in, w: in * out */
struct simd_dense {
    const float *x, *w, *bias;
    float *y;
    uint32_t batch, in, out;
    bool relu; /* act = max(0, .), else the identity */
};

/* Its backward step from dy (batch * out, already multiplied by the derivative of act):
 *   dw[i][o] += sum over b of x[b][i] * dy[b][o];   dbias[o] += sum over b of dy[b][o]
 *   dx[b][i]  = sum over o of w[i][o] * dy[b][o]    (not when dx is NULL; a V1 reduction) */
struct simd_dense_grad {
    const float *x, *w, *dy;
    float *dw, *dbias, *dx;
    uint32_t batch, in, out;
};

/* Adam (Kingma and Ba 2015, in the form of its section 2 with the bias corrections in the rate):
 *   g' = g * g_scale + l2 * w;  m += (g' - m)(1 - beta1);  v += (g'^2 - v)(1 - beta2)
 *   w -= rate * m / (sqrt(v) + epsilon) */
struct simd_adam {
    float *w, *m, *v;
    const float *g;
    size_t n;
    float rate, beta1, beta2, epsilon, l2, g_scale;
};

/* AdaGrad (Duchi 2011): g' = g + l2 * w;  s += g'^2;  w -= rate * g' / sqrt(s). s starts > 0. */
struct simd_adagrad {
    float *w, *s;
    const float *g;
    size_t n;
    float rate, l2;
};

/* One pair of latent vectors of a field-aware factorisation machine: SIMD_PAIR_K weights, then as
 * many AdaGrad sums. Several pairs may share a vector. */
enum { SIMD_PAIR_K = 8 };
struct simd_pair {
    float *a, *b;
    float scale; /* product of the two features' values */
};
/* g_a = kappa * scale * b + l2 * a (b likewise, from the old a); both stepped as AdaGrad above. */
struct simd_pair_step {
    float kappa, rate, l2;
};

/* int8 rows against one query: out[r] = sum of q[i] * row r [i], exact. Rows lie in tiles of
 * SIMD_TILE_I8, one after another, side by side in each: byte i of row r of a tile is its byte
 * simd_tile_i8(i, r). So a vector of 32-bit sums takes four bytes of each row at a time. */
enum { SIMD_TILE_I8 = 16, SIMD_I8_COUNT_MAX = 65536 };
struct simd_scan_i8 {
    const int8_t *q, *tiles;
    uint32_t n; /* a multiple of 4, at most SIMD_I8_COUNT_MAX, so that no sum leaves 32 bits */
    uint32_t tile_count;
};
static inline size_t simd_tile_i8(size_t i, size_t row)
{
    return (i / 4 * SIMD_TILE_I8 + row) * 4 + i % 4;
}

struct simd_ops {
    const char *name;
    float (*dot)(const float *a, const float *b, size_t n);
    float (*l2)(const float *a, const float *b, size_t n);     /* sum of (a - b)^2 */
    void (*axpy)(float *y, float a, const float *x, size_t n); /* y += a * x */
    void (*scan_i8)(const struct simd_scan_i8 *scan,
                    int32_t *out); /* [tile_count * SIMD_TILE_I8] */
    void (*dense)(const struct simd_dense *dense);
    void (*dense_grad)(const struct simd_dense_grad *grad);
    void (*adam)(const struct simd_adam *adam);
    void (*adagrad)(const struct simd_adagrad *adagrad);
    /* sum over pairs of scale * a . b: 8 partial sums, pair after pair, then + 4, + 2, + 1 */
    float (*pairs_dot)(const struct simd_pair *pairs, size_t count);
    void (*pairs_step)(const struct simd_pair *pairs, size_t count, struct simd_pair_step step);
};

/* The chosen set; never NULL. */
const struct simd_ops *simd_ops(void);
/* The set of this name, or NULL when this machine cannot run it. "scalar" and "baseline" (x86-64)
 * or "neon" (arm64) always exist. */
const struct simd_ops *simd_ops_named(const char *name);
/* Names of all sets that this program knows, widest last; NULL-terminated. */
const char *const *simd_names(void);

#endif
