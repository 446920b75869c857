/* SPDX-License-Identifier: Apache-2.0
 *
 * base_fmath: the transcendental functions of the fold. libm's differ between versions and
 * processors; these use only IEEE + - * and integer operations in a fixed order (compiled with
 * -ffp-contract=off), so that the same journal gives the same bits everywhere.
 */
#ifndef BASE_FMATH_H
#define BASE_FMATH_H

#include "base/base.h"

/* 2^x. Relative error <= 3e-7 over [-126, 126]; 0 below, 2^126 above (clamped). */
float base_exp2f(float x);
/* e^x by base_exp2f; same clamping in powers of two. Relative error <= 2e-6 for |x| <= 80. */
float base_expf(float x);
/* log2(x), x > 0 normal; absolute error <= 3e-7 * max(1, |log2 x|). x <= 0 gives -126. */
float base_log2f(float x);
float base_logf(float x);     /* natural */
float base_sigmoidf(float x); /* 1 / (1 + e^-x), saturating */

/* Half-life decay in fixed point: value * 2^-(age / half_life), 32.32 inside, rounded down.
 * half_life > 0 in the unit of age; age beyond 63 half-lives gives 0. */
uint32_t base_decay_u32(uint32_t value, uint64_t age, uint64_t half_life);

#endif
