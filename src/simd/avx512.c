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

#define SCAN_I8 scan_i8

/* VNNI multiplies unsigned by signed: (row + 128) . q - 128 * sum(q), exact. */
static inline void scan_i8(const struct simd_scan_i8 *scan, int32_t *out)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    const int8_t *tile = scan->tiles;
    int32_t bias = 0;
    for (uint32_t i = 0; i < scan->n; i++)
        bias -= 128 * scan->q[i];
    for (uint32_t t = 0; t < scan->tile_count; t++, out += SIMD_TILE_I8) {
        __m512i sum = _mm512_set1_epi32(bias);
        for (uint32_t i = 0; i < scan->n; i += 4, tile += sizeof(sum)) {
            int32_t q4;
            memcpy(&q4, scan->q + i, sizeof(q4));
            __m512i rows = _mm512_xor_si512(_mm512_loadu_si512(tile), flip);
            sum = _mm512_dpbusd_epi32(sum, rows, _mm512_set1_epi32(q4));
        }
        _mm512_storeu_si512(out, sum);
    }
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
