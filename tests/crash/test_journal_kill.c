/* SPDX-License-Identifier: Apache-2.0
 *
 * journal under real kills: a child appends and tells through a pipe what was acknowledged; it is
 * killed (SIGKILL) at random moments, housekeeping thread and sealing included. Then everything
 * acknowledged is there, once. FRESHET_KILLS: how many (default 30; in the long form 200).
 * FRESHET_SEED: of the moments, printed.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
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
    snprintf(root, sizeof(root), "/tmp/freshet-kill-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static struct fr_slice payload_of(uint64_t position)
{
    static char bytes[600];
    size_t count = 20 + (size_t)(base_mix64(position) % 500);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)base_mix64(position * 1000 + i);
    return fr_slice_of(bytes, count);
}

static struct journal *open_journal(void)
{
    struct fr_error error = {0};
    struct journal *journal = NULL;
    struct journal_options options = {.directory = root, .segment_bytes = 128 << 10};
    if (journal_open(os_real(), &options, &error, &journal) != FR_OK)
        fprintf(stderr, "%s\n", error.message);
    return journal;
}

/* Appends until killed. */
static _Noreturn void run_child(int acks)
{
    struct journal *journal = open_journal();
    uint64_t position = journal ? journal_durable(journal) : 0, group = 0;
    while (journal) {
        uint64_t count = 1 + base_mix64(position) % 40;
        for (uint64_t i = 0; i < count; i++) {
            if (journal_append(journal, 1, 1, payload_of(position + 1), NULL, &position) != FR_OK)
                _exit(2);
        }
        if (journal_sync(journal, NULL) != FR_OK)
            _exit(2);
        if (write(acks, &position, sizeof(position)) != (ssize_t)sizeof(position))
            _exit(2);
        if (++group % 50 == 0 && journal_seal(journal, position / 2, NULL) != FR_OK)
            _exit(2);
    }
    _exit(2);
}

/* Reads acknowledgements until the drawn number of them, kills, reads the rest. */
static uint64_t kill_after(uint64_t acks_wanted)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_child(ends[1]);
    }
    close(ends[1]);
    uint64_t acked = 0, position, seen = 0;
    ssize_t got;
    while ((got = read(ends[0], &position, sizeof(position))) == (ssize_t)sizeof(position)) {
        acked = position;
        if (++seen == acks_wanted)
            assert_int_equal(kill(child, SIGKILL), 0);
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return acked;
}

static void check(uint64_t acked)
{
    struct fr_error error = {0};
    struct journal_cursor *cursor;
    struct journal_record record;
    struct journal *journal = open_journal();
    assert_non_null(journal);
    uint64_t durable = journal_durable(journal);
    assert_true(durable >= acked && durable <= acked + 40);
    assert_int_equal(journal_cursor_open(journal, 1, &error, &cursor), FR_OK);
    for (uint64_t position = 1; position <= durable; position++) {
        assert_int_equal(journal_cursor_next(cursor, &error, &record), FR_OK);
        assert_true(fr_slice_equal(record.payload, payload_of(position)));
    }
    assert_int_equal(journal_cursor_next(cursor, &error, &record), FR_END);
    journal_cursor_close(cursor);
    journal_close(journal);
}

static void killed_again_and_again(void **state)
{
    (void)state;
    const char *kills = getenv("FRESHET_KILLS"), *seed = getenv("FRESHET_SEED");
    const char *form = getenv("FRESHET_FORM");
    uint64_t otherwise = form && strcmp(form, "long") == 0 ? 200 : 30;
    uint64_t count = kills ? strtoull(kills, NULL, 10) : otherwise;
    uint64_t key = seed ? strtoull(seed, NULL, 10) : (uint64_t)os_wall_us(os_real());
    print_message("seed %llu\n", (unsigned long long)key);
    for (uint64_t i = 0; i < count; i++)
        check(kill_after(1 + base_random_u64(key, i, 0) % 150));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_again_and_again, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
