/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest_reader: files of events, items or users, one record at a time, for `import` and `eval`
 * alike. JSON lines, a JSON array, CSV and its relatives with a column mapping, S3-Rec sequences
 * and session files; plain, gzip, xz or zstd by their first bytes; from a path, "-" (stdin) or
 * memory.
 *
 * Format and columns are guessed from the head of the content unless they are given; the guess
 * explains itself. Files lie outside the data directory and are user input: plain POSIX reading.
 *
 * Thread: one at a time. Owner: the reader owns what it gives until its next record.
 */
#ifndef INGEST_READER_H
#define INGEST_READER_H

#include "ingest/ingest.h"

enum {
    INGEST_COLUMNS_MAX = 64,               /* mapped ones; a row may have more */
    INGEST_FIELDS_MAX = 512,               /* of a row; mapped columns lie within */
    INGEST_RECORD_BYTES_MAX = 1024 * 1024, /* a line, a JSON element; longer ones are refused */
    INGEST_HEAD_BYTES = 256 * 1024,        /* what the guess looks at */
};

enum ingest_layout {
    INGEST_LAYOUT_AUTO,
    INGEST_JSON,      /* lines, or one array */
    INGEST_TABLE,     /* CSV, TSV, … */
    INGEST_SEQUENCES, /* "user item item …" a line; no times */
    INGEST_SESSIONS,  /* "item item …" a line: a session, of a user of its own; no times */
};

enum ingest_role {
    INGEST_NOTHING,
    /* events */
    INGEST_USER,
    INGEST_ITEM,
    INGEST_VALUE,
    INGEST_TIME,
    INGEST_SESSION,
    INGEST_TYPE,
    INGEST_REQUEST,
    INGEST_CONTEXT, /* with a name: device, os, … or a free one */
    /* all */
    INGEST_ID,
    /* items */
    INGEST_TITLE,
    INGEST_TEXT,
    INGEST_CATEGORIES,
    INGEST_TAGS,
    INGEST_AUTHOR,
    INGEST_PUBLISHED,
    INGEST_EXPIRES,
    INGEST_LENGTH,
    INGEST_PRICE,
    INGEST_LANGUAGE,
    INGEST_IMAGE,
    INGEST_HIDDEN,
    INGEST_FLAG, /* with a name: the category that a 1 in this column means */
    /* items, users */
    INGEST_ATTRIBUTE, /* with a name */
    INGEST_FOLLOWS,
    INGEST_ROLE_COUNT
};

struct ingest_column {
    enum ingest_role role;
    uint32_t number; /* from 1; 0: found by `header` in the first row */
    char name[64];   /* INGEST_CONTEXT, _FLAG, _ATTRIBUTE */
    char header[64];
};

enum ingest_unit { INGEST_UNIT_AUTO, INGEST_UNIT_S, INGEST_UNIT_MS, INGEST_UNIT_US };

/* How the content is to be read. */
struct ingest_mapping {
    char format[24]; /* "movielens-100k", …, or "csv", "json" */
    enum ingest_thing thing;
    enum ingest_layout layout;
    char separator[4];   /* "," "\t" ";" "|" "::" " " */
    char list_separator; /* inside categories and tags; '\0': '|' */
    bool header;         /* the first row names the columns */
    bool quotes;         /* RFC 4180 */
    bool latin1;         /* bytes that are not UTF-8 are ISO-8859-1 */
    enum ingest_unit unit;
    char type[32];      /* of events without a type column */
    double value_scale; /* values are multiplied by it; 0 = 1 */
    uint32_t column_count;
    struct ingest_column column[INGEST_COLUMNS_MAX];
};

struct ingest_reader_options {
    const struct schema_types *types; /* borrowed */
    enum ingest_thing thing;          /* INGEST_ANY: by content */
    const char *format;               /* one of ingest_formats(); NULL: by content */
    const char
        *columns; /* "user=1,item=movieId,time=4,device=5,context.page=6"; NULL: by content */
    const char
        *separator;     /* one of ",", "\t" or "tab", ";", "|", "::", "space"; NULL: by content */
    const char *header; /* "yes", "no"; NULL: by content */
    const char *time_unit; /* "s", "ms", "us"; NULL: by magnitude */
    const char *type; /* event type of rows without one; NULL: rating with a value, else click */
    bool strict;      /* values as they are: no rescaling, nothing left out (bodies) */
    int64_t shift_us; /* added to the time of every event (see ingest_newest) */
};

/* The names of the ready formats, separated by ", ", for --help and messages. */
const char *ingest_formats(void);

struct ingest_reader;
/* Opens, decompresses, guesses. FR_NOT_FOUND, FR_IO; FR_INVALID: what is said does not fit, or
 * nothing can be guessed (the hint says what to give); FR_CORRUPT. */
FR_MUST_USE enum fr_status ingest_reader_open(const char *path,
                                              const struct ingest_reader_options *options,
                                              struct fr_error *error,
                                              struct ingest_reader **out_reader);
/* The same from memory, which must outlive the reader. */
FR_MUST_USE enum fr_status ingest_reader_open_memory(struct fr_slice bytes,
                                                     const struct ingest_reader_options *options,
                                                     struct fr_error *error,
                                                     struct ingest_reader **out_reader);
void ingest_reader_close(struct ingest_reader *reader);

/* One of the four pointers is set. */
struct ingest_record {
    enum ingest_thing thing;
    const struct schema_event *event; /* its key is set: of its id, else of file digest and row */
    const struct schema_item *item;
    const struct schema_user *user;
    const struct schema_reject *reject; /* paths name the column: "column 4 (time)" */
    uint64_t row;                       /* from 1: the line, the element */
    struct fr_slice raw;
};

/* FR_OK: a record or a reject. FR_END. FR_CORRUPT: the file does not decompress or is cut off;
 * FR_INVALID: a JSON array breaks off; FR_IO: all end the reading. */
FR_MUST_USE enum fr_status ingest_reader_next(struct ingest_reader *reader,
                                              struct ingest_record *out_record,
                                              struct fr_error *error);

/* For progress, in bytes as stored; total 0 when unknown (a pipe). */
uint64_t ingest_reader_bytes(const struct ingest_reader *reader, uint64_t *out_total);
const struct ingest_mapping *ingest_reader_mapping(const struct ingest_reader *reader);
/* Why the mapping is what it is, line by line, for people. */
struct fr_slice ingest_reader_explanation(const struct ingest_reader *reader);

/* The newest event time in a file, by reading it once: `now - newest` is the shift that moves a
 * data set to today (take the newest of all files that belong together). FR_NOT_FOUND: no event in
 * it. FR_UNSUPPORTED: stdin can be read but once. */
FR_MUST_USE enum fr_status ingest_newest(const char *path,
                                         const struct ingest_reader_options *options,
                                         struct fr_error *error, int64_t *out_newest_us);

/* For `make run DATA=…`: the explanation, the first `rows` records as understood, and the rejects
 * among them with reasons, as text. Gives how many rows were understood. */
FR_MUST_USE enum fr_status ingest_preview(const char *path,
                                          const struct ingest_reader_options *options,
                                          uint32_t rows, struct base_buf *out,
                                          uint32_t *out_understood, struct fr_error *error);

#endif
