/* SPDX-License-Identifier: Apache-2.0
 *
 * journal on file systems as they are when things go wrong: one that fills up, one that is
 * read-only. In a mount namespace of its own; where the kernel does not grant one, skipped, and
 * said so.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal/journal.h"

static const char root[] = "/tmp";
static uint64_t segment_bytes = 256 << 10;
enum { SKIPPED = 77 };

static void expect(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    _exit(1);
}
#define EXPECT(cond) expect((cond), #cond)

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    bool good = fputs(text, file) >= 0;
    return fclose(file) == 0 && good;
}

/* A small tmpfs over /tmp, seen by this process alone. */
static void enter_world(void)
{
    uid_t user = getuid();
    if (user != 0) {
        char map[64];
        snprintf(map, sizeof(map), "0 %u 1", user);
        if (unshare(CLONE_NEWUSER) != 0 || !write_text("/proc/self/uid_map", map))
            _exit(SKIPPED);
    }
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", root, "tmpfs", 0, "size=3m") != 0)
        _exit(SKIPPED);
}

static struct journal *open_journal(bool read_only, enum fr_status *out_status,
                                    struct fr_error *error)
{
    struct journal *journal = NULL;
    struct journal_options options = {.directory = "/tmp/journal",
                                      .segment_bytes = segment_bytes,
                                      .read_only = read_only,
                                      .no_thread = true};
    *out_status = journal_open(os_real(), &options, error, &journal);
    return journal;
}

static enum fr_status append_group(struct journal *journal, uint64_t *acked)
{
    static char payload[3000];
    struct fr_error error = {0};
    uint64_t position = 0;
    for (int i = 0; i < 10; i++) {
        memset(payload, 'x', sizeof(payload));
        snprintf(payload, sizeof(payload), "%llu", (unsigned long long)(*acked + 1 + (uint64_t)i));
        if (journal_append(journal, 1, 1, fr_slice_of(payload, sizeof(payload)), &error,
                           &position) != FR_OK)
            return FR_IO;
    }
    enum fr_status status = journal_sync(journal, &error);
    if (status == FR_OK)
        *acked = position;
    else
        EXPECT(status == FR_NO_SPACE && error.retriable && !error.fatal && error.hint[0]);
    return status;
}

static void check(uint64_t acked)
{
    struct fr_error error = {0};
    enum fr_status status;
    struct journal *journal = open_journal(false, &status, &error);
    EXPECT(status == FR_OK && journal_durable(journal) == acked);
    struct journal_cursor *cursor;
    struct journal_record record;
    EXPECT(journal_cursor_open(journal, 1, &error, &cursor) == FR_OK);
    for (uint64_t position = 1; position <= acked; position++) {
        EXPECT(journal_cursor_next(cursor, &error, &record) == FR_OK);
        EXPECT(strtoull(record.payload.ptr, NULL, 10) == position);
    }
    journal_cursor_close(cursor);
    journal_close(journal);
}

static void fill_up(void)
{
    enter_world();
    struct fr_error error = {0};
    enum fr_status status;
    uint64_t acked = 0;
    struct journal *journal = open_journal(false, &status, &error);
    EXPECT(status == FR_OK);
    while ((status = append_group(journal, &acked)) == FR_OK)
        ;
    EXPECT(status == FR_NO_SPACE && acked > 500 && !journal_failed(journal));
    for (int i = 0; i < 20; i++)
        EXPECT(append_group(journal, &acked) == FR_NO_SPACE);
    EXPECT(mount("tmpfs", root, "tmpfs", MS_REMOUNT, "size=5m") == 0);
    uint64_t full = acked;
    for (int i = 0; i < 30; i++)
        EXPECT(append_group(journal, &acked) == FR_OK);
    EXPECT(acked == full + 300);
    journal_close(journal);
    check(acked);
    /* a full disk at the start: it opens, and refuses groups until there is space */
    EXPECT(mount("tmpfs", root, "tmpfs", MS_REMOUNT, "size=6m") == 0);
    journal = open_journal(false, &status, &error);
    EXPECT(status == FR_OK);
    while (append_group(journal, &acked) == FR_OK)
        ;
    journal_close(journal);
    check(acked);
}

static void read_only(void)
{
    enter_world();
    struct fr_error error = {0};
    enum fr_status status;
    uint64_t acked = 0;
    struct journal *journal = open_journal(false, &status, &error);
    EXPECT(status == FR_OK && append_group(journal, &acked) == FR_OK);
    journal_close(journal);
    EXPECT(mount("tmpfs", root, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=3m") == 0);
    open_journal(false, &status, &error);
    EXPECT(status == FR_DENIED && strstr(error.message, "/tmp/journal") && error.hint[0]);
    journal = open_journal(true, &status, &error);
    EXPECT(status == FR_OK && journal_durable(journal) == acked);
    journal_close(journal);
    struct journal_report report;
    EXPECT(journal_verify(os_real(), "/tmp/journal", NULL, NULL, &report, &error) == FR_OK);
    EXPECT(report.records == acked);
}

static bool command(const char *text)
{
    return system(text) == 0;
}

static void sync_fails(void)
{
    enter_world();
    if (getuid() != 0 || !command("command -v losetup mkfs.ext4 >/dev/null 2>&1"))
        _exit(SKIPPED);
    if (!command("truncate -s 32m /tmp/image && "
                 "mkfs.ext4 -q -F -O ^has_journal /tmp/image && mkdir /tmp/journal && "
                 "mount -o loop /tmp/image /tmp/journal 2>/dev/null"))
        _exit(SKIPPED);
    struct fr_error error = {0};
    enum fr_status status;
    uint64_t acked = 0;
    segment_bytes = 64 << 20; /* no new file: the sync that fails is a group's */
    struct journal *journal = open_journal(false, &status, &error);
    EXPECT(status == FR_OK);
    for (int i = 0; i < 20; i++)
        EXPECT(append_group(journal, &acked) == FR_OK);
    /* Now the medium is full. One group large enough for several requests: a loop device takes a
     * request that was written in part for good, so a small one might be lost without a word. */
    EXPECT(!command("head -c 64m /dev/zero >/tmp/ballast 2>/dev/null"));
    static char payload[8 << 20];
    uint64_t position;
    memset(payload, 'x', sizeof(payload));
    EXPECT(journal_append(journal, 1, 1, fr_slice_of(payload, sizeof(payload)), &error,
                          &position) == FR_OK);
    status = journal_sync(journal, &error);
    /* ext4 saw no want of space: the medium failed, and that is final (J8). */
    EXPECT(status == FR_IO && error.fatal && journal_failed(journal));
    EXPECT(journal_append(journal, 1, 1, FR_SLICE("x"), &error, &position) == FR_IO);
    EXPECT(journal_durable(journal) == acked && acked == 200);
    journal_close(journal);
    /* The operator gives the medium room, and mounts it again: the page cache is gone. */
    EXPECT(unlink("/tmp/ballast") == 0);
    EXPECT(mount("tmpfs", root, "tmpfs", MS_REMOUNT, "size=64m") == 0);
    EXPECT(command("umount /tmp/journal && mount -o loop /tmp/image /tmp/journal"));
    journal = open_journal(false, &status, &error);
    if (status != FR_OK)
        fprintf(stderr, "%s\n", error.message);
    EXPECT(status == FR_OK);
    EXPECT(journal_durable(journal) == acked);
    journal_close(journal);
    check(acked);
    EXPECT(command("umount /tmp/journal"));
}

static void run(void (*test)(void))
{
    pid_t child = fork();
    if (child == 0) {
        test();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED) {
        print_message("SKIPPED: no mount namespace to be had here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_file_system_fills_up(void **state)
{
    (void)state;
    run(fill_up);
}

static void a_file_system_is_read_only(void **state)
{
    (void)state;
    run(read_only);
}

static void a_sync_fails(void **state)
{
    (void)state;
    run(sync_fails);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_system_fills_up),
        cmocka_unit_test(a_file_system_is_read_only),
        cmocka_unit_test(a_sync_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
