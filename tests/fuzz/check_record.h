/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold of a record that a reader of files gave, whatever the file.
 */
#ifndef TESTS_CHECK_RECORD_H
#define TESTS_CHECK_RECORD_H

#include "ingest/reader.h"

static struct schema_types types;
static struct base_buf one, two;

static inline void check_event(const struct schema_event *event)
{
    struct schema_event copy;
    struct schema_reject reject;
    FR_ASSERT(schema_event_check(&types, event, &reject) == FR_OK);
    FR_ASSERT(event->key.lo | event->key.hi);
    base_buf_clear(&one);
    base_buf_clear(&two);
    schema_event_encode(event, &one);
    FR_ASSERT(schema_event_decode(base_buf_slice(&one), &copy) == FR_OK);
    schema_event_encode(&copy, &two);
    FR_ASSERT(fr_slice_equal(base_buf_slice(&one), base_buf_slice(&two)));
}

static inline void check_record(const struct ingest_record *record)
{
    struct schema_reject reject;
    FR_ASSERT((record->event != NULL) + (record->item != NULL) + (record->user != NULL) +
                  (record->reject != NULL) ==
              1);
    if (record->event)
        check_event(record->event);
    if (record->item)
        FR_ASSERT(schema_item_check(record->item, &reject) == FR_OK);
    if (record->user)
        FR_ASSERT(schema_user_check(record->user, &reject) == FR_OK);
    if (record->reject)
        FR_ASSERT(record->reject->path[0] && record->reject->rule[0]);
}

#endif
