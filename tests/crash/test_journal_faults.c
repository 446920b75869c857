/* SPDX-License-Identifier: Apache-2.0
 *
 * The real twin under failing system calls. This program defines the calls that os_real.c makes, so
 * that the linker takes these: each can be interrupted, do a part, or fail with an errno, at its
 * n-th call. Then the journal on top: interruptions and short transfers change nothing; every error
 * at every call loses nothing that was acknowledged.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal/journal.h"

/* ---- the calls ----------------------------------------------------------------------------------
 */

enum call { ON_ANY, ON_WRITE, ON_READ, ON_SYNC, ON_OPEN, ON_NAMES, CALLS };

static struct {
    bool armed;    /* calls outside the journal's work are left alone */
    bool troubled; /* every second call is interrupted, every transfer is short */
    enum call on;
    unsigned at, seen; /* the at-th call of this kind fails; 0: none */
    int number;        /* with this errno */
    unsigned interruptions, shortened, failures;
} fault;

/* True when this call is to fail; errno is set. */
static bool fails(enum call call)
{
    if (!fault.armed)
        return false;
    if (fault.troubled && call != ON_NAMES && (++fault.interruptions & 1)) {
        errno = EINTR;
        return true;
    }
    if ((fault.on != ON_ANY && fault.on != call) || fault.at == 0 || ++fault.seen != fault.at)
        return false;
    fault.failures++;
    errno = fault.number;
    return true;
}

static size_t shorten(size_t bytes)
{
    if (!fault.armed || !fault.troubled || bytes < 2)
        return bytes;
    fault.shortened++;
    return bytes / 2;
}

ssize_t pwrite(int fd, const void *from, size_t bytes, off_t offset)
{
    return fails(ON_WRITE) ? -1 : syscall(SYS_pwrite64, fd, from, shorten(bytes), offset);
}

ssize_t pread(int fd, void *to, size_t bytes, off_t offset)
{
    return fails(ON_READ) ? -1 : syscall(SYS_pread64, fd, to, shorten(bytes), offset);
}

int fdatasync(int fd)
{
    return fails(ON_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return fails(ON_SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    return fails(ON_OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int rename(const char *from, const char *to)
{
    return fails(ON_NAMES) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
    return fails(ON_NAMES) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

/* ---- the session
 * ---------------------------------------------------------------------------------- */

static char root[64];

static int make_root(void **state)
{
    (void)state;
    memset(&fault, 0, sizeof(fault));
    snprintf(root, sizeof(root), "/tmp/freshet-faults-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    fault.armed = false;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static enum fr_status open_journal(struct fr_error *error, struct journal **out_journal)
{
    struct journal_options options = {.directory = root,
                                      .segment_bytes = 32 << 10,
                                      .no_thread = true};
    return journal_open(os_real(), &options, error, out_journal);
}

struct account {
    uint64_t acked, attempted;
};

/* The payload tells its position. */
static void append_groups(struct journal *journal, struct account *account, int groups)
{
    char payload[400];
    struct fr_error error = {0};
    for (int g = 0; g < groups; g++) {
        uint64_t position = account->acked;
        for (int i = 0; i < 10; i++) {
            memset(payload, 'p', sizeof(payload));
            snprintf(payload, sizeof(payload), "%llu", (unsigned long long)position + 1);
            enum fr_status status =
                journal_append(journal, 1, 1, fr_slice_of(payload, sizeof(payload)), &error,
                               &position);
            if (status != FR_OK) {
                assert_true(error.fatal && journal_failed(journal));
                return;
            }
        }
        account->attempted = position;
        enum fr_status status = journal_sync(journal, &error);
        if (status == FR_OK)
            account->acked = position;
        else if (!error.fatal)
            account->attempted = account->acked;
        if (g == 3)
            fr_ignore(journal_prepare(journal, NULL), "may fail here");
        if (g == 9)
            fr_ignore(journal_seal(journal, account->acked + 1, NULL), "may fail here");
    }
}

static void check(struct account *account)
{
    struct fr_error error = {0};
    struct journal *journal;
    struct journal_cursor *cursor;
    struct journal_record record;
    enum fr_status status = open_journal(&error, &journal);
    if (status != FR_OK)
        print_message("%s\n", error.message);
    assert_int_equal(status, FR_OK);
    uint64_t durable = journal_durable(journal);
    assert_true(durable == account->acked || durable == account->attempted);
    assert_int_equal(journal_cursor_open(journal, 1, &error, &cursor), FR_OK);
    for (uint64_t position = 1; position <= durable; position++) {
        assert_int_equal(journal_cursor_next(cursor, &error, &record), FR_OK);
        assert_int_equal(strtoull(record.payload.ptr, NULL, 10), position);
    }
    journal_cursor_close(cursor);
    journal_close(journal);
}

static void interruptions_and_short_transfers_change_nothing(void **state)
{
    (void)state;
    struct account account = {0};
    struct journal *journal;
    struct fr_error error = {0};
    fault.armed = fault.troubled = true;
    assert_int_equal(open_journal(&error, &journal), FR_OK);
    append_groups(journal, &account, 15);
    assert_int_equal(account.acked, 150);
    journal_close(journal);
    check(&account);
    assert_true(fault.interruptions > 100 && fault.shortened > 50);
}

/* Every call of a kind fails once, with each errno: nothing acknowledged is lost. */
static void sweep(enum call call, int number)
{
    for (unsigned at = 1;; at++) {
        assert_int_equal(make_root(NULL), 0);
        struct account account = {0};
        struct journal *journal;
        struct fr_error error = {0};
        fault.armed = true;
        fault.on = call;
        fault.at = at;
        fault.number = number;
        if (open_journal(&error, &journal) == FR_OK) {
            append_groups(journal, &account, 15);
            journal_close(journal);
        }
        bool reached = fault.failures > 0;
        fault.armed = false;
        check(&account);
        assert_int_equal(remove_root(NULL), 0);
        if (!reached)
            break;
    }
}

static void every_error_at_every_call(void **state)
{
    (void)state;
    sweep(ON_WRITE, ENOSPC);
    sweep(ON_WRITE, EDQUOT);
    sweep(ON_WRITE, EIO);
    sweep(ON_READ, EIO);
    sweep(ON_SYNC, EIO);
    sweep(ON_SYNC, ENOSPC);
    sweep(ON_OPEN, EMFILE);
    sweep(ON_OPEN, EACCES);
    sweep(ON_NAMES, EIO);
    sweep(ON_NAMES, EROFS);
}

/* A failed sync: nothing more is taken, whatever later syncs say (J8). */
static void a_failed_sync_is_final(void **state)
{
    (void)state;
    struct account account = {0};
    struct journal *journal;
    struct fr_error error = {0};
    assert_int_equal(open_journal(&error, &journal), FR_OK);
    append_groups(journal, &account, 2);
    fault.armed = true;
    fault.on = ON_SYNC;
    fault.at = 1;
    fault.number = EIO;
    append_groups(journal, &account, 1);
    assert_int_equal(account.acked, 20);
    assert_true(journal_failed(journal));
    uint64_t position;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(journal_append(journal, 1, 1, FR_SLICE("x"), &error, &position), FR_IO);
        assert_true(error.fatal && error.hint[0]);
        assert_int_equal(journal_sync(journal, &error), FR_IO);
        assert_int_equal(journal_durable(journal), 20);
    }
    assert_int_equal(fault.failures, 1);
    journal_close(journal);
    fault.armed = false;
    check(&account);
}

/* A full disk refuses the group and nothing else; when there is space, it goes on by itself. */
static void a_full_disk_is_not_final(void **state)
{
    (void)state;
    struct account account = {0};
    struct journal *journal;
    struct fr_error error = {0};
    assert_int_equal(open_journal(&error, &journal), FR_OK);
    append_groups(journal, &account, 2);
    fault.armed = true;
    fault.on = ON_WRITE;
    fault.at = 1;
    fault.number = ENOSPC;
    append_groups(journal, &account, 1);
    assert_int_equal(account.acked, 20);
    assert_false(journal_failed(journal));
    append_groups(journal, &account, 3);
    assert_int_equal(account.acked, 50);
    journal_close(journal);
    check(&account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(interruptions_and_short_transfers_change_nothing, make_root,
                                        remove_root),
        cmocka_unit_test(every_error_at_every_call),
        cmocka_unit_test_setup_teardown(a_failed_sync_is_final, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_full_disk_is_not_final, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
