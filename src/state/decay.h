/* SPDX-License-Identifier: Apache-2.0
 *
 * Decayed counters without sweeping. A counter with half-life 2^k seconds is kept on the scale of
 * its epoch (4 half-lives): an increment at time t adds w * 2^(position of t in the epoch), so that
 * older ones weigh less without being touched; at an epoch's end the value is shifted right by 4.
 * Steps are 1/64 of a half-life. Fixed point: one event is STATE_UNIT.
 *
 * The owner keeps one "touch" second for all its counters; the epoch follows from it.
 * Range: saturates at 2^31 - 1, that is 5e5 events within one epoch.
 */
#ifndef STATE_DECAY_H
#define STATE_DECAY_H

#include "base/base.h"

#define STATE_UNIT 256u
#define STATE_COUNTER_MAX 0x7fffffffu

extern const uint32_t state__grow[256]; /* 2^(i/64) in Q16 */
extern const float state__shrink[256];  /* 2^-(i/64) */
extern const float state__sixteenth[8]; /* 16^-i */

/* Place of t in its epoch, in steps. k >= 6. */
static inline uint32_t state__step(uint32_t t, uint32_t k)
{
    return (t >> (k - 6)) & 255u;
}

/* How far a value last touched at `touch` must be shifted to stand on t's scale. t >= touch. */
static inline uint32_t state__shift(uint32_t touch, uint32_t t, uint32_t k)
{
    uint32_t epochs = (t >> (k + 2)) - (touch >> (k + 2));
    return epochs >= 8 ? 31 : epochs * 4;
}

/* A weight (in STATE_UNITs) on the scale of t. */
static inline uint32_t state__scaled(uint32_t weight, uint32_t t, uint32_t k)
{
    return (uint32_t)(((uint64_t)weight * state__grow[state__step(t, k)]) >> 16);
}

static inline uint32_t state__plus(uint32_t value, uint32_t more)
{
    uint32_t sum = value + more;
    return sum > STATE_COUNTER_MAX ? STATE_COUNTER_MAX : sum;
}

/* What a stored value is to be multiplied by to be events as of t. */
static inline float state__scale(uint32_t touch, uint32_t t, uint32_t k)
{
    uint32_t epochs = (t >> (k + 2)) - (touch >> (k + 2));
    if (epochs >= 8)
        return 0.0f;
    return state__shrink[state__step(t, k)] * state__sixteenth[epochs] * (1.0f / STATE_UNIT);
}

#endif
