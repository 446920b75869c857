/* SPDX-License-Identifier: Apache-2.0
 *
 * fold, inside: units on their way through the two stages, the snapshot writer, the fold's own row.
 *
 * Invariants
 *   F1: a record is applied only after the sync that made it durable has returned.
 *   F2: records are applied in the order of their positions, each once.
 *   F3: `applied` is published (release) after every change of the unit is written.
 *   F4: a snapshot holds the state after exactly the records up to its position.
 *   F5: after a failed sync nothing more is acknowledged.
 */
#ifndef FOLD_FOLD_PRIV_H
#define FOLD_FOLD_PRIV_H

#include <pthread.h>

#include "base/rows.h"
#include "fold/fold.h"
#include "obs/obs.h"
#include "schema/schema.h"
#include "state/state.h"

enum {
    FOLD__TABLES_MAX = 192,
    FOLD__GROUP_RECORDS_MAX = 1000,
    FOLD__GROUP_BYTES_MAX = 4 << 20,
    FOLD__STRETCH_RECORDS_MAX = 256,
    FOLD__SAMPLE_ONE_IN_MAX = 32,
    FOLD__CLOCK_AHEAD_US = 300 * 1000000, /* event time is clamped to received + 5 minutes */
};

/* A submitted batch inside the fold: its buffer is swapped in, so that a caller who waits only for
 * durability has its batch back before the records are applied. */
struct fold__unit {
    struct base_buf bytes;
    uint32_t count;
    int64_t received_us;
    uint64_t first_position;
    int64_t durable_us, durable_ns; /* wall and monotonic */
    struct fold_batch *batch;       /* NULL once `done` was called, or when nobody waits */
    enum fold_ack ack;
    struct fold__unit *next;
};

struct fold__queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct fold__unit *first, *last;
    size_t bytes, units;
    bool closed;
};

/* The fold's own state: one row, saved and hashed with the rest. */
struct fold__row {
    uint64_t position; /* last applied */
    uint64_t events, duplicates, conflicts, sampled;
    uint64_t clamped; /* events whose time lay more than five minutes ahead of their receipt */
    uint64_t refused; /* records that could not be applied: unknown kind, or a table was full */
    uint32_t sample_one_in;
    uint32_t settings; /* fold__settings_of() those that the journal told last; 0: the defaults */
    struct schema_types types;
};

struct fold__snapshot; /* a snapshot being written */
struct fold__jobs;     /* of deferred learners: jobs.c */

struct fold {
    struct fold_options options;
    uint32_t settings; /* fold__settings_of() the options' */
    struct journal *journal;
    struct base_rows *own; /* one row: struct fold__row */
    struct fold__row *row; /* that row, in place */
    struct base_rows *tables[FOLD__TABLES_MAX];
    size_t table_count;
    struct base_pool *pool;
    struct fold__jobs *jobs;

    struct fold__queue to_journal, to_apply, spare;
    size_t spare_bytes; /* capacity of the spare units' buffers; under the lock of spare */
    pthread_t journal_thread, apply_thread, snapshot_thread;
    bool threads_running;

    /* commands to the apply stage: hash, snapshot. Lock: command_lock, a leaf */
    pthread_mutex_t command_lock;
    pthread_cond_t command_done;
    bool want_hash, want_snapshot;
    uint64_t submitted_units, applied_units; /* under command_lock */
    struct base_hash128 hash;

    /* snapshot thread; under command_lock */
    struct fold__snapshot *snapshot; /* frozen, being written */
    bool snapshot_stop;
    enum fr_status snapshot_status;
    struct fr_error snapshot_error;
    uint64_t snapshot_position; /* newest good one */
    uint64_t snapshot_tried;    /* last one that could not begin */
    int64_t snapshot_began_ns;
    int64_t snapshot_us; /* time its writing took */
    int64_t snapshot_ended_ns;
    int64_t applying_ns; /* fold stage: spent on what a start would fold again */
    uint64_t snapshots_done;

    uint64_t applied, durable; /* published; release/acquire */
    uint64_t applying;       /* last position of the unit being applied; = applied between units */
    uint32_t failed;         /* atomic; the journal refused a sync (F5) */
    uint64_t batches, syncs; /* atomic, statistics */
    int64_t rate_changed_ns, late_max_ns, busy_ns; /* fold stage: of the sampling rate's control */
    uint32_t rate_wanted;                          /* atomic; the last sampling rate asked for */
    uint32_t remedy_said; /* fold stage: the alarm whose remedy was journalled last */
    int64_t tick_last_us;
    uint64_t tick_position;
};

/* pipeline.c */
void fold__queue_init(struct fold__queue *queue);
void fold__queue_release(struct fold__queue *queue);
/* One group: append, sync, hand on. False when there was nothing (or, waiting, when closed). */
bool fold__journal_step(struct fold *fold, bool wait);
/* One unit: apply, publish, answer. */
bool fold__apply_step(struct fold *fold, bool wait);

/* Journals a record of the fold's own making: a sampling rate, a tick, a model's job. */
void fold__hand_on(struct fold *fold, uint8_t kind, struct fr_slice payload);
/* Any thread. Says by a record, once, that from there on one event in `one_in` is sampled, so that a
 * replay samples alike. 0, FOLD_AS_RECORDED: nothing to say. */
void fold__want_rate(struct fold *fold, uint32_t one_in);

void fold__threads_start(struct fold *fold);
void fold__threads_stop(struct fold *fold);

/* fold.c */
/* A name for settings: 0 for "" or NULL, else never 0. */
uint32_t fold__settings_of(struct fr_slice text);
void fold__commands(struct fold *fold); /* apply stage, between units */
/* Writes up to `blocks` blocks of the running snapshot; FR_AGAIN: more to do; else it has ended. */
enum fr_status fold__snapshot_advance(struct fold *fold, uint32_t blocks);

/* apply.c */
/* `event`: what a record of that kind decodes to; NULL when it does not. */
void fold__apply_record(struct fold *fold, const struct journal_record *record,
                        const struct schema_event *event);
void fold__apply_begin(struct fold *fold, uint64_t last_position);
void fold__apply_publish(struct fold *fold, uint64_t position);

/* jobs.c: see models.h */
enum fr_status fold__jobs_new(struct fold *fold, struct fr_error *error);
void fold__jobs_free(struct fold__jobs *jobs);
void fold__jobs_loaded(struct fold *fold); /* before replay: what a snapshot holds under way */
void fold__jobs_start(struct fold *fold);  /* the worker */
void fold__jobs_stop(struct fold *fold);
void fold__jobs_step(struct fold *fold); /* fold stage, between units: adds records that are due */
enum fr_status fold__jobs_apply(struct fold *fold, const struct journal_record *record);

/* stretch.c: records one after the other, with memory asked for ahead. give_way: a thread that waits for this
 * core gets it between two records, not at the end of the scheduler's slice, some milliseconds later. */
void fold__apply_stretch(struct fold *fold, const struct journal_record *records, uint32_t count,
                         bool give_way);

/* replay.c: applies what the journal holds, up to and with position `last`; FR_END when it ends before. */
typedef void (*fold__progress_fn)(const struct fold *fold, uint64_t last);
FR_MUST_USE enum fr_status fold__replay(struct fold *fold, uint64_t last,
                                        fold__progress_fn progress, struct fr_error *error);

/* snapshot.c */
FR_MUST_USE enum fr_status fold__snapshot_begin(struct fold *fold, struct fr_error *error,
                                                struct fold__snapshot **out_snapshot);
/* Writes up to `blocks` blocks; FR_AGAIN: more to do; FR_OK: in place, synced, renamed. Always
 * ends the snapshot (thaws, frees) unless FR_AGAIN. */
FR_MUST_USE enum fr_status fold__snapshot_step(struct fold__snapshot *snapshot, uint32_t blocks,
                                               struct fr_error *error);
uint64_t fold__snapshot_position(const struct fold__snapshot *snapshot);
/* Loads the newest good snapshot into the (empty) tables; *out_position = 0 when there is none. */
FR_MUST_USE enum fr_status fold__snapshot_load(struct fold *fold, struct fr_error *error,
                                               uint64_t *out_position);

#endif
