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
#include <string.h>
#define SET_NAME "baseline"
#define TILE_ROWS 4
#define lanes_sqrt(v) ((lanes)_mm_sqrt_ps((__m128)(v)))

/* Two rows a step: int8 widened by its sign to 16 bits, multiplied and paired by pmaddwd. */
static inline void tile_i8(const int8_t *q, const int8_t *tile, size_t n, int32_t *out)
{
    const __m128i zero = _mm_setzero_si128();
    for (size_t g = 0; g < SIMD_TILE_I8; g += 4) {
        __m128i low = zero, high = zero;
        for (size_t i = 0; i < n; i += 4) {
            int32_t q4;
            memcpy(&q4, q + i, sizeof(q4));
            __m128i vq = _mm_set1_epi32(q4);
            __m128i rows = _mm_loadu_si128((const __m128i *)(const void *)(tile + (i * 4 + g) * 4));
            __m128i sign = _mm_cmpgt_epi8(zero, rows);
            vq = _mm_unpacklo_epi8(vq, _mm_cmpgt_epi8(zero, vq));
            low = _mm_add_epi32(low, _mm_madd_epi16(_mm_unpacklo_epi8(rows, sign), vq));
            high = _mm_add_epi32(high, _mm_madd_epi16(_mm_unpackhi_epi8(rows, sign), vq));
        }
        __m128i a = _mm_unpacklo_epi32(low, high), b = _mm_unpackhi_epi32(low, high);
        __m128i sum = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
        _mm_storeu_si128((__m128i *)(void *)(out + g), sum);
    }
}
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>
#define SET_NAME "neon"
#define TILE_ROWS 8
#define lanes_sqrt(v) ((lanes)vsqrtq_f32((float32x4_t)(v)))

static inline void tile_i8(const int8_t *q, const int8_t *tile, size_t n, int32_t *out)
{
    for (size_t g = 0; g < SIMD_TILE_I8; g += 4) {
        int32x4_t low = vdupq_n_s32(0), high = low;
        for (size_t i = 0; i < n; i += 4) {
            int32_t q4;
            memcpy(&q4, q + i, sizeof(q4));
            int8x16_t rows = vld1q_s8(tile + (i * 4 + g) * 4);
            int8x16_t vq = vreinterpretq_s8_s32(vdupq_n_s32(q4));
            low = vpadalq_s16(low, vmull_s8(vget_low_s8(rows), vget_low_s8(vq)));
            high = vpadalq_s16(high, vmull_high_s8(rows, vq));
        }
        vst1q_s32(out + g, vpaddq_s32(low, high));
    }
}
#else
#define SET_NAME "baseline"
#define TILE_ROWS 4
#define lanes_sqrt(v)                                                                              \
    ((lanes){__builtin_sqrtf((v)[0]), __builtin_sqrtf((v)[1]), __builtin_sqrtf((v)[2]),            \
             __builtin_sqrtf((v)[3])})

static inline void tile_i8(const int8_t *q, const int8_t *tile, size_t n, int32_t *out)
{
    for (size_t r = 0; r < SIMD_TILE_I8; r++) {
        out[r] = 0;
        for (size_t i = 0; i < n; i++)
            out[r] += (int32_t)q[i] * (int32_t)tile[simd_tile_i8(i, r)];
    }
}
#endif

#define pair_sqrt(v) lanes_sqrt(v)
#define SCAN_I8 scan_i8

static inline void scan_i8(const struct simd_scan_i8 *scan, int32_t *out)
{
    const int8_t *tile = scan->tiles;
    for (uint32_t t = 0; t < scan->tile_count; t++, tile += (size_t)SIMD_TILE_I8 * scan->n)
        tile_i8(scan->q, tile, scan->n, out + t * SIMD_TILE_I8);
}

#include "simd/kernels_priv.h"

const struct simd_ops *simd__baseline(void)
{
    return &ops;
}
