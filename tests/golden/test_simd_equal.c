/* SPDX-License-Identifier: Apache-2.0
 *
 * Every set of vector kernels gives the same bits as the scalar reference, for all small lengths,
 * odd shapes and values from denormal to huge; and the reference agrees with sums in double.
 */
#include "base/hash.h"
#include "simd/simd.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_MAX = 300 };

static float draw(uint64_t id, uint64_t i)
{
    double u = base_random_unit(7, id, i) * 2 - 1;
    if (base_random_u64(8, id, i) % 17 == 0)
        return 0.0f;
    int scale = (int)(base_random_u64(9, id, i) % 13) - 6;
    return (float)ldexp(u, scale);
}

static void fill(float *to, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        to[i] = draw(id, i);
}

static const struct simd_ops *next_set(size_t *at)
{
    const char *const *names = simd_names();
    while (names[*at]) {
        const struct simd_ops *ops = simd_ops_named(names[(*at)++]);
        if (ops)
            return ops;
    }
    return NULL;
}

static void assert_same(const float *a, const float *b, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(a + i, b + i, sizeof(float)) != 0)
            fail_msg("%s: element %zu of %zu: %a, reference %a", name, i, n, (double)a[i],
                     (double)b[i]);
    }
}

static void reductions_are_equal(void **state)
{
    (void)state;
    const struct simd_ops *reference = simd_ops_named("scalar");
    float a[N_MAX], b[N_MAX], y[N_MAX], want[N_MAX];
    for (size_t n = 0; n < N_MAX; n++) {
        fill(a, n, 2 * n);
        fill(b, n, 2 * n + 1);
        float dot = reference->dot(a, b, n), l2 = reference->l2(a, b, n);
        fill(want, n, n + 5000);
        reference->axpy(want, 0.37f, a, n);
        const struct simd_ops *ops;
        for (size_t at = 0; (ops = next_set(&at));) {
            float got = ops->dot(a, b, n);
            assert_same(&got, &dot, 1, ops->name);
            got = ops->l2(a, b, n);
            assert_same(&got, &l2, 1, ops->name);
            fill(y, n, n + 5000);
            ops->axpy(y, 0.37f, a, n);
            assert_same(y, want, n, ops->name);
        }
        double exact = 0, size = 1e-30;
        for (size_t i = 0; i < n; i++) {
            exact += (double)a[i] * (double)b[i];
            size += fabs((double)a[i] * (double)b[i]);
        }
        assert_true(fabs(exact - (double)dot) <= 1e-5 * size);
    }
}

/* Every length up to 300 bytes, one to three tiles, against plain sums; all -128 now and then. */
static void int8_is_exact(void **state)
{
    (void)state;
    enum { TILES = 3, ROWS = TILES * SIMD_TILE_I8 };
    static int8_t q[N_MAX], rows[ROWS][N_MAX], tiles[ROWS * N_MAX];
    for (uint32_t n = 4; n <= N_MAX; n += 4) {
        struct simd_scan_i8 scan = {q, tiles, n, 1 + n / 4 % TILES};
        int32_t want[ROWS] = {0}, got[ROWS];
        for (uint32_t i = 0; i < n; i++)
            q[i] = n % 20 == 0 ? (int8_t)-128 : (int8_t)base_random_u64(2, n, i);
        for (uint32_t r = 0; r < ROWS; r++) {
            int8_t *tile = tiles + r / SIMD_TILE_I8 * SIMD_TILE_I8 * n;
            for (uint32_t i = 0; i < n; i++) {
                rows[r][i] = n % 8 == 0 ? (int8_t)-128 : (int8_t)base_random_u64(1 + n, r, i);
                tile[simd_tile_i8(i, r % SIMD_TILE_I8)] = rows[r][i];
                want[r] += (int32_t)rows[r][i] * (int32_t)q[i];
            }
        }
        const struct simd_ops *ops;
        for (size_t at = 0; (ops = next_set(&at));) {
            memset(got, 0, sizeof(got));
            ops->scan_i8(&scan, got);
            assert_memory_equal(got, want, scan.tile_count * SIMD_TILE_I8 * sizeof(int32_t));
        }
    }
}

struct shape {
    uint32_t batch, in, out;
};

static void dense_of(struct shape shape, bool relu)
{
    size_t in = (size_t)shape.batch * shape.in, out = (size_t)shape.batch * shape.out;
    size_t weights = (size_t)shape.in * shape.out;
    float *block = calloc(3 * in + 3 * out + 3 * weights + 4 * shape.out, sizeof(float));
    float *x = block, *w = x + in, *bias = w + weights, *dy = bias + shape.out, *y = dy + out;
    float *want = y + out, *dx = want + out, *dx_want = dx + in, *dw = dx_want + in;
    float *dw_want = dw + weights, *db = dw_want + weights, *db_want = db + shape.out;
    fill(x, in, 1);
    fill(w, weights, 2);
    fill(bias, shape.out, 3);
    fill(dy, out, 4);
    fill(dw_want, weights, 5);
    struct simd_dense dense = {x, w, bias, want, shape.batch, shape.in, shape.out, relu};
    struct simd_dense_grad grad = {x,       w,           dy,       dw_want,  db_want,
                                   dx_want, shape.batch, shape.in, shape.out};
    simd_ops_named("scalar")->dense(&dense);
    simd_ops_named("scalar")->dense_grad(&grad);
    dense.y = y;
    grad.dw = dw;
    grad.dbias = db;
    grad.dx = dx;
    const struct simd_ops *ops;
    for (size_t at = 0; (ops = next_set(&at));) {
        fill(dw, weights, 5);
        memset(db, 0, shape.out * sizeof(float));
        ops->dense(&dense);
        ops->dense_grad(&grad);
        assert_same(y, want, out, ops->name);
        assert_same(dw, dw_want, weights, ops->name);
        assert_same(db, db_want, shape.out, ops->name);
        assert_same(dx, dx_want, in, ops->name);
    }
    free(block);
}

static void dense_layers_are_equal(void **state)
{
    (void)state;
    static const struct shape shapes[] = {{1, 1, 1},    {1, 64, 128}, {256, 64, 128}, {9, 128, 64},
                                          {7, 64, 1},   {13, 31, 37}, {3, 5, 16},     {8, 17, 33},
                                          {2, 100, 15}, {5, 3, 4},    {6, 40, 48}};
    for (size_t i = 0; i < FR_COUNT_OF(shapes); i++) {
        dense_of(shapes[i], false);
        dense_of(shapes[i], true);
    }
}

struct steps {
    float w[N_MAX], m[N_MAX], v[N_MAX];
};

static void optimise(const struct simd_ops *ops, struct steps *steps, size_t n)
{
    float g[N_MAX];
    fill(steps->w, n, 11);
    memset(steps->m, 0, sizeof(steps->m));
    memset(steps->v, 0, sizeof(steps->v));
    for (uint64_t t = 0; t < 5; t++) {
        fill(g, n, 20 + t);
        struct simd_adam adam = {.w = steps->w,
                                 .m = steps->m,
                                 .v = steps->v,
                                 .g = g,
                                 .n = n,
                                 .rate = 1e-3f,
                                 .beta1 = 0.9f,
                                 .beta2 = 0.999f,
                                 .epsilon = 1e-7f,
                                 .l2 = 1e-4f,
                                 .g_scale = 0.125f};
        ops->adam(&adam);
    }
    for (size_t i = 0; i < n; i++)
        steps->v[i] = 1.0f;
    struct simd_adagrad adagrad = {steps->w, steps->v, g, n, 0.1f, 1e-5f};
    ops->adagrad(&adagrad);
}

static void optimisers_are_equal(void **state)
{
    (void)state;
    static struct steps want, got;
    for (size_t n = 1; n < 70; n++) {
        optimise(simd_ops_named("scalar"), &want, n);
        const struct simd_ops *ops;
        for (size_t at = 0; (ops = next_set(&at));) {
            optimise(ops, &got, n);
            assert_same(got.w, want.w, n, ops->name);
            assert_same(got.m, want.m, n, ops->name);
            assert_same(got.v, want.v, n, ops->name);
        }
    }
}

enum { VECTORS = 12, PAIRS = 40 };

static float pairs_run(const struct simd_ops *ops, float vectors[VECTORS][2 * SIMD_PAIR_K])
{
    struct simd_pair pairs[PAIRS];
    for (uint64_t i = 0; i < VECTORS; i++) {
        fill(vectors[i], SIMD_PAIR_K, 60 + i);
        for (int k = 0; k < SIMD_PAIR_K; k++)
            vectors[i][SIMD_PAIR_K + k] = 1.0f;
    }
    for (uint64_t p = 0; p < PAIRS; p++) {
        pairs[p].a = vectors[base_random_u64(3, p, 0) % (VECTORS / 2)];
        pairs[p].b = vectors[VECTORS / 2 + base_random_u64(3, p, 1) % (VECTORS / 2)];
        pairs[p].scale = draw(80, p);
    }
    ops->pairs_step(pairs, PAIRS, (struct simd_pair_step){-0.3f, 0.1f, 1e-4f});
    return ops->pairs_dot(pairs, PAIRS);
}

static void pairs_are_equal(void **state)
{
    (void)state;
    float want[VECTORS][2 * SIMD_PAIR_K], got[VECTORS][2 * SIMD_PAIR_K];
    float sum = pairs_run(simd_ops_named("scalar"), want);
    const struct simd_ops *ops;
    for (size_t at = 0; (ops = next_set(&at));) {
        float mine = pairs_run(ops, got);
        assert_same(&mine, &sum, 1, ops->name);
        assert_same(got[0], want[0], VECTORS * 2 * SIMD_PAIR_K, ops->name);
    }
}

static void the_choice_is_one_of_the_sets(void **state)
{
    (void)state;
    const struct simd_ops *ops = simd_ops();
    assert_ptr_equal(ops, simd_ops());
    assert_ptr_equal(ops, simd_ops_named(ops->name));
    assert_null(simd_ops_named("no such set"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reductions_are_equal),   cmocka_unit_test(int8_is_exact),
        cmocka_unit_test(dense_layers_are_equal), cmocka_unit_test(optimisers_are_equal),
        cmocka_unit_test(pairs_are_equal),        cmocka_unit_test(the_choice_is_one_of_the_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
