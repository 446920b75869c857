/* SPDX-License-Identifier: Apache-2.0
 *
 * journal: the append-only, checksummed, group-committed truth. See README.md for the rules and
 * their invariants (J1 ...) and docs/FORMATS.md for the bytes.
 *
 * One writer per directory (a lock file). Positions count records from 1 without gaps; a record is
 * acknowledged after journal_sync() has returned FR_OK for it. A failed sync is fatal: the journal
 * refuses everything from then on.
 *
 * Thread: open, close, append and sync from one thread (the journal stage); everything else from
 * any, beside it. Locks: one mutex inside, a leaf; a seal or drop holds another around the whole of
 * its work, so that two of them take turns.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include "base/base.h"
#include "os/os.h"

#define JOURNAL_PAYLOAD_BYTES_MAX ((size_t)16 << 20)
#define JOURNAL_GROUP_BYTES_MAX ((size_t)64 << 20)
#define JOURNAL_SEGMENT_BYTES_MIN ((uint64_t)8192)
#define JOURNAL_SEGMENT_BYTES_DEFAULT ((uint64_t)64 << 20)
#define JOURNAL_FORMAT_VERSION 1

struct journal;

struct journal_options {
    const char *directory;  /* <data>/journal; created when missing, but for read_only */
    uint64_t segment_bytes; /* 0 = 64 MiB; pre-zeroed and recycled; a larger group gets its own */
    bool read_only;         /* no lock, no repair: verify, hash, export beside a running writer */
    bool no_thread;         /* no thread of its own for spares: call journal_prepare() */
};

struct journal_record {
    uint64_t position;
    int64_t received_us;     /* Unix time at which the writer took it in */
    uint8_t kind;            /* enum schema_kind */
    struct fr_slice payload; /* borrowed until the next call on the cursor */
};

/* Opens and recovers: finds the segments, checks the newest one record by record, cuts a torn tail
 * (zeroing it on disk), refuses damage in the middle with FR_CORRUPT, naming segment and offset.
 * FR_AGAIN: another writer holds the directory. FR_UNSUPPORTED: a newer format version.
 * read_only: FR_NOT_FOUND when there is no journal; what a running writer adds later is not seen.
 */
FR_MUST_USE enum fr_status journal_open(struct os *os, const struct journal_options *options,
                                        struct fr_error *error, struct journal **out_journal);
/* What is staged and not synced is forgotten. Cursors must be closed before. NULL is fine. */
void journal_close(struct journal *journal);

/* Stages a record in the current group (copied). Gives its position. Nothing is on disk yet.
 * FR_INVALID: payload above JOURNAL_PAYLOAD_BYTES_MAX. FR_FULL: the group is at its maximum, sync
 * first. Warm, it never allocates. */
FR_MUST_USE enum fr_status journal_append(struct journal *journal, uint8_t kind,
                                          int64_t received_us, struct fr_slice payload,
                                          struct fr_error *error, uint64_t *out_position);
/* Writes the staged group in one piece and syncs it: acknowledged as a whole. After a crash before
 * the return, all of it or nothing is found.
 * FR_NO_SPACE, or any failure without `fatal`: nothing of the group is kept and the journal goes
 * on; the positions are used again; the caller refuses these records. With `fatal`: stop
 * acknowledging, exit, recover. */
FR_MUST_USE enum fr_status journal_sync(struct journal *journal, struct fr_error *error);
void journal_discard(struct journal *journal); /* forgets the staged group */
size_t journal_staged_bytes(const struct journal *journal);
uint32_t journal_staged_count(const struct journal *journal);

uint64_t journal_durable(const struct journal *journal);    /* last durable position; 0 = empty */
uint64_t journal_first(struct journal *journal);            /* oldest position kept; 1 when empty */
uint64_t journal_bytes(struct journal *journal);            /* on disk, zeros and spare included */
bool journal_failed(const struct journal *journal);         /* a fatal error has been returned */
uint64_t journal_torn_bytes(const struct journal *journal); /* cut at open */

/* Reading from `position` on (1 = the start), up to what is durable; a cursor at the end goes on
 * when more is. FR_NOT_FOUND: below journal_first() (retention has dropped it). Several cursors and
 * the writer work side by side; one cursor is used by one thread at a time. */
struct journal_cursor;
FR_MUST_USE enum fr_status journal_cursor_open(struct journal *journal, uint64_t position,
                                               struct fr_error *error,
                                               struct journal_cursor **out_cursor);
/* FR_END: nothing durable beyond, for now. FR_CORRUPT: damage, named. */
FR_MUST_USE enum fr_status journal_cursor_next(struct journal_cursor *cursor,
                                               struct fr_error *error,
                                               struct journal_record *out_record);
void journal_cursor_close(struct journal_cursor *cursor);

/* Housekeeping, from any thread beside the writer (snapshot thread). Failures are harmless and may
 * be tried again. */

/* Makes the next segment ready ahead of need. The journal's own thread does it; tests and
 * simulations (no_thread) call it. */
FR_MUST_USE enum fr_status journal_prepare(struct journal *journal, struct fr_error *error);
/* Compresses the segments whose records all lie below `position` (a snapshot's), but for the newest
 * one and those under a cursor. They stay readable. */
FR_MUST_USE enum fr_status journal_seal(struct journal *journal, uint64_t position,
                                        struct fr_error *error);
/* The newest position below which everything was taken in before `time_us`, as far as whole
 * segments tell; 1 when nothing was. */
uint64_t journal_position_before(struct journal *journal, int64_t time_us);
/* Retention: removes the segments whose records all lie below `position`, oldest first, up to the
 * first one under a cursor. Only where the operator has switched it on. */
FR_MUST_USE enum fr_status journal_drop(struct journal *journal, uint64_t position,
                                        struct fr_error *error);

/* Checks every byte of every segment, beside a running writer if need be. Calls `fault` for each
 * damage found. FR_CORRUPT when any. */
struct journal_report {
    uint64_t segments, records, bytes, first, last, torn_bytes, faults;
};
typedef void (*journal_fault_fn)(void *context, const char *segment, uint64_t offset,
                                 const char *what);
FR_MUST_USE enum fr_status journal_verify(struct os *os, const char *directory,
                                          journal_fault_fn fault, void *context,
                                          struct journal_report *out_report,
                                          struct fr_error *error);

/* Copies every readable record of a damaged journal into a fresh one in `to` (must not hold a
 * journal), in order, numbered anew from 1 without gaps, received times and kinds kept. `lost` is
 * called for each run of positions that could not be read (last = UINT64_MAX: up to an unknown
 * end). Snapshots of the old directory do not fit the new one. `from` is not changed. */
struct journal_salvage_report {
    uint64_t segments, records, lost_records, lost_runs, bytes;
};
typedef void (*journal_lost_fn)(void *context, uint64_t first, uint64_t last, const char *segment,
                                const char *what);
FR_MUST_USE enum fr_status journal_salvage(struct os *os, const char *from, const char *to,
                                           journal_lost_fn lost, void *context,
                                           struct journal_salvage_report *out_report,
                                           struct fr_error *error);

#endif
