/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels of every set: the ranking network 256 x 64 -> 128 -> 64 -> 1, the int8 scan, one Adam
 * step of the network, 78 pairs of field-aware factors. CPU time, the best of several rounds.
 */
#include "base/hash.h"
#include "simd/simd.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 256, IN = 64, H1 = 128, H2 = 64, SCAN_ROWS = 4096, SCAN_N = 64, PAIRS = 78 };
enum { WEIGHTS = IN * H1 + H1 + H1 * H2 + H2 + H2 + 1, ROUNDS = 15 };

struct bench {
    const struct simd_ops *ops;
    float *x, *w, *m, *v, *g, *h1, *h2, *y;
    int8_t *rows;
    int32_t *scores;
    struct simd_pair pairs[PAIRS];
};

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void run_network(struct bench *bench)
{
    const float *w1 = bench->w, *b1 = w1 + IN * H1, *w2 = b1 + H1, *b2 = w2 + H1 * H2;
    const float *w3 = b2 + H2;
    struct simd_dense layers[] = {
        {bench->x, w1, b1, bench->h1, BATCH, IN, H1, true},
        {bench->h1, w2, b2, bench->h2, BATCH, H1, H2, true},
        {bench->h2, w3, w3 + H2, bench->y, BATCH, H2, 1, false},
    };
    for (int i = 0; i < 3; i++)
        bench->ops->dense(&layers[i]);
}

static void run_scan(struct bench *bench)
{
    struct simd_scan_i8 scan = {bench->rows, bench->rows, SCAN_N, SCAN_ROWS / SIMD_TILE_I8};
    bench->ops->scan_i8(&scan, bench->scores);
}

static void run_adam(struct bench *bench)
{
    struct simd_adam adam = {.w = bench->w,
                             .m = bench->m,
                             .v = bench->v,
                             .g = bench->g,
                             .n = WEIGHTS,
                             .rate = 1e-6f,
                             .beta1 = 0.9f,
                             .beta2 = 0.999f,
                             .epsilon = 1e-7f,
                             .l2 = 0,
                             .g_scale = 1};
    bench->ops->adam(&adam);
}

static void run_pairs(struct bench *bench)
{
    float sum = bench->ops->pairs_dot(bench->pairs, PAIRS);
    bench->ops->pairs_step(bench->pairs, PAIRS, (struct simd_pair_step){sum * 1e-9f, 0.1f, 1e-5f});
}

static double best_of(struct bench *bench, void (*run)(struct bench *))
{
    double best = 1e30;
    for (int round = 0; round < ROUNDS; round++) {
        double began = cpu_us();
        for (int i = 0; i < 20; i++)
            run(bench);
        best = FR_MIN(best, (cpu_us() - began) / 20);
    }
    return best;
}

static float *floats(size_t n, uint64_t id)
{
    float *to = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
    if (!to)
        abort();
    for (size_t i = 0; i < n; i++)
        to[i] = (float)(base_random_unit(1, id, i) - 0.5) * 0.2f;
    return to;
}

int main(void)
{
    struct bench bench = {.x = floats(BATCH * IN, 1),
                          .w = floats(WEIGHTS, 2),
                          .m = floats(WEIGHTS, 3),
                          .v = floats(WEIGHTS, 4),
                          .g = floats(WEIGHTS, 5),
                          .h1 = floats(BATCH * H1, 6),
                          .h2 = floats(BATCH * H2, 7),
                          .y = floats(BATCH, 8)};
    float *factors = floats(2 * PAIRS * 2 * SIMD_PAIR_K, 9);
    bench.rows = calloc(SCAN_ROWS, SCAN_N);
    bench.scores = calloc(SCAN_ROWS, sizeof(int32_t));
    for (size_t i = 0; i < WEIGHTS; i++)
        bench.v[i] *= bench.v[i];
    for (size_t i = 0; i < SCAN_ROWS * SCAN_N; i++)
        bench.rows[i] = (int8_t)base_random_u64(2, 0, i);
    for (size_t p = 0; p < PAIRS; p++) {
        bench.pairs[p] = (struct simd_pair){factors + p * 4 * SIMD_PAIR_K,
                                            factors + p * 4 * SIMD_PAIR_K + 2 * SIMD_PAIR_K, 1};
        for (int k = 0; k < SIMD_PAIR_K; k++)
            bench.pairs[p].a[SIMD_PAIR_K + k] = bench.pairs[p].b[SIMD_PAIR_K + k] = 1;
    }
    printf("%-9s %14s %9s %14s %12s %14s\n", "set", "network us", "GFLOP/s", "i8 ns/row of 64",
           "Adam us", "78 pairs us");
    for (const char *const *name = simd_names(); *name; name++) {
        bench.ops = simd_ops_named(*name);
        if (!bench.ops)
            continue;
        double network = best_of(&bench, run_network);
        printf("%-9s %14.1f %9.1f %14.2f %12.2f %14.2f\n", *name, network,
               2e-3 * BATCH * (IN * H1 + H1 * H2 + H2) / network,
               best_of(&bench, run_scan) * 1e3 / SCAN_ROWS, best_of(&bench, run_adam),
               best_of(&bench, run_pairs));
    }
    printf("chosen: %s\n", simd_ops()->name);
    return 0;
}
