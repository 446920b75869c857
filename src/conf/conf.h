/* SPDX-License-Identifier: Apache-2.0
 *
 * conf: the options. One table (options.def) gives the struct below, its parsers, --help and the
 * documents. Precedence: flags, then environment (FRESHET_NAME), then file, then default. All
 * faults are collected and told at once, each with its place, what was seen and the nearest known
 * name.
 *
 * Thread: one at a time while loading; a loaded conf is immutable and may be read by any thread.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/base.h"
#include "base/buf.h"

#define CONF_KIB(n) ((double)(n)*1024)
#define CONF_MIB(n) ((double)(n)*1024 * 1024)
#define CONF_GIB(n) ((double)(n)*1024 * 1024 * 1024)
#define CONF_TIB(n) ((double)(n)*1024 * 1024 * 1024 * 1024)
#define CONF_MS(n) ((double)(n)*1000) /* durations are stored in microseconds */
#define CONF_S(n) ((double)(n)*1000 * 1000)

enum conf_flags { CONF_RELOAD = 1, CONF_FOLD = 2, CONF_NOT_IN_FILE = 4 };

#define CONF_C_BOOL bool
#define CONF_C_INT int64_t
#define CONF_C_REAL double
#define CONF_C_BYTES uint64_t
#define CONF_C_DURATION int64_t
#define CONF_C_TEXT const char *
#define CONF_C_PATH const char *
#define CONF_C_CHOICE int64_t
#define CONF_C_LIST const char *

/* One field an option. Texts are never NULL and live as long as the conf. */
struct conf_options {
#define CONF_OPTION(id, type, value, min, max, words, flags, section, text) CONF_C_##type id;
#include "conf/options.def"
};

/* What a number's first word ("auto") is stored as. */
enum { CONF_AUTO = 0 };

/* One entry of `events:`. A field that was not given is not in `given`. */
enum { CONF_EVENTS_MAX = 32, CONF_EVENT_NAME_BYTES_MAX = 31 };
struct conf_event {
    char name[CONF_EVENT_NAME_BYTES_MAX + 1];
    uint32_t given; /* bits, enum conf_event_field */
    int line;       /* in the file */
#define CONF_EVENT_FIELD(id, type, min, max, words, text) CONF_C_##type id;
#include "conf/events.def"
};
enum conf_event_field {
#define CONF_EVENT_FIELD(id, type, min, max, words, text) CONF_EVENT_INDEX_##id,
#include "conf/events.def"
    CONF_EVENT_FIELD_COUNT
};
enum conf_event_given {
#define CONF_EVENT_FIELD(id, type, min, max, words, text)                                          \
    CONF_EVENT_HAS_##id = 1 << CONF_EVENT_INDEX_##id,
#include "conf/events.def"
};

/* A flag of one subcommand that is no option: --columns, --json. */
struct conf_flag {
    const char *name;     /* without dashes */
    const char *argument; /* how help names its value; NULL for a switch */
    const char *text;     /* one line for help */
};

struct conf_input {
    int argc; /* arguments after the subcommand's name */
    char **argv;
    char **environment; /* NULL: none */
    const struct conf_flag *flags;
    uint32_t flag_count;
};

struct conf;

/* An empty conf: every option at its default. */
FR_MUST_USE enum fr_status conf_new(struct conf **out_conf);
void conf_free(struct conf *conf);

/* Reads flags, environment and the file they name, once. FR_INVALID when there is any fault; all of
 * them are listed by conf_fault(). Strings of argv stay borrowed. */
FR_MUST_USE enum fr_status conf_load(struct conf *conf, const struct conf_input *input);

/* All faults found so far, in the order flags, environment, file. One line, "freshet.yaml:3:7:
 * port: ...", without newline. */
uint32_t conf_fault_count(const struct conf *conf);
const char *conf_fault(const struct conf *conf, uint32_t i);
/* For who finds out later that an option cannot be: adds a fault at the place where it was given.
 */
void conf_fault_add(struct conf *conf, const char *option, const char *format, ...) FR_PRINTF(3, 4);

/* What was loaded; lives as long as the conf. */
const struct conf_options *conf_options(const struct conf *conf);
const struct conf_event *conf_events(const struct conf *conf, uint32_t *out_count);

/* The value of a subcommand's own flag: NULL when not given, "" for a switch. The last one wins. */
const char *conf_flag_value(const struct conf *conf, const char *name);
/* Arguments that are no flags. */
char **conf_arguments(const struct conf *conf, uint32_t *out_count);

/* Calls each for every option whose value differs; reloadable says whether it can change now. */
typedef void (*conf_changed_fn)(void *context, const char *option, bool reloadable);
void conf_compare(const struct conf *now, const struct conf *next, conf_changed_fn each,
                  void *context);

/* Does a comma-separated LIST hold the name? "all" holds every one. */
bool conf_list_holds(const char *list, const char *name);

/* "name=value name=value", in the order of the table: the options that the fold depends on (CONF_FOLD)
 * that are not at their defaults. */
void conf_print_fold(const struct conf *conf, struct base_buf *out);
/* Every option with its value and where it came from; for check-config. */
void conf_print_text(const struct conf *conf, struct base_buf *out);
void conf_print_json(const struct conf *conf, struct base_buf *out);

/* Documents from the table: --help's list, docs/CONFIG.md, a commented sample file, man page rows.
 */
void conf_document_help(struct base_buf *out);
void conf_document_markdown(struct base_buf *out);
void conf_document_sample(struct base_buf *out);
void conf_document_man(struct base_buf *out);

/* The known name nearest to `seen` by edit distance, or NULL when none is near. */
const char *conf_nearest(const char *seen, const char *const *names, uint32_t count);

#endif
