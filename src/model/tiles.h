/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors as int8 in tiles (simd.h): a row holds a vector in 127ths of its largest element, and the
 * scale is one of those. A tile is `width` * SIMD_TILE_I8 bytes; width: tiles_width().
 */
#ifndef MODEL_TILES_H
#define MODEL_TILES_H

#include <stdint.h>

#include "base/rows.h"
#include "model/vec.h"
#include "simd/simd.h"

static inline uint32_t tiles_width(uint32_t dimension)
{
    return (dimension + 3) & ~3u;
}

typedef int8_t tiles_bytes4 __attribute__((vector_size(4)));

/* out[tiles_width(n)], zeros at its end; gives the scale. Four at a time: a step of the learner writes
 * some sixty rows. */
static inline float tiles_bytes(const float *vector, uint32_t n, int8_t *out)
{
    const ivec4 sign = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
    ivec4 most = {0}; /* bits of floats >= 0 are ordered as the floats are */
    float last[4] = {0}, lane[4], largest = 1e-20f;
    uint32_t whole = n & ~3u;
    memcpy(last, vector + whole, (n - whole) * sizeof(float));
    for (uint32_t k = 0; k < n; k += 4) {
        ivec4 bits = (ivec4)vec4_load(k < whole ? vector + k : last) & ~sign, more = bits > most;
        most = (bits & more) | (most & ~more);
    }
    vec4_store(lane, (vec4)most);
    for (uint32_t l = 0; l < 4; l++)
        largest = FR_MAX(largest, lane[l]);
    float to = 127.0f / largest;
    for (uint32_t k = 0; k < n; k += 4) {
        vec4 x = vec4_load(k < whole ? vector + k : last) * to;
        x += (vec4)(((ivec4)x & sign) | (ivec4)vec4_set(0.5f));
        tiles_bytes4 bytes =
            __builtin_convertvector(__builtin_convertvector(x, ivec4), tiles_bytes4);
        memcpy(out + k, &bytes, sizeof(bytes));
    }
    return largest / 127.0f;
}

/* Row r of a tile becomes these bytes. Others may scan it meanwhile: a score of a row that is half written
 * only names a candidate. */
static inline void tiles_put(int8_t *tile, uint32_t r, const int8_t *bytes, uint32_t width)
{
    for (uint32_t i = 0; i < width; i += 4)
        base_rows_put(tile + simd_tile_i8(i, r), bytes + i, 4);
}

/* A row of a tile becomes a row of another. */
static inline void tiles_copy(int8_t *to, uint32_t to_r, const int8_t *from, uint32_t r,
                              uint32_t width)
{
    for (uint32_t i = 0; i < width; i += 4)
        base_rows_put(to + simd_tile_i8(i, to_r), from + simd_tile_i8(i, r), 4);
}

#endif
