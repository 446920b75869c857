/* SPDX-License-Identifier: Apache-2.0
 *
 * pick: floats as integers of the same order, and the k-th largest of many without a branch that hangs
 * on a value. Thread: any.
 */
#ifndef MODEL_PICK_H
#define MODEL_PICK_H

#include "model/vec.h"

/* Signed order of the keys = order of the values, which are no NaN; -0 is 0. */
static inline int32_t pick_key(float value)
{
    int32_t bits;
    value += 0.0f;
    memcpy(&bits, &value, sizeof(bits));
    return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

static inline float pick_value(int32_t key)
{
    float value;
    key ^= (int32_t)((uint32_t)(key >> 31) >> 1);
    memcpy(&value, &key, sizeof(value));
    return value;
}

/* Keys that are padded to a multiple of four. */
#define PICK_ROOM(count) (((count) + 3u) & ~3u)

/* The k-th largest of the keys, 1 <= k <= count, found bit by bit from the highest that is not the same
 * everywhere down to bit `low`; those below are zeros, so that with low > 0 it is a bound that k keys at
 * least reach. `key` has room for PICK_ROOM(count). */
static inline int32_t pick_kth(int32_t *key, uint32_t count, uint32_t k, uint32_t low)
{
    const uint32_t sign = 1u << 31; /* turned over, the order is an unsigned one */
    uint32_t some = 0, every = UINT32_MAX, padded = PICK_ROOM(count);
    for (uint32_t i = 0; i < count; i++) {
        some |= (uint32_t)key[i] ^ sign;
        every &= (uint32_t)key[i] ^ sign;
    }
    for (uint32_t i = count; i < padded; i++)
        key[i] = INT32_MIN;
    uint32_t varies = some ^ every, high = varies ? 31 - (uint32_t)__builtin_clz(varies) : 0;
    uint32_t found = varies ? (uint32_t)((uint64_t)every >> (high + 1) << (high + 1)) : every;
    for (uint32_t bit = varies ? 1u << high : 0; bit >> low; bit >>= 1) {
        int32_t tried = (int32_t)((found | bit) ^ sign);
        ivec4 enough = {0};
        for (uint32_t i = 0; i < padded; i += 4) {
            ivec4 four;
            memcpy(&four, key + i, sizeof(four));
            enough -= four >= tried;
        }
        if ((uint32_t)(enough[0] + enough[1] + enough[2] + enough[3]) >= k)
            found |= bit;
    }
    return (int32_t)(found >> low << low ^ sign);
}

#endif
