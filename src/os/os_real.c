/* SPDX-License-Identifier: Apache-2.0
 *
 * os, the real twin: POSIX files, the machine's clocks, the kernel's randomness. EINTR and partial
 * transfers end here; errno becomes a status with the path and what to do about it.
 *
 * Thread: any. Owner: each os_file owns its descriptor.
 */
#include "os/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRANSFER_BYTES_MAX = 1 << 30, LIST_NAMES_MAX = 1 << 20 };

struct real_file {
    struct os_file file;
    int fd;
    bool writes;
    char path[];
};

static struct real_file *real_of(struct os_file *file)
{
    return (struct real_file *)file;
}

static const struct {
    int number;
    enum fr_status status;
    const char *hint;
} errno_rows[] = {
    {ENOSPC, FR_NO_SPACE, "free space on this file system"},
    {EDQUOT, FR_NO_SPACE, "the quota is used up: raise it or free space"},
    {EFBIG, FR_NO_SPACE, "the limit on file sizes is reached (ulimit -f)"},
    {ENOENT, FR_NOT_FOUND, ""},
    {ENOTDIR, FR_NOT_FOUND, ""},
    {EEXIST, FR_EXISTS, ""},
    {ENOTEMPTY, FR_EXISTS, ""},
    {EACCES, FR_DENIED, "check owner and mode"},
    {EPERM, FR_DENIED, "check owner and mode"},
    {EROFS, FR_DENIED, "the file system is read-only: mount it for writing"},
    {EISDIR, FR_INVALID, "a directory stands where a file is expected"},
    {EMFILE, FR_IO, "too many open files: raise the limit (ulimit -n)"},
    {ENFILE, FR_IO, "the machine has too many open files"},
};

static enum fr_status fail(struct fr_error *error, int number, const char *what, const char *path)
{
    enum fr_status status = FR_IO;
    const char *hint = "";
    for (size_t i = 0; i < FR_COUNT_OF(errno_rows); i++) {
        if (errno_rows[i].number != number)
            continue;
        status = errno_rows[i].status;
        hint = errno_rows[i].hint;
    }
    char text[96];
    base_fail(error, status, "os", "cannot %s %s: %s", what, path,
              strerror_r(number, text, sizeof(text)));
    base_hint(error, "%s", hint);
    if (error)
        error->retriable = status == FR_NO_SPACE || number == EMFILE || number == ENFILE;
    return status;
}

static enum fr_status real_open(struct os *os, const char *path, int flags, struct fr_error *error,
                                struct os_file **out_file)
{
    bool writes = flags & OS_WRITE;
    int how = O_CLOEXEC | O_NONBLOCK; /* a FIFO must not hang the open */
    how |= writes ? O_NOFOLLOW : 0;
    how |= writes ? (flags & OS_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    how |= flags & OS_CREATE ? O_CREAT : 0;
    how |= flags & OS_EXCLUSIVE ? O_EXCL : 0;
    how |= flags & OS_TRUNCATE ? O_TRUNC : 0;
    int fd;
    do
        fd = open(path, how, 0640);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fail(error, errno, flags & OS_CREATE ? "create" : "open", path);
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        close(fd);
        return base_fail(error, FR_INVALID, "os", "%s is not a regular file", path);
    }
    size_t path_bytes = strlen(path) + 1;
    struct real_file *real = calloc(1, sizeof(*real) + path_bytes);
    if (!real) {
        close(fd);
        return base_fail(error, FR_MEMORY, "os", "no memory to open %s", path);
    }
    real->file.os = os;
    real->fd = fd;
    real->writes = writes;
    memcpy(real->path, path, path_bytes);
    *out_file = &real->file;
    return FR_OK;
}

static void real_close(struct os_file *file)
{
    close(real_of(file)->fd);
    free(file);
}

static enum fr_status real_read_at(struct os_file *file, uint64_t offset, void *to, size_t bytes,
                                   size_t *out_bytes, struct fr_error *error)
{
    struct real_file *real = real_of(file);
    size_t done = 0;
    while (done < bytes) {
        size_t want = FR_MIN(bytes - done, (size_t)TRANSFER_BYTES_MAX);
        ssize_t got = pread(real->fd, (char *)to + done, want, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(error, errno, "read", real->path);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *out_bytes = done;
    return FR_OK;
}

static enum fr_status real_write_at(struct os_file *file, uint64_t offset, const void *from,
                                    size_t bytes, struct fr_error *error)
{
    struct real_file *real = real_of(file);
    size_t done = 0;
    while (done < bytes) {
        size_t want = FR_MIN(bytes - done, (size_t)TRANSFER_BYTES_MAX);
        ssize_t got = pwrite(real->fd, (const char *)from + done, want, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(error, errno, "write", real->path);
        if (got == 0)
            return fail(error, EIO, "write", real->path);
        done += (size_t)got;
    }
    return FR_OK;
}

static enum fr_status real_sync(struct os_file *file, struct fr_error *error)
{
    struct real_file *real = real_of(file);
    int result;
    do
        result = fdatasync(real->fd);
    while (result != 0 && errno == EINTR);
    return result == 0 ? FR_OK : fail(error, errno, "sync", real->path);
}

static enum fr_status real_size(struct os_file *file, uint64_t *out_bytes, struct fr_error *error)
{
    struct real_file *real = real_of(file);
    struct stat stat;
    if (fstat(real->fd, &stat) != 0)
        return fail(error, errno, "measure", real->path);
    *out_bytes = (uint64_t)stat.st_size;
    return FR_OK;
}

static enum fr_status real_truncate(struct os_file *file, uint64_t bytes, struct fr_error *error)
{
    struct real_file *real = real_of(file);
    int result;
    do
        result = ftruncate(real->fd, (off_t)bytes);
    while (result != 0 && errno == EINTR);
    return result == 0 ? FR_OK : fail(error, errno, "truncate", real->path);
}

/* flock, not fcntl: it belongs to the open file, so that another open and close of the same path
 * in this process does not drop it. */
static enum fr_status real_lock(struct os_file *file, struct fr_error *error)
{
    struct real_file *real = real_of(file);
    int result;
    do
        result = flock(real->fd, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EWOULDBLOCK)
        return base_fail(error, FR_AGAIN, "os", "%s is held by another process", real->path);
    return result == 0 ? FR_OK : fail(error, errno, "lock", real->path);
}

static enum fr_status real_rename(struct os *os, const char *from, const char *to,
                                  struct fr_error *error)
{
    (void)os;
    return rename(from, to) == 0 ? FR_OK : fail(error, errno, "rename", from);
}

static enum fr_status real_unlink(struct os *os, const char *path, struct fr_error *error)
{
    (void)os;
    return unlink(path) == 0 ? FR_OK : fail(error, errno, "remove", path);
}

static enum fr_status real_sync_dir(struct os *os, const char *path, struct fr_error *error)
{
    (void)os;
    int fd;
    do
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fail(error, errno, "open directory", path);
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    int number = errno;
    close(fd);
    return result == 0 ? FR_OK : fail(error, number, "sync directory", path);
}

/* Creates one level; the new name is synced in its parent. */
static enum fr_status mkdir_one(struct os *os, const char *path, struct fr_error *error)
{
    if (mkdir(path, 0750) != 0) {
        int number = errno;
        struct stat stat_;
        if (number == EEXIST && stat(path, &stat_) == 0 && S_ISDIR(stat_.st_mode))
            return FR_OK;
        return fail(error, number == EEXIST ? ENOTDIR : number, "create directory", path);
    }
    char parent[OS_PATH_MAX];
    memcpy(parent, path, strlen(path) + 1);
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent ? 1 : 0] = '\0';
    return real_sync_dir(os, slash ? parent : ".", error);
}

static enum fr_status real_mkdir(struct os *os, const char *path, struct fr_error *error)
{
    char part[OS_PATH_MAX];
    size_t bytes = strlen(path);
    while (bytes > 1 && path[bytes - 1] == '/')
        bytes--;
    if (bytes == 0 || bytes >= sizeof(part))
        return base_fail(error, FR_INVALID, "os", "a directory name of %zu bytes", bytes);
    struct stat stat_;
    if (stat(path, &stat_) == 0 && S_ISDIR(stat_.st_mode))
        return FR_OK;
    memcpy(part, path, bytes);
    part[bytes] = '\0';
    for (size_t i = 1; i < bytes; i++) {
        if (part[i] != '/' || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        if (stat(part, &stat_) != 0)
            FR_TRY(mkdir_one(os, part, error));
        part[i] = '/';
    }
    return mkdir_one(os, part, error);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char **at;
    size_t count, capacity;
};

static bool names_add(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 64;
        char **moved =
            capacity > LIST_NAMES_MAX ? NULL : realloc(names->at, capacity * sizeof(*moved));
        if (!moved)
            return false;
        names->at = moved;
        names->capacity = capacity;
    }
    char *copy = strdup(name);
    if (!copy)
        return false;
    names->at[names->count++] = copy;
    return true;
}

static enum fr_status names_read(struct names *names, const char *path, struct fr_error *error)
{
    DIR *directory = opendir(path);
    if (!directory)
        return fail(error, errno, "list", path);
    enum fr_status status = FR_OK;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!names_add(names, entry->d_name)) {
            status = base_fail(error, FR_MEMORY, "os", "no memory to list %s", path);
            goto out;
        }
    }
    if (errno != 0)
        status = fail(error, errno, "list", path);
out:
    closedir(directory);
    return status;
}

static enum fr_status real_list(struct os *os, const char *path,
                                void (*each)(void *context, const char *name), void *context,
                                struct fr_error *error)
{
    (void)os;
    struct names names = {0};
    enum fr_status status = names_read(&names, path, error);
    if (status == FR_OK && names.count > 0)
        qsort(names.at, names.count, sizeof(*names.at), compare_names);
    for (size_t i = 0; i < names.count; i++) {
        if (status == FR_OK)
            each(context, names.at[i]);
        free(names.at[i]);
    }
    free(names.at);
    return status;
}

static int64_t real_wall_us(struct os *os)
{
    (void)os;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t real_mono_ns(struct os *os)
{
    (void)os;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void real_random(struct os *os, void *to, size_t bytes)
{
    (void)os;
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = getrandom((char *)to + done, bytes - done, 0);
        FR_ASSERT(got > 0 || errno == EINTR); /* the kernel promises it once it has started */
        done += got > 0 ? (size_t)got : 0;
    }
}

static const struct os_table real_table = {
    .open = real_open,
    .close = real_close,
    .read_at = real_read_at,
    .write_at = real_write_at,
    .sync = real_sync,
    .size = real_size,
    .truncate = real_truncate,
    .lock = real_lock,
    .rename = real_rename,
    .unlink = real_unlink,
    .mkdir = real_mkdir,
    .sync_dir = real_sync_dir,
    .list = real_list,
    .wall_us = real_wall_us,
    .mono_ns = real_mono_ns,
    .random = real_random,
};

struct os *os_real(void)
{
    static struct os real = {&real_table};
    return &real;
}
