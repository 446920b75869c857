/* SPDX-License-Identifier: Apache-2.0
 *
 * base_fmath: see the door. Polynomials: minimax fits, evaluated by Horner in a fixed order.
 * Thread: any.
 */
#include "base/fmath.h"

#include <string.h>

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

float base_exp2f(float x)
{
    if (!(x >= -126.0f))
        return 0.0f; /* NaN too */
    if (x > 126.0f)
        x = 126.0f;
    int32_t whole = (int32_t)(x + 127.5f) - 127; /* nearest; the sum is never negative */
    float f = x - (float)whole;                  /* [-0.5, 0.5] */
    float p = 1.5403530393381609e-4f;
    p = p * f + 1.3333558146428443e-3f;
    p = p * f + 9.6181291076284772e-3f;
    p = p * f + 5.5504108664821580e-2f;
    p = p * f + 2.4022650695910072e-1f;
    p = p * f + 6.9314718055994531e-1f;
    p = p * f + 1.0f;
    return p * float_of_bits((uint32_t)(whole + 127) << 23);
}

float base_expf(float x)
{
    return base_exp2f(x * 1.4426950408889634f);
}

/* x = 2^e * m, m in [sqrt(1/2), sqrt(2)); with t = (m - 1) / (m + 1),
 * ln m = 2 (t + t^3/3 + t^5/5 + t^7/7 + t^9/9), |t| <= 0.1716. */
float base_log2f(float x)
{
    if (!(x >= 1.1754944e-38f))
        return -126.0f;
    uint32_t bits = bits_of_float(x);
    int32_t exponent = (int32_t)(bits >> 23) - 127;
    float m = float_of_bits((bits & 0x007fffffu) | 0x3f800000u);
    if (m > 1.41421356f) {
        m *= 0.5f;
        exponent++;
    }
    float t = (m - 1.0f) / (m + 1.0f), t2 = t * t;
    float p = 0.32059899f; /* 2 / (9 ln 2) */
    p = p * t2 + 0.41219859f;
    p = p * t2 + 0.57707802f;
    p = p * t2 + 0.96179669f;
    p = p * t2 + 2.88539008f;
    return (float)exponent + p * t;
}

float base_logf(float x)
{
    return base_log2f(x) * 0.69314718f;
}

float base_sigmoidf(float x)
{
    return 1.0f / (1.0f + base_expf(-x));
}

/* A rest of age below one half-life is taken to 1/64 of it, as a product of the factors of its
 * bits; integers throughout, rounded down at each step. */
static const uint32_t half_power[6] = {
    /* 2^-(1/2), 2^-(1/4), ..., 2^-(1/64) times 2^32 */
    3037000499u, 3611622602u, 3938502375u, 4112874773u, 4202935003u, 4248701964u,
};

uint32_t base_decay_u32(uint32_t value, uint64_t age, uint64_t half_life)
{
    FR_ASSERT(half_life > 0);
    uint64_t halvings = age / half_life;
    if (value == 0 || halvings >= 32)
        return 0;
    uint64_t rest = age % half_life, decayed = (uint64_t)value << 16;
    for (int bit = 0; bit < 6 && rest > 0; bit++) {
        bool set = rest >= half_life - rest; /* 2 rest >= half_life, without overflow */
        rest = set ? rest - (half_life - rest) : rest + rest;
        if (set) {
            __extension__ unsigned __int128 wide = (unsigned __int128)decayed * half_power[bit];
            decayed = (uint64_t)(wide >> 32);
        }
    }
    return (uint32_t)(decayed >> (16 + halvings));
}
