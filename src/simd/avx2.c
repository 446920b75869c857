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
#define lanes_sqrt(v) ((lanes)_mm256_sqrt_ps((__m256)(v)))
#define pair_sqrt(v) lanes_sqrt(v)
#define SET_DOT_I8 dot_i8

static inline int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    __m256i sum = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i va = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(a + i)));
        __m256i vb = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + i)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(va, vb));
    }
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    int32_t s[4];
    _mm_storeu_si128((__m128i *)s, half);
    int32_t total = s[0] + s[1] + s[2] + s[3];
    for (; i < n; i++)
        total += (int32_t)a[i] * (int32_t)b[i];
    return total;
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
