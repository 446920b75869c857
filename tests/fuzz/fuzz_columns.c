/* SPDX-License-Identifier: Apache-2.0
 *
 * What --columns says: the input, up to a NUL, is the map; the rest is the file (a small one stands
 * in when there is none). A map that is taken has at most its maximum of columns, each with a role,
 * and what is read by it keeps the rules.
 */
#include <string.h>

#include "ingest/ingest_priv.h"
#include "tests/fuzz/check_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAP_BYTES_MAX = 4096, ROWS_MAX = 1000 };

static void check_mapping(const char *map)
{
    struct ingest_mapping mapping = {0};
    struct fr_error error;
    if (ingest__columns_parse(map, &mapping, &error) != FR_OK) {
        FR_ASSERT(error.message[0]);
        return;
    }
    FR_ASSERT(mapping.column_count > 0 && mapping.column_count <= INGEST_COLUMNS_MAX);
    for (uint32_t c = 0; c < mapping.column_count; c++)
        FR_ASSERT(ingest__role_name(mapping.column[c].role)[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char map[MAP_BYTES_MAX + 1];
    static const char sample[] = "user,item,value,time,type,device,page\n"
                                 "u1,i1,4,1700000000,click,phone,front\n"
                                 "\"u,2\",i2,,1700000001,view,,\n"
                                 "u3\n";
    size_t bytes = strnlen((const char *)data, FR_MIN(size, (size_t)MAP_BYTES_MAX));
    memcpy(map, data, bytes);
    map[bytes] = '\0';
    if (types.count == 0)
        schema_types_init(&types);
    check_mapping(map);
    struct fr_slice file = bytes + 1 < size
                               ? fr_slice_of((const char *)data + bytes + 1, size - bytes - 1)
                               : fr_slice_of(sample, sizeof(sample) - 1);
    struct ingest_reader_options options = {.types = &types, .columns = map, .separator = ","};
    struct ingest_reader *reader = NULL;
    struct ingest_record record;
    struct fr_error error;
    if (ingest_reader_open_memory(file, &options, &error, &reader) != FR_OK)
        return 0;
    for (int i = 0; i < ROWS_MAX && ingest_reader_next(reader, &record, &error) == FR_OK; i++)
        check_record(&record);
    ingest_reader_close(reader);
    return 0;
}
