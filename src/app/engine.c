/* SPDX-License-Identifier: Apache-2.0
 *
 * app engine: see engine.h.
 */
#include "app/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"

static enum fr_status open_state(const struct app *app, struct fr_error *error,
                                 struct state **out_state)
{
    const struct conf_options *conf = app->options;
    struct state_options options = {
        .dedupe_count_max = (uint32_t)conf->dedupe_ids_max,
        .dedupe_us = conf->dedupe_window,
        .history_max = (uint32_t)conf->history_max,
        .session_gap_s = (uint32_t)(conf->session_gap / 1000000),
    };
    app_memory_share(conf, &options);
    return state_new(&options, error, out_state);
}

static enum fr_status open_rank(const struct app *app, struct state *state, struct fr_error *error,
                                struct rank **out_rank)
{
    struct rank_options options = {
        .state = state,
        .experts = strcmp(app->options->experts, "all") == 0 ? NULL : app->options->experts,
        .vectors_exact = (uint32_t)app->options->vectors_exact,
    };
    return rank_new(&options, error, out_rank);
}

static void draw_progress(void *context, uint64_t done, uint64_t total)
{
    struct app_progress *progress = context;
    progress->total = total;
    app_progress_update(progress, done);
}

/* What the configuration says takes effect as a record, with an act for the audit. */
static enum fr_status record_change(struct app_engine *engine, uint8_t kind,
                                    struct fr_slice payload, const struct schema_act *act,
                                    struct fr_error *error)
{
    struct base_buf told;
    struct fold_batch batch;
    base_buf_init(&told, 0);
    fold_batch_init(&batch);
    fold_batch_add(&batch, kind, payload);
    schema_act_encode(act, &told);
    fold_batch_add(&batch, SCHEMA_KIND_AUDIT, base_buf_slice(&told));
    enum fr_status status = fold_run(engine->fold, &batch, FOLD_ACK_APPLIED);
    if (status != FR_OK && error)
        *error = batch.error;
    fold_batch_release(&batch);
    base_buf_release(&told);
    return status;
}

/* Event types: a replay weighs the events of then as it did then. */
static enum fr_status record_types(struct app_engine *engine, struct fr_error *error)
{
    struct base_buf now, then;
    base_buf_init(&now, 0);
    base_buf_init(&then, 0);
    schema_types_encode(&engine->types, &now);
    schema_types_encode(fold_types(engine->fold), &then);
    enum fr_status status = FR_OK;
    if (!fr_slice_equal(base_buf_slice(&now), base_buf_slice(&then)))
        status = record_change(engine, SCHEMA_KIND_TYPES, base_buf_slice(&now),
                               &(struct schema_act){.actor = FR_SLICE("configuration"),
                                                    .act = FR_SLICE("event_types_changed")},
                               error);
    base_buf_release(&now);
    base_buf_release(&then);
    return status;
}

/* Settings that the state depends on: `why` knows which answers were given under others. */
static enum fr_status record_settings(struct app_engine *engine, struct fr_error *error)
{
    struct fr_slice settings = fr_slice_str((const char *)engine->settings.bytes);
    if (fold_settings_hold(engine->fold))
        return FR_OK;
    return record_change(engine, SCHEMA_KIND_CONFIG, settings,
                         &(struct schema_act){.actor = FR_SLICE("configuration"),
                                              .act = FR_SLICE("settings_changed"),
                                              .detail = settings},
                         error);
}

static enum fr_status open_fold(const struct app *app, const struct app_engine_options *options,
                                struct fr_error *error, struct app_engine *engine)
{
    const struct conf_options *conf = app->options;
    struct app_progress progress;
    struct fold_options fold = {
        .os = os_real(),
        .directory = conf->data_dir,
        .state = engine->state,
        .rank = engine->rank,
        .settings = (const char *)engine->settings.bytes,
        .snapshot_records = (uint64_t)conf->snapshot_records,
        .replay_us = options->serving ? conf->snapshot_replay : 0,
        .segment_bytes = conf->segment_bytes,
        .retention_us = conf->retention,
        .sample_one_in = options->sample_one_in ? options->sample_one_in : (uint32_t)conf->sample,
        .promote = conf->promote == 1,
        .no_remedies = conf->drift_actions == 0,
        .read_only = options->read_only,
        .until = options->until,
        .by_hand = options->by_hand,
        .queue_bytes_max = app_memory_queue(conf),
        .copied_bytes_max = app_memory_copied(conf),
        .progress = draw_progress,
        .progress_context = &progress,
    };
    app_progress_begin(&progress, app, options->read_only ? "folding" : "recovering", "records", 0);
    enum fr_status status = fold_open(&fold, error, &engine->fold);
    app_progress_end(&progress);
    return status;
}

enum fr_status app_engine_open(const struct app *app, const struct app_engine_options *options,
                               struct fr_error *error, struct app_engine *out_engine)
{
    struct app_engine engine = {0};
    base_buf_init(&engine.settings, 0);
    conf_print_fold(app->conf, &engine.settings);
    base_buf_put_u8(&engine.settings, 0);
    enum fr_status status = app_event_types(app->conf, &engine.types, error);
    if (status == FR_OK)
        status = open_state(app, error, &engine.state);
    if (status == FR_OK)
        status = open_rank(app, engine.state, error, &engine.rank);
    if (status == FR_OK)
        status = open_fold(app, options, error, &engine);
    if (status == FR_OK && !options->read_only)
        status = record_types(&engine, error);
    if (status == FR_OK && !options->read_only)
        status = record_settings(&engine, error);
    if (status != FR_OK) {
        app_engine_close(&engine);
        return status;
    }
    *out_engine = engine;
    return FR_OK;
}

void app_engine_close(struct app_engine *engine)
{
    fold_close(engine->fold);
    rank_free(engine->rank);
    state_free(engine->state);
    base_buf_release(&engine->settings);
    *engine = (struct app_engine){0};
}

void app_hash_text(struct base_hash128 hash, char out[33])
{
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, hash.hi, hash.lo);
}
