/* SPDX-License-Identifier: Apache-2.0
 *
 * journal: append, sync, read back, reopen, roll over segments, seal, drop, refuse; on the real
 * file system.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "journal/journal.h"

static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/freshet-journal-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static struct journal *open_with(uint64_t segment_bytes, bool read_only)
{
    struct fr_error error = {0};
    struct journal *journal = NULL;
    struct journal_options options = {.directory = root,
                                      .segment_bytes = segment_bytes,
                                      .read_only = read_only,
                                      .no_thread = true};
    enum fr_status status = journal_open(os_real(), &options, &error, &journal);
    if (status != FR_OK)
        print_message("journal_open: %s\n", error.message);
    assert_int_equal(status, FR_OK);
    return journal;
}

/* The payload of a position: its bytes and length follow from it. */
static struct fr_slice payload_of(uint64_t position)
{
    static char bytes[1024];
    size_t count = (size_t)(base_mix64(position) % 600);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)base_mix64(position * 1000 + i);
    return fr_slice_of(bytes, count);
}

static void append_group(struct journal *journal, uint32_t count)
{
    struct fr_error error = {0};
    for (uint32_t i = 0; i < count; i++) {
        uint64_t expected = journal_durable(journal) + 1 + journal_staged_count(journal);
        uint64_t position = 0;
        assert_int_equal(journal_append(journal, (uint8_t)(expected % 15 + 1),
                                        (int64_t)expected * 7, payload_of(expected), &error,
                                        &position),
                         FR_OK);
        assert_int_equal(position, expected);
    }
    assert_int_equal(journal_sync(journal, &error), FR_OK);
}

static void check_records(struct journal *journal, uint64_t from, uint64_t last)
{
    struct fr_error error = {0};
    struct journal_cursor *cursor;
    struct journal_record record;
    assert_int_equal(journal_cursor_open(journal, from, &error, &cursor), FR_OK);
    for (uint64_t position = from; position <= last; position++) {
        enum fr_status status = journal_cursor_next(cursor, &error, &record);
        if (status != FR_OK)
            print_message("at %llu: %s\n", (unsigned long long)position, error.message);
        assert_int_equal(status, FR_OK);
        assert_int_equal(record.position, position);
        assert_int_equal(record.received_us, (int64_t)position * 7);
        assert_int_equal(record.kind, position % 15 + 1);
        assert_true(fr_slice_equal(record.payload, payload_of(position)));
    }
    assert_int_equal(journal_cursor_next(cursor, &error, &record), FR_END);
    journal_cursor_close(cursor);
}

static void an_empty_journal(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct journal *journal = open_with(0, false);
    assert_int_equal(journal_durable(journal), 0);
    assert_int_equal(journal_first(journal), 1);
    assert_int_equal(journal_sync(journal, &error), FR_OK);
    check_records(journal, 1, 0);
    journal_close(journal);
    journal = open_with(0, false);
    assert_int_equal(journal_durable(journal), 0);
    journal_close(journal);
    struct journal_report report;
    assert_int_equal(journal_verify(os_real(), root, NULL, NULL, &report, &error), FR_OK);
    assert_int_equal(report.segments, 1);
}

static void records_come_back_over_segments(void **state)
{
    (void)state;
    struct journal *journal = open_with(64 << 10, false);
    uint64_t last = 0;
    for (uint32_t group = 1; group < 120; group++) {
        append_group(journal, group % 37 + 1);
        last += group % 37 + 1;
        assert_int_equal(journal_durable(journal), last);
        if (group % 40 == 0) {
            check_records(journal, 1, last);
            journal_close(journal);
            journal = open_with(64 << 10, false);
            assert_int_equal(journal_durable(journal), last);
        }
    }
    for (uint64_t from = 1; from <= last + 1; from += 97)
        check_records(journal, from, last);
    journal_close(journal);
    journal = open_with(0, true);
    check_records(journal, 1, last);
    journal_close(journal);
}

static void a_cursor_follows_the_writer(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct journal *journal = open_with(16 << 10, false);
    struct journal_cursor *cursor;
    struct journal_record record;
    assert_int_equal(journal_cursor_open(journal, 1, &error, &cursor), FR_OK);
    uint64_t given = 0;
    for (uint32_t group = 0; group < 100; group++) {
        assert_int_equal(journal_cursor_next(cursor, &error, &record), FR_END);
        uint64_t position;
        assert_int_equal(journal_append(journal, 1, 5, payload_of(1), &error, &position), FR_OK);
        assert_int_equal(journal_cursor_next(cursor, &error, &record), FR_END); /* J9 */
        journal_discard(journal);
        append_group(journal, 1 + group % 9);
        while (journal_cursor_next(cursor, &error, &record) == FR_OK) {
            given++;
            assert_int_equal(record.position, given);
            assert_true(fr_slice_equal(record.payload, payload_of(given)));
        }
        assert_int_equal(given, journal_durable(journal));
    }
    journal_cursor_close(cursor);
    journal_close(journal);
}

static void large_groups_get_their_own_segment(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct journal *journal = open_with(8192, false);
    append_group(journal, 3);
    append_group(journal, 2000);
    append_group(journal, 3);
    check_records(journal, 1, 2006);
    uint64_t position;
    static char big[(16 << 20) + 1];
    assert_int_equal(journal_append(journal, 1, 1, fr_slice_of(big, sizeof(big)), &error,
                                    &position),
                     FR_INVALID);
    assert_int_equal(journal_append(journal, 9, 1, fr_slice_of(big, 16 << 20), &error, &position),
                     FR_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(journal_append(journal, 9, 1, fr_slice_of(big, 16 << 20), &error,
                                        &position),
                         FR_OK);
    assert_int_equal(journal_append(journal, 9, 1, fr_slice_of(big, 16 << 20), &error, &position),
                     FR_FULL);
    assert_int_equal(journal_sync(journal, &error), FR_OK);
    assert_int_equal(journal_durable(journal), 2009);
    journal_close(journal);
    journal = open_with(8192, false);
    assert_int_equal(journal_durable(journal), 2009);
    journal_close(journal);
}

static void seal_compresses_and_drop_removes(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct journal *journal = open_with(32 << 10, false);
    for (uint32_t group = 0; group < 100; group++)
        append_group(journal, 20);
    uint64_t before = journal_bytes(journal);
    struct journal_cursor *cursor;
    assert_int_equal(journal_cursor_open(journal, 500, &error, &cursor), FR_OK);
    assert_int_equal(journal_seal(journal, 1500, &error), FR_OK);
    check_records(journal, 1, 2000);
    struct journal_record record;
    for (uint64_t position = 500; position <= 2000; position++) {
        assert_int_equal(journal_cursor_next(cursor, &error, &record), FR_OK);
        assert_int_equal(record.position, position);
    }
    journal_cursor_close(cursor);
    assert_int_equal(journal_seal(journal, 2001, &error), FR_OK);
    assert_int_equal(journal_seal(journal, 2001, &error), FR_OK);
    append_group(journal, 100);
    check_records(journal, 1, 2100);
    journal_close(journal);
    journal = open_with(32 << 10, false);
    check_records(journal, 1, 2100);
    assert_true(journal_bytes(journal) < before * 2);
    struct journal_report report;
    assert_int_equal(journal_verify(os_real(), root, NULL, NULL, &report, &error), FR_OK);
    assert_int_equal(report.records, 2100);
    assert_int_equal(journal_drop(journal, 1000, &error), FR_OK);
    uint64_t first = journal_first(journal);
    assert_true(first > 900 && first <= 1000);
    check_records(journal, first, 2100);
    assert_int_equal(journal_cursor_open(journal, first - 1, &error, &cursor), FR_NOT_FOUND);
    journal_close(journal);
    journal = open_with(32 << 10, false);
    assert_int_equal(journal_first(journal), first);
    check_records(journal, first, 2100);
    journal_close(journal);
}

static void age_is_told_by_segments(void **state)
{
    (void)state;
    int64_t before = os_wall_us(os_real());
    struct journal *journal = open_with(32 << 10, false);
    for (uint32_t group = 0; group < 30; group++)
        append_group(journal, 20);
    int64_t after = os_wall_us(os_real()) + 1;
    for (int life = 0; life < 2; life++) {
        assert_int_equal(journal_position_before(journal, before), 1);
        uint64_t newest = journal_position_before(journal, after);
        assert_true(newest > 500 && newest <= 601);
        check_records(journal, newest, 600); /* it is where a segment begins */
        journal_close(journal);
        journal = open_with(32 << 10, false);
    }
    journal_close(journal);
}

static void a_second_writer_is_refused(void **state)
{
    (void)state;
    struct journal *journal = open_with(8192, false);
    append_group(journal, 5);
    pid_t child = fork();
    if (child == 0) {
        struct fr_error error = {0};
        struct journal *second;
        struct journal_options options = {.directory = root, .segment_bytes = 8192};
        bool good = journal_open(os_real(), &options, &error, &second) == FR_AGAIN && error.hint[0];
        options.read_only = true;
        good = good && journal_open(os_real(), &options, &error, &second) == FR_OK &&
               journal_durable(second) == 5;
        _exit(good ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    append_group(journal, 5);
    journal_close(journal);
}

static void read_only_needs_a_journal(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct journal *journal;
    struct journal_options options = {.directory = root, .read_only = true};
    assert_int_equal(journal_open(os_real(), &options, &error, &journal), FR_NOT_FOUND);
    options.directory = "/nonexistent/there";
    assert_int_equal(journal_open(os_real(), &options, &error, &journal), FR_NOT_FOUND);
}

static void the_thread_makes_spares(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct journal *journal;
    struct journal_options options = {.directory = root, .segment_bytes = 32 << 10};
    assert_int_equal(journal_open(os_real(), &options, &error, &journal), FR_OK);
    for (uint32_t group = 0; group < 200; group++)
        append_group(journal, 20);
    check_records(journal, 1, 4000);
    assert_int_equal(journal_seal(journal, 4001, &error), FR_OK);
    check_records(journal, 1, 4000);
    journal_close(journal);
}

#define JOURNAL_TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(an_empty_journal),
        JOURNAL_TEST(records_come_back_over_segments),
        JOURNAL_TEST(a_cursor_follows_the_writer),
        JOURNAL_TEST(large_groups_get_their_own_segment),
        JOURNAL_TEST(seal_compresses_and_drop_removes),
        JOURNAL_TEST(age_is_told_by_segments),
        JOURNAL_TEST(a_second_writer_is_refused),
        JOURNAL_TEST(read_only_needs_a_journal),
        JOURNAL_TEST(the_thread_makes_spares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
