/* SPDX-License-Identifier: Apache-2.0
 *
 * mlp: weights from outside. An .npz is a zip of .npy files; numpy.savez stores them uncompressed
 * with sizes in the central directory: end record    50 4b 05 06 ... u16 count at 10, u32 directory
 * offset at 16 entry         50 4b 01 02 ... u16 method at 10, u32 size at 20, u16 name bytes at
 * 28, u16 extra at 30, u16 comment at 32, u32 offset of the file's own header at 42, name at 46
 *   file header   50 4b 03 04 ... u16 name bytes at 26, u16 extra at 28, data after both, from 30
 *   .npy          93 "NUMPY" major minor, u16 header bytes (major 1) or u32, a Python dict as text
 */
#include "model/mlp_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIRECTORY_ENTRY = 46, FILE_HEADER = 30, END_RECORD = 22, MAGNITUDE_MAX = 1000000 };

static uint32_t u16_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static uint32_t u32_at(const uint8_t *at)
{
    return u16_at(at) | u16_at(at + 2) << 16;
}

static enum fr_status refuse(struct fr_error *error, const char *what)
{
    enum fr_status status = base_fail(error, FR_INVALID, "model", "network weights: %s", what);
    base_hint(error, "write them with numpy.savez(file, *model.get_weights()) as float32");
    return status;
}

static bool sane(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(values[i] > -(float)MAGNITUDE_MAX && values[i] < (float)MAGNITUDE_MAX))
            return false; /* NaN too */
    }
    return true;
}

enum fr_status model_mlp_import_layer(struct model_mlp *mlp, uint32_t l, const float *kernel,
                                      const float *bias, struct fr_error *error)
{
    if (l >= mlp->shape.options.layers)
        return refuse(error, "more layers than the network has");
    const struct model__mlp_layer *layer = &mlp->shape.layer[l];
    size_t n = (size_t)layer->in * layer->out;
    if (!sane(kernel, n) || !sane(bias, layer->out))
        return refuse(error, "a number is not finite, or beyond a million");
    model_mlp_reset_layer(mlp, l);
    float *w = model_mlp_weights(mlp);
    memcpy(w + layer->kernel, kernel, n * sizeof(float));
    memcpy(w + layer->bias, bias, layer->out * sizeof(float));
    return FR_OK;
}

/* The bytes of member `name`; empty when it is not there, is compressed or lies outside. */
static struct fr_slice member_of(struct fr_slice zip, const char *name)
{
    const uint8_t *bytes = (const uint8_t *)zip.ptr;
    size_t end = zip.bytes >= END_RECORD ? zip.bytes - END_RECORD : 0;
    while (end > 0 && u32_at(bytes + end) != 0x06054b50u)
        end--;
    if (end == 0)
        return fr_slice_of(NULL, 0);
    size_t at = u32_at(bytes + end + 16), name_bytes = strlen(name);
    for (uint32_t left = u16_at(bytes + end + 10); left > 0; left--) {
        if (at + DIRECTORY_ENTRY > zip.bytes || u32_at(bytes + at) != 0x02014b50u)
            break;
        const uint8_t *entry = bytes + at;
        size_t named = u16_at(entry + 28), size = u32_at(entry + 20), header = u32_at(entry + 42);
        at += DIRECTORY_ENTRY + named + u16_at(entry + 30) + u16_at(entry + 32);
        if (at > zip.bytes || named != name_bytes ||
            memcmp(entry + DIRECTORY_ENTRY, name, named) != 0)
            continue;
        if (u16_at(entry + 10) != 0 || header + FILE_HEADER > zip.bytes)
            break;
        size_t data =
            header + FILE_HEADER + u16_at(bytes + header + 26) + u16_at(bytes + header + 28);
        if (data > zip.bytes || size > zip.bytes - data)
            break;
        return fr_slice_of(zip.ptr + data, size);
    }
    return fr_slice_of(NULL, 0);
}

/* Copies the array into a new buffer when it is float32 in C order with rows x columns numbers
 * (columns 0: one dimension). The caller frees. */
static float *array_of(struct fr_slice npy, uint32_t rows, uint32_t columns)
{
    char text[512], shape[64];
    const uint8_t *bytes = (const uint8_t *)npy.ptr;
    if (npy.bytes < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return NULL;
    size_t head = bytes[6] == 1 ? 10 : 12;
    size_t header = bytes[6] == 1 ? u16_at(bytes + 8) : u32_at(bytes + 8);
    size_t count = (size_t)rows * (columns ? columns : 1);
    if (header >= sizeof(text) || head + header > npy.bytes ||
        npy.bytes - head - header != count * sizeof(float))
        return NULL;
    memcpy(text, npy.ptr + head, header);
    text[header] = 0;
    if (columns)
        snprintf(shape, sizeof(shape), "(%u, %u)", rows, columns);
    else
        snprintf(shape, sizeof(shape), "(%u,)", rows);
    if (!strstr(text, "'<f4'") || !strstr(text, "'fortran_order': False") || !strstr(text, shape))
        return NULL;
    float *array = malloc(count * sizeof(float));
    if (array)
        memcpy(array, npy.ptr + head + header, count * sizeof(float));
    return array;
}

static enum fr_status read_layers(const struct model_mlp *mlp, struct fr_slice bytes,
                                  float **arrays, struct fr_error *error)
{
    for (uint32_t i = 0; i < 2 * mlp->shape.options.layers; i++) {
        const struct model__mlp_layer *layer = &mlp->shape.layer[i / 2];
        char name[32], what[128];
        snprintf(name, sizeof(name), "arr_%u.npy", i);
        struct fr_slice npy = member_of(bytes, name);
        bool kernel = i % 2 == 0;
        arrays[i] = array_of(npy, kernel ? layer->in : layer->out, kernel ? layer->out : 0);
        if (arrays[i])
            continue;
        snprintf(what, sizeof(what), "%s is not there as an uncompressed float32 %s of %u x %u",
                 name, kernel ? "kernel" : "bias", kernel ? layer->in : 1, layer->out);
        return refuse(error, what);
    }
    for (uint32_t i = 0; i < 2 * mlp->shape.options.layers; i++) {
        const struct model__mlp_layer *layer = &mlp->shape.layer[i / 2];
        if (!sane(arrays[i], i % 2 ? layer->out : (size_t)layer->in * layer->out))
            return refuse(error, "a number is not finite, or beyond a million");
    }
    return FR_OK;
}

enum fr_status model_mlp_check_npz(const struct model_mlp *mlp, struct fr_slice bytes,
                                   struct fr_error *error)
{
    float *arrays[2 * MODEL_MLP_LAYERS_MAX] = {NULL};
    enum fr_status status = read_layers(mlp, bytes, arrays, error);
    for (int i = 0; i < 2 * MODEL_MLP_LAYERS_MAX; i++)
        free(arrays[i]);
    return status;
}

enum fr_status model_mlp_import_npz(struct model_mlp *mlp, struct fr_slice bytes,
                                    struct fr_error *error)
{
    float *arrays[2 * MODEL_MLP_LAYERS_MAX] = {NULL};
    enum fr_status status = read_layers(mlp, bytes, arrays, error);
    for (uint32_t l = 0; status == FR_OK && l < mlp->shape.options.layers; l++)
        status = model_mlp_import_layer(mlp, l, arrays[2 * l], arrays[2 * l + 1], error);
    for (int i = 0; i < 2 * MODEL_MLP_LAYERS_MAX; i++)
        free(arrays[i]);
    return status;
}
