/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening is recovering: the newest good snapshot, then the rest of the journal; stopping is a
 * snapshot, so that both ways go through the same code (crash-only). Commands (hash, snapshot) run
 * on the fold stage between two units.
 */
#include "fold/fold.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fold/fold_priv.h"
#include "rank/rank.h"

enum {
    SNAPSHOT_RECORDS_DEFAULT = 1000000,
    QUEUE_BYTES_DEFAULT = 64 << 20,
    COPIED_BYTES_DEFAULT = 64 << 20,
    PROGRESS_EVERY = 16384,
    PATH_BYTES = 1024,
    SNAPSHOT_SPACING = 4, /* times as long as the last one took, before one for the start's sake */
    BLOCKS_BY_HAND = 8,   /* of a snapshot, between two units, without a thread for it */
};

static void gather_tables(struct fold *fold)
{
    uint32_t count = 0;
    struct base_rows *const *tables = state_tables(fold->options.state, &count);
    fold->tables[fold->table_count++] = fold->own;
    FR_ASSERT(count + 1 < FOLD__TABLES_MAX);
    for (uint32_t i = 0; i < count; i++)
        fold->tables[fold->table_count++] = tables[i];
    if (!fold->options.rank)
        return;
    tables = rank_tables(fold->options.rank, &count);
    FR_ASSERT(fold->table_count + count < FOLD__TABLES_MAX);
    for (uint32_t i = 0; i < count; i++)
        fold->tables[fold->table_count++] = tables[i];
}

static void own_row_init(struct fold *fold)
{
    uint32_t i = base_rows_add(fold->own);
    FR_ASSERT(i == 1);
    struct fold__row *row = base_rows_write(fold->own, i);
    row->sample_one_in = 1;
    schema_types_init(&row->types);
}

static enum fr_status fold_new(const struct fold_options *options, struct fr_error *error,
                               struct fold **out_fold)
{
    struct base_rows_options own = {.name = "fold",
                                    .row_bytes = (sizeof(struct fold__row) + 7) / 8 * 8,
                                    .count_max = 8};
    struct fold *fold = calloc(1, sizeof(*fold));
    if (!fold)
        return base_fail(error, FR_MEMORY, "fold", "no memory for the fold");
    fold->options = *options;
    if (options->settings)
        fold->settings = fold__settings_of(fr_slice_str(options->settings));
    if (!fold->options.snapshot_records)
        fold->options.snapshot_records = SNAPSHOT_RECORDS_DEFAULT;
    if (!fold->options.queue_bytes_max)
        fold->options.queue_bytes_max = QUEUE_BYTES_DEFAULT;
    if (!fold->options.copied_bytes_max)
        fold->options.copied_bytes_max = COPIED_BYTES_DEFAULT;
    fold__queue_init(&fold->to_journal);
    fold__queue_init(&fold->to_apply);
    fold__queue_init(&fold->spare);
    pthread_mutex_init(&fold->command_lock, NULL);
    pthread_cond_init(&fold->command_done, NULL);
    *out_fold = fold; /* from here on fold_close() cleans up */
    FR_TRY(base_rows_new(&own, error, &fold->own));
    FR_TRY(base_pool_new(fold->options.copied_bytes_max, &fold->pool));
    gather_tables(fold);
    return fold__jobs_new(fold, error);
}

static void tell_progress(const struct fold *fold, uint64_t last)
{
    uint64_t first = fold->snapshot_position + 1;
    if ((fold->row->position - first) % PROGRESS_EVERY < FOLD__STRETCH_RECORDS_MAX)
        fold->options.progress(fold->options.progress_context, fold->row->position - first + 1,
                               last - first + 1);
}

static enum fr_status replay(struct fold *fold, struct fr_error *error)
{
    uint64_t first = fold->row->position + 1, last = journal_durable(fold->journal);
    if (fold->options.until && fold->options.until > last)
        return base_fail(error, FR_NOT_FOUND, "fold",
                         "position %" PRIu64 " is asked for but the journal ends at %" PRIu64,
                         fold->options.until, last);
    if (fold->options.until)
        last = fold->options.until;
    if (fold->row->position > last)
        return base_fail(error, FR_CORRUPT, "fold",
                         "the snapshot is at position %" PRIu64 " but the journal ends at %" PRIu64,
                         fold->row->position, last);
    if (first > last)
        return FR_OK;
    if (journal_first(fold->journal) > first) {
        enum fr_status status =
            base_fail(error, FR_CORRUPT, "fold",
                      "positions %" PRIu64 " to %" PRIu64 " are needed but the journal begins at "
                      "%" PRIu64,
                      first, last, journal_first(fold->journal));
        base_hint(error, "restore a snapshot at or after %" PRIu64 ", or the missing segments",
                  journal_first(fold->journal) - 1);
        return status;
    }
    enum fr_status status =
        fold__replay(fold, last, fold->options.progress ? tell_progress : NULL, error);
    return status == FR_END ? FR_OK : status;
}

static enum fr_status recover(struct fold *fold, struct fr_error *error)
{
    uint64_t position = 0;
    FR_TRY(fold__snapshot_load(fold, error, &position));
    if (base_rows_count(fold->own) == 1)
        own_row_init(fold);
    fold->row = base_rows_write(fold->own, 1); /* stays valid: regions never move */
    FR_TRY(state_rebuild(fold->options.state, error));
    if (fold->options.rank)
        FR_TRY(rank_rebuild(fold->options.rank, error));
    fold__jobs_loaded(fold);
    fold->snapshot_position = position;
    int64_t began_ns = os_mono_ns(fold->options.os);
    FR_TRY(replay(fold, error));
    fold->applying_ns = os_mono_ns(fold->options.os) - began_ns;
    fold__apply_begin(fold, fold->row->position);
    fold__apply_publish(fold, fold->row->position);
    __atomic_store_n(&fold->durable, journal_durable(fold->journal), __ATOMIC_RELEASE);
    fold->rate_wanted = fold->row->sample_one_in;
    fold->tick_position = fold->row->position;
    return FR_OK;
}

static enum fr_status open_files(struct fold *fold, struct fr_error *error)
{
    char journal_path[PATH_BYTES], snapshot_path[PATH_BYTES];
    struct os *os = fold->options.os;
    snprintf(journal_path, sizeof(journal_path), "%s/journal", fold->options.directory);
    snprintf(snapshot_path, sizeof(snapshot_path), "%s/snapshot", fold->options.directory);
    if (!fold->options.read_only) {
        FR_TRY(os->table->mkdir(os, journal_path, error));
        FR_TRY(os->table->mkdir(os, snapshot_path, error));
    }
    struct journal_options journal = {.directory = journal_path,
                                      .segment_bytes = fold->options.segment_bytes,
                                      .read_only = fold->options.read_only,
                                      .no_thread = fold->options.by_hand};
    return journal_open(os, &journal, error, &fold->journal);
}

enum fr_status fold_open(const struct fold_options *options, struct fr_error *error,
                         struct fold **out_fold)
{
    struct fold *fold = NULL;
    enum fr_status status = fold_new(options, error, &fold);
    if (status == FR_OK)
        status = open_files(fold, error);
    if (status == FR_OK)
        status = recover(fold, error);
    if (status != FR_OK) {
        if (fold)
            fold->options.read_only = true; /* no snapshot of what is not whole */
        fold_close(fold);
        return status;
    }
    if (!options->read_only && options->retention_us > 0)
        obs_log(OBS_WARN, "fold",
                "retention is on: erasure, back-tests and why reach back to position %" PRIu64
                " only",
                journal_first(fold->journal));
    if (!options->read_only && !options->by_hand)
        fold__threads_start(fold);
    if (!options->read_only)
        fold__want_rate(fold, options->sample_one_in);
    *out_fold = fold;
    return FR_OK;
}

void fold_close(struct fold *fold)
{
    if (!fold)
        return;
    if (!fold->options.read_only) {
        struct fr_error error = {0};
        fold_drain(fold);
        bool fresh = fold_failed(fold) || fold->row->position == fold->snapshot_position;
        if (!fresh && fold_snapshot(fold, &error) != FR_OK)
            obs_log(OBS_WARN, "fold", "no snapshot at the stop: %s; the next start replays more",
                    error.message);
    }
    if (fold->threads_running)
        fold__threads_stop(fold);
    while (fold->snapshot)
        fr_ignore(fold__snapshot_advance(fold, UINT32_MAX), "its end is recorded inside");
    journal_close(fold->journal);
    base_rows_free(fold->own);
    base_pool_free(fold->pool);
    fold__jobs_free(fold->jobs);
    fold__queue_release(&fold->to_journal);
    fold__queue_release(&fold->to_apply);
    fold__queue_release(&fold->spare);
    pthread_cond_destroy(&fold->command_done);
    pthread_mutex_destroy(&fold->command_lock);
    free(fold);
}

uint64_t fold_applied(const struct fold *fold)
{
    return __atomic_load_n(&fold->applied, __ATOMIC_ACQUIRE); /* pairs with publish */
}

uint64_t fold_still_begin(const struct fold *fold)
{
    uint64_t applied = fold_applied(fold);
    return __atomic_load_n(&fold->applying, __ATOMIC_RELAXED) == applied ? applied : 0;
}

bool fold_still(const struct fold *fold, uint64_t began)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with the fence in fold__apply_begin() */
    return began != 0 && __atomic_load_n(&fold->applying, __ATOMIC_RELAXED) == began;
}

uint64_t fold_under_way(const struct fold *fold)
{
    uint64_t applied = fold_applied(fold); /* first: `applying` is never behind it */
    return __atomic_load_n(&fold->applying, __ATOMIC_RELAXED) - applied;
}

uint64_t fold_durable(const struct fold *fold)
{
    return __atomic_load_n(&fold->durable, __ATOMIC_ACQUIRE);
}

bool fold_failed(const struct fold *fold)
{
    return __atomic_load_n(&fold->failed, __ATOMIC_ACQUIRE) != 0;
}

void fold_sample_set(struct fold *fold, uint32_t one_in)
{
    __atomic_store_n(&fold->options.sample_one_in, one_in, __ATOMIC_RELAXED);
    fold__want_rate(fold, one_in); /* now: before what is submitted from here on */
}

uint32_t fold__settings_of(struct fr_slice text)
{
    return text.bytes ? (uint32_t)base_hash64(text.ptr, text.bytes, 0) | 1u : 0;
}

bool fold_settings_hold(const struct fold *fold)
{
    return fold->row->settings == fold->settings;
}

const struct schema_types *fold_types(const struct fold *fold)
{
    return &fold->row->types;
}

/* ---- commands --------------------------------------------------------------------------- */

static void digest_all(struct fold *fold)
{
    struct base_digest digest;
    base_digest_init(&digest);
    for (size_t t = 0; t < fold->table_count; t++)
        base_rows_digest(fold->tables[t], &digest);
    fold->hash = base_digest_end(&digest);
}

/* Would a start take long by now? Writing is to take a fifth of the time at most. */
static bool replay_long(const struct fold *fold)
{
    if (!fold->options.replay_us || fold->applying_ns < fold->options.replay_us * 1000)
        return false;
    int64_t since_us = (os_mono_ns(fold->options.os) - fold->snapshot_ended_ns) / 1000;
    return since_us >= SNAPSHOT_SPACING * fold->snapshot_us;
}

static bool snapshot_due(const struct fold *fold)
{
    uint64_t last = FR_MAX(fold->snapshot_position, fold->snapshot_tried);
    bool due = fold->row->position >= last + fold->options.snapshot_records || replay_long(fold);
    return due && !fold_failed(fold) && !fold->options.read_only;
}

/* Segments below the snapshot are read again only by whole replays: they are compressed. */
static void seal(struct fold *fold, uint64_t position)
{
    struct fr_error error = {0};
    if (journal_seal(fold->journal, position, &error) != FR_OK)
        obs_log(OBS_WARN, "fold", "%s; tried again after the next snapshot", error.message);
}

/* Where the operator has switched it on: what is older, and below the older of the two snapshots
 * kept, so that either can be recovered from. */
static void retain(struct fold *fold)
{
    struct fr_error error = {0};
    int64_t oldest_us = os_wall_us(fold->options.os) - fold->options.retention_us;
    uint64_t position = journal_position_before(fold->journal, oldest_us);
    if (journal_drop(fold->journal, FR_MIN(position, fold->snapshot_position + 1), &error) != FR_OK)
        obs_log(OBS_WARN, "fold", "%s; tried again after the next snapshot", error.message);
}

static void snapshot_ended(struct fold *fold, enum fr_status status, const struct fr_error *error,
                           uint64_t position)
{
    int64_t ended_ns = os_mono_ns(fold->options.os);
    int64_t took_ns = ended_ns - fold->snapshot_began_ns;
    if (status == FR_OK && fold->options.retention_us > 0)
        retain(fold);
    if (status == FR_OK)
        seal(fold, position);
    else
        obs_log(OBS_WARN, "fold", "no snapshot at %" PRIu64 ": %s", position, error->message);
    obs_counter_add(status == FR_OK ? OBS_SNAPSHOTS : OBS_SNAPSHOTS_FAILED, 1);
    obs_histogram_record(OBS_SNAPSHOT, (uint64_t)took_ns);
    pthread_mutex_lock(&fold->command_lock);
    fold->snapshot = NULL;
    fold->snapshot_status = status;
    fold->snapshot_error = *error;
    fold->snapshots_done++;
    fold->snapshot_us = took_ns / 1000;
    fold->snapshot_ended_ns = ended_ns;
    if (status == FR_OK)
        fold->snapshot_position = position;
    else
        fold->snapshot_tried = position; /* again a stretch later: a full disk stays full a while */
    pthread_cond_broadcast(&fold->command_done);
    pthread_mutex_unlock(&fold->command_lock);
}

/* Snapshot thread, or whoever drives by hand: nobody else changes a `snapshot` that is not NULL. */
enum fr_status fold__snapshot_advance(struct fold *fold, uint32_t blocks)
{
    struct fr_error error = {0};
    uint64_t position = fold__snapshot_position(fold->snapshot);
    enum fr_status status = fold__snapshot_step(fold->snapshot, blocks, &error);
    if (status != FR_AGAIN)
        snapshot_ended(fold, status, &error, position);
    return status;
}

/* Locks: command_lock is held. */
static void begin_snapshot(struct fold *fold)
{
    fold->want_snapshot = false;
    fold->applying_ns = 0; /* of one that fails: again as much later */
    fold->snapshot_began_ns = os_mono_ns(fold->options.os);
    fold->snapshot_status = fold__snapshot_begin(fold, &fold->snapshot_error, &fold->snapshot);
    if (fold->snapshot_status != FR_OK) {
        fold->snapshots_done++;
        fold->snapshot_tried = fold->row->position; /* tried again a stretch later */
        obs_log(OBS_WARN, "fold", "no snapshot: %s", fold->snapshot_error.message);
    }
    pthread_cond_broadcast(&fold->command_done);
}

/* Runs on whoever drives the fold stage. Locks: takes command_lock. */
void fold__commands(struct fold *fold)
{
    pthread_mutex_lock(&fold->command_lock);
    if (fold->want_hash) {
        digest_all(fold);
        fold->want_hash = false;
        pthread_cond_broadcast(&fold->command_done);
    }
    if (!fold->snapshot && (fold->want_snapshot || snapshot_due(fold)))
        begin_snapshot(fold);
    bool step = fold->snapshot && !fold->threads_running;
    pthread_mutex_unlock(&fold->command_lock);
    if (step)
        fr_ignore(fold__snapshot_advance(fold, BLOCKS_BY_HAND), "its end is recorded inside");
}

static void wake(struct fold *fold)
{
    pthread_mutex_lock(&fold->to_apply.lock);
    pthread_cond_broadcast(&fold->to_apply.filled);
    pthread_mutex_unlock(&fold->to_apply.lock);
}

void fold_drain(struct fold *fold)
{
    if (!fold->threads_running) {
        while (fold__journal_step(fold, false) || fold__apply_step(fold, false))
            ;
        return;
    }
    pthread_mutex_lock(&fold->command_lock);
    uint64_t target = fold->submitted_units;
    while (fold->applied_units < target)
        pthread_cond_wait(&fold->command_done, &fold->command_lock);
    pthread_mutex_unlock(&fold->command_lock);
}

struct base_hash128 fold_hash(struct fold *fold, uint64_t *out_position)
{
    if (!fold->options.read_only)
        fold_drain(fold);
    pthread_mutex_lock(&fold->command_lock);
    if (fold->threads_running) {
        fold->want_hash = true;
        while (fold->want_hash) {
            pthread_mutex_unlock(&fold->command_lock);
            wake(fold);
            pthread_mutex_lock(&fold->command_lock);
            if (fold->want_hash)
                pthread_cond_wait(&fold->command_done, &fold->command_lock);
        }
    } else {
        digest_all(fold);
    }
    struct base_hash128 hash = fold->hash;
    if (out_position)
        *out_position = fold->row->position;
    pthread_mutex_unlock(&fold->command_lock);
    return hash;
}

static enum fr_status snapshot_by_hand(struct fold *fold, struct fr_error *error)
{
    while (fold->snapshot)
        fr_ignore(fold__snapshot_advance(fold, UINT32_MAX), "an older one; its end is recorded");
    pthread_mutex_lock(&fold->command_lock);
    begin_snapshot(fold);
    pthread_mutex_unlock(&fold->command_lock);
    if (fold->snapshot)
        fr_ignore(fold__snapshot_advance(fold, UINT32_MAX), "its end is recorded inside");
    if (fold->snapshot_status != FR_OK && error)
        *error = fold->snapshot_error;
    return fold->snapshot_status;
}

enum fr_status fold_snapshot(struct fold *fold, struct fr_error *error)
{
    if (!fold->threads_running)
        return snapshot_by_hand(fold, error);
    pthread_mutex_lock(&fold->command_lock);
    while (fold->snapshot)
        pthread_cond_wait(&fold->command_done, &fold->command_lock);
    uint64_t target = fold->snapshots_done + 1;
    fold->want_snapshot = true;
    while (fold->snapshots_done < target) {
        pthread_mutex_unlock(&fold->command_lock);
        wake(fold);
        pthread_mutex_lock(&fold->command_lock);
        if (fold->snapshots_done < target)
            pthread_cond_wait(&fold->command_done, &fold->command_lock);
    }
    enum fr_status status = fold->snapshot_status;
    if (status != FR_OK && error)
        *error = fold->snapshot_error;
    pthread_mutex_unlock(&fold->command_lock);
    return status;
}

void fold_stats_get(const struct fold *const_fold, struct fold_stats *out_stats)
{
    struct fold *fold = (struct fold *)const_fold; /* for its locks */
    const struct fold__row *row = fold->row;
    *out_stats = (struct fold_stats){
        .applied = fold_applied(fold),
        .durable = fold_durable(fold),
        .events = FR_LOAD(row->events),
        .duplicates = FR_LOAD(row->duplicates),
        .conflicts = FR_LOAD(row->conflicts),
        .clamped = FR_LOAD(row->clamped),
        .refused = FR_LOAD(row->refused),
        .sampled = FR_LOAD(row->sampled),
        .sample_one_in = FR_LOAD(row->sample_one_in),
        .batches = FR_LOAD(fold->batches),
        .syncs = FR_LOAD(fold->syncs),
    };
    pthread_mutex_lock(&fold->command_lock);
    out_stats->snapshot_position = fold->snapshot_position;
    out_stats->snapshot_us = (uint64_t)fold->snapshot_us;
    out_stats->waiting_units = fold->submitted_units - fold->applied_units;
    pthread_mutex_unlock(&fold->command_lock);
}
