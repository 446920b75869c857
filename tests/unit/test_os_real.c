/* SPDX-License-Identifier: Apache-2.0
 *
 * os, the real twin: does each operation keep its contract on a real file system.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/os.h"

static char root[64];

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/freshet-os-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static void writes_read_back(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct os_file *file;
    assert_int_equal(os_open(os_real(), path_of("a"), OS_READ | OS_WRITE | OS_CREATE, &error,
                             &file),
                     FR_OK);
    assert_int_equal(os_write_at(file, 1000, "hello", 5, &error), FR_OK);
    assert_int_equal(os_sync(file, &error), FR_OK);
    uint64_t size = 0;
    assert_int_equal(os_size(file, &size, &error), FR_OK);
    assert_int_equal(size, 1005);
    char text[16];
    size_t got = 99;
    assert_int_equal(os_read_at(file, 998, text, sizeof(text), &got, &error), FR_OK);
    assert_int_equal(got, 7);
    assert_memory_equal(text, "\0\0hello", 7);
    assert_int_equal(os_read_at(file, 5000, text, sizeof(text), &got, &error), FR_OK);
    assert_int_equal(got, 0);
    assert_int_equal(os_truncate(file, 3, &error), FR_OK);
    assert_int_equal(os_size(file, &size, &error), FR_OK);
    assert_int_equal(size, 3);
    os_close(file);
}

static void refusals_are_named(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct os_file *file;
    assert_int_equal(os_open(os_real(), path_of("none"), OS_READ, &error, &file), FR_NOT_FOUND);
    assert_non_null(strstr(error.message, "none"));
    assert_int_equal(os_open(os_real(), path_of("x/y"), OS_WRITE | OS_CREATE, &error, &file),
                     FR_NOT_FOUND);
    assert_int_equal(os_open(os_real(), path_of("e"), OS_WRITE | OS_CREATE | OS_EXCLUSIVE, &error,
                             &file),
                     FR_OK);
    os_close(file);
    assert_int_equal(os_open(os_real(), path_of("e"), OS_WRITE | OS_CREATE | OS_EXCLUSIVE, &error,
                             &file),
                     FR_EXISTS);
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(os_open(os_real(), path_of("fifo"), OS_READ, &error, &file), FR_INVALID);
    assert_int_equal(os_open(os_real(), root, OS_READ, &error, &file), FR_INVALID);
    assert_int_equal(os_unlink(os_real(), path_of("none"), &error), FR_NOT_FOUND);
    assert_int_equal(os_unlink(os_real(), path_of("none"), NULL), FR_NOT_FOUND);
}

static void full_is_no_space(void **state)
{
    (void)state;
    /* The size limit stands in for the full disk: the same path, EFBIG for ENOSPC. */
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {4096, 4096};
        setrlimit(RLIMIT_FSIZE, &limit);
        struct fr_error error = {0};
        struct os_file *file;
        static char bytes[8192];
        bool good = os_open(os_real(), path_of("f"), OS_WRITE | OS_CREATE, &error, &file) == FR_OK;
        good = good && os_write_at(file, 0, bytes, 8192, &error) == FR_NO_SPACE;
        good = good && error.retriable && !error.fatal && error.hint[0];
        _exit(good ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void lock_has_one_holder(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct os_file *file, *other;
    assert_int_equal(os_open(os_real(), path_of("lock"), OS_WRITE | OS_CREATE, &error, &file),
                     FR_OK);
    assert_int_equal(os_lock(file, &error), FR_OK);
    assert_int_equal(os_open(os_real(), path_of("lock"), OS_WRITE | OS_CREATE, &error, &other),
                     FR_OK);
    assert_int_equal(os_lock(other, &error), FR_AGAIN);
    os_close(file);
    assert_int_equal(os_lock(other, &error), FR_OK);
    os_close(other);
}

static void files_do_not_leak_into_children(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct os_file *file;
    assert_int_equal(os_open(os_real(), path_of("cloexec"), OS_WRITE | OS_CREATE, &error, &file),
                     FR_OK);
    int leaking = 0;
    for (int fd = 3; fd < 64; fd++) {
        char link[64], target[256];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t bytes = readlink(link, target, sizeof(target) - 1);
        if (bytes <= 0)
            continue;
        target[bytes] = '\0';
        if (strstr(target, "cloexec"))
            leaking += !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(leaking, 0);
    os_close(file);
}

static void collect(void *context, const char *name)
{
    char *names = context;
    size_t used = strlen(names);
    snprintf(names + used, 64 - used, "%s ", name);
}

static void directories(void **state)
{
    (void)state;
    struct fr_error error = {0};
    struct os_file *file;
    assert_int_equal(os_mkdir(os_real(), path_of("d/e/f"), &error), FR_OK);
    assert_int_equal(os_mkdir(os_real(), path_of("d/e/f"), &error), FR_OK);
    assert_int_equal(os_mkdir(os_real(), path_of("d/e//f/"), &error), FR_OK);
    const char *names[] = {"d/e/f/b", "d/e/f/a", "d/e/f/C"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(os_open(os_real(), path_of(names[i]), OS_WRITE | OS_CREATE, &error, &file),
                         FR_OK);
        os_close(file);
    }
    assert_int_equal(os_mkdir(os_real(), path_of("d/e/f/a"), &error), FR_NOT_FOUND);
    char from[256];
    snprintf(from, sizeof(from), "%s", path_of("d/e/f/b"));
    assert_int_equal(os_rename(os_real(), from, path_of("d/e/f/a"), &error), FR_OK);
    assert_int_equal(os_sync_dir(os_real(), path_of("d/e/f"), &error), FR_OK);
    char seen[64] = "";
    assert_int_equal(os_list(os_real(), path_of("d/e/f"), collect, seen, &error), FR_OK);
    assert_string_equal(seen, "C a ");
    assert_int_equal(os_list(os_real(), path_of("none"), collect, seen, &error), FR_NOT_FOUND);
}

static void clocks_and_random(void **state)
{
    (void)state;
    int64_t before = os_mono_ns(os_real());
    assert_true(os_wall_us(os_real()) > INT64_C(1600000000000000));
    assert_true(os_mono_ns(os_real()) >= before);
    uint8_t a[32] = {0}, b[32] = {0};
    os_random(os_real(), a, sizeof(a));
    os_random(os_real(), b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_read_back),
        cmocka_unit_test(refusals_are_named),
        cmocka_unit_test(full_is_no_space),
        cmocka_unit_test(lock_has_one_holder),
        cmocka_unit_test(files_do_not_leak_into_children),
        cmocka_unit_test(directories),
        cmocka_unit_test(clocks_and_random),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
