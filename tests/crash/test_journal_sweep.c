/* SPDX-License-Identifier: Apache-2.0
 *
 * journal: one session of everything it does, run again and again with its 1st, 2nd, 3rd ...
 * operation on the disk failing (input/output, no space), or the power cut there. Nothing
 * acknowledged is lost, nothing refused comes back, nothing leaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "journal/journal.h"
#include "os/sim.h"

enum { GROUPS = 14, RECORDS_MAX = 256 };

struct session {
    struct os_sim *sim;
    uint64_t acked, attempted;
    uint32_t version[RECORDS_MAX]; /* a refused position is used again with other bytes */
    uint32_t versions;
};

static struct fr_slice payload_of(uint64_t position, uint32_t version)
{
    static char bytes[2048];
    size_t count = 50 + (size_t)(base_mix64_pair(position, version) % 1500);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)base_mix64_pair(position * 4096 + i, version);
    return fr_slice_of(bytes, count);
}

static enum fr_status open_journal(struct session *session, struct journal **out_journal)
{
    struct journal_options options = {.directory = "d/journal",
                                      .segment_bytes = 16 << 10,
                                      .no_thread = true};
    return journal_open(os_sim_os(session->sim), &options, NULL, out_journal);
}

static void check_all(struct session *session, struct journal *journal)
{
    struct journal_cursor *cursor;
    struct journal_record record;
    struct fr_error error = {0};
    if (journal_cursor_open(journal, journal_first(journal), &error, &cursor) != FR_OK) {
        assert_int_not_equal(error.status, FR_CORRUPT);
        return;
    }
    enum fr_status status;
    uint64_t position = journal_first(journal);
    for (; (status = journal_cursor_next(cursor, &error, &record)) == FR_OK; position++) {
        assert_int_equal(record.position, position);
        assert_true(
            fr_slice_equal(record.payload, payload_of(position, session->version[position])));
    }
    assert_true(status != FR_END || position == journal_durable(journal) + 1);
    assert_int_not_equal(status, FR_CORRUPT);
    journal_cursor_close(cursor);
}

static void append_group(struct session *session, struct journal *journal, uint32_t count)
{
    struct fr_error error = {0};
    uint64_t position;
    session->versions++;
    for (uint32_t i = 1; i <= count; i++) {
        uint64_t next = session->acked + i;
        assert_true(next < RECORDS_MAX);
        if (journal_append(journal, 1, 1, payload_of(next, session->versions), &error, &position) !=
            FR_OK)
            return;
        assert_int_equal(position, next);
        session->version[next] = session->versions;
    }
    session->attempted = session->acked + count;
    enum fr_status status = journal_sync(journal, &error);
    if (status == FR_OK)
        session->acked = session->attempted;
    else if (!error.fatal && !os_sim_is_dead(session->sim))
        session->attempted = session->acked;
}

/* Everything once. Failures are the point: they are looked at afterwards. */
static void run_session(struct session *session)
{
    for (int life = 0; life < 2; life++) {
        struct journal *journal;
        if (open_journal(session, &journal) != FR_OK)
            continue;
        assert_true(journal_durable(journal) == session->acked ||
                    journal_durable(journal) == session->attempted);
        session->acked = session->attempted = journal_durable(journal);
        for (uint32_t group = 0; group < GROUPS; group++) {
            append_group(session, journal, 1 + group % 7);
            if (group == 4)
                fr_ignore(journal_prepare(journal, NULL), "may fail here");
            if (group == 9)
                fr_ignore(journal_seal(journal, session->acked, NULL), "may fail here");
            if (group == 10 && life == 1)
                fr_ignore(journal_drop(journal, session->acked / 2, NULL), "may fail here");
        }
        check_all(session, journal);
        journal_close(journal);
    }
}

static void recover(struct session *session)
{
    struct journal *journal;
    assert_int_equal(open_journal(session, &journal), FR_OK);
    assert_true(journal_durable(journal) == session->acked ||
                journal_durable(journal) == session->attempted);
    session->acked = session->attempted = journal_durable(journal);
    check_all(session, journal);
    append_group(session, journal, 3); /* and it goes on */
    assert_int_equal(journal_durable(journal), session->acked);
    check_all(session, journal);
    journal_close(journal);
    struct journal_report report;
    assert_int_equal(journal_verify(os_sim_os(session->sim), "d/journal", NULL, NULL, &report,
                                    NULL),
                     FR_OK);
}

static uint64_t count_operations(void)
{
    struct session session = {.sim = os_sim_new(3, NULL)};
    run_session(&session);
    assert_true(session.acked > 80);
    uint64_t count = os_sim_operations(session.sim);
    os_sim_free(session.sim);
    return count;
}

static void sweep_failures(enum fr_status status)
{
    uint64_t count = count_operations();
    for (uint64_t number = 1; number <= count; number++) {
        struct session session = {.sim = os_sim_new(3, NULL)};
        os_sim_fail_at(session.sim, number, status);
        run_session(&session);
        os_sim_fail_at(session.sim, 0, FR_OK);
        if (number % 2)
            os_sim_kill(session.sim);
        else
            os_sim_crash(session.sim);
        recover(&session);
        os_sim_free(session.sim);
    }
}

static void every_operation_fails(void **state)
{
    (void)state;
    sweep_failures(FR_IO);
}

static void every_operation_finds_no_space(void **state)
{
    (void)state;
    sweep_failures(FR_NO_SPACE);
}

static void the_power_goes_at_every_operation(void **state)
{
    (void)state;
    uint64_t count = count_operations(), points = 0;
    for (uint64_t number = 1; number <= count; number++) {
        for (uint64_t seed = 1; seed <= 6; seed++, points++) {
            struct session session = {.sim = os_sim_new(seed, NULL)};
            os_sim_crash_at(session.sim, number);
            run_session(&session);
            if (seed % 3 == 0)
                os_sim_kill(session.sim);
            else
                os_sim_crash(session.sim);
            recover(&session);
            os_sim_free(session.sim);
        }
    }
    print_message("%llu crash points\n", (unsigned long long)points);
}

/* The disk fills at every size: what was acknowledged stays, and when there is space it goes on. */
static void the_disk_fills(void **state)
{
    (void)state;
    for (uint64_t bytes = 2048; bytes < 160000; bytes += 1531) {
        struct os_sim_options options = {.disk_bytes_max = bytes};
        struct session session = {.sim = os_sim_new(bytes, &options)};
        run_session(&session);
        os_sim_disk_limit(session.sim, 0);
        struct journal *journal;
        assert_int_equal(open_journal(&session, &journal), FR_OK);
        assert_int_equal(journal_durable(journal), session.acked);
        os_sim_disk_limit(session.sim, os_sim_disk_bytes(session.sim));
        uint64_t before = session.acked;
        for (int i = 0; i < 8; i++)
            append_group(&session, journal, 8);
        assert_false(journal_failed(journal));
        uint64_t full = session.acked;
        append_group(&session, journal, 40);
        os_sim_disk_limit(session.sim, 0);
        append_group(&session, journal, 5);
        assert_true(session.acked >= full + 5 && full >= before);
        check_all(&session, journal);
        journal_close(journal);
        os_sim_free(session.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_fails),
        cmocka_unit_test(every_operation_finds_no_space),
        cmocka_unit_test(the_power_goes_at_every_operation),
        cmocka_unit_test(the_disk_fills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
