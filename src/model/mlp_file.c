/* SPDX-License-Identifier: Apache-2.0
 *
 * mlp: copies of a whole network, and its weights as bytes. Little-endian:
 *
 *    8  magic "FRSHMLP1"
 *    4  layers, then 4 each: inputs of the first layer, width of every layer
 *    4  slots   4  numbers of an embedding   4  embeddings
 *    .  weights, f32: layer by layer, kernel in x out, then bias
 *    .  embeddings, f32: row by row from id 1
 *    4  CRC-32C of all that
 */
#include "base/hash.h"
#include "model/ids.h"
#include "model/mlp_priv.h"

#include <stdio.h>
#include <string.h>

enum { META_WAITING, META_SPAN }; /* of the waiting table, as in mlp.c */
#define MAGNITUDE_MAX 1e6f

static const char magic[8] = {'F', 'R', 'S', 'H', 'M', 'L', 'P', '1'};

static size_t weight_bytes(const struct model_mlp *mlp)
{
    return mlp->shape.weight_count * sizeof(float);
}

static void copy_flat(struct base_rows *to, const struct base_rows *from, size_t bytes)
{
    memcpy(model__mlp_write_flat(to), base_rows_at(from, 1), bytes);
}

static uint32_t embedding_count(const struct model_mlp *mlp)
{
    return mlp->embeddings ? base_rows_count(mlp->embeddings) - 1 : 0;
}

void model_mlp_copy(struct model_mlp *to, const struct model_mlp *from)
{
    FR_ASSERT(to->shape.weight_count == from->shape.weight_count);
    copy_flat(to->weights, from->weights, weight_bytes(from));
    copy_flat(to->first, from->first, weight_bytes(from));
    copy_flat(to->second, from->second, weight_bytes(from));
    base_rows_put(base_rows_meta(to->weights), base_rows_meta(from->weights),
                  BASE_ROWS_META_WORDS * sizeof(uint64_t));
    base_rows_meta(to->waiting)[META_WAITING] = base_rows_meta(to->waiting)[META_SPAN] = 0;
    uint32_t count = embedding_count(from);
    size_t bytes = (size_t)from->shape.options.dim * 2 * sizeof(float);
    if (count)
        FR_ASSERT(model_rows_reach(to->embeddings, count));
    for (uint32_t id = 1; id <= count; id++) {
        const void *row = base_rows_at(from->embeddings, id);
        if (memcmp(base_rows_at(to->embeddings, id), row, bytes) != 0)
            base_rows_put(base_rows_write(to->embeddings, id), row, bytes);
    }
}

uint64_t model_mlp_digest(const struct model_mlp *mlp)
{
    struct base_digest digest;
    base_digest_init(&digest);
    base_rows_digest(mlp->weights, &digest);
    base_rows_digest(mlp->first, &digest);
    base_rows_digest(mlp->second, &digest);
    if (mlp->embeddings)
        base_rows_digest(mlp->embeddings, &digest);
    return base_digest_end(&digest).lo;
}

bool model_mlp_is_finite(const struct model_mlp *mlp)
{
    const float *weights = base_rows_at(mlp->weights, 1);
    for (uint32_t i = 0; i < mlp->shape.weight_count; i++)
        if (!(weights[i] > -MAGNITUDE_MAX && weights[i] < MAGNITUDE_MAX))
            return false;
    return true;
}

void model_mlp_set_rate(struct model_mlp *mlp, float rate)
{
    mlp->shape.options.rate = rate;
}

/* ---- bytes ------------------------------------------------------------------------------------ */

enum fr_status model_mlp_save(const struct model_mlp *mlp, struct base_buf *out)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    size_t start = out->count;
    base_buf_put(out, magic, sizeof(magic));
    base_buf_put_u32(out, options->layers);
    base_buf_put_u32(out, mlp->shape.inputs);
    for (uint32_t l = 0; l < options->layers; l++)
        base_buf_put_u32(out, options->width[l]);
    base_buf_put_u32(out, options->slots);
    base_buf_put_u32(out, options->dim);
    base_buf_put_u32(out, embedding_count(mlp));
    base_buf_put(out, base_rows_at(mlp->weights, 1), weight_bytes(mlp));
    for (uint32_t id = 1; id <= embedding_count(mlp); id++)
        base_buf_put(out, base_rows_at(mlp->embeddings, id), options->dim * sizeof(float));
    if (!out->overflowed)
        base_buf_put_u32(out, base_crc32c(0, out->bytes + start, out->count - start));
    return out->overflowed ? FR_MEMORY : FR_OK;
}

bool model_mlp_is_saved(struct fr_slice bytes)
{
    return bytes.bytes >= sizeof(magic) && memcmp(bytes.ptr, magic, sizeof(magic) - 1) == 0;
}

/* Saved bytes being read. */
struct saved {
    struct base_reader reader;
    size_t bytes;
    struct fr_error *error;
};

/* `back`: how many bytes before the cursor the fault is. */
static enum fr_status refuse(const struct saved *saved, enum fr_status status, size_t back,
                             const char *what)
{
    size_t at = saved->bytes - base_reader_left(&saved->reader) - back;
    return base_fail(saved->error, status, "model", "network weights, byte %zu: %s",
                     saved->reader.failed ? saved->bytes : at, what);
}

static enum fr_status expect(struct saved *saved, uint32_t expected, const char *what)
{
    uint32_t seen = base_reader_u32(&saved->reader);
    if (seen == expected)
        return FR_OK;
    char text[96];
    snprintf(text, sizeof(text), "%s is %u, this network has %u", what, seen, expected);
    return refuse(saved, FR_INVALID, sizeof(seen), text);
}

static enum fr_status check_floats(struct saved *saved, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = base_reader_u32(&saved->reader);
        float value;
        memcpy(&value, &bits, sizeof(value));
        if (!(value > -MAGNITUDE_MAX && value < MAGNITUDE_MAX)) /* NaN too */
            return refuse(saved, FR_INVALID, sizeof(bits),
                          "a number is not finite, or beyond a million");
    }
    return FR_OK;
}

static enum fr_status check_shape(const struct model_mlp *mlp, struct saved *saved,
                                  uint32_t *out_embeddings)
{
    const struct model_mlp_options *options = &mlp->shape.options;
    struct fr_slice head = base_reader_take(&saved->reader, sizeof(magic));
    if (saved->reader.failed || memcmp(head.ptr, magic, sizeof(magic) - 1) != 0)
        return refuse(saved, FR_CORRUPT, sizeof(magic), "it does not begin as saved weights");
    if (memcmp(head.ptr, magic, sizeof(magic)) != 0)
        return refuse(saved, FR_UNSUPPORTED, 1, "another version of the format");
    FR_TRY(expect(saved, options->layers, "the number of layers"));
    FR_TRY(expect(saved, mlp->shape.inputs, "the number of inputs"));
    for (uint32_t l = 0; l < options->layers; l++)
        FR_TRY(expect(saved, options->width[l], "the width of a layer"));
    FR_TRY(expect(saved, options->slots, "the number of embedded ids"));
    FR_TRY(expect(saved, options->dim, "the width of an embedding"));
    *out_embeddings = base_reader_u32(&saved->reader);
    if (*out_embeddings && *out_embeddings >= options->id_max)
        return refuse(saved, FR_INVALID, 4, "more embeddings than fit the table");
    return FR_OK;
}

enum fr_status model_mlp_check(const struct model_mlp *mlp, struct fr_slice bytes,
                               struct fr_error *error)
{
    struct saved saved = {base_reader_of(bytes.ptr, bytes.bytes), bytes.bytes, error};
    uint32_t embeddings = 0;
    FR_TRY(check_shape(mlp, &saved, &embeddings));
    size_t floats = mlp->shape.weight_count + (size_t)embeddings * mlp->shape.options.dim;
    if (base_reader_left(&saved.reader) != (floats + 1) * sizeof(float))
        return refuse(&saved, FR_CORRUPT, 0, "it has another length than its head says");
    FR_TRY(check_floats(&saved, floats));
    uint32_t crc = base_crc32c(0, bytes.ptr, bytes.bytes - sizeof(uint32_t));
    if (base_reader_u32(&saved.reader) != crc)
        return refuse(&saved, FR_CORRUPT, sizeof(crc), "the checksum is wrong");
    return FR_OK;
}

/* Those that the bytes do not hold begin anew, or they would belong to other weights. */
static void load_embeddings(struct model_mlp *mlp, const char *from, uint32_t count)
{
    uint32_t dim = mlp->shape.options.dim;
    float row[2 * MODEL_MLP_WIDTH_MAX];
    if (count)
        FR_ASSERT(model_rows_reach(mlp->embeddings, count)); /* checked */
    for (uint32_t id = 1; id <= embedding_count(mlp); id++) {
        model__mlp_embedding_init(mlp, id, row);
        if (id <= count)
            memcpy(row, from + (id - 1) * dim * sizeof(float), dim * sizeof(float));
        base_rows_put(base_rows_write(mlp->embeddings, id), row, 2ul * dim * sizeof(float));
    }
}

enum fr_status model_mlp_load(struct model_mlp *mlp, struct fr_slice bytes, struct fr_error *error)
{
    FR_TRY(model_mlp_check(mlp, bytes, error));
    for (uint32_t l = 0; l < mlp->shape.options.layers; l++)
        model_mlp_reset_layer(mlp, l); /* moments */
    struct saved saved = {base_reader_of(bytes.ptr, bytes.bytes), bytes.bytes, error};
    uint32_t embeddings = 0;
    FR_TRY(check_shape(mlp, &saved, &embeddings));
    const char *from = (const char *)saved.reader.at;
    memcpy(model__mlp_write_flat(mlp->weights), from, weight_bytes(mlp));
    load_embeddings(mlp, from + weight_bytes(mlp), embeddings);
    return FR_OK;
}
