/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of any format: the first byte chooses the options, the rest is the content (plain or
 * compressed). Whatever the guess, events that come out keep the rules, and reading ends.
 */
#include "tests/fuzz/check_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
