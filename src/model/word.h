/* SPDX-License-Identifier: Apache-2.0
 *
 * word: a float that one writer changes while readers look (relaxed; base/base.h has the same for
 * integers).
 */
#ifndef MODEL_WORD_H
#define MODEL_WORD_H

static inline float model_word_load(const float *from)
{
    float value;
    __atomic_load(from, &value, __ATOMIC_RELAXED);
    return value;
}

static inline void model_word_store(float *to, float value)
{
    __atomic_store(to, &value, __ATOMIC_RELAXED);
}

#endif
