/* SPDX-License-Identifier: Apache-2.0
 *
 * journal, inside: the bytes (format.c), sequential reading of one segment (reader.c), the list of
 * segments (segments.c), recovery (recover.c), appending (journal.c), cursors (cursor.c),
 * housekeeping (seal.c), checking and copying (verify.c, salvage.c).
 *
 * Invariants; asserts, tests and tests/model/ cite them. "Durable" as in os/os.h O1 and O2.
 *   J1  Group g+1 is written only after the sync of group g has returned good. So a valid header of
 *       any later group, or a later segment, proves that everything before was acknowledged.
 *   J2  Past the last durable group the segment holds zeros (or ends) before the next group is
 *       written. So after a crash each sector of a group in flight is either whole or zero.
 *   J3  Every byte of a group is under a CRC-32C that also covers its position, its place in the
 *       segment (header) and the journal's salt, which no client can know. So recycled bytes, bytes
 *       of another journal, misplaced writes and crafted payloads never validate.
 *   J4  Positions run on without gaps over groups and segments.
 *   J5  A segment's header, zeros and name are durable before its first group is written.
 *   J6  Stored bytes are destroyed only after what replaces them, or their new name, is durable.
 *   J7  What is acknowledged is read back; what was refused (FR_NO_SPACE) is zeroed, durably,
 * before its positions are used again. J8  After a failed sync nothing is acknowledged any more
 * (O3). J9  A cursor gives only records at or below the durable position. J10 What recovery finds
 * is made durable (again) before it counts: the process before may have died between write and
 * sync, or after a failed one, and the page cache tells no difference. Only the last group can be
 * such (J1); it is written once more, and its name synced.
 */
#ifndef JOURNAL_JOURNAL_PRIV_H
#define JOURNAL_JOURNAL_PRIV_H

#include <pthread.h>

#include "base/buf.h"
#include "base/hash.h"
#include "journal/journal.h"

enum {
    JOURNAL__SECTOR_BYTES = OS_SECTOR_BYTES,
    JOURNAL__FLOOR_AT = 512,
    JOURNAL__COPY_AT = 2048,      /* the header once more, for salvage */
    JOURNAL__HEADER_BYTES = 4096, /* the first group begins here */
    JOURNAL__GROUP_BYTES = 40,    /* header of a group */
    JOURNAL__RECORD_BYTES = 25,   /* head of a record: all before the payload */
    JOURNAL__TRAILER_BYTES = 20,  /* of a compressed segment: a skippable zstd frame */
    JOURNAL__ALIGN = 8,
    JOURNAL__READ_BYTES = 1 << 20,
    JOURNAL__STAGE_BYTES = 1 << 20,  /* first size of the staging buffer */
    JOURNAL__EXTEND_BYTES = 1 << 20, /* step of zeroing in the append path, without a spare */
    JOURNAL__SEGMENTS_MAX = 1 << 20,
    JOURNAL__NAME_BYTES = 64,
};

/* ---- bytes (format.c) ------------------------------------------------------------------------ */

struct journal__header {
    uint64_t salt; /* of the journal: equal in all its segments */
    uint64_t first;
    int64_t created_us;
    uint32_t version;
    uint64_t floor; /* 0: none. Not part of the header's own sector */
};

struct journal__group {
    uint64_t first, offset, bytes; /* bytes: of its records, header not counted */
    uint32_t count;
};

/* The whole header block: the header, no floor yet, the header's copy. */
void journal__header_encode(const struct journal__header *header,
                            uint8_t to[JOURNAL__HEADER_BYTES]);
/* One sector of it. */
/* FR_CORRUPT or FR_UNSUPPORTED; out_what says why (static). */
FR_MUST_USE enum fr_status journal__header_decode(const uint8_t from[JOURNAL__SECTOR_BYTES],
                                                  struct journal__header *out_header,
                                                  const char **out_what);
/* The floor: everything up to `position` was acknowledged. False: none, or damaged. */
void journal__floor_encode(uint64_t salt, uint64_t position, uint8_t to[JOURNAL__SECTOR_BYTES]);
bool journal__floor_decode(const uint8_t from[JOURNAL__SECTOR_BYTES], uint64_t salt,
                           uint64_t *out_position);
void journal__group_encode(uint64_t salt, const struct journal__group *group,
                           uint8_t to[JOURNAL__GROUP_BYTES]);
/* True when `from` is a valid header of a group at `offset` (J3). */
bool journal__group_decode(const uint8_t from[JOURNAL__GROUP_BYTES], uint64_t salt, uint64_t offset,
                           struct journal__group *out_group);

/* The end of a compressed segment: count and CRC-32C of the bytes before it. */
void journal__trailer_encode(uint64_t count, uint32_t crc, uint8_t to[JOURNAL__TRAILER_BYTES]);

static inline size_t journal__record_size(size_t payload_bytes)
{
    return (JOURNAL__RECORD_BYTES + payload_bytes + JOURNAL__ALIGN - 1) &
           ~(size_t)(JOURNAL__ALIGN - 1);
}
/* Writes journal__record_size() bytes. */
void journal__record_encode(uint64_t salt, const struct journal_record *record, uint8_t *to);
/* The record at `from` when valid and at `position`; gives its size, 0 when it is not. */
size_t journal__record_decode(const uint8_t *from, size_t bytes, uint64_t salt, uint64_t position,
                              struct journal_record *out_record);
/* All records of a group's body valid, positions running, bytes used up. */
bool journal__body_valid(const uint8_t *body, uint64_t salt, const struct journal__group *group);
bool journal__is_zero(const uint8_t *bytes, size_t count);

/* ---- names ------------------------------------------------------------------------------------
 */

enum journal__name {
    JOURNAL__NAME_OTHER,
    JOURNAL__NAME_PLAIN,
    JOURNAL__NAME_ZST,
    JOURNAL__NAME_TMP
};
enum journal__name journal__name_parse(const char *name, uint64_t *out_first);
void journal__name_print(uint64_t first, bool compressed, char to[JOURNAL__NAME_BYTES]);
FR_MUST_USE enum fr_status journal__path(const char *directory, const char *name,
                                         struct fr_error *error, char to[OS_PATH_MAX]);

/* ---- the list of segments (segments.c) --------------------------------------------------------
 */

struct journal__segment {
    uint64_t first;
    int64_t created_us;
    uint64_t file_bytes;
    uint32_t pins; /* cursors on it: not compressed, recycled or dropped meanwhile */
    bool compressed;
    bool twice; /* both files are there: a crash came between rename and removal */
};

struct journal__list {
    struct journal__segment *at;
    uint32_t count, capacity;
    bool has_spare;
    uint64_t spare_bytes;
    uint32_t tmp_count;
};

/* Reads the directory. Sorted by first position. */
FR_MUST_USE enum fr_status journal__list_read(struct os *os, const char *directory,
                                              struct fr_error *error,
                                              struct journal__list *out_list);
void journal__list_release(struct journal__list *list);
FR_MUST_USE enum fr_status journal__list_add(struct journal__list *list,
                                             struct journal__segment segment,
                                             struct fr_error *error);

/* ---- sequential reading of one segment (reader.c) -----------------------------------------------
 */

struct journal__reader {
    struct os_file *file;
    uint8_t *buffer; /* content from offset `at` on */
    size_t capacity, count;
    uint64_t at;
    uint64_t stop;   /* nothing is read at or beyond (the durable end); UINT64_MAX: all */
    bool ended;      /* the file ends at `at + count` (or stops) */
    void *zstd;      /* ZSTD_DStream, NULL for a plain file */
    uint8_t *packed; /* compressed input */
    size_t packed_count, packed_used;
    uint64_t packed_at, packed_end; /* next read; where the trailer begins */
    uint32_t packed_crc;
    char name[JOURNAL__NAME_BYTES];
};

/* Where a reader reads: the segment `first`, or the file `name` when not NULL. */
struct journal__source {
    struct os *os;
    const char *directory;
    uint64_t first;
    bool compressed;
    const char *name;
};

/* Borrowed until the next call on the reader. */
struct journal__span {
    const uint8_t *bytes;
    size_t count;
};

FR_MUST_USE enum fr_status journal__reader_open(const struct journal__source *source,
                                                struct fr_error *error,
                                                struct journal__reader *out_reader);
void journal__reader_close(struct journal__reader *reader);
/* Makes content from `offset` on available, `bytes` of it unless the end comes first; gives how
 * much there is. A compressed segment is read forwards only. */
FR_MUST_USE enum fr_status journal__reader_need(struct journal__reader *reader, uint64_t offset,
                                                size_t bytes, struct fr_error *error,
                                                struct journal__span *out_span);
/* Forgets what is buffered, so that the next need reads the file again (plain only). */
void journal__reader_refresh(struct journal__reader *reader, uint64_t stop);
/* Reads and checks the header block. */
FR_MUST_USE enum fr_status journal__reader_header(struct journal__reader *reader, uint64_t first,
                                                  struct fr_error *error,
                                                  struct journal__header *out_header);

/* ---- recovery of the newest segment (recover.c)
 * --------------------------------------------------- */

struct journal__end {
    uint64_t next;   /* position after the last whole group */
    uint64_t offset; /* where the next group goes */
    uint64_t last;   /* where the last whole group is; equal to offset when there is none */
    uint64_t file_bytes;
    uint64_t torn_bytes; /* from offset to the last byte that is not zero */
};

/* Walks the groups, then judges what follows the last whole one: zeros, a torn tail, or damage
 * (FR_CORRUPT). `live`: a writer may be adding to it, so that a group half there is no damage. */
FR_MUST_USE enum fr_status journal__recover(struct journal__reader *reader,
                                            const struct journal__header *header, bool live,
                                            struct fr_error *error, struct journal__end *out_end);
/* Bytes from `offset` to the last one that is not zero. */
FR_MUST_USE enum fr_status journal__tail_bytes(struct journal__reader *reader, uint64_t offset,
                                               struct fr_error *error, uint64_t *out_bytes);
/* Where the next valid group header at or after `offset` is. FR_END: there is none. */
FR_MUST_USE enum fr_status journal__find_group(struct journal__reader *reader, uint64_t salt,
                                               uint64_t offset, struct fr_error *error,
                                               struct journal__group *out_group);

/* ---- reading what may be damaged (walk.c)
 * --------------------------------------------------------- */

/* Goes over a directory, segment by segment, giving every record that passes its checks, in order,
 * and a fault for everything that is not as it should be. */
struct journal__walk {
    struct os *os;
    const char *directory;
    /* FR_OK to go on. */
    enum fr_status (*record)(struct journal__walk *walk, const struct journal_record *record,
                             struct fr_error *error);
    /* May be NULL. */
    void (*fault)(struct journal__walk *walk, const char *segment, uint64_t offset,
                  const char *what);
    void *context;

    uint64_t next; /* position expected now */
    uint64_t salt;
    bool has_salt;
    uint64_t segments, bytes, first, torn_bytes, faults;
    uint64_t promised; /* there were positions below this one: headers and the floor say so */
    bool open_end;     /* damage at the end, and nothing says how far it went */
};
FR_MUST_USE enum fr_status journal__walk_all(struct journal__walk *walk, struct fr_error *error);

/* ---- the journal
 * ------------------------------------------------------------------------------------ */

struct journal {
    struct os *os;
    char directory[OS_PATH_MAX];
    uint64_t segment_bytes;
    bool read_only;
    struct os_file *lock_file;

    /* the writer's */
    struct os_file *file; /* the newest segment */
    uint64_t salt;
    uint64_t file_bytes; /* of the newest segment: zeroed up to here */
    uint64_t floor;      /* as last written */
    uint8_t *stage;      /* group header's room, then records */
    size_t staged, stage_capacity;
    uint32_t staged_count;
    uint64_t torn_bytes;

    uint64_t durable; /* atomic; release after a sync, acquire by readers */
    uint32_t failed;  /* atomic */

    pthread_mutex_t mutex; /* list, offset, spare, thread flags; a leaf */
    struct journal__list list;
    uint64_t offset;         /* end of the durable groups in the newest segment */
    pthread_mutex_t tending; /* whole of prepare, seal, drop; before mutex */
    bool drop_failed;        /* under tending */

    pthread_cond_t wake;
    pthread_t thread;
    bool thread_wanted, thread_runs, stop;
};

FR_MUST_USE enum fr_status journal__corrupt(struct fr_error *error, const char *segment,
                                            uint64_t offset, const char *what);
/* A file of `bytes` zeros, new or in the place of one; not synced. */
FR_MUST_USE enum fr_status journal__zero_file(struct os *os, const char *path, uint64_t bytes,
                                              struct fr_error *error, struct os_file **out_file);
FR_MUST_USE enum fr_status journal__write_zeros(struct os_file *file, uint64_t from, uint64_t to,
                                                struct fr_error *error);
void journal__thread_stop(struct journal *journal);
void journal__thread_poke(struct journal *journal); /* the writer: a spare will be needed */

#endif
