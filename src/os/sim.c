/* SPDX-License-Identifier: Apache-2.0
 *
 * os_sim: see the door. A file is an inode with its content as seen, its content as on the medium,
 * and the writes between the two. A name is an entry with a seen and a durable inode; a path's
 * directory is all before its last slash.
 *
 * Thread: any, under the machine's mutex. Owner: the machine owns inodes, names and handles' state.
 */
#include "os/sim.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct content {
    uint8_t *bytes;
    uint64_t count, capacity;
};

/* A write or a change of size that the medium may or may not hold. */
struct pending {
    uint64_t offset;
    size_t bytes;
    uint8_t *data; /* NULL: the size became `offset` */
    bool lost;     /* a sync failed over it: no later sync makes it durable */
};

struct inode {
    struct content seen, durable;
    struct pending *pending;
    uint32_t pending_count, pending_capacity;
    uint32_t links; /* names and handles */
    struct sim_file *locked_by;
};

struct entry {
    char path[OS_PATH_MAX];
    struct inode *seen, *durable; /* NULL: not there */
    bool seen_directory, durable_directory;
};

/* A change of a name since its directory's last sync: the name then meant `inode`. */
struct change {
    uint32_t entry;
    struct inode *inode; /* linked */
    uint32_t with;       /* changes with the same number are one: a rename */
    bool present;        /* of a directory */
};

struct sim_file {
    struct os_file file;
    struct inode *inode;
    uint64_t boot; /* handles of an earlier boot are dead */
    bool writes;
    char path[];
};

struct os_sim {
    struct os os;
    pthread_mutex_t mutex;
    uint64_t seed, draws, boot, operations, crash_at, fail_at;
    enum fr_status fail_status;
    bool dead, fail_sync;
    struct os_sim_options options;
    int64_t wall_us, mono_ns;
    struct entry *entries;
    uint32_t entry_count, entry_capacity;
    struct change *changes;
    uint32_t change_count, change_capacity, rename_count;
    uint64_t reads;
};

static struct os_sim *sim_of(struct os *os)
{
    return (struct os_sim *)os;
}

static void *must(void *memory)
{
    FR_ASSERT(memory); /* a simulation without memory has nothing to say */
    return memory;
}

static uint64_t draw(struct os_sim *sim, uint64_t bound)
{
    return bound ? base_random_u64(sim->seed, sim->draws++, 0) % bound : 0;
}

uint64_t os_sim_draw(struct os_sim *sim, uint64_t bound)
{
    pthread_mutex_lock(&sim->mutex);
    uint64_t drawn = draw(sim, bound);
    pthread_mutex_unlock(&sim->mutex);
    return drawn;
}

/* ---- contents ----------------------------------------------------------------------------------
 */

static void content_resize(struct content *content, uint64_t count)
{
    if (count > content->capacity) {
        uint64_t capacity = FR_MAX(count, content->capacity * 2);
        content->bytes = must(realloc(content->bytes, capacity));
        content->capacity = capacity;
    }
    if (count > content->count)
        memset(content->bytes + content->count, 0, count - content->count);
    content->count = count;
}

static void content_write(struct content *content, uint64_t offset, const void *from, size_t bytes)
{
    if (offset + bytes > content->count)
        content_resize(content, offset + bytes);
    if (bytes)
        memcpy(content->bytes + offset, from, bytes);
}

static void add_pending(struct inode *inode, struct pending pending)
{
    if (inode->pending_count == inode->pending_capacity) {
        inode->pending_capacity = inode->pending_capacity ? inode->pending_capacity * 2 : 8;
        inode->pending =
            must(realloc(inode->pending, inode->pending_capacity * sizeof(*inode->pending)));
    }
    inode->pending[inode->pending_count++] = pending;
}

static void inode_drop(struct inode *inode)
{
    if (!inode || --inode->links > 0)
        return;
    for (uint32_t i = 0; i < inode->pending_count; i++)
        free(inode->pending[i].data);
    free(inode->pending);
    free(inode->seen.bytes);
    free(inode->durable.bytes);
    free(inode);
}

static struct inode *inode_keep(struct inode *inode)
{
    if (inode)
        inode->links++;
    return inode;
}

static void apply(struct content *content, const struct pending *pending)
{
    if (pending->data)
        content_write(content, pending->offset, pending->data, pending->bytes);
    else
        content_resize(content, pending->offset);
}

static void inode_sync(struct inode *inode)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < inode->pending_count; i++) {
        struct pending *pending = &inode->pending[i];
        if (pending->lost) {
            inode->pending[kept++] = *pending;
            continue;
        }
        apply(&inode->durable, pending);
        free(pending->data);
    }
    inode->pending_count = kept;
}

/* The sectors of the inode's write number `when` that a draw says got that far in time. */
static void crash_write(struct os_sim *sim, struct inode *inode, uint32_t when, uint64_t key)
{
    const struct pending *pending = &inode->pending[when];
    size_t at = 0;
    while (at < pending->bytes) {
        uint64_t offset = pending->offset + at, sector = offset / OS_SECTOR_BYTES;
        size_t share = OS_SECTOR_BYTES - (size_t)(offset % OS_SECTOR_BYTES);
        share = FR_MIN(share, pending->bytes - at);
        /* Each sector stops in time somewhere: it holds all its writes before, none after. */
        uint64_t until = base_random_u64(sim->seed, key, sector) % (inode->pending_count + 1);
        if (when < until)
            content_write(&inode->durable, offset, pending->data + at, share);
        at += share;
    }
}

static void inode_crash(struct os_sim *sim, struct inode *inode)
{
    uint64_t key = draw(sim, UINT64_MAX);
    uint32_t total = inode->pending_count;
    uint64_t mood = draw(sim, 4); /* nothing, everything, or in between (twice) */
    uint64_t size = inode->durable.count, seen_size = size;
    uint32_t size_until = (uint32_t)draw(sim, total + 1u);
    for (uint32_t i = 0; i < total && mood != 0; i++) {
        struct pending *pending = &inode->pending[i];
        uint64_t end = pending->offset + pending->bytes;
        seen_size = pending->data ? FR_MAX(seen_size, end) : pending->offset;
        if (mood == 1)
            apply(&inode->durable, pending);
        else if (!pending->data && i < size_until)
            content_resize(&inode->durable, pending->offset);
        else if (pending->data)
            crash_write(sim, inode, i, key);
        if (mood == 1 || i < size_until)
            size = seen_size;
    }
    content_resize(&inode->durable, size);
    for (uint32_t i = 0; i < total; i++)
        free(inode->pending[i].data);
    inode->pending_count = 0;
    content_resize(&inode->seen, 0);
    content_write(&inode->seen, 0, inode->durable.bytes, (size_t)inode->durable.count);
    inode->locked_by = NULL;
}

/* ---- names --------------------------------------------------------------------------------------
 */

/* Without doubled and trailing slashes. */
static void normalise(const char *path, char to[OS_PATH_MAX])
{
    size_t count = 0;
    for (size_t i = 0; path[i] && count + 1 < OS_PATH_MAX; i++) {
        if (path[i] == '/' && count > 0 && to[count - 1] == '/')
            continue;
        to[count++] = path[i];
    }
    while (count > 1 && to[count - 1] == '/')
        count--;
    to[count] = '\0';
}

static uint32_t find_entry(const struct os_sim *sim, const char *path)
{
    for (uint32_t i = 0; i < sim->entry_count; i++) {
        if (strcmp(sim->entries[i].path, path) == 0)
            return i;
    }
    return UINT32_MAX;
}

static uint32_t need_entry(struct os_sim *sim, const char *path)
{
    uint32_t found = find_entry(sim, path);
    if (found != UINT32_MAX)
        return found;
    if (sim->entry_count == sim->entry_capacity) {
        sim->entry_capacity = sim->entry_capacity ? sim->entry_capacity * 2 : 16;
        sim->entries = must(realloc(sim->entries, sim->entry_capacity * sizeof(*sim->entries)));
    }
    struct entry *entry = &sim->entries[sim->entry_count];
    *entry = (struct entry){0};
    memcpy(entry->path, path, strlen(path) + 1);
    return sim->entry_count++;
}

static void parent_of(const char *path, char to[OS_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t count = slash ? (size_t)(slash - path) : 0;
    memcpy(to, path, count);
    to[count] = '\0';
    if (count == 0)
        memcpy(to, slash ? "/" : ".", 2);
}

static bool directory_exists(const struct os_sim *sim, const char *path)
{
    if (strcmp(path, ".") == 0 || strcmp(path, "/") == 0)
        return true;
    uint32_t i = find_entry(sim, path);
    return i != UINT32_MAX && sim->entries[i].seen_directory;
}

static bool parent_exists(const struct os_sim *sim, const char *path)
{
    char parent[OS_PATH_MAX];
    parent_of(path, parent);
    return directory_exists(sim, parent);
}

static void set_name(struct os_sim *sim, uint32_t i, struct inode *inode, bool is_directory,
                     uint32_t with)
{
    struct entry *entry = &sim->entries[i];
    if (sim->change_count == sim->change_capacity) {
        sim->change_capacity = sim->change_capacity ? sim->change_capacity * 2 : 16;
        sim->changes = must(realloc(sim->changes, sim->change_capacity * sizeof(*sim->changes)));
    }
    sim->changes[sim->change_count++] = (struct change){i, inode_keep(inode), with, is_directory};
    inode_keep(inode);
    inode_drop(entry->seen);
    entry->seen = inode;
    entry->seen_directory = is_directory;
}

static void make_durable(struct os_sim *sim, const struct change *change)
{
    struct entry *entry = &sim->entries[change->entry];
    inode_keep(change->inode);
    inode_drop(entry->durable);
    entry->durable = change->inode;
    entry->durable_directory = change->present;
}

static bool change_in(const struct os_sim *sim, const struct change *change, const char *directory)
{
    char parent[OS_PATH_MAX];
    parent_of(sim->entries[change->entry].path, parent);
    return strcmp(parent, directory) == 0;
}

static void names_sync(struct os_sim *sim, const char *directory)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < sim->change_count; i++) {
        struct change change = sim->changes[i];
        if (!change_in(sim, &change, directory)) {
            sim->changes[kept++] = change;
            continue;
        }
        make_durable(sim, &change);
        inode_drop(change.inode);
    }
    sim->change_count = kept;
}

/* A journalling file system keeps a prefix of the changes; a lesser one any of them. A rename is
 * one change. */
static void names_crash(struct os_sim *sim)
{
    bool prefix = draw(sim, 4) != 0;
    uint64_t key = draw(sim, UINT64_MAX);
    uint32_t until = (uint32_t)draw(sim, sim->change_count + 1u);
    for (uint32_t i = 0; i < sim->change_count; i++) {
        struct change *change = &sim->changes[i];
        bool again = change->with && i > 0 && sim->changes[i - 1].with == change->with;
        uint32_t unit = again ? i - 1 : i;
        bool kept = prefix ? unit < until : base_random_u64(sim->seed, key, unit) & 1;
        if (kept)
            make_durable(sim, change);
    }
    for (uint32_t i = 0; i < sim->change_count; i++)
        inode_drop(sim->changes[i].inode);
    sim->change_count = 0;
    for (uint32_t i = 0; i < sim->entry_count; i++) {
        struct entry *entry = &sim->entries[i];
        inode_keep(entry->durable);
        inode_drop(entry->seen);
        entry->seen = entry->durable;
        entry->seen_directory = entry->durable_directory;
    }
}

/* ---- the count of operations, and the faults asked for ------------------------------------------
 */

static enum fr_status fail(struct fr_error *error, enum fr_status status, const char *what,
                           const char *path)
{
    base_fail(error, status, "os", "cannot %s %s: %s (simulated)", what, path,
              base_status_name(status));
    if (error)
        error->retriable = status == FR_NO_SPACE;
    return status;
}

/* Locks. Begins an operation: FR_OK to do it; *out_cut when it is the one the crash comes in. */
static enum fr_status begin(struct os_sim *sim, const char *what, const char *path,
                            struct fr_error *error, bool *out_cut)
{
    pthread_mutex_lock(&sim->mutex);
    sim->operations++;
    *out_cut = !sim->dead && sim->crash_at != 0 && sim->operations >= sim->crash_at;
    if (sim->dead || *out_cut) {
        sim->dead = true;
        return fail(error, FR_IO, what, path);
    }
    if (sim->fail_at != 0 && sim->operations == sim->fail_at)
        return fail(error, sim->fail_status, what, path);
    return FR_OK;
}

static enum fr_status end(struct os_sim *sim, enum fr_status status)
{
    pthread_mutex_unlock(&sim->mutex);
    return status;
}

static enum fr_status begin_file(struct sim_file *file, const char *what, struct fr_error *error,
                                 bool *out_cut)
{
    struct os_sim *sim = sim_of(file->file.os);
    enum fr_status status = begin(sim, what, file->path, error, out_cut);
    if (status == FR_OK && file->boot != sim->boot)
        status = fail(error, FR_IO, what, file->path);
    return status;
}

/* ---- the table ----------------------------------------------------------------------------------
 */

static enum fr_status resolve(struct os_sim *sim, const char *path, int flags,
                              struct fr_error *error, struct inode **out_inode)
{
    uint32_t i = find_entry(sim, path);
    bool there = i != UINT32_MAX && sim->entries[i].seen;
    if (i != UINT32_MAX && sim->entries[i].seen_directory)
        return fail(error, FR_INVALID, "open", path);
    if (there && flags & OS_EXCLUSIVE)
        return fail(error, FR_EXISTS, "create", path);
    if (!there && (!(flags & OS_CREATE) || !parent_exists(sim, path)))
        return fail(error, FR_NOT_FOUND, "open", path);
    if (!there) {
        struct inode *inode = must(calloc(1, sizeof(*inode)));
        i = need_entry(sim, path);
        set_name(sim, i, inode, false, 0);
    }
    *out_inode = sim->entries[i].seen;
    if (there && flags & OS_TRUNCATE) {
        content_resize(&(*out_inode)->seen, 0);
        add_pending(*out_inode, (struct pending){.offset = 0});
    }
    return FR_OK;
}

static enum fr_status sim_open(struct os *os, const char *path, int flags, struct fr_error *error,
                               struct os_file **out_file)
{
    struct os_sim *sim = sim_of(os);
    char plain[OS_PATH_MAX];
    struct inode *inode;
    bool cut;
    normalise(path, plain);
    enum fr_status status = begin(sim, "open", plain, error, &cut);
    if (status == FR_OK)
        status = resolve(sim, plain, flags, error, &inode);
    if (status != FR_OK)
        return end(sim, status);
    size_t bytes = strlen(plain) + 1;
    struct sim_file *file = must(calloc(1, sizeof(*file) + bytes));
    file->file.os = os;
    file->inode = inode_keep(inode);
    file->boot = sim->boot;
    file->writes = flags & OS_WRITE;
    memcpy(file->path, plain, bytes);
    *out_file = &file->file;
    return end(sim, FR_OK);
}

static void sim_close(struct os_file *os_file)
{
    struct sim_file *file = (struct sim_file *)os_file;
    struct os_sim *sim = sim_of(os_file->os);
    pthread_mutex_lock(&sim->mutex);
    if (file->inode->locked_by == file)
        file->inode->locked_by = NULL;
    inode_drop(file->inode);
    free(file);
    pthread_mutex_unlock(&sim->mutex);
}

static enum fr_status sim_read_at(struct os_file *os_file, uint64_t offset, void *to, size_t bytes,
                                  size_t *out_bytes, struct fr_error *error)
{
    struct sim_file *file = (struct sim_file *)os_file;
    struct os_sim *sim = sim_of(os_file->os);
    bool cut;
    enum fr_status status = begin_file(file, "read", error, &cut);
    if (status != FR_OK)
        return end(sim, status);
    const struct content *seen = &file->inode->seen;
    size_t got = offset < seen->count ? (size_t)FR_MIN((uint64_t)bytes, seen->count - offset) : 0;
    if (got)
        memcpy(to, seen->bytes + offset, got);
    sim->reads++;
    uint32_t one_in = sim->options.read_flip_one_in;
    if (one_in && got && draw(sim, one_in) == 0)
        ((uint8_t *)to)[draw(sim, got)] ^= (uint8_t)(1u << draw(sim, 8));
    *out_bytes = got;
    return end(sim, FR_OK);
}

static uint64_t disk_bytes(const struct os_sim *sim)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < sim->entry_count; i++)
        bytes += sim->entries[i].seen ? sim->entries[i].seen->seen.count : 0;
    return bytes;
}

/* What a lost write left on the medium, if anything, is overwritten here by a later one. */
static void clip_lost(struct inode *inode, uint64_t offset, size_t bytes)
{
    uint64_t end = offset + bytes;
    for (uint32_t i = 0; i < inode->pending_count; i++) {
        struct pending *pending = &inode->pending[i];
        uint64_t pending_end = pending->offset + pending->bytes;
        if (!pending->lost || pending->offset >= end || pending_end <= offset)
            continue;
        if (pending_end > end) {
            struct pending right = {.offset = end,
                                    .bytes = (size_t)(pending_end - end),
                                    .lost = true};
            right.data = must(malloc(right.bytes));
            memcpy(right.data, pending->data + (end - pending->offset), right.bytes);
            add_pending(inode, right);
            pending = &inode->pending[i];
        }
        pending->bytes = offset > pending->offset ? (size_t)(offset - pending->offset) : 0;
    }
}

static void write_seen(struct inode *inode, uint64_t offset, const void *from, size_t bytes)
{
    if (bytes == 0)
        return;
    struct pending pending = {.offset = offset, .bytes = bytes, .data = must(malloc(bytes))};
    memcpy(pending.data, from, bytes);
    content_write(&inode->seen, offset, from, bytes);
    clip_lost(inode, offset, bytes);
    add_pending(inode, pending);
}

/* A write that was cut short: the kernel takes whole sectors (pages, in fact). */
static void write_part(struct inode *inode, uint64_t offset, const void *from, uint64_t bytes)
{
    uint64_t end = (offset + bytes) / OS_SECTOR_BYTES * OS_SECTOR_BYTES;
    write_seen(inode, offset, from, end > offset ? (size_t)(end - offset) : 0);
}

static enum fr_status sim_write_at(struct os_file *os_file, uint64_t offset, const void *from,
                                   size_t bytes, struct fr_error *error)
{
    struct sim_file *file = (struct sim_file *)os_file;
    struct os_sim *sim = sim_of(os_file->os);
    struct inode *inode = file->inode;
    bool cut;
    enum fr_status status = begin_file(file, "write", error, &cut);
    if (cut || (status != FR_OK && file->boot == sim->boot && !sim->dead))
        write_part(inode, offset, from, draw(sim, bytes + 1)); /* it got so far */
    if (status != FR_OK)
        return end(sim, status);
    FR_ASSERT(file->writes);
    uint64_t grows = offset + bytes > inode->seen.count ? offset + bytes - inode->seen.count : 0;
    uint64_t max = sim->options.disk_bytes_max, used = max && grows ? disk_bytes(sim) : 0;
    if (max && grows && used + grows > max) {
        uint64_t over = used + grows - max;
        write_part(inode, offset, from, over < bytes ? bytes - over : 0);
        return end(sim, fail(error, FR_NO_SPACE, "write", file->path));
    }
    write_seen(inode, offset, from, bytes);
    return end(sim, FR_OK);
}

static enum fr_status sim_sync(struct os_file *os_file, struct fr_error *error)
{
    struct sim_file *file = (struct sim_file *)os_file;
    struct os_sim *sim = sim_of(os_file->os);
    bool cut;
    enum fr_status status = begin_file(file, "sync", error, &cut);
    if (status == FR_OK && sim->fail_sync)
        status = fail(error, FR_IO, "sync", file->path);
    if (status == FR_OK) {
        inode_sync(file->inode);
    } else if (!sim->dead && file->boot == sim->boot) {
        sim->fail_sync = false;
        for (uint32_t i = 0; i < file->inode->pending_count; i++)
            file->inode->pending[i].lost = file->inode->pending[i].data != NULL;
    }
    return end(sim, status);
}

static enum fr_status sim_size(struct os_file *os_file, uint64_t *out_bytes, struct fr_error *error)
{
    struct sim_file *file = (struct sim_file *)os_file;
    bool cut;
    enum fr_status status = begin_file(file, "measure", error, &cut);
    if (status == FR_OK)
        *out_bytes = file->inode->seen.count;
    return end(sim_of(os_file->os), status);
}

static enum fr_status sim_truncate(struct os_file *os_file, uint64_t bytes, struct fr_error *error)
{
    struct sim_file *file = (struct sim_file *)os_file;
    bool cut;
    enum fr_status status = begin_file(file, "truncate", error, &cut);
    if (status == FR_OK || cut) {
        content_resize(&file->inode->seen, bytes);
        add_pending(file->inode, (struct pending){.offset = bytes});
    }
    return end(sim_of(os_file->os), status);
}

static enum fr_status sim_lock(struct os_file *os_file, struct fr_error *error)
{
    struct sim_file *file = (struct sim_file *)os_file;
    bool cut;
    enum fr_status status = begin_file(file, "lock", error, &cut);
    struct sim_file *holder = file->inode->locked_by;
    if (status == FR_OK && holder && holder != file)
        status = fail(error, FR_AGAIN, "lock", file->path);
    if (status == FR_OK)
        file->inode->locked_by = file;
    return end(sim_of(os_file->os), status);
}

static enum fr_status sim_rename(struct os *os, const char *from, const char *to,
                                 struct fr_error *error)
{
    struct os_sim *sim = sim_of(os);
    char source[OS_PATH_MAX], target[OS_PATH_MAX];
    bool cut;
    normalise(from, source);
    normalise(to, target);
    enum fr_status status = begin(sim, "rename", source, error, &cut);
    uint32_t i = find_entry(sim, source);
    bool there = i != UINT32_MAX && sim->entries[i].seen && parent_exists(sim, target);
    if (status == FR_OK && !there)
        status = fail(error, FR_NOT_FOUND, "rename", source);
    if (status == FR_OK || (cut && there && draw(sim, 2))) {
        uint32_t j = need_entry(sim, target), with = ++sim->rename_count;
        struct inode *inode = inode_keep(sim->entries[i].seen);
        set_name(sim, i, NULL, false, with);
        set_name(sim, j, inode, false, with);
        inode_drop(inode);
    }
    return end(sim, status);
}

static enum fr_status sim_unlink(struct os *os, const char *path, struct fr_error *error)
{
    struct os_sim *sim = sim_of(os);
    char plain[OS_PATH_MAX];
    bool cut;
    normalise(path, plain);
    enum fr_status status = begin(sim, "remove", plain, error, &cut);
    uint32_t i = find_entry(sim, plain);
    bool there = i != UINT32_MAX && sim->entries[i].seen;
    if (status == FR_OK && !there)
        status = fail(error, FR_NOT_FOUND, "remove", plain);
    if (status == FR_OK || (cut && there && draw(sim, 2)))
        set_name(sim, i, NULL, false, 0);
    return end(sim, status);
}

static enum fr_status sim_mkdir(struct os *os, const char *path, struct fr_error *error)
{
    struct os_sim *sim = sim_of(os);
    char plain[OS_PATH_MAX], part[OS_PATH_MAX];
    bool cut;
    normalise(path, plain);
    enum fr_status status = begin(sim, "create directory", plain, error, &cut);
    for (size_t i = 1; status == FR_OK && i <= strlen(plain); i++) {
        if (plain[i] != '/' && plain[i] != '\0')
            continue;
        memcpy(part, plain, i);
        part[i] = '\0';
        if (directory_exists(sim, part))
            continue;
        uint32_t j = need_entry(sim, part);
        if (sim->entries[j].seen) {
            status = fail(error, FR_NOT_FOUND, "create directory", part);
            break;
        }
        set_name(sim, j, NULL, true, 0);
        char parent[OS_PATH_MAX];
        parent_of(part, parent);
        names_sync(sim, parent); /* as the door says */
    }
    return end(sim, status);
}

static enum fr_status sim_sync_dir(struct os *os, const char *path, struct fr_error *error)
{
    struct os_sim *sim = sim_of(os);
    char plain[OS_PATH_MAX];
    bool cut;
    normalise(path, plain);
    enum fr_status status = begin(sim, "sync directory", plain, error, &cut);
    if (status == FR_OK && !directory_exists(sim, plain))
        status = fail(error, FR_NOT_FOUND, "sync directory", plain);
    if (status == FR_OK && sim->fail_sync) {
        sim->fail_sync = false;
        status = fail(error, FR_IO, "sync directory", plain);
    }
    if (status == FR_OK)
        names_sync(sim, plain);
    return end(sim, status);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum fr_status sim_list(struct os *os, const char *path,
                               void (*each)(void *context, const char *name), void *context,
                               struct fr_error *error)
{
    struct os_sim *sim = sim_of(os);
    char plain[OS_PATH_MAX], parent[OS_PATH_MAX];
    bool cut;
    normalise(path, plain);
    enum fr_status status = begin(sim, "list", plain, error, &cut);
    if (status == FR_OK && !directory_exists(sim, plain))
        status = fail(error, FR_NOT_FOUND, "list", plain);
    if (status != FR_OK)
        return end(sim, status);
    char **names = must(calloc(sim->entry_count + 1u, sizeof(*names)));
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->entry_count; i++) {
        const struct entry *entry = &sim->entries[i];
        parent_of(entry->path, parent);
        if ((!entry->seen && !entry->seen_directory) || strcmp(parent, plain) != 0)
            continue;
        const char *slash = strrchr(entry->path, '/');
        names[count++] = must(strdup(slash ? slash + 1 : entry->path));
    }
    end(sim, FR_OK); /* `each` may call back */
    qsort(names, count, sizeof(*names), compare_names);
    for (uint32_t i = 0; i < count; i++) {
        each(context, names[i]);
        free(names[i]);
    }
    free(names);
    return FR_OK;
}

static int64_t sim_wall_us(struct os *os)
{
    struct os_sim *sim = sim_of(os);
    pthread_mutex_lock(&sim->mutex);
    int64_t now = sim->wall_us;
    pthread_mutex_unlock(&sim->mutex);
    return now;
}

static int64_t sim_mono_ns(struct os *os)
{
    struct os_sim *sim = sim_of(os);
    pthread_mutex_lock(&sim->mutex);
    int64_t now = sim->mono_ns;
    pthread_mutex_unlock(&sim->mutex);
    return now;
}

static void sim_random(struct os *os, void *to, size_t bytes)
{
    struct os_sim *sim = sim_of(os);
    pthread_mutex_lock(&sim->mutex);
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)to)[i] = (uint8_t)draw(sim, 256);
    pthread_mutex_unlock(&sim->mutex);
}

static const struct os_table sim_table = {
    .open = sim_open,
    .close = sim_close,
    .read_at = sim_read_at,
    .write_at = sim_write_at,
    .sync = sim_sync,
    .size = sim_size,
    .truncate = sim_truncate,
    .lock = sim_lock,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .sync_dir = sim_sync_dir,
    .list = sim_list,
    .wall_us = sim_wall_us,
    .mono_ns = sim_mono_ns,
    .random = sim_random,
};

/* ---- the machine --------------------------------------------------------------------------------
 */

struct os_sim *os_sim_new(uint64_t seed, const struct os_sim_options *options)
{
    struct os_sim *sim = must(calloc(1, sizeof(*sim)));
    sim->os.table = &sim_table;
    sim->seed = seed;
    if (options)
        sim->options = *options;
    sim->wall_us = sim->options.start_us ? sim->options.start_us : INT64_C(1767225600000000);
    sim->mono_ns = 1000000000;
    pthread_mutex_init(&sim->mutex, NULL);
    return sim;
}

void os_sim_free(struct os_sim *sim)
{
    if (!sim)
        return;
    for (uint32_t i = 0; i < sim->change_count; i++)
        inode_drop(sim->changes[i].inode);
    for (uint32_t i = 0; i < sim->entry_count; i++) {
        inode_drop(sim->entries[i].seen);
        inode_drop(sim->entries[i].durable);
    }
    pthread_mutex_destroy(&sim->mutex);
    free(sim->changes);
    free(sim->entries);
    free(sim);
}

struct os *os_sim_os(struct os_sim *sim)
{
    return &sim->os;
}

uint64_t os_sim_seed(const struct os_sim *sim)
{
    return sim->seed;
}

void os_sim_advance(struct os_sim *sim, int64_t us)
{
    FR_ASSERT(us >= 0);
    pthread_mutex_lock(&sim->mutex);
    sim->wall_us += us;
    sim->mono_ns += us * 1000;
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_wall_jump(struct os_sim *sim, int64_t us)
{
    pthread_mutex_lock(&sim->mutex);
    sim->wall_us += us;
    pthread_mutex_unlock(&sim->mutex);
}

uint64_t os_sim_operations(const struct os_sim *sim)
{
    return sim->operations;
}

void os_sim_crash_at(struct os_sim *sim, uint64_t number)
{
    sim->crash_at = number;
}

bool os_sim_is_dead(const struct os_sim *sim)
{
    return sim->dead;
}

void os_sim_halt(struct os_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    sim->dead = true;
    pthread_mutex_unlock(&sim->mutex);
}

static void reboot(struct os_sim *sim)
{
    sim->boot++;
    sim->dead = false;
    sim->crash_at = 0;
    sim->fail_at = 0;
    sim->fail_sync = false;
}

/* Every inode once: those with a name, seen or durable; the others are gone with their handles. */
void os_sim_crash(struct os_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    names_crash(sim);
    for (uint32_t i = 0; i < sim->entry_count; i++) {
        if (sim->entries[i].seen)
            inode_crash(sim, sim->entries[i].seen);
    }
    reboot(sim);
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_kill(struct os_sim *sim)
{
    pthread_mutex_lock(&sim->mutex);
    for (uint32_t i = 0; i < sim->entry_count; i++) {
        if (sim->entries[i].seen)
            sim->entries[i].seen->locked_by = NULL;
    }
    reboot(sim);
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_fail_at(struct os_sim *sim, uint64_t number, enum fr_status status)
{
    sim->fail_at = number;
    sim->fail_status = status;
}

void os_sim_fail_sync(struct os_sim *sim)
{
    sim->fail_sync = true;
}

void os_sim_disk_limit(struct os_sim *sim, uint64_t bytes_max)
{
    sim->options.disk_bytes_max = bytes_max;
}

uint64_t os_sim_disk_bytes(const struct os_sim *sim)
{
    return disk_bytes(sim);
}

enum fr_status os_sim_damage(struct os_sim *sim, const char *path, uint64_t offset, size_t bytes,
                             uint8_t mask)
{
    char plain[OS_PATH_MAX];
    normalise(path, plain);
    pthread_mutex_lock(&sim->mutex);
    uint32_t i = find_entry(sim, plain);
    struct inode *inode = i == UINT32_MAX ? NULL : sim->entries[i].seen;
    enum fr_status status = inode && offset + bytes <= inode->seen.count ? FR_OK : FR_NOT_FOUND;
    for (size_t at = 0; status == FR_OK && at < bytes; at++) {
        inode->seen.bytes[offset + at] ^= mask;
        if (offset + at < inode->durable.count)
            inode->durable.bytes[offset + at] ^= mask;
    }
    pthread_mutex_unlock(&sim->mutex);
    return status;
}
