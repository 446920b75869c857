/* SPDX-License-Identifier: Apache-2.0
 *
 * simd, four lanes: SSE2 on x86-64, NEON on arm64, whatever the compiler has elsewhere. Always
 * there.
 */
#include "simd/simd_priv.h"

#define LANES 4
#define TILE_VECTORS 2

#if defined(__x86_64__)
#include <emmintrin.h>
#define SET_NAME "baseline"
#define TILE_ROWS 4
#define lanes_sqrt(v) ((lanes)_mm_sqrt_ps((__m128)(v)))

/* 16 products a step: int8 widened by its sign to 16 bits, multiplied and paired by pmaddwd. */
static inline int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    __m128i sum = _mm_setzero_si128(), zero = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m128i va = _mm_loadu_si128((const __m128i *)(a + i));
        __m128i vb = _mm_loadu_si128((const __m128i *)(b + i));
        __m128i sa = _mm_cmpgt_epi8(zero, va), sb = _mm_cmpgt_epi8(zero, vb);
        sum = _mm_add_epi32(sum,
                            _mm_madd_epi16(_mm_unpacklo_epi8(va, sa), _mm_unpacklo_epi8(vb, sb)));
        sum = _mm_add_epi32(sum,
                            _mm_madd_epi16(_mm_unpackhi_epi8(va, sa), _mm_unpackhi_epi8(vb, sb)));
    }
    int32_t s[4];
    _mm_storeu_si128((__m128i *)s, sum);
    int32_t total = s[0] + s[1] + s[2] + s[3];
    for (; i < n; i++)
        total += (int32_t)a[i] * (int32_t)b[i];
    return total;
}
#elif defined(__aarch64__)
#include <arm_neon.h>
#define SET_NAME "neon"
#define TILE_ROWS 8
#define lanes_sqrt(v) ((lanes)vsqrtq_f32((float32x4_t)(v)))

static inline int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    int32x4_t sum = vdupq_n_s32(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        int8x16_t va = vld1q_s8(a + i), vb = vld1q_s8(b + i);
        sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(va), vget_low_s8(vb)));
        sum = vpadalq_s16(sum, vmull_high_s8(va, vb));
    }
    int32_t total = vaddvq_s32(sum);
    for (; i < n; i++)
        total += (int32_t)a[i] * (int32_t)b[i];
    return total;
}
#else
#define SET_NAME "baseline"
#define TILE_ROWS 4
#define lanes_sqrt(v)                                                                              \
    ((lanes){__builtin_sqrtf((v)[0]), __builtin_sqrtf((v)[1]), __builtin_sqrtf((v)[2]),            \
             __builtin_sqrtf((v)[3])})

static inline int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += (int32_t)a[i] * (int32_t)b[i];
    return total;
}
#endif

#define pair_sqrt(v) lanes_sqrt(v)
#define SET_DOT_I8 dot_i8

#include "simd/kernels_priv.h"

const struct simd_ops *simd__baseline(void)
{
    return &ops;
}
