/* SPDX-License-Identifier: Apache-2.0
 *
 * os: files, clock and randomness behind one table with a real and a simulated twin. Rooms that
 * touch the disk or the clock get a `struct os *` and use nothing else, so that a simulation
 * (os/sim.h) can drop, tear, reorder, fail and replay everything from one seed.
 *
 * What the disk promises, and what nothing may rely on beyond it:
 *   O1: a write is durable after os_sync() of its file has returned FR_OK; until then any of its
 *       512-byte sectors may be on the medium or not, in any order; a sector is old or new, whole.
 *   O2: a created, renamed or removed name is durable after os_sync_dir() of its directory.
 *   O3: after a failed os_sync() nothing is known of what was written since the last good one, and
 *       a second attempt proves nothing (the kernel may have marked the pages clean).
 *
 * Thread: any; one file may be read and written by several threads at once at different offsets.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "base/base.h"

#define OS_PATH_MAX 1024
#define OS_SECTOR_BYTES 512 /* what a medium writes whole or not at all (O1) */

struct os;      /* a world: its disk, clock and randomness */
struct os_file; /* an open file */

enum os_open { OS_READ = 1, OS_WRITE = 2, OS_CREATE = 4, OS_EXCLUSIVE = 8, OS_TRUNCATE = 16 };

/* The operations. All may fail with FR_IO, FR_NO_SPACE (disk or quota), FR_NOT_FOUND, FR_EXISTS,
 * FR_DENIED (rights, or a read-only file system); partial reads and writes and EINTR are handled
 * inside. Paths are absolute or relative to the working directory, shorter than OS_PATH_MAX.
 * `error` may be NULL. */
struct os_table {
    enum fr_status (*open)(struct os *os, const char *path, int flags, struct fr_error *error,
                           struct os_file **out_file);
    void (*close)(struct os_file *file);
    /* Reads up to `bytes`; *out_bytes < bytes only at the end of the file. */
    enum fr_status (*read_at)(struct os_file *file, uint64_t offset, void *to, size_t bytes,
                              size_t *out_bytes, struct fr_error *error);
    enum fr_status (*write_at)(struct os_file *file, uint64_t offset, const void *from,
                               size_t bytes, struct fr_error *error);
    /* Data (and size) on the medium. A failure is fatal for what was written since the last one. */
    enum fr_status (*sync)(struct os_file *file, struct fr_error *error);
    enum fr_status (*size)(struct os_file *file, uint64_t *out_bytes, struct fr_error *error);
    enum fr_status (*truncate)(struct os_file *file, uint64_t bytes, struct fr_error *error);
    /* One holder at a time, released at close or death. FR_AGAIN when another holds it. */
    enum fr_status (*lock)(struct os_file *file, struct fr_error *error);
    enum fr_status (*rename)(struct os *os, const char *from, const char *to,
                             struct fr_error *error);
    enum fr_status (*unlink)(struct os *os, const char *path, struct fr_error *error);
    /* Parents too; one that exists is fine. New names are synced in their parents. */
    enum fr_status (*mkdir)(struct os *os, const char *path, struct fr_error *error);
    enum fr_status (*sync_dir)(struct os *os, const char *path, struct fr_error *error);
    /* Names in a directory (no "." and ".."), in byte order. */
    enum fr_status (*list)(struct os *os, const char *path,
                           void (*each)(void *context, const char *name), void *context,
                           struct fr_error *error);
    int64_t (*wall_us)(struct os *os); /* Unix time */
    int64_t (*mono_ns)(struct os *os); /* never goes back; the simulated one is advanced by hand */
    void (*random)(struct os *os, void *to,
                   size_t bytes); /* for keys; from the seed when simulated */
};

/* Every world begins with its table. */
struct os {
    const struct os_table *table;
};

struct os *os_real(void); /* static; never freed */

/* Every file begins with its world, so that the wrappers below find the table. */
struct os_file {
    struct os *os;
};

#define os_open(os, ...) ((os)->table->open((os), __VA_ARGS__))
#define os_rename(os, ...) ((os)->table->rename((os), __VA_ARGS__))
#define os_unlink(os, ...) ((os)->table->unlink((os), __VA_ARGS__))
#define os_mkdir(os, ...) ((os)->table->mkdir((os), __VA_ARGS__))
#define os_sync_dir(os, ...) ((os)->table->sync_dir((os), __VA_ARGS__))
#define os_list(os, ...) ((os)->table->list((os), __VA_ARGS__))
#define os_wall_us(os) ((os)->table->wall_us(os))
#define os_mono_ns(os) ((os)->table->mono_ns(os))
#define os_random(os, ...) ((os)->table->random((os), __VA_ARGS__))

#define os_close(file) ((file)->os->table->close(file)) /* not for NULL */
#define os_read_at(file, ...) ((file)->os->table->read_at((file), __VA_ARGS__))
#define os_write_at(file, ...) ((file)->os->table->write_at((file), __VA_ARGS__))
#define os_sync(file, error) ((file)->os->table->sync((file), (error)))
#define os_size(file, ...) ((file)->os->table->size((file), __VA_ARGS__))
#define os_truncate(file, ...) ((file)->os->table->truncate((file), __VA_ARGS__))
#define os_lock(file, error) ((file)->os->table->lock((file), (error)))

#endif
