/* SPDX-License-Identifier: Apache-2.0
 *
 * simd: the choice of a set, made once. Thread: any; racing first callers choose alike, so the
 * pointer is published without a lock.
 */
#include "simd/simd_priv.h"

#include <stdlib.h>
#include <string.h>

static const struct simd_ops *chosen; /* atomic; NULL until the first call */

static const struct simd_ops *(*const makers[])(void) = {
    simd__scalar,
    simd__baseline,
    simd__avx2,
    simd__avx512,
};

const char *const *simd_names(void)
{
    static const char *const names[] = {
#if defined(__x86_64__)
        "scalar",
        "baseline",
        "avx2",
        "avx512",
        NULL,
#elif defined(__aarch64__)
        "scalar",
        "neon",
        NULL,
#else
        "scalar",
        "baseline",
        NULL,
#endif
    };
    return names;
}

const struct simd_ops *simd_ops_named(const char *name)
{
    for (size_t i = 0; i < FR_COUNT_OF(makers); i++) {
        const struct simd_ops *ops = makers[i]();
        if (ops && strcmp(ops->name, name) == 0)
            return ops;
    }
    return NULL;
}

static const struct simd_ops *choose(void)
{
    const char *wanted = getenv("FRESHET_SIMD");
    const struct simd_ops *best = wanted ? simd_ops_named(wanted) : NULL;
    if (best)
        return best;
    for (size_t i = 0; i < FR_COUNT_OF(makers); i++) {
        const struct simd_ops *ops = makers[i]();
        if (ops)
            best = ops;
    }
    return best;
}

const struct simd_ops *simd_ops(void)
{
    const struct simd_ops *ops = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    if (!ops) {
        ops = choose();
        __atomic_store_n(&chosen, ops, __ATOMIC_RELEASE); /* pairs with the load above */
    }
    return ops;
}
