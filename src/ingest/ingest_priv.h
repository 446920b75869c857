/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest: what its own .c files share: the byte source (decompression), the window over it that
 * yields records, the splitting of rows, and the mapping of rows to things.
 */
#ifndef INGEST_INGEST_PRIV_H
#define INGEST_INGEST_PRIV_H

#include "ingest/ingest.h"
#include "ingest/reader.h"

/* ---- source: bytes, decompressed ---------------------------------------------------------- */

struct ingest__source;
enum ingest__coding { INGEST__PLAIN, INGEST__GZIP, INGEST__XZ, INGEST__ZSTD, INGEST__CODING_COUNT };

FR_MUST_USE enum fr_status ingest__source_open(const char *path, struct fr_error *error,
                                               struct ingest__source **out_source);
FR_MUST_USE enum fr_status ingest__source_open_memory(struct fr_slice bytes, struct fr_error *error,
                                                      struct ingest__source **out_source);
void ingest__source_close(struct ingest__source *source);
/* Up to `bytes`; 0 only at the end. FR_CORRUPT: does not decompress, or is cut off. */
FR_MUST_USE enum fr_status ingest__source_read(struct ingest__source *source, void *to,
                                               size_t bytes, size_t *out_bytes,
                                               struct fr_error *error);
uint64_t ingest__source_bytes(const struct ingest__source *source, uint64_t *out_total);
enum ingest__coding ingest__source_coding(const struct ingest__source *source);
const char *ingest__coding_name(enum ingest__coding coding); /* "plain", "gzip", … */
/* Of the stored bytes: size and the first and last MiB of a file; the first 128 KiB of a pipe; all
 * of memory. */
struct base_hash128 ingest__source_digest(const struct ingest__source *source);

/* ---- window: records of a source ---------------------------------------------------------- */

struct ingest__window {
    struct ingest__source *source;
    uint8_t *bytes;
    size_t capacity, first, count; /* what waits: bytes[first .. first + count) */
    bool end;                      /* the source has no more */
    bool skipping;                 /* the rest of a record that was too long is being passed */
    uint64_t row;                  /* of the record given last, from 1 */
};

FR_MUST_USE enum fr_status ingest__window_init(struct ingest__window *window,
                                               struct ingest__source *source);
void ingest__window_release(struct ingest__window *window); /* closes the source */
/* Until `bytes` wait or the source has ended. */
FR_MUST_USE enum fr_status ingest__window_fill(struct ingest__window *window, size_t bytes,
                                               struct fr_error *error);
struct fr_slice ingest__window_peek(const struct ingest__window *window);
void ingest__window_pass(struct ingest__window *window, size_t bytes);
/* The next record without its line end: a line, or with quotes what RFC 4180 calls one. FR_END.
 * FR_FULL: longer than INGEST_RECORD_BYTES_MAX; its head is given and the rest passed. */
FR_MUST_USE enum fr_status ingest__window_record(struct ingest__window *window,
                                                 const char *quoting_separator,
                                                 struct fr_slice *out_record,
                                                 struct fr_error *error);
/* The next element of a JSON array whose '[' was passed. FR_END behind its ']'. */
FR_MUST_USE enum fr_status ingest__window_element(struct ingest__window *window,
                                                  struct fr_slice *out_element,
                                                  struct fr_error *error);

/* ---- rows --------------------------------------------------------------------------------- */

/* The length of the first record in `text` with its line end, 0 when its end is not in it. */
size_t ingest__record_bytes(struct fr_slice text, const char *quoting_separator);

struct ingest__row {
    struct fr_slice field[INGEST_FIELDS_MAX];
    uint32_t count;          /* also beyond INGEST_FIELDS_MAX */
    struct base_buf scratch; /* fields whose quotes were undone; cleared by split */
};
/* NULL, or the rule that the row breaks. Fields point into `record` or the row's scratch. */
const char *ingest__row_split(struct ingest__row *row, struct fr_slice record,
                              const char *separator, bool quotes);

/* ---- mapping ------------------------------------------------------------------------------ */

FR_MUST_USE enum fr_status ingest__columns_parse(const char *text, struct ingest_mapping *mapping,
                                                 struct fr_error *error);
const char *ingest__role_name(enum ingest_role role);
/* A role by the name that a column has in files of all kinds; INGEST_NOTHING when it says none.
 * Fills name for contexts. `thing` narrows the choice. */
enum ingest_role ingest__role_guess(struct fr_slice header, enum ingest_thing thing, char name[64]);
/* "movie_title:token_seq" -> "movietitle": letters and digits, lower case, no type. */
void ingest__plain_name(struct fr_slice header, char *out, size_t bytes);

/* Finds the mapping for the head of a content. Explains to `explain`. FR_INVALID when it cannot. */
struct ingest__head {
    struct fr_slice text;
    bool whole; /* it is all there is */
};
FR_MUST_USE enum fr_status ingest__guess(const struct ingest__head *head,
                                         const struct ingest_reader_options *options,
                                         struct ingest_mapping *out_mapping,
                                         struct base_buf *explain, struct fr_error *error);
/* A ready format that fits the head: the first row whose signature matches. */
struct ingest__format {
    const char *name, *separator;
    enum ingest_thing thing;
    uint32_t column_count; /* of headerless files */
    const char *headers;   /* of files with a header: names that must be there */
    const char *columns;
    bool quotes, latin1;
    enum ingest_unit unit;
    char list_separator;
};
const struct ingest__format *ingest__format_find(const char *name, const char *separator,
                                                 const struct ingest__row *first);
bool ingest__format_known(const char *name);

/* Turns rows of a table into things. */
struct ingest__mapper {
    struct ingest_mapping mapping;
    const struct schema_types *types;
    uint8_t default_type;
    uint32_t column_needed;       /* the largest mapped number */
    struct base_buf scratch;      /* converted text */
    struct schema_reject *reject; /* of the row at hand; the caller's */
    struct schema_event event;
    struct schema_item item;
    struct schema_user user;
};
FR_MUST_USE enum fr_status ingest__mapper_init(struct ingest__mapper *mapper,
                                               const struct ingest_mapping *mapping,
                                               const struct schema_types *types,
                                               struct fr_error *error);
void ingest__mapper_release(struct ingest__mapper *mapper);
/* Numbers the columns that are known by header. FR_INVALID names the missing one. */
FR_MUST_USE enum fr_status ingest__mapper_header(struct ingest__mapper *mapper,
                                                 const struct ingest__row *header,
                                                 struct fr_error *error);
/* Fills the event, item or user. synthetic_us: the time when no column has one. */
FR_MUST_USE enum fr_status ingest__mapper_row(struct ingest__mapper *mapper,
                                              const struct ingest__row *row, int64_t synthetic_us,
                                              struct schema_reject *reject);
/* A time as files write it: also without zone (UTC), a date alone, and 01-Jan-1995. */
FR_MUST_USE enum fr_status ingest__time_parse(struct fr_slice text, enum ingest_unit unit,
                                              int64_t *out_us, const char **out_rule);
/* An event type by name, also by the names that shops and data sets use; -1. */
int ingest__type_find(const struct schema_types *types, struct fr_slice name);

/* Times for files without any, from 2020-01-01T00:00:00Z: a second an event; a millisecond in files
 * of whole histories, whose order across users means nothing, so that nothing decays between them. */
#define INGEST__FIRST_US ((int64_t)1577836800 * 1000000)
#define INGEST__STEP_US ((int64_t)1000000)
#define INGEST__SEQUENCE_STEP_US ((int64_t)1000)

#endif
