/* SPDX-License-Identifier: Apache-2.0
 *
 * journal: the append-only, checksummed, group-committed truth. See README.md for the rules and
 * docs/FORMATS.md for the bytes.
 *
 * One writer per data directory (a lock file). Positions count records from 1 without gaps; a
 * position is in the journal, never in memory first: a record is acknowledged after journal_sync()
 * has returned FR_OK for it. A failed sync is fatal (the journal refuses everything from then on).
 *
 * Thread: appends and sync from one thread (the journal stage); journal_durable(), cursors and
 * statistics from any.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include "base/base.h"
#include "os/os.h"

struct journal;

struct journal_options {
    const char *directory;   /* <data>/journal */
    uint64_t segment_bytes;  /* 0 = 64 MiB; pre-zeroed and recycled */
    bool read_only;          /* no lock, no repair: verify, hash, export beside a running writer */
};

struct journal_record {
    uint64_t position;
    int64_t received_us; /* Unix time at which the writer took it in */
    uint8_t kind;        /* enum schema_kind */
    struct fr_slice payload; /* borrowed until the next call on the cursor */
};

/* Opens and recovers: finds the segments, checks the newest one record by record, cuts a torn tail
 * (zeroing it on disk), refuses damage in the middle with FR_CORRUPT, naming segment and offset.
 * FR_AGAIN: another writer holds the directory. FR_UNSUPPORTED: a newer format version. */
FR_MUST_USE enum fr_status journal_open(struct os *os, const struct journal_options *options,
                                        struct fr_error *error, struct journal **out_journal);
void journal_close(struct journal *journal);

/* Stages a record in the current group (copied). Gives its position. Nothing is on disk yet. */
FR_MUST_USE enum fr_status journal_append(struct journal *journal, uint8_t kind,
                                          int64_t received_us, struct fr_slice payload,
                                          struct fr_error *error, uint64_t *out_position);
/* Writes the staged group and syncs it: all or (after a crash) a prefix of it survives.
 * FR_NO_SPACE: nothing of the group is kept and the journal goes on: the positions are reused;
 * the caller refuses these records. FR_IO with fatal set: stop. */
FR_MUST_USE enum fr_status journal_sync(struct journal *journal, struct fr_error *error);
size_t journal_staged_bytes(const struct journal *journal);

uint64_t journal_durable(const struct journal *journal); /* last durable position; 0 = empty */
uint64_t journal_first(const struct journal *journal);   /* oldest position kept */
uint64_t journal_bytes(const struct journal *journal);   /* on disk */

/* Reading from `position` on (1 = the start). A cursor of a live journal sees what is durable. */
struct journal_cursor;
FR_MUST_USE enum fr_status journal_cursor_open(struct journal *journal, uint64_t position,
                                               struct fr_error *error,
                                               struct journal_cursor **out_cursor);
/* FR_END: nothing durable beyond. FR_CORRUPT: damage, named. */
FR_MUST_USE enum fr_status journal_cursor_next(struct journal_cursor *cursor,
                                               struct fr_error *error,
                                               struct journal_record *out_record);
void journal_cursor_close(struct journal_cursor *cursor);

/* Checks every byte of every segment. Calls `fault` for each damage found. FR_CORRUPT when any. */
struct journal_report {
    uint64_t segments, records, bytes, first, last, torn_bytes, faults;
};
typedef void (*journal_fault_fn)(void *context, const char *segment, uint64_t offset,
                                 const char *what);
FR_MUST_USE enum fr_status journal_verify(struct os *os, const char *directory,
                                          journal_fault_fn fault, void *context,
                                          struct journal_report *out_report,
                                          struct fr_error *error);
/* Segments whose records all lie below `position` may be compressed (and, where retention is on,
 * dropped) by the housekeeping thread. */
FR_MUST_USE enum fr_status journal_seal(struct journal *journal, struct fr_error *error);

#endif
