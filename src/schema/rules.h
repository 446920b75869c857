/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: the rules on values, whatever format they came in, why something was refused, and times
 * as text. Part of the door: schema/schema.h includes it behind the structs that it speaks of.
 * Thread: any.
 */
#ifndef SCHEMA_RULES_H
#define SCHEMA_RULES_H

#include "base/base.h"
#include "base/buf.h"

struct schema_event;
struct schema_item;
struct schema_user;
struct schema_types;

/* Why one thing was refused. */
struct schema_reject {
    char path[64]; /* JSON path, "$.context.device"; a column for CSV, "column 4 (time)" */
    char rule[96]; /* the rule broken: "must be a number of stars from 0 to 5" */
    char seen[96]; /* the value seen, cut and escaped to printable UTF-8 */
    char hint[96]; /* what to do; may be empty */
};

/* The rules on values, whatever format they came in: ids, texts, bounds, times, counts. The JSON
 * readers below apply them; readers of other formats fill the struct and call these. */
FR_MUST_USE enum fr_status schema_event_check(const struct schema_types *types,
                                              const struct schema_event *event,
                                              struct schema_reject *out_reject);
FR_MUST_USE enum fr_status schema_item_check(const struct schema_item *item,
                                             struct schema_reject *out_reject);
FR_MUST_USE enum fr_status schema_user_check(const struct schema_user *user,
                                             struct schema_reject *out_reject);
/* Fills a reject; `seen` is cut and escaped. rule, hint: static or copied; hint may be NULL. Gives
 * FR_INVALID, to be returned. */
enum fr_status schema_reject_set(struct schema_reject *reject, const char *path, const char *rule,
                                 struct fr_slice seen, const char *hint);
/* The rule that an id breaks (static), or NULL: 1 .. 256 bytes of valid UTF-8, not blank, no
 * control characters. Ids are compared byte by byte: case, accents and composition matter. */
const char *schema_id_fault(struct fr_slice id);
bool schema_utf8_valid(struct fr_slice text);
/* The name of `count` nearest to `text` (at most two edits away, or a known synonym), or NULL. */
const char *schema_nearest(struct fr_slice text, const char *const *names, size_t count);

/* Empties a struct without touching its lists beyond their counts. */
void schema_event_clear(struct schema_event *event);
void schema_item_clear(struct schema_item *item);
void schema_user_clear(struct schema_user *user);

/* ---- time ------------------------------------------------------------------------------- */

/* RFC 3339 with a zone, or Unix seconds / milliseconds / microseconds by magnitude
 * (< 1e11 s, < 1e14 ms, else us; decimals allowed). FR_INVALID with a reason in out_rule (static).
 */
FR_MUST_USE enum fr_status schema_time_parse(struct fr_slice text, int64_t *out_us,
                                             const char **out_rule);
FR_MUST_USE enum fr_status schema_time_from_int(int64_t number, int64_t *out_us,
                                                const char **out_rule);
FR_MUST_USE enum fr_status schema_time_from_double(double number, int64_t *out_us,
                                                   const char **out_rule);
/* A decimal number, whole text ("3.5", "-2", "1e3"); false when it is not one or not finite. */
FR_MUST_USE bool schema_number_parse(struct fr_slice text, double *out_number);
void schema_time_print(int64_t time_us, struct base_buf *out); /* 2026-11-24T05:30:15.123456Z */

#endif
