/* SPDX-License-Identifier: Apache-2.0
 *
 * simd, inside: the sets and whether this machine can run them.
 */
#ifndef SIMD_SIMD_PRIV_H
#define SIMD_SIMD_PRIV_H

#include "simd/simd.h"

/* Each gives its set, or NULL when the processor (or the program's architecture) lacks it. */
const struct simd_ops *simd__scalar(void);
const struct simd_ops *simd__baseline(void); /* 4 lanes: SSE2 on x86-64, NEON on arm64 */
const struct simd_ops *simd__avx2(void);
const struct simd_ops *simd__avx512(void); /* F, BW, DQ, VL, VNNI */

#endif
