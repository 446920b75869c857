/* SPDX-License-Identifier: Apache-2.0
 *
 * conf, inside the room: the rows of the tables, a conf's parts, and how values are set.
 */
#ifndef CONF_CONF_PRIV_H
#define CONF_CONF_PRIV_H

#include "conf/conf.h"

enum conf__type {
    CONF__BOOL,
    CONF__INT,
    CONF__REAL,
    CONF__BYTES,
    CONF__DURATION,
    CONF__TEXT,
    CONF__PATH,
    CONF__CHOICE,
    CONF__LIST,
};

enum conf__section { CONF__GENERAL, CONF__SERVE, CONF__JOURNAL, CONF__LEARN, CONF__RECOMMEND };

enum { CONF__NAME_BYTES = 48, CONF__OPTIONS_MAX = 128, CONF__FLAGS_MAX = 32 };

/* One row of a table: where the value lies in its struct, and what it may be. */
struct conf__option {
    const char *id; /* with underscores; see conf__name() */
    enum conf__type type;
    size_t offset;
    const char *value; /* default, as text */
    double min, max;
    const char *words;
    int flags;
    enum conf__section section;
    const char *text;
};

const struct conf__option *conf__options(uint32_t *out_count);
const struct conf__option *conf__event_fields(uint32_t *out_count);
const char *conf__section_title(enum conf__section section);
/* The id with dashes; to has CONF__NAME_BYTES. Returns to. */
char *conf__name(const struct conf__option *option, char *to);
/* Index by written name, or -1. */
int conf__find(const struct conf__option *table, uint32_t count, const char *name);
/* ", did you mean `port`?" into hint (size CONF__HINT_BYTES), or "" when nothing is near. */
enum { CONF__HINT_BYTES = 80 };
const char *conf__hint(const struct conf__option *table, uint32_t count, const char *name,
                       char *hint);

/* Where a value came from, in rising precedence. */
enum conf__origin { CONF__DEFAULT, CONF__FILE, CONF__ENVIRONMENT, CONF__FLAG };

struct conf__place {
    enum conf__origin origin;
    int line, column; /* of the file; 0 otherwise */
};

struct conf__text {
    struct conf__text *next;
    char bytes[];
};

enum { CONF__FAULTS_MAX = 100, CONF__FAULT_BYTES = 640 };

struct conf {
    struct conf_options options;
    struct conf__place places[CONF__OPTIONS_MAX];
    struct conf_event events[CONF_EVENTS_MAX];
    uint32_t event_count;

    const struct conf_flag *flags; /* borrowed from the input */
    uint32_t flag_count;
    const char *flag_values[CONF__FLAGS_MAX];
    char **arguments; /* owned array of borrowed strings */
    uint32_t argument_count;

    const char *file; /* path, or NULL */
    struct conf__text *texts;
    char (*faults)[CONF__FAULT_BYTES];
    uint32_t fault_count, fault_capacity;
};

/* Adds a fault: "place: what". */
void conf__fault(struct conf *conf, const char *place, const char *format, ...) FR_PRINTF(3, 4);
/* A copy that lives as long as the conf; never NULL (a full machine ends the program at start). */
const char *conf__keep(struct conf *conf, struct fr_slice text);

/* Parses text by the row and stores it in the struct at `to`. On failure fills reason (size
 * CONF__REASON_BYTES) with what it must be, and stores nothing. */
enum { CONF__REASON_BYTES = 320 };
bool conf__value_set(struct conf *conf, const struct conf__option *option, void *to,
                     const char *text, char *reason);
/* The value as a person would write it. */
void conf__value_print(const struct conf__option *option, const void *from, struct base_buf *out);
/* "a whole number from 1 to 64, or auto" */
void conf__value_describe(const struct conf__option *option, struct base_buf *out);

/* Sets option i if the place has at least the precedence of what is there, reporting faults. */
void conf__set(struct conf *conf, uint32_t i, const char *text, struct conf__place place);
void conf__load_flags(struct conf *conf, const struct conf_input *input);
void conf__load_environment(struct conf *conf, char **environment);
void conf__load_file(struct conf *conf, const char *path);

#endif
