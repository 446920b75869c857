/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: what its own .c files share. Static names of members live here once; the JSON reader, the
 * writer and the rules use the same.
 */
#ifndef SCHEMA_SCHEMA_PRIV_H
#define SCHEMA_SCHEMA_PRIV_H

#include "schema/json_shim.h"
#include "schema/schema.h"

/* Bounds of time: 1970-01-02 .. 9999-12-31. Smaller is a unit mistake, larger does not print. */
#define SCHEMA__TIME_US_MIN ((int64_t)86400 * 1000000)
#define SCHEMA__TIME_US_MAX ((int64_t)253402300799999999)

enum {
    SCHEMA__MEMBERS_MAX = SCHEMA_LIST_MAX, /* of one object */
    SCHEMA__NUMBER_TEXT_BYTES = 32,        /* a number or word of a free attribute, as text */
    SCHEMA__KEY_BYTES_MAX = 128,           /* names of free members */
    SCHEMA__JSON_SCAN_DEPTH_MAX = 1024,
};

struct schema__span {
    size_t at, bytes;
};

struct schema_json {
    struct schema__doc *doc;
    uint8_t key[16];
    struct schema_reject *reject; /* of the document at hand; the caller's */
    struct schema__member members[SCHEMA__MEMBERS_MAX];
    struct schema__value values[SCHEMA__MEMBERS_MAX];
    char number_text[SCHEMA_LIST_MAX][SCHEMA__NUMBER_TEXT_BYTES];
    struct schema__span *spans; /* of the elements of an array body */
    size_t span_capacity;
};

/* A text's limits. Empty texts are for the caller to judge. */
enum schema__text_kind { SCHEMA__TEXT_LINE, SCHEMA__TEXT_BLOCK /* tabs and newlines allowed */ };
/* The rule broken (static) or NULL. */
const char *schema__text_fault(struct fr_slice text, size_t bytes_max, enum schema__text_kind kind);

/* "$.context.device", "$.context[\"a b\"]" */
void schema__path_member(char *out, size_t bytes, const char *prefix, struct fr_slice name);
/* Cuts and escapes for people. */
void schema__seen(char *out, size_t bytes, struct fr_slice text);

/* Context members by name: the pointer to its slice, or NULL for a free one. */
struct fr_slice *schema__context_member(struct schema_context *context, struct fr_slice name);

/* Past spaces, tabs, newlines. */
size_t schema__scan_space(struct fr_slice text, size_t at);

#endif
