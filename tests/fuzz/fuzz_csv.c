/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of any format: the first byte chooses the options, the rest is the content (plain or
 * compressed). Whatever the guess, events that come out keep the rules, and reading ends.
 */
#include "ingest/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema_types types;
static struct base_buf one, two;

static void check_event(const struct schema_event *event)
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

static void check_record(const struct ingest_record *record)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ingest_reader_options choices[] = {
        {.types = &types},
        {.types = &types, .shift_us = -(int64_t)1750000000 * 1000000},
        {.types = &types, .format = "csv", .header = "yes", .strict = true},
        {.types = &types, .format = "sequences"},
        {.types = &types, .format = "sessions"},
        {.types = &types, .format = "json"},
        {.types = &types, .columns = "user=1,item=2,value=3,time=4,type=5,context.a=6"},
        {.types = &types, .columns = "user=2,item=1,id=3", .separator = ","},
        {.types = &types, .thing = INGEST_ITEMS, .separator = ","},
        {.types = &types, .thing = INGEST_USERS},
    };
    struct ingest_reader *reader = NULL;
    struct ingest_record record;
    struct fr_error error;
    if (types.count == 0)
        schema_types_init(&types);
    if (size == 0)
        return 0;
    struct fr_slice input = fr_slice_of((const char *)data + 1, size - 1);
    if (ingest_reader_open_memory(input, &choices[data[0] % FR_COUNT_OF(choices)], &error,
                                  &reader) != FR_OK)
        return 0;
    enum fr_status status;
    for (int i = 0; (status = ingest_reader_next(reader, &record, &error)) == FR_OK; i++) {
        check_record(&record);
        if (i == 100000) /* a bomb: bounded in memory, but not in rows */
            break;
    }
    FR_ASSERT(status == FR_OK || status == FR_END || status == FR_CORRUPT || status == FR_INVALID);
    ingest_reader_close(reader);
    return 0;
}
