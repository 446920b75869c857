/* SPDX-License-Identifier: Apache-2.0
 *
 * journal with everybody at once: the writer, cursors that follow it, cursors that start anywhere,
 * sealing, retention, the thread that makes spares, a verifier beside. Every cursor sees every
 * record once, in order, and none before it is durable. Meant for ThreadSanitizer, run without it
 * too.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "journal/journal.h"

enum { GROUPS = 600, FOLLOWERS = 2 };

static char root[64];

struct shared {
    struct journal *journal;
    uint32_t done;   /* atomic: the writer has finished */
    uint32_t faults; /* atomic */
};

static void note_fault(struct shared *shared, const char *what)
{
    fprintf(stderr, "%s\n", what);
    __atomic_fetch_add(&shared->faults, 1, __ATOMIC_RELAXED);
}

static uint64_t content_of(uint64_t position)
{
    return base_mix64(position);
}

static bool is_right(const struct journal_record *record, uint64_t position)
{
    uint64_t content;
    if (record->position != position || record->payload.bytes < sizeof(content))
        return false;
    memcpy(&content, record->payload.ptr, sizeof(content));
    return content == content_of(position);
}

static void *follow(void *context)
{
    struct shared *shared = context;
    struct journal_cursor *cursor;
    struct journal_record record;
    struct fr_error error = {0};
    uint64_t position = 1;
    if (journal_cursor_open(shared->journal, 1, &error, &cursor) != FR_OK) {
        note_fault(shared, error.message);
        return NULL;
    }
    for (;;) {
        bool last = __atomic_load_n(&shared->done, __ATOMIC_ACQUIRE);
        enum fr_status status;
        while ((status = journal_cursor_next(cursor, &error, &record)) == FR_OK) {
            if (!is_right(&record, position) || position > journal_durable(shared->journal))
                note_fault(shared, "a follower saw a wrong record");
            position++;
        }
        if (status != FR_END) {
            note_fault(shared, error.message);
            break;
        }
        if (last)
            break;
        sched_yield();
    }
    journal_cursor_close(cursor);
    if (position != journal_durable(shared->journal) + 1)
        note_fault(shared, "a follower missed the end");
    return NULL;
}

static void *jump(void *context)
{
    struct shared *shared = context;
    for (uint64_t i = 0; !__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE); i++) {
        struct journal_cursor *cursor;
        struct journal_record record;
        struct fr_error error = {0};
        uint64_t durable = journal_durable(shared->journal);
        uint64_t position = 1 + base_random_u64(5, i, 0) % (durable + 1);
        enum fr_status status = journal_cursor_open(shared->journal, position, &error, &cursor);
        if (status == FR_NOT_FOUND && position < journal_first(shared->journal))
            continue; /* retention was there before */
        if (status != FR_OK) {
            note_fault(shared, error.message);
            continue;
        }
        for (int n = 0; n < 300; n++, position++) {
            status = journal_cursor_next(cursor, &error, &record);
            if (status == FR_END)
                break;
            if (status != FR_OK || !is_right(&record, position)) {
                note_fault(shared, status == FR_OK ? "a wrong record" : error.message);
                break;
            }
        }
        journal_cursor_close(cursor);
    }
    return NULL;
}

static void *keep_house(void *context)
{
    struct shared *shared = context;
    for (uint64_t i = 0; !__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE); i++) {
        struct fr_error error = {0};
        uint64_t durable = journal_durable(shared->journal);
        enum fr_status status = journal_seal(shared->journal, durable / 2 + 1, &error);
        if (status == FR_OK && i % 4 == 3)
            status = journal_prepare(shared->journal, &error);
        if (status == FR_OK && i % 16 == 15) /* followers hold what they have not read */
            status = journal_drop(shared->journal, durable / 4 + 1, &error);
        if (status != FR_OK)
            note_fault(shared, error.message);
        sched_yield();
    }
    return NULL;
}

static void say_fault(void *context, const char *segment, uint64_t offset, const char *what)
{
    (void)context;
    fprintf(stderr, "%s at %llu: %s\n", segment, (unsigned long long)offset, what);
}

/* As another process would: verify, and a reader without the lock. */
static void *look_on(void *context)
{
    struct shared *shared = context;
    while (!__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE)) {
        struct journal_report report;
        struct fr_error error = {0};
        if (journal_verify(os_real(), root, say_fault, NULL, &report, &error) != FR_OK)
            note_fault(shared, error.message);
        struct journal *journal;
        struct journal_options options = {.directory = root, .read_only = true};
        if (journal_open(os_real(), &options, &error, &journal) != FR_OK)
            note_fault(shared, error.message);
        else
            journal_close(journal);
    }
    return NULL;
}

static void write_all(struct shared *shared)
{
    struct fr_error error = {0};
    uint64_t position = 0, next = 1;
    uint8_t payload[400] = {0};
    for (uint64_t group = 0; group < GROUPS; group++) {
        for (uint64_t i = 0; i < 1 + group % 23; i++, next++) {
            uint64_t content = content_of(next);
            memcpy(payload, &content, sizeof(content));
            struct fr_slice slice = fr_slice_of((const char *)payload, 8 + next % 390);
            if (journal_append(shared->journal, 1, 1, slice, &error, &position) != FR_OK ||
                position != next)
                note_fault(shared, "append");
        }
        if (journal_sync(shared->journal, &error) != FR_OK)
            note_fault(shared, error.message);
    }
}

static void everybody_at_once(void **state)
{
    (void)state;
    struct shared shared = {0};
    struct fr_error error = {0};
    pthread_t followers[FOLLOWERS], jumper, keeper, looker;
    snprintf(root, sizeof(root), "/tmp/freshet-threads-XXXXXX");
    assert_non_null(mkdtemp(root));
    struct journal_options options = {.directory = root, .segment_bytes = 64 << 10};
    assert_int_equal(journal_open(os_real(), &options, &error, &shared.journal), FR_OK);
    for (int i = 0; i < FOLLOWERS; i++)
        assert_int_equal(pthread_create(&followers[i], NULL, follow, &shared), 0);
    assert_int_equal(pthread_create(&jumper, NULL, jump, &shared), 0);
    assert_int_equal(pthread_create(&keeper, NULL, keep_house, &shared), 0);
    assert_int_equal(pthread_create(&looker, NULL, look_on, &shared), 0);
    write_all(&shared);
    __atomic_store_n(&shared.done, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < FOLLOWERS; i++)
        pthread_join(followers[i], NULL);
    pthread_join(jumper, NULL);
    pthread_join(keeper, NULL);
    pthread_join(looker, NULL);
    assert_int_equal(shared.faults, 0);
    uint64_t durable = journal_durable(shared.journal);
    journal_close(shared.journal);
    struct journal_report report;
    assert_int_equal(journal_verify(os_real(), root, NULL, NULL, &report, &error), FR_OK);
    assert_int_equal(report.last, durable);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everybody_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
