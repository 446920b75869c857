/* SPDX-License-Identifier: Apache-2.0
 *
 * simd, eight lanes: AVX2 (without FMA: V3).
 */
#include "simd/simd_priv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define LANES 8
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define SET_NAME "avx2"
#define SCAN_I8 scan_i8
#define lanes_sqrt(v) ((lanes)_mm256_sqrt_ps((__m256)(v)))
#define pair_sqrt(v) lanes_sqrt(v)

/* Four rows a step: their four bytes widened to 16 bits, multiplied and paired by pmaddwd. */
static inline void tile_i8(const int8_t *q, const int8_t *tile, size_t n, int32_t *out)
{
    __m256i sum[4] = {0};
    for (size_t i = 0; i < n; i += 4) {
        int32_t q4;
        memcpy(&q4, q + i, sizeof(q4));
        __m256i vq = _mm256_cvtepi8_epi16(_mm_set1_epi32(q4));
        for (int g = 0; g < 4; g++) {
            const void *four = tile + i * SIMD_TILE_I8 + g * 16;
            __m256i rows = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)four));
            sum[g] = _mm256_add_epi32(sum[g], _mm256_madd_epi16(rows, vq));
        }
    }
    for (int g = 0; g < 4; g += 2) { /* pairs within each half: rows 0 1 4 5, 2 3 6 7 */
        __m256i eight = _mm256_hadd_epi32(sum[g], sum[g + 1]);
        _mm256_storeu_si256((__m256i *)(void *)(out + g * 4),
                            _mm256_permute4x64_epi64(eight, 0xd8));
    }
}

static inline void scan_i8(const struct simd_scan_i8 *scan, int32_t *out)
{
    const int8_t *tile = scan->tiles;
    for (uint32_t t = 0; t < scan->tile_count; t++, tile += (size_t)SIMD_TILE_I8 * scan->n)
        tile_i8(scan->q, tile, scan->n, out + t * SIMD_TILE_I8);
}

#include "simd/kernels_priv.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const struct simd_ops *simd__avx2(void)
{
    return __builtin_cpu_supports("avx2") ? &ops : NULL;
}
#else
const struct simd_ops *simd__avx2(void)
{
    return NULL;
}
#endif
