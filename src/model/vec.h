/* SPDX-License-Identifier: Apache-2.0
 *
 * Four floats at a time, the same bits on every processor: IEEE + - * / and integer operations
 * only, in a fixed order; the compiler splits the vectors as the machine needs.
 */
#ifndef MODEL_VEC_H
#define MODEL_VEC_H

#include <stdint.h>
#include <string.h>

typedef float vec4 __attribute__((vector_size(16)));
typedef int32_t ivec4 __attribute__((vector_size(16)));

static inline vec4 vec4_load(const float *from)
{
    vec4 v;
    memcpy(&v, from, sizeof(v));
    return v;
}
static inline void vec4_store(float *to, vec4 v)
{
    memcpy(to, &v, sizeof(v));
}
static inline vec4 vec4_set(float x)
{
    return (vec4){x, x, x, x};
}

/* ln(x) for normal x >= 1e-30; error <= 2e-6. As base_logf(): x = 2^e m, m in [.7, 1.4),
 * t = (m - 1) / (m + 1), a short odd series. */
static inline vec4 vec4_log(vec4 x)
{
    ivec4 bits = (ivec4)x;
    ivec4 up = bits - 0x3f3504f3; /* bits of sqrt(1/2): the exponent below counts from there */
    ivec4 exponent = up >> 23;
    ivec4 mantissa = bits - (exponent << 23);
    vec4 m = (vec4)mantissa;
    vec4 t = (m - 1.0f) / (m + 1.0f), t2 = t * t;
    vec4 p = t2 * 0.2222222222f + 0.2857142857f;
    p = p * t2 + 0.4f;
    p = p * t2 + 0.6666666667f;
    p = p * t2 + 2.0f;
    return __builtin_convertvector(exponent, vec4) * 0.69314718f + p * t;
}

/* x = ln(1 + a * scale) over count (a multiple of 4) floats. */
static inline void vec_log1(const float *a, float scale, float *x, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 4)
        vec4_store(x + i, vec4_log(vec4_load(a + i) * scale + 1.0f));
}

/* Each lane held within low .. high; NaN becomes low. */
static inline vec4 vec4_clamp(vec4 x, float low, float high)
{
    ivec4 above = x > low, below = x < high;
    x = (vec4)(((ivec4)x & above) | ((ivec4)vec4_set(low) & ~above));
    return (vec4)(((ivec4)x & below) | ((ivec4)vec4_set(high) & ~below));
}

/* 2^x for x in -126 .. 126, as base_exp2f(). */
static inline vec4 vec4_exp2(vec4 x)
{
    ivec4 whole = __builtin_convertvector(x + 127.5f, ivec4) - 127; /* the sum is never negative */
    vec4 f = x - __builtin_convertvector(whole, vec4);
    vec4 p = f * 1.5403530393381609e-4f + 1.3333558146428443e-3f;
    p = p * f + 9.6181291076284772e-3f;
    p = p * f + 5.5504108664821580e-2f;
    p = p * f + 2.4022650695910072e-1f;
    p = p * f + 6.9314718055994531e-1f;
    p = p * f + 1.0f;
    return p * (vec4)((whole + 127) << 23);
}

/* 1 / (1 + e^-x) and tanh(x) = 2 / (1 + e^-2x) - 1; absolute error <= 1e-6. */
static inline vec4 vec4_sigmoid(vec4 x)
{
    return 1.0f / (1.0f + vec4_exp2(vec4_clamp(x * -1.4426950408889634f, -100.0f, 100.0f)));
}
static inline vec4 vec4_tanh(vec4 x)
{
    return 2.0f * vec4_sigmoid(2.0f * x) - 1.0f;
}

#endif
