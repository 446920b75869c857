/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest: sources. Bodies of HTTP requests become records of a fold batch; what is refused comes
 * back one by one and goes to the dead-letter store. Files have a door of their own,
 * ingest/reader.h.
 *
 * Thread: an `ingest` belongs to one thread; the dead-letter store to all (one mutex, a leaf).
 */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include "base/base.h"
#include "base/buf.h"
#include "fold/fold.h"
#include "os/os.h"
#include "schema/schema.h"

enum ingest_thing {
    INGEST_ANY, /* files: told by their content */
    INGEST_EVENTS,
    INGEST_ITEMS,
    INGEST_USERS,
};

/* ---- bodies ----------------------------------------------------------------------------- */

struct ingest;

struct ingest_options {
    const struct schema_types *types; /* borrowed; event types */
    size_t body_bytes_max;            /* also after decompression; 0 = 16 MiB */
    uint32_t count_max;               /* things in one body; 0 = 10,000 */
};

FR_MUST_USE enum fr_status ingest_new(const struct ingest_options *options, struct fr_error *error,
                                      struct ingest **out_ingest);
void ingest_free(struct ingest *ingest);

struct ingest_body {
    enum ingest_thing thing;
    bool patch;         /* items, users: change the members given, keep the others */
    struct fr_slice id; /* items, users: the id in the address; ptr NULL: in the body */
    struct fr_slice bytes;
    struct fr_slice content_type;     /* empty: told by the content; text/csv needs a header line */
    struct fr_slice content_encoding; /* empty, identity, gzip, zstd, xz */
    struct fr_slice idempotency_key;  /* empty when absent */
    int64_t received_us;
};

/* One thing refused. Borrowed from the ingest until its next body. */
struct ingest_reject {
    uint32_t index; /* in the body, from 0 */
    struct schema_reject reject;
    struct fr_slice raw; /* its bytes; into the body */
};

struct ingest_result {
    uint32_t taken, reject_count;
    const struct ingest_reject *rejects;
};

/* Adds a record to `batch` for every good thing of the body, and gives the others with reasons.
 * Dedupe keys of events: of the id; else of the idempotency key and the index; else of all fields.
 * FR_INVALID: a malformed array or an empty body, nothing was added (400). FR_FULL: too many things
 * or too long (413). FR_UNSUPPORTED: content type or encoding (415). FR_CORRUPT: it does not
 * decompress (400). FR_MEMORY. Warm, it allocates nothing while nothing is refused. */
FR_MUST_USE enum fr_status ingest_take_body(struct ingest *ingest, const struct ingest_body *body,
                                            struct fold_batch *batch,
                                            struct ingest_result *out_result,
                                            struct fr_error *error);

/* The record of one deletion: kind is SCHEMA_KIND_ITEM_DELETE, _USER_DELETE or _ERASE. FR_INVALID:
 * the id breaks its rule. */
FR_MUST_USE enum fr_status ingest_take_delete(uint8_t kind, struct fr_slice id,
                                              struct fold_batch *batch,
                                              struct schema_reject *out_reject);

/* Dedupe keys of what has no id of its own; sources beyond HTTP use them too. The domains differ
 * from each other and from ids, which cannot hold a NUL. */
struct base_hash128 ingest_key_of_index(struct fr_slice source, uint64_t index,
                                        const uint8_t key[16]);
struct base_hash128 ingest_key_of_fields(const struct schema_event *event, struct base_buf *scratch,
                                         const uint8_t key[16]);

/* ---- dead letters ----------------------------------------------------------------------- */

/* What was refused, kept under <data>/dead-letters/ as lines of JSON, in files of a largest size of
 * which the oldest goes when there are too many: counted, never silent.
 *   {"time":…,"source":"http","position":"POST /v1/events #3","path":…,"rule":…,"seen":…,"hint":…,
 *    "raw":"…"} or "raw_base64" when the bytes are not UTF-8; "raw_bytes" when they were cut */
struct ingest_dead;

struct ingest_dead_options {
    struct os *os;
    const char *directory;   /* <data>/dead-letters; made when missing */
    uint64_t file_bytes_max; /* 0 = 16 MiB */
    uint32_t file_count_max; /* 0 = 8 */
    size_t raw_bytes_max;    /* of one letter; 0 = 16 KiB */
};

FR_MUST_USE enum fr_status ingest_dead_open(const struct ingest_dead_options *options,
                                            struct fr_error *error, struct ingest_dead **out_dead);
void ingest_dead_close(struct ingest_dead *dead);

struct ingest_letter {
    const char *source;       /* "http", "import", "kafka": short */
    struct fr_slice position; /* where in the source */
    int64_t time_us;
    const struct schema_reject *reject;
    struct fr_slice raw;
};
/* FR_OK: kept. FR_IO, FR_NO_SPACE: not kept, counted as lost. The letters of a crash may be lost:
 * their senders were told. */
FR_MUST_USE enum fr_status ingest_dead_add(struct ingest_dead *dead,
                                           const struct ingest_letter *letter,
                                           struct fr_error *error);

/* The newest `count` letters, newest first, as a JSON array. */
FR_MUST_USE enum fr_status ingest_dead_list(struct ingest_dead *dead, uint32_t count,
                                            struct base_buf *out, struct fr_error *error);
/* Drops all of them (privacy: they hold what people sent). */
FR_MUST_USE enum fr_status ingest_dead_drop(struct ingest_dead *dead, struct fr_error *error);

struct ingest_dead_stats {
    uint64_t added, lost; /* since the start; lost: could not be written */
    uint64_t rotated;     /* files dropped to make room */
    uint64_t bytes;       /* on disk now */
};
void ingest_dead_stats_get(struct ingest_dead *dead, struct ingest_dead_stats *out_stats);

#endif
