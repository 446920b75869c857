/* SPDX-License-Identifier: Apache-2.0
 *
 * app records: a journal as lines of JSON that people can read and `import` takes back to the very
 * same state. One line a record, in order: its received time, its bytes (base64; what import goes
 * by), and events, items and users spelt out beside (for people and other programs).
 *
 *   {"position":1,"received":1767225600000000,"kind":1,"bytes":"...","event":{...}}
 *
 * Thread: one at a time.
 */
#ifndef APP_RECORDS_H
#define APP_RECORDS_H

#include "base/buf.h"
#include "journal/journal.h"
#include "schema/schema.h"

/* Appends the line of a record. */
/* {"position":..., "time":..., "actor":..., "act":..., "target":..., "detail":...} */
void app_act_print(const struct schema_act *act, const struct journal_record *record,
                   struct base_buf *out);
void app_record_print(const struct journal_record *record, const struct schema_types *types,
                      struct base_buf *out);
/* Does a file begin as such lines? */
bool app_record_is_line(struct fr_slice head);
/* Reads a line back; the payload's bytes are appended to `payload` (cleared first). FR_INVALID. */
FR_MUST_USE enum fr_status app_record_parse(struct fr_slice line, struct base_buf *payload,
                                            struct journal_record *out_record);

#endif
