/* SPDX-License-Identifier: Apache-2.0
 *
 * fold: the write plane. Batches of records go through two threads, joined by bounded queues:
 *   journal stage   appends a group (all that waits, at most 1,000 records or 4 MiB), syncs it
 *   fold stage      applies durable records in order, batches of 256; owner of all state
 * State is fold(journal): recovery = newest good snapshot + the rest of the journal, and the
 * ordinary stop is a snapshot followed by that same path.
 *
 * Thread: fold_submit() and the readings from any; `done` runs on the journal or fold thread and
 * must not block. Locks: one mutex a queue, leaves.
 */
#ifndef FOLD_FOLD_H
#define FOLD_FOLD_H

#include "base/base.h"
#include "base/buf.h"
#include "base/hash.h"
#include "journal/journal.h"
#include "os/os.h"

struct fold;
struct schema_types;
struct state; /* state/state.h: what is folded */
struct rank;  /* rank/rank.h: scores and learns sampled events */

enum fold_ack {
    FOLD_ACK_NONE,    /* nobody waits; may be lost in a crash */
    FOLD_ACK_DURABLE, /* on disk */
    FOLD_ACK_APPLIED, /* on disk and folded: the next answer reflects it */
};

/* A group of records on its way in. The caller owns it; between fold_submit() and `done` the fold
 * does. Reused after fold_batch_clear() without allocating. */
struct fold_batch {
    struct base_buf bytes; /* u8 kind, varint length, payload; repeated */
    uint32_t count;
    int64_t received_us;

    /* filled in before `done` */
    enum fr_status status; /* FR_OK, FR_NO_SPACE (nothing of it was kept), FR_IO (fatal) */
    struct fr_error error;
    uint64_t first_position, last_position;
    int64_t durable_us, applied_us; /* wall clock; 0 when not reached */
    uint32_t duplicate_count;       /* events whose key was in the dedupe window (applied only) */

    /* private to the fold */
    enum fold_ack ack;
    void (*done)(void *context, struct fold_batch *batch);
    void *done_context;
    struct fold_batch *next;
};

void fold_batch_init(struct fold_batch *batch);
void fold_batch_release(struct fold_batch *batch);
void fold_batch_clear(struct fold_batch *batch);
/* Adds a record whose payload was encoded by schema. */
void fold_batch_add(struct fold_batch *batch, uint8_t kind, struct fr_slice payload);

struct fold_options {
    struct os *os;
    const char *directory; /* the data directory: journal/, snapshot/ */
    struct state *state;   /* borrowed; empty */
    struct rank *rank;     /* borrowed; may be NULL: nothing is scored or blended */
    /* Borrowed, canonical text of what else the state depends on, "" for the defaults. What was made under
     * other settings is folded anew while the journal is whole; a change is a record of kind SCHEMA_KIND_CONFIG. */
    const char *settings;
    uint64_t snapshot_records; /* a snapshot every so many records; 0 = 1,000,000 */
    int64_t replay_us;      /* and when those since the last one took so long to apply; 0 = never */
    uint64_t segment_bytes; /* journal segments; 0 = default */
    int64_t retention_us;   /* older segments go once two snapshots are past them; 0 = never */
    uint32_t queue_bytes_max;  /* waiting batches, bytes; 0 = 64 MiB */
    uint32_t copied_bytes_max; /* blocks copied before their change, for a snapshot; 0 = 64 MiB */
    uint32_t sample_one_in;    /* 0 = automatic (1 .. 32 by load), else fixed */
    bool read_only;            /* recover and stay: hash, why */
    uint64_t until;    /* with read_only: the state after exactly so many records; 0 = all */
    bool by_hand;      /* no threads: fold_run() and fold_drain() drive the stages */
    bool jobs_by_hand; /* with by_hand: deferred learners work too, at once (models.h) */
    bool no_remedies;  /* alarms of drift ask for nothing (rank/health.h) */
    bool promote;      /* shadows go live, and harmful ones back, by evidence (rank/models.h) */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* recovery; may be NULL */
    void *progress_context;
};

/* Recovers and starts the threads. FR_CORRUPT, FR_AGAIN (another writer), FR_UNSUPPORTED, FR_IO. */
FR_MUST_USE enum fr_status fold_open(const struct fold_options *options, struct fr_error *error,
                                     struct fold **out_fold);
/* Drains what was submitted, writes a snapshot (unless read-only or failed), stops. NULL is fine.
 */
void fold_close(struct fold *fold);
/* A read-only fold goes on to the state after exactly `position` records. FR_INVALID: it is past
 * that; FR_NOT_FOUND: the journal ends before it. */
FR_MUST_USE enum fr_status fold_advance(struct fold *fold, uint64_t position,
                                        struct fr_error *error);

/* FR_FULL: the queue is at its maximum, nothing taken (answer 429). FR_IO: the journal has failed.
 * FR_INVALID: one batch of more than 32 MiB. */
FR_MUST_USE enum fr_status fold_submit(struct fold *fold, struct fold_batch *batch,
                                       enum fold_ack ack,
                                       void (*done)(void *context, struct fold_batch *batch),
                                       void *context);
/* Submit and wait for `ack`; gives batch->status. */
FR_MUST_USE enum fr_status fold_run(struct fold *fold, struct fold_batch *batch, enum fold_ack ack);

uint64_t fold_applied(const struct fold *fold); /* position of the last applied record; acquire */
uint64_t fold_durable(const struct fold *fold);
/* Was the state still, from a reading's start to its end? Begin gives the position that the state
 * has, or 0 while a unit is being applied; the reading between saw exactly that state when still()
 * says so. Never waits. */
uint64_t fold_still_begin(const struct fold *fold);
bool fold_still(const struct fold *fold, uint64_t began);
/* Records of the unit that is being applied, about ten microseconds each; 0 at rest. Any thread. */
uint64_t fold_under_way(const struct fold *fold);
bool fold_failed(const struct fold *fold); /* the journal has failed: stop acknowledging */

/* Are the settings of the options those that the journal tells at the current position? Thread: as
 * fold_types(). */
bool fold_settings_hold(const struct fold *fold);

/* The event types in force at the current position. Thread: any; changes only by a record. */
const struct schema_types *fold_types(const struct fold *fold);

/* Fixes the sampling rate at one in `one_in` (1 .. 32), or lets it follow the load again (0). Takes
 * effect by a record. FOLD_AS_RECORDED: the fold adds no record of its own, neither rates nor
 * ticks, since those that come in carry them (import of a whole journal). Thread: any. */
#define FOLD_AS_RECORDED UINT32_MAX
void fold_sample_set(struct fold *fold, uint32_t one_in);

/* Waits until everything submitted so far is applied. */
void fold_drain(struct fold *fold);
/* Digest of all state at the current position; drains first. */
struct base_hash128 fold_hash(struct fold *fold, uint64_t *out_position);
/* Asks for a snapshot now and waits for it. */
FR_MUST_USE enum fr_status fold_snapshot(struct fold *fold, struct fr_error *error);

struct fold_stats {
    uint64_t applied, durable;                       /* positions */
    uint64_t events, duplicates, conflicts, sampled; /* since the journal's start */
    uint64_t clamped; /* events whose time lay more than five minutes ahead of their receipt */
    uint64_t refused; /* records that could not be applied: unknown kind, or a table was full */
    uint64_t batches, syncs;                 /* since the process's start */
    uint64_t snapshot_position, snapshot_us; /* newest good one, time its writing took */
    uint64_t waiting_units;                  /* submitted, not yet applied */
    uint32_t sample_one_in;
};
void fold_stats_get(const struct fold *fold, struct fold_stats *out_stats);

#endif
