/* SPDX-License-Identifier: Apache-2.0
 *
 * preload_faults: system calls of an unchanged program fail on command. Loaded with LD_PRELOAD; the
 * environment variable FRESHET_FAULTS names a control file that this library maps and the test
 * writes while the program runs, so that a fault takes effect at once and needs no system call here.
 *
 * The control file, little-endian, one row of 96 bytes a call, in the order of enum call:
 *     u32 number   errno to fail with; SHORT: do half of the transfer; 0: leave the call alone
 *     u32 every    the n-th, 2n-th, ... matching call fails (1: each)
 *     u32 left     how many more failures; UINT32_MAX: no end
 *     u32 seen     matching calls so far (counted here)
 *     u32 failed   failures so far (counted here)
 *     u32 after_us a failing call first waits so long (slow disk); with number 0: only waits
 *     u32 unused[2]
 *     char word[64] only files whose path holds this; empty: all
 *
 * Thread: any. Counters are atomic; rows are written by the test alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum call { CALL_FDATASYNC, CALL_FSYNC, CALL_PWRITE, CALL_PREAD, CALL_OPEN, CALL_ACCEPT, CALLS };
enum { SHORT = 10000, WORD_BYTES = 64, PATH_BYTES = 1024 };

struct row {
    uint32_t number, every, left, seen, failed, after_us, unused[2];
    char word[WORD_BYTES];
};

static struct row *rows; /* NULL: no control file, every call passes */

static struct {
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    ssize_t (*pwrite)(int fd, const void *from, size_t bytes, off_t offset);
    ssize_t (*pread)(int fd, void *to, size_t bytes, off_t offset);
    int (*open)(const char *path, int flags, ...);
    int (*accept4)(int fd, struct sockaddr *address, socklen_t *bytes, int flags);
} real;

__attribute__((constructor)) static void start(void)
{
    *(void **)&real.fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    *(void **)&real.fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real.pwrite = dlsym(RTLD_NEXT, "pwrite");
    *(void **)&real.pread = dlsym(RTLD_NEXT, "pread");
    *(void **)&real.open = dlsym(RTLD_NEXT, "open");
    *(void **)&real.accept4 = dlsym(RTLD_NEXT, "accept4");
    const char *path = getenv("FRESHET_FAULTS");
    int fd = path ? real.open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof(*rows) * CALLS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rows = at == MAP_FAILED ? NULL : at;
    close(fd);
}

static int path_matches(const struct row *row, int fd, const char *path)
{
    char name[32], of[PATH_BYTES];
    if (row->word[0] == '\0')
        return 1;
    if (path)
        return strstr(path, row->word) != NULL;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(name, of, sizeof(of) - 1);
    if (bytes < 0)
        return 0;
    of[bytes] = '\0';
    return strstr(of, row->word) != NULL;
}

/* The errno (or SHORT) that this call is to fail with; 0: let it through. */
static uint32_t fault_of(enum call call, int fd, const char *path)
{
    if (!rows)
        return 0;
    struct row *row = &rows[call];
    uint32_t number = __atomic_load_n(&row->number, __ATOMIC_ACQUIRE);
    if (number == 0 && row->after_us == 0)
        return 0;
    int kept = errno;
    int matches = path_matches(row, fd, path);
    errno = kept;
    uint32_t seen = matches ? __atomic_add_fetch(&row->seen, 1, __ATOMIC_RELAXED) : 0;
    uint32_t left = __atomic_load_n(&row->left, __ATOMIC_RELAXED);
    if (!matches || left == 0 || (row->every > 1 && seen % row->every != 0))
        return 0;
    if (left != UINT32_MAX)
        __atomic_sub_fetch(&row->left, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&row->failed, 1, __ATOMIC_RELAXED);
    if (row->after_us) {
        struct timespec wait = {row->after_us / 1000000, (long)(row->after_us % 1000000) * 1000};
        nanosleep(&wait, NULL);
    }
    return number;
}

/* True when the call fails; errno is set. */
static int fails(uint32_t number)
{
    if (number == 0 || number == SHORT)
        return 0;
    errno = (int)number;
    return 1;
}

int fdatasync(int fd)
{
    return fails(fault_of(CALL_FDATASYNC, fd, NULL)) ? -1 : real.fdatasync(fd);
}

int fsync(int fd)
{
    return fails(fault_of(CALL_FSYNC, fd, NULL)) ? -1 : real.fsync(fd);
}

ssize_t pwrite(int fd, const void *from, size_t bytes, off_t offset)
{
    uint32_t number = fault_of(CALL_PWRITE, fd, NULL);
    if (fails(number))
        return -1;
    return real.pwrite(fd, from, number == SHORT && bytes > 1 ? bytes / 2 : bytes, offset);
}

ssize_t pread(int fd, void *to, size_t bytes, off_t offset)
{
    uint32_t number = fault_of(CALL_PREAD, fd, NULL);
    if (fails(number))
        return -1;
    return real.pread(fd, to, number == SHORT && bytes > 1 ? bytes / 2 : bytes, offset);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list args;
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return fails(fault_of(CALL_OPEN, -1, path)) ? -1 : real.open(path, flags, mode);
}

int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
    return fails(fault_of(CALL_ACCEPT, fd, NULL)) ? -1 : real.accept4(fd, address, bytes, flags);
}
