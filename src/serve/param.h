/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/param: what a request asks for, whichever way it is written. A query string
 * (`?user=u1&items=a&items=b&device=phone`) and a JSON object (`{"user": "u1", "items": ["a", "b"],
 * "context": {"device": "phone"}}`) become the same flat list of arguments, which is then checked
 * against the route's table of parameters; so GET and POST share one set of rules and messages.
 *
 * Rules
 *   Q1: names and values are percent-decoded once; a bad escape, a NUL or invalid UTF-8 is refused.
 *   Q2: an unknown name is refused, with the nearest known one.
 *   Q3: a name comes once, unless its parameter is a list.
 *   Q4: in JSON a number is a number and a text a text: no guessing.
 *
 * Memory: values borrow from the input, or from the arena where escapes were undone. Thread: any.
 */
#ifndef SERVE_PARAM_H
#define SERVE_PARAM_H

#include "base/arena.h"
#include "base/base.h"

enum { SERVE_ARGS_MAX = 1200, SERVE_JSON_DEPTH_MAX = 4, SERVE_PATH_VALUES_MAX = 2 };

enum serve_arg_kind {
    SERVE_ARG_WORD, /* from a query string: may be read as text, number or boolean */
    SERVE_ARG_TEXT,
    SERVE_ARG_NUMBER,
    SERVE_ARG_BOOL,
    SERVE_ARG_NULL,
};

struct serve_arg {
    struct fr_slice name, value;
    enum serve_arg_kind kind;
    bool in_list; /* an element of a JSON array, or an empty one (kind NULL) */
};

struct serve_args {
    struct serve_arg row[SERVE_ARGS_MAX];
    uint32_t count;
};

enum serve_type { SERVE_TEXT, SERVE_ID, SERVE_INT, SERVE_BOOL, SERVE_ENUM, SERVE_TIME };
enum serve_in { SERVE_IN_PATH, SERVE_IN_QUERY, SERVE_IN_HEADER };

struct serve_param {
    const char *name;
    enum serve_in in;
    enum serve_type type;
    bool required, list;
    bool context;         /* in a JSON body it stands inside "context" */
    bool prefix;          /* "attribute." and any key after it */
    int64_t low, high;    /* INT: range; list: at most `high` of them */
    const char *fallback; /* printed in the docs; NULL: none */
    const char *choices;  /* ENUM: "a|b|c" */
    const char *about, *example;
};

/* Why arguments were refused. */
struct serve_fault {
    const char *code; /* stable word */
    char path[80];    /* "query parameter n", "$.context.device" */
    char detail[160];
    char hint[128];
};

/* Adds the pairs of a query string. FR_FULL: the arena is used up. */
FR_MUST_USE enum fr_status serve_query_parse(struct base_arena *arena, struct fr_slice query,
                                             struct serve_args *args, struct serve_fault *fault);
/* Adds the members of a JSON object; an empty body has none. FR_FULL as above. */
FR_MUST_USE enum fr_status serve_json_parse(struct base_arena *arena, struct fr_slice body,
                                            struct serve_args *args, struct serve_fault *fault);
/* Every argument against the table (Q2, Q3, types, ranges), required ones present. */
FR_MUST_USE enum fr_status serve_args_check(const struct serve_args *args,
                                            const struct serve_param *param, uint32_t param_count,
                                            struct serve_fault *fault);
/* Percent-decodes one path segment; '+' stays '+'. */
FR_MUST_USE enum fr_status serve_segment_decode(struct base_arena *arena, struct fr_slice segment,
                                                struct fr_slice *out, struct serve_fault *fault);

/* Reading, after the check. An absent one: empty with ptr NULL, or the fallback given. */
struct fr_slice serve_args_text(const struct serve_args *args, const char *name);
int64_t serve_args_int(const struct serve_args *args, const char *name, int64_t fallback);
bool serve_args_bool(const struct serve_args *args, const char *name, bool fallback);
bool serve_args_is(const struct serve_args *args, const char *name, const char *word);
/* The values of a list, at most max; gives how many. */
uint32_t serve_args_list(const struct serve_args *args, const char *name, struct fr_slice *out,
                         uint32_t max);

bool serve_utf8_ok(struct fr_slice text); /* valid, and no NUL or other control but tab, LF, CR */
/* Optimal string alignment distance, at most `max` + 1; for hints. */
uint32_t serve_distance(struct fr_slice a, struct fr_slice b, uint32_t max);

#endif
