/* SPDX-License-Identifier: Apache-2.0
 *
 * Every file of examples/ is understood without being told how, and nothing in it is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/reader.h"

static void test_examples(void **state)
{
    (void)state;
    static const struct {
        const char *file, *format;
        uint32_t events, items, users;
        const char *given;
    } rows[] = {
        {"movielens-100k/u.data", "movielens-100k", 6, 0, 0, NULL},
        {"movielens-100k/u.item", "movielens-100k", 0, 4, 0, NULL},
        {"movielens-100k/u.user", "movielens-100k", 0, 0, 3, NULL},
        {"movielens-1m/ratings.dat", "movielens-1m", 4, 0, 0, NULL},
        {"movielens-1m/movies.dat", "movielens-1m", 0, 3, 0, NULL},
        {"movielens-1m/users.dat", "movielens-1m", 0, 0, 2, NULL},
        {"movielens-latest/ratings.csv", "movielens-latest", 3, 0, 0, NULL},
        {"movielens-latest/movies.csv", "movielens-latest", 0, 3, 0, NULL},
        {"recbole/sample.inter", "csv", 3, 0, 0, NULL},
        {"recbole/sample.item", "recbole", 0, 2, 0, "recbole"},
        {"recbole/sample.user", "csv", 0, 0, 2, NULL},
        {"globo/clicks.tsv", "globo", 3, 0, 0, NULL},
        {"lists/sequences.txt", "sequences", 9, 0, 0, NULL},
        {"lists/sessions.txt", "sessions", 9, 0, 0, NULL},
        {"own/events.ndjson", "json", 5, 0, 0, NULL},
        {"own/items.ndjson", "json", 0, 3, 0, NULL},
        {"own/users.ndjson", "json", 0, 0, 2, NULL},
        {"own/shop.csv", "csv", 3, 0, 0, NULL},
    };
    struct schema_types types;
    schema_types_init(&types);
    for (size_t i = 0; i < FR_COUNT_OF(rows); i++) {
        struct ingest_reader_options options = {.types = &types, .format = rows[i].given};
        struct ingest_reader *reader = NULL;
        struct ingest_record record;
        struct fr_error error = {0};
        uint32_t events = 0, items = 0, users = 0;
        char path[512];
        snprintf(path, sizeof(path), "%s/examples/%s", FRESHET_SOURCE_DIR, rows[i].file);
        if (ingest_reader_open(path, &options, &error, &reader) != FR_OK)
            fail_msg("%s: %s", rows[i].file, error.message);
        assert_string_equal(ingest_reader_mapping(reader)->format, rows[i].format);
        while (ingest_reader_next(reader, &record, &error) == FR_OK) {
            if (record.reject)
                fail_msg("%s row %u: %s %s", rows[i].file, (unsigned)record.row,
                         record.reject->path, record.reject->rule);
            events += record.event != NULL;
            items += record.item != NULL;
            users += record.user != NULL;
        }
        ingest_reader_close(reader);
        if (events != rows[i].events || items != rows[i].items || users != rows[i].users)
            fail_msg("%s gave %u events, %u items, %u users", rows[i].file, events, items, users);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
