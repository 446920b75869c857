/* SPDX-License-Identifier: Apache-2.0
 *
 * gbt: see the door. A reservoir row is f32 features, then label and weight, padded to 8 bytes.
 */
#include "model/gbt.h"

#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xgboost/c_api.h>

enum { META_SEEN }; /* rows offered so far */

struct model_gbt {
    struct model_gbt_options options;
    struct base_rows *rows;
    float *scratch;
};

void model_gbt_defaults(struct model_gbt_options *out_options)
{
    *out_options = (struct model_gbt_options){
        .features = 32,
        .rows = 16384,
        .rounds = 10,
        .trees_max = 200,
        .depth = 5,
        .rate = 0.1f,
        .l2 = 1.0f,
        .recent = 0.25f,
        .seed = 1,
    };
}

void model_gbt_click_options(struct model_gbt_options *out_options)
{
    model_gbt_defaults(out_options);
    out_options->rows = 4096;
    out_options->rounds = 5;
    out_options->trees_max = 60;
    out_options->depth = 4;
}

enum fr_status model_gbt_new(const struct model_gbt_options *options, struct fr_error *error,
                             struct model_gbt **out_gbt)
{
    if (!options->features || options->features > 1024 || options->rows < 2)
        return base_fail(error, FR_INVALID, "model", "boosting: %u features, %u rows",
                         options->features, options->rows);
    struct model_gbt *gbt = calloc(1, sizeof(*gbt));
    if (!gbt)
        return base_fail(error, FR_MEMORY, "model", "no memory for boosting");
    gbt->options = *options;
    uint32_t words = (options->features + 3) & ~1u;
    gbt->scratch = calloc(words, sizeof(float));
    struct base_rows_options table = {"gbt-reservoir", 4 * words, options->rows + 1};
    enum fr_status status = gbt->scratch ? base_rows_new(&table, error, &gbt->rows) : FR_MEMORY;
    if (status != FR_OK) {
        model_gbt_free(gbt);
        return status;
    }
    *out_gbt = gbt;
    return FR_OK;
}

void model_gbt_free(struct model_gbt *gbt)
{
    if (!gbt)
        return;
    base_rows_free(gbt->rows);
    free(gbt->scratch);
    free(gbt);
}

struct base_rows *model_gbt_table(struct model_gbt *gbt)
{
    return gbt->rows;
}

uint32_t model_gbt_row_count(const struct model_gbt *gbt)
{
    return base_rows_count(gbt->rows) - 1;
}

uint64_t model_gbt_seen(const struct model_gbt *gbt)
{
    return FR_LOAD(base_rows_meta(gbt->rows)[META_SEEN]);
}

void model_gbt_add(struct model_gbt *gbt, const float *features, float label, float weight)
{
    uint64_t *seen = &base_rows_meta(gbt->rows)[META_SEEN];
    uint32_t slot = base_rows_add(gbt->rows), room = gbt->options.rows, f = gbt->options.features;
    uint64_t id = (*seen)++;
    if (!slot) {
        double keep = FR_MAX((double)room / (double)*seen, (double)gbt->options.recent);
        if (base_random_unit(gbt->options.seed, id, 0) >= keep)
            return;
        slot = 1 + (uint32_t)(base_random_u64(gbt->options.seed, id, 1) % room);
    }
    float *row = base_rows_write(gbt->rows, slot);
    memcpy(row, features, f * sizeof(float));
    row[f] = label;
    row[f + 1] = weight;
}

void model_gbt_copy(const struct model_gbt *gbt, float *features, float *labels, float *weights)
{
    uint32_t f = gbt->options.features;
    for (uint32_t i = 0; i < model_gbt_row_count(gbt); i++) {
        const float *row = base_rows_at(gbt->rows, i + 1);
        memcpy(features + (size_t)i * f, row, f * sizeof(float));
        labels[i] = row[f];
        weights[i] = row[f + 1];
    }
}

/* ---- the library ------------------------------------------------------------------------------
 */

static enum fr_status complain(struct fr_error *error, enum fr_status status)
{
    const char *text = XGBGetLastError();
    const char *stack = strstr(text, "\nStack trace");
    int length = stack ? (int)FR_MIN(stack - text, (ptrdiff_t)300) : 300;
    return base_fail(error, status, "model", "libxgboost: %.*s", length, text);
}

static enum fr_status matrix_new(const struct model_gbt_data *data, uint32_t features,
                                 struct fr_error *error, DMatrixHandle *out)
{
    if (XGDMatrixCreateFromMat_omp(data->features, data->row_count, features, NAN, out, 1))
        return complain(error, FR_INVALID);
    if ((data->labels && XGDMatrixSetFloatInfo(*out, "label", data->labels, data->row_count)) ||
        (data->weights && XGDMatrixSetFloatInfo(*out, "weight", data->weights, data->row_count))) {
        XGDMatrixFree(*out);
        return complain(error, FR_INVALID);
    }
    return FR_OK;
}

struct parameter {
    const char *name;
    char value[32];
};

static bool parameters_set(BoosterHandle booster, const struct model_gbt_options *o, bool refresh)
{
    struct parameter list[] = {
        {"nthread", "1"},
        {"verbosity", "0"},
        {"objective", "binary:logistic"},
        {"base_score", "0.5"},
        {"max_depth", ""},
        {"eta", ""},
        {"lambda", ""},
        {"seed", ""},
        {"tree_method", "hist"},
        {"process_type", "default"},
    };
    snprintf(list[4].value, sizeof(list[4].value), "%u", o->depth);
    snprintf(list[5].value, sizeof(list[5].value), "%g", (double)o->rate);
    snprintf(list[6].value, sizeof(list[6].value), "%g", (double)o->l2);
    snprintf(list[7].value, sizeof(list[7].value), "%u", (unsigned)(o->seed & 0x7fffffff));
    bool good = true;
    for (size_t i = 0; i < FR_COUNT_OF(list); i++) {
        bool grow_only = i >= FR_COUNT_OF(list) - 2;
        if (!(refresh && grow_only))
            good = good && !XGBoosterSetParam(booster, list[i].name, list[i].value);
    }
    if (refresh)
        good = good && !XGBoosterSetParam(booster, "process_type", "update") &&
               !XGBoosterSetParam(booster, "updater", "refresh") &&
               !XGBoosterSetParam(booster, "refresh_leaf", "1");
    return good;
}

static bool features_set(BoosterHandle booster, uint32_t features)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", features);
    return !XGBoosterSetParam(booster, "num_feature", text);
}

static enum fr_status artefact_get(BoosterHandle booster, struct fr_error *error,
                                   struct base_buf *out)
{
    bst_ulong bytes;
    const char *text;
    if (XGBoosterSaveModelToBuffer(booster, "{\"format\":\"json\"}", &bytes, &text))
        return complain(error, FR_INVALID);
    base_buf_clear(out);
    base_buf_put(out, text, bytes);
    return out->overflowed
               ? base_fail(error, FR_FULL, "model", "an artefact of %zu bytes", (size_t)bytes)
               : FR_OK;
}

static enum fr_status booster_open(const struct model_gbt_options *options, struct fr_slice before,
                                   bool refresh, struct fr_error *error, BoosterHandle *out)
{
    if (XGBoosterCreate(NULL, 0, out))
        return complain(error, FR_MEMORY);
    enum fr_status status = FR_OK;
    if (before.bytes && XGBoosterLoadModelFromBuffer(*out, before.ptr, before.bytes))
        status = complain(error, FR_CORRUPT);
    else if (!parameters_set(*out, options, refresh) ||
             (!before.bytes && !features_set(*out, options->features)))
        status = complain(error, FR_INVALID);
    if (status != FR_OK)
        XGBoosterFree(*out);
    return status;
}

/* Keeps the newest `keep` trees of `buf` and fits their leaves to the data. (While it updates, the
 * library counts no rounds, so that their number has to be known.) */
static enum fr_status renew(const struct model_gbt_options *options, DMatrixHandle matrix,
                            struct base_buf *buf, int keep, struct fr_error *error)
{
    BoosterHandle booster, rest;
    FR_TRY(booster_open(options, base_buf_slice(buf), false, error, &booster));
    int rounds = 0;
    bool sliced = !XGBoosterBoostedRounds(booster, &rounds) && rounds > keep &&
                  !XGBoosterSlice(booster, rounds - keep, 0, 1, &rest);
    XGBoosterFree(booster);
    if (!sliced)
        return complain(error, FR_INVALID);
    enum fr_status status = artefact_get(rest, error, buf);
    XGBoosterFree(rest);
    FR_TRY(status);
    FR_TRY(booster_open(options, base_buf_slice(buf), true, error, &booster));
    for (int i = 0; i < keep && status == FR_OK; i++)
        if (XGBoosterUpdateOneIter(booster, i, matrix))
            status = complain(error, FR_INVALID);
    if (status == FR_OK)
        status = artefact_get(booster, error, buf);
    XGBoosterFree(booster);
    return status;
}

static enum fr_status grow(const struct model_gbt_options *options, DMatrixHandle matrix,
                           struct base_buf *buf, struct fr_error *error)
{
    BoosterHandle booster;
    FR_TRY(booster_open(options, base_buf_slice(buf), false, error, &booster));
    int rounds = 0;
    enum fr_status status = FR_OK;
    if (buf->count && XGBoosterBoostedRounds(booster, &rounds))
        status = complain(error, FR_INVALID);
    for (uint32_t i = 0; i < options->rounds && status == FR_OK; i++)
        if (XGBoosterUpdateOneIter(booster, rounds + (int)i, matrix))
            status = complain(error, FR_INVALID);
    if (status == FR_OK)
        status = artefact_get(booster, error, buf);
    XGBoosterFree(booster);
    return status;
}

static enum fr_status rounds_of(const struct model_gbt_options *options, struct fr_slice artefact,
                                struct fr_error *error, int *out_rounds)
{
    *out_rounds = 0;
    if (!artefact.bytes)
        return FR_OK;
    BoosterHandle booster;
    FR_TRY(booster_open(options, artefact, false, error, &booster));
    enum fr_status status =
        XGBoosterBoostedRounds(booster, out_rounds) ? complain(error, FR_CORRUPT) : FR_OK;
    XGBoosterFree(booster);
    return status;
}

enum fr_status model_gbt_train(const struct model_gbt_options *options,
                               const struct model_gbt_data *data, struct fr_slice before,
                               struct fr_error *error, struct base_buf *out_artefact)
{
    int rounds;
    DMatrixHandle matrix;
    FR_TRY(rounds_of(options, before, error, &rounds));
    FR_TRY(matrix_new(data, options->features, error, &matrix));
    struct base_buf buf;
    base_buf_init(&buf, 0);
    base_buf_put_slice(&buf, before);
    enum fr_status status = FR_OK;
    int excess = rounds + (int)options->rounds - (int)options->trees_max;
    if (excess > 0 && excess < rounds)
        status = renew(options, matrix, &buf, rounds - excess, error);
    else if (excess >= rounds && rounds)
        base_buf_clear(&buf);
    if (status == FR_OK)
        status = grow(options, matrix, &buf, error);
    if (status == FR_OK) {
        base_buf_clear(out_artefact);
        base_buf_put_slice(out_artefact, base_buf_slice(&buf));
    }
    base_buf_release(&buf);
    XGDMatrixFree(matrix);
    return status;
}

enum fr_status model_gbt_library_margins(struct fr_slice artefact,
                                         const struct model_gbt_data *data, uint32_t features,
                                         struct fr_error *error, float *out_margin)
{
    static const char config[] = "{\"type\":1,\"training\":false,\"iteration_begin\":0,"
                                 "\"iteration_end\":0,\"strict_shape\":false}";
    struct model_gbt_options options;
    model_gbt_defaults(&options);
    BoosterHandle booster;
    DMatrixHandle matrix;
    FR_TRY(booster_open(&options, artefact, false, error, &booster));
    enum fr_status status = matrix_new(data, features, error, &matrix);
    if (status == FR_OK) {
        const bst_ulong *shape;
        const float *result;
        bst_ulong dimensions;
        if (XGBoosterPredictFromDMatrix(booster, matrix, config, &shape, &dimensions, &result))
            status = complain(error, FR_INVALID);
        else
            memcpy(out_margin, result, data->row_count * sizeof(float));
        XGDMatrixFree(matrix);
    }
    XGBoosterFree(booster);
    return status;
}
