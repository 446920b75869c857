/* SPDX-License-Identifier: Apache-2.0
 *
 * simd, the kernels' one text: included once by each set's .c file, which defines before
 *   LANES              floats in a vector of the machine: 4, 8, 16
 *   TILE_ROWS          rows of the register tile of a matrix product
 *   TILE_VECTORS       vectors across it
 *   lanes_sqrt(v)      the exact square root of each lane
 *   pair_sqrt(v)       the same for a vector of at most eight lanes
 *   SCAN_I8            the set's exact int8 scan
 *   SET_NAME           its name
 * GNU vector extensions throughout, no intrinsics: the compiler maps them to the target's own.
 */
#include <string.h>

enum { GROUP = 16 / LANES }; /* vectors that hold the 16 partial sums of V1 */

typedef float lanes __attribute__((vector_size(LANES * 4)));
typedef int32_t mask __attribute__((vector_size(LANES * 4)));

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

INLINE lanes load(const float *from)
{
    lanes v;
    memcpy(&v, from, sizeof(v));
    return v;
}

INLINE void store(float *to, lanes v)
{
    memcpy(to, &v, sizeof(v));
}

typedef float four __attribute__((vector_size(16)));
typedef float eight __attribute__((vector_size(32)));

/* V1's tree; sums holds 16 floats. In registers: the halves are added as vectors. */
INLINE float tree16(const lanes sums[GROUP])
{
#if LANES == 4
    four s = (sums[0] + sums[2 % GROUP]) + (sums[1 % GROUP] + sums[3 % GROUP]);
#else
#if LANES == 8
    eight e = sums[0] + sums[1 % GROUP];
#else
    eight e = __builtin_shufflevector(sums[0], sums[0], 0, 1, 2, 3, 4, 5, 6, 7) +
              __builtin_shufflevector(sums[0], sums[0], 8, 9, 10, 11, 12, 13, 14, 15);
#endif
    four s = __builtin_shufflevector(e, e, 0, 1, 2, 3) + __builtin_shufflevector(e, e, 4, 5, 6, 7);
#endif
    s += __builtin_shufflevector(s, s, 2, 3, 2, 3);
    return s[0] + s[1];
}

INLINE void dot_add(lanes sums[GROUP], const float *a, const float *b)
{
    UNROLL
    for (int k = 0; k < GROUP; k++)
        sums[k] += load(a + k * LANES) * load(b + k * LANES);
}

INLINE void l2_add(lanes sums[GROUP], const float *a, const float *b)
{
    UNROLL
    for (int k = 0; k < GROUP; k++) {
        lanes d = load(a + k * LANES) - load(b + k * LANES);
        sums[k] += d * d;
    }
}

/* A length that is no multiple of 16: the rest padded with zeros. Apart, or every call would pay for the
 * room. */
static __attribute__((noinline)) float odd(const float *a, const float *b, size_t n, bool l2)
{
    lanes sums[GROUP] = {{0}};
    float pa[16] = {0}, pb[16] = {0};
    size_t rest = n % 16, whole = n - rest;
    memcpy(pa, a + whole, rest * sizeof(float));
    memcpy(pb, b + whole, rest * sizeof(float));
    for (size_t i = 0; i < whole; i += 16)
        l2 ? l2_add(sums, a + i, b + i) : dot_add(sums, a + i, b + i);
    l2 ? l2_add(sums, pa, pb) : dot_add(sums, pa, pb);
    return tree16(sums);
}

INLINE float dot(const float *a, const float *b, size_t n)
{
    lanes sums[GROUP] = {{0}};
    if (n % 16)
        return odd(a, b, n, false);
    for (size_t i = 0; i < n; i += 16)
        dot_add(sums, a + i, b + i);
    return tree16(sums);
}

static float set_dot(const float *a, const float *b, size_t n)
{
    return dot(a, b, n);
}

static float set_l2(const float *a, const float *b, size_t n)
{
    lanes sums[GROUP] = {{0}};
    if (n % 16)
        return odd(a, b, n, true);
    for (size_t i = 0; i < n; i += 16)
        l2_add(sums, a + i, b + i);
    return tree16(sums);
}

static void set_axpy(float *y, float a, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(y + i, load(y + i) + a * load(x + i));
    for (; i < n; i++)
        y[i] += a * x[i];
}

/* ---- matrix products (V2) --------------------------------------------------------------- */

INLINE void dense_tile(const struct simd_dense *dense, size_t row, const int rows, size_t column,
                       const int vectors)
{
    const size_t in = dense->in, out = dense->out;
    const float *x = dense->x + row * in, *w = dense->w + column;
    lanes sums[TILE_ROWS][TILE_VECTORS];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            sums[r][v] = load(dense->bias + column + v * LANES);
    }
    for (size_t i = 0; i < in; i++) {
        lanes wv[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++)
            wv[v] = load(w + i * out + v * LANES);
        UNROLL
        for (int r = 0; r < rows; r++) {
            float xi = x[(size_t)r * in + i];
            UNROLL
            for (int v = 0; v < vectors; v++)
                sums[r][v] += xi * wv[v];
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            lanes y = sums[r][v];
            if (dense->relu)
                y = (lanes)((mask)y & (y > 0.0f));
            store(dense->y + (row + (size_t)r) * out + column + v * LANES, y);
        }
    }
}

static void dense_columns_rest(const struct simd_dense *dense, size_t row, size_t column)
{
    for (; column < dense->out; column++) {
        float sum = dense->bias[column];
        for (size_t i = 0; i < dense->in; i++)
            sum += dense->x[row * dense->in + i] * dense->w[i * dense->out + column];
        if (dense->relu && !(sum > 0))
            sum = 0;
        dense->y[row * dense->out + column] = sum;
    }
}

/* What no whole tile of rows holds goes in smaller ones: a row alone would wait for each of its sums. */
#define REST_ROWS(tile, what, row, left, ...)                                                      \
    do {                                                                                           \
        if (TILE_ROWS > 8 && (left)&8)                                                             \
            tile(what, row, TILE_ROWS > 8 ? 8 : 1, __VA_ARGS__), row += 8;                         \
        if (TILE_ROWS > 4 && (left)&4)                                                             \
            tile(what, row, TILE_ROWS > 4 ? 4 : 1, __VA_ARGS__), row += 4;                         \
        if ((left)&2)                                                                              \
            tile(what, row, 2, __VA_ARGS__), row += 2;                                             \
        if ((left)&1)                                                                              \
            tile(what, row, 1, __VA_ARGS__);                                                       \
    } while (0)

INLINE void dense_rows(const struct simd_dense *dense, size_t column, const int vectors)
{
    size_t row = 0, left = dense->batch % TILE_ROWS;
    for (; row + TILE_ROWS <= dense->batch; row += TILE_ROWS)
        dense_tile(dense, row, TILE_ROWS, column, vectors);
    REST_ROWS(dense_tile, dense, row, left, column, vectors);
}

static void set_dense(const struct simd_dense *dense)
{
    size_t column = 0;
    for (; column + TILE_VECTORS * LANES <= dense->out; column += TILE_VECTORS * LANES)
        dense_rows(dense, column, TILE_VECTORS);
    for (; column + LANES <= dense->out; column += LANES)
        dense_rows(dense, column, 1);
    for (size_t row = 0; row < dense->batch; row++)
        dense_columns_rest(dense, row, column);
}

/* dw[i .. i + rows)[column ..] += x^T dy, over the batch in order. */
INLINE void grad_tile(const struct simd_dense_grad *grad, size_t i, const int rows, size_t column,
                      const int vectors)
{
    const size_t in = grad->in, out = grad->out;
    lanes sums[TILE_ROWS][TILE_VECTORS];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            sums[r][v] = load(grad->dw + (i + (size_t)r) * out + column + v * LANES);
    }
    for (size_t b = 0; b < grad->batch; b++) {
        lanes dy[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++)
            dy[v] = load(grad->dy + b * out + column + v * LANES);
        UNROLL
        for (int r = 0; r < rows; r++) {
            float xi = grad->x[b * in + i + (size_t)r];
            UNROLL
            for (int v = 0; v < vectors; v++)
                sums[r][v] += xi * dy[v];
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            store(grad->dw + (i + (size_t)r) * out + column + v * LANES, sums[r][v]);
    }
}

INLINE void grad_rows(const struct simd_dense_grad *grad, size_t column, const int vectors)
{
    size_t i = 0, left = grad->in % TILE_ROWS;
    for (; i + TILE_ROWS <= grad->in; i += TILE_ROWS)
        grad_tile(grad, i, TILE_ROWS, column, vectors);
    REST_ROWS(grad_tile, grad, i, left, column, vectors);
}

static void grad_weights(const struct simd_dense_grad *grad)
{
    const size_t in = grad->in, out = grad->out;
    size_t column = 0;
    for (; column + TILE_VECTORS * LANES <= out; column += TILE_VECTORS * LANES)
        grad_rows(grad, column, TILE_VECTORS);
    for (; column + LANES <= out; column += LANES)
        grad_rows(grad, column, 1);
    for (size_t b = 0; b < grad->batch && column < out; b++) {
        for (size_t i = 0; i < in; i++) {
            for (size_t o = column; o < out; o++)
                grad->dw[i * out + o] += grad->x[b * in + i] * grad->dy[b * out + o];
        }
    }
}

static void set_dense_grad(const struct simd_dense_grad *grad)
{
    const size_t in = grad->in, out = grad->out;
    grad_weights(grad);
    for (size_t b = 0; b < grad->batch; b++)
        set_axpy(grad->dbias, 1.0f, grad->dy + b * out, out);
    if (!grad->dx)
        return;
    for (size_t b = 0; b < grad->batch; b++) {
        for (size_t i = 0; i < in; i++)
            grad->dx[b * in + i] = dot(grad->w + i * out, grad->dy + b * out, out);
    }
}

/* ---- optimisers ------------------------------------------------------------------------- */

INLINE void adam_lanes(const struct simd_adam *adam, float *w, float *m, float *v, const float *g)
{
    lanes g1 = load(g) * adam->g_scale + adam->l2 * load(w), m1 = load(m), v1 = load(v);
    m1 += (g1 - m1) * (1.0f - adam->beta1);
    v1 += (g1 * g1 - v1) * (1.0f - adam->beta2);
    store(m, m1);
    store(v, v1);
    store(w, load(w) - adam->rate * m1 / (lanes_sqrt(v1) + adam->epsilon));
}

static void set_adam(const struct simd_adam *adam)
{
    size_t i = 0, n = adam->n;
    for (; i + LANES <= n; i += LANES)
        adam_lanes(adam, adam->w + i, adam->m + i, adam->v + i, adam->g + i);
    if (i == n)
        return;
    float rest[4][LANES] = {{0}};
    size_t bytes = (n - i) * sizeof(float);
    memcpy(rest[0], adam->w + i, bytes);
    memcpy(rest[1], adam->m + i, bytes);
    memcpy(rest[2], adam->v + i, bytes);
    memcpy(rest[3], adam->g + i, bytes);
    adam_lanes(adam, rest[0], rest[1], rest[2], rest[3]);
    memcpy(adam->w + i, rest[0], bytes);
    memcpy(adam->m + i, rest[1], bytes);
    memcpy(adam->v + i, rest[2], bytes);
}

INLINE void adagrad_lanes(float *w, float *s, lanes g, float rate)
{
    lanes s1 = load(s) + g * g;
    store(s, s1);
    store(w, load(w) - rate * g / lanes_sqrt(s1));
}

static void set_adagrad(const struct simd_adagrad *adagrad)
{
    float *w = adagrad->w, *s = adagrad->s;
    size_t i = 0, n = adagrad->n;
    for (; i + LANES <= n; i += LANES) {
        lanes g = load(adagrad->g + i) + adagrad->l2 * load(w + i);
        adagrad_lanes(w + i, s + i, g, adagrad->rate);
    }
    for (; i < n; i++) {
        float g = adagrad->g[i] + adagrad->l2 * w[i];
        s[i] += g * g;
        w[i] -= adagrad->rate * g / __builtin_sqrtf(s[i]);
    }
}

/* ---- pairs of field-aware factors: 8 wide on every set ----------------------------------- */

enum { PAIR_LANES = LANES < SIMD_PAIR_K ? LANES : SIMD_PAIR_K };
enum { PAIR_GROUP = SIMD_PAIR_K / PAIR_LANES };
typedef float pair_lanes __attribute__((vector_size(PAIR_LANES * 4)));

INLINE pair_lanes pair_load(const float *from)
{
    pair_lanes v;
    memcpy(&v, from, sizeof(v));
    return v;
}

INLINE void pair_store(float *to, pair_lanes v)
{
    memcpy(to, &v, sizeof(v));
}

static float set_pairs_dot(const struct simd_pair *pairs, size_t count)
{
    pair_lanes sums[PAIR_GROUP] = {{0}};
    for (size_t p = 0; p < count; p++) {
        UNROLL
        for (int k = 0; k < PAIR_GROUP; k++)
            sums[k] += pair_load(pairs[p].a + k * PAIR_LANES) *
                       pair_load(pairs[p].b + k * PAIR_LANES) * pairs[p].scale;
    }
    float s[SIMD_PAIR_K];
    memcpy(s, sums, sizeof(s));
    UNROLL
    for (int width = SIMD_PAIR_K / 2; width > 0; width /= 2) {
        UNROLL
        for (int j = 0; j < width; j++)
            s[j] += s[j + width];
    }
    return s[0];
}

static void set_pairs_step(const struct simd_pair *pairs, size_t count, struct simd_pair_step step)
{
    for (size_t p = 0; p < count; p++) {
        float pull = step.kappa * pairs[p].scale;
        UNROLL
        for (int k = 0; k < PAIR_GROUP; k++) {
            float *a = pairs[p].a + k * PAIR_LANES, *b = pairs[p].b + k * PAIR_LANES;
            pair_lanes va = pair_load(a), vb = pair_load(b);
            pair_lanes ga = pull * vb + step.l2 * va, gb = pull * va + step.l2 * vb;
            pair_lanes sa = pair_load(a + SIMD_PAIR_K) + ga * ga;
            pair_lanes sb = pair_load(b + SIMD_PAIR_K) + gb * gb;
            pair_store(a + SIMD_PAIR_K, sa);
            pair_store(b + SIMD_PAIR_K, sb);
            pair_store(a, va - step.rate * ga / pair_sqrt(sa));
            pair_store(b, vb - step.rate * gb / pair_sqrt(sb));
        }
    }
}

static const struct simd_ops ops = {
    .name = SET_NAME,
    .dot = set_dot,
    .l2 = set_l2,
    .axpy = set_axpy,
    .scan_i8 = SCAN_I8,
    .dense = set_dense,
    .dense_grad = set_dense_grad,
    .adam = set_adam,
    .adagrad = set_adagrad,
    .pairs_dot = set_pairs_dot,
    .pairs_step = set_pairs_step,
};
