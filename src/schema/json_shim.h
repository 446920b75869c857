/* SPDX-License-Identifier: Apache-2.0
 *
 * schema__doc: simdjson's DOM parser as C sees it. The C++ stays in json_shim.cc; everything here
 * is plain data. One parser, one document at a time: values and texts live until the next parse. No
 * exception leaves; no call allocates once the parser has seen a document as long as this one.
 */
#ifndef SCHEMA_JSON_SHIM_H
#define SCHEMA_JSON_SHIM_H

#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum schema__kind {
    SCHEMA__NULL,
    SCHEMA__BOOL,
    SCHEMA__INT,
    SCHEMA__UINT, /* an integer above INT64_MAX */
    SCHEMA__DOUBLE,
    SCHEMA__STRING,
    SCHEMA__ARRAY,
    SCHEMA__OBJECT,
};

struct schema__value {
    enum schema__kind kind;
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        struct fr_slice text; /* unescaped, valid UTF-8 */
        struct {
            const void *document;
            size_t index;
        } node; /* array, object */
    } of;
};

struct schema__member {
    struct fr_slice key;
    struct schema__value value;
};

struct schema__doc;

/* NULL: no memory, or no implementation for this processor. */
struct schema__doc *schema__doc_new(size_t bytes_max, size_t depth_max);
void schema__doc_free(struct schema__doc *doc);

/* Parses one document. FR_OK; FR_FULL: longer than bytes_max; FR_MEMORY; FR_INVALID with a static
 * text saying what is wrong in out_rule. */
enum fr_status schema__doc_parse(struct schema__doc *doc, struct fr_slice text,
                                 struct schema__value *out_root, const char **out_rule);

/* Members of an object, values of an array, in order: fills at most `max` and gives how many there
 * are, at most max + 1 (so that "too many" can be told). */
size_t schema__object_members(const struct schema__value *object,
                              struct schema__member *out_members, size_t max);
size_t schema__array_values(const struct schema__value *array, struct schema__value *out_values,
                            size_t max);

#ifdef __cplusplus
}
#endif

#endif
