/* SPDX-License-Identifier: Apache-2.0
 *
 * simd, sixteen lanes: AVX-512 (without FMA: V3), int8 by VNNI.
 */
#include "simd/simd_priv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((                                                       \
                                 target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))),        \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#endif

#define LANES 16
#define TILE_ROWS 16
#define TILE_VECTORS 1
#define SET_NAME "avx512"
#define lanes_sqrt(v) ((lanes)_mm512_sqrt_ps((__m512)(v)))
#define pair_sqrt(v) ((pair_lanes)_mm256_sqrt_ps((__m256)(v)))
#define SET_DOT_I8 dot_i8

/* VNNI multiplies unsigned by signed: (a + 128) . b - 128 * sum(b), both in one pass, exact. */
static inline int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    __m512i sum = _mm512_setzero_si512(), bias = sum;
    const __m512i flip = _mm512_set1_epi8((char)0x80), ones = _mm512_set1_epi8(1);
    size_t i = 0;
    for (; i < n; i += 64) {
        size_t left = n - i;
        __mmask64 some = left >= 64 ? ~(__mmask64)0 : (((__mmask64)1 << left) - 1);
        __m512i va = _mm512_maskz_loadu_epi8(some, a + i);
        __m512i vb = _mm512_maskz_loadu_epi8(some, b + i);
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(va, flip), vb);
        bias = _mm512_dpbusd_epi32(bias, ones, vb);
    }
    return _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, _mm512_slli_epi32(bias, 7)));
}

#include "simd/kernels_priv.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const struct simd_ops *simd__avx512(void)
{
    bool can = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vnni");
    return can ? &ops : NULL;
}
#else
const struct simd_ops *simd__avx512(void)
{
    return NULL;
}
#endif
