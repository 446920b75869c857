/* SPDX-License-Identifier: Apache-2.0
 *
 * Folding what is in the journal already: the rest after a snapshot at a start, or on to a later position.
 * Records are copied from the cursor in stretches; for many of them a second thread reads, checks and
 * decompresses the next stretches meanwhile.
 * Thread: the one that opens or advances the fold; the reading thread lives within the call. Owner: the
 * ring of stretches, under its lock.
 */
#include <stdlib.h>

#include "fold/fold_priv.h"

enum { STRETCHES = 8, READ_AHEAD_FROM = 8 * FOLD__STRETCH_RECORDS_MAX };

struct stretch {
    struct base_buf bytes;
    struct journal_record records[FOLD__STRETCH_RECORDS_MAX];
    uint32_t count;
    enum fr_status status; /* of the read after its last record */
    struct fr_error error;
};

struct replay {
    struct fold *fold;
    struct journal_cursor *cursor;
    uint64_t next, last; /* positions: to be read next, and the end */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t filled, emptied; /* stretches so far; under the lock */
    bool stop;
    struct stretch ring[STRETCHES];
};

/* The slices point into `bytes`, which may move while it grows: set at the end. */
static void fill(struct replay *replay, struct stretch *stretch)
{
    uint64_t left = replay->last + 1 - replay->next;
    uint32_t most = (uint32_t)FR_MIN(left, (uint64_t)FOLD__STRETCH_RECORDS_MAX), at = 0;
    base_buf_clear(&stretch->bytes);
    stretch->status = FR_OK;
    for (stretch->count = 0; stretch->count < most; stretch->count++) {
        struct journal_record *record = &stretch->records[stretch->count];
        stretch->status = journal_cursor_next(replay->cursor, &stretch->error, record);
        if (stretch->status != FR_OK)
            break;
        base_buf_put(&stretch->bytes, record->payload.ptr, record->payload.bytes);
    }
    if (stretch->bytes.overflowed) {
        stretch->count = 0;
        stretch->status = base_fail(&stretch->error, FR_MEMORY, "fold", "no memory for a replay");
    }
    for (uint32_t i = 0; i < stretch->count; i++) {
        struct fr_slice *payload = &stretch->records[i].payload;
        payload->ptr = (const char *)stretch->bytes.bytes + at;
        at += (uint32_t)payload->bytes;
    }
    replay->next += stretch->count;
}

static bool is_end(const struct replay *replay, const struct stretch *stretch)
{
    return stretch->status != FR_OK || replay->next > replay->last;
}

static void *read_main(void *context)
{
    struct replay *replay = context;
    for (bool more = true; more;) {
        pthread_mutex_lock(&replay->lock);
        while (!replay->stop && replay->filled == replay->emptied + STRETCHES)
            pthread_cond_wait(&replay->changed, &replay->lock);
        bool stop = replay->stop;
        pthread_mutex_unlock(&replay->lock);
        if (stop)
            break;
        struct stretch *stretch = &replay->ring[replay->filled % STRETCHES];
        fill(replay, stretch);
        more = !is_end(replay, stretch);
        pthread_mutex_lock(&replay->lock);
        replay->filled++;
        pthread_cond_signal(&replay->changed);
        pthread_mutex_unlock(&replay->lock);
    }
    return NULL;
}

static const struct stretch *wait_for(struct replay *replay)
{
    pthread_mutex_lock(&replay->lock);
    while (replay->filled == replay->emptied)
        pthread_cond_wait(&replay->changed, &replay->lock);
    pthread_mutex_unlock(&replay->lock);
    return &replay->ring[replay->emptied % STRETCHES];
}

static void give_back(struct replay *replay)
{
    pthread_mutex_lock(&replay->lock);
    replay->emptied++;
    pthread_cond_signal(&replay->changed);
    pthread_mutex_unlock(&replay->lock);
}

/* Applies stretch after stretch until the last position or a failure. */
static enum fr_status run(struct replay *replay, bool threaded, fold__progress_fn progress,
                          struct fr_error *error)
{
    struct fold *fold = replay->fold;
    enum fr_status status = FR_OK;
    while (status == FR_OK && fold->row->position < replay->last) {
        const struct stretch *stretch = &replay->ring[0];
        if (threaded)
            stretch = wait_for(replay);
        else
            fill(replay, &replay->ring[0]);
        fold__apply_stretch(fold, stretch->records, stretch->count, false);
        status = stretch->status;
        if (status != FR_OK && error)
            *error = stretch->error;
        if (threaded)
            give_back(replay);
        if (progress)
            progress(fold, replay->last);
    }
    return status;
}

enum fr_status fold__replay(struct fold *fold, uint64_t last, fold__progress_fn progress,
                            struct fr_error *error)
{
    struct replay *replay = calloc(1, sizeof(*replay));
    if (!replay)
        return base_fail(error, FR_MEMORY, "fold", "no memory for a replay");
    *replay = (struct replay){.fold = fold, .next = fold->row->position + 1, .last = last};
    pthread_t reader;
    pthread_mutex_init(&replay->lock, NULL);
    pthread_cond_init(&replay->changed, NULL);
    for (uint32_t i = 0; i < STRETCHES; i++)
        base_buf_init(&replay->ring[i].bytes, 0);
    enum fr_status status =
        journal_cursor_open(fold->journal, replay->next, error, &replay->cursor);
    if (status == FR_OK) {
        bool threaded = !fold->options.by_hand && last - fold->row->position >= READ_AHEAD_FROM &&
                        pthread_create(&reader, NULL, read_main, replay) == 0;
        status = run(replay, threaded, progress, error);
        pthread_mutex_lock(&replay->lock);
        replay->stop = true;
        pthread_cond_signal(&replay->changed);
        pthread_mutex_unlock(&replay->lock);
        if (threaded)
            pthread_join(reader, NULL);
        journal_cursor_close(replay->cursor);
    }
    for (uint32_t i = 0; i < STRETCHES; i++)
        base_buf_release(&replay->ring[i].bytes);
    pthread_cond_destroy(&replay->changed);
    pthread_mutex_destroy(&replay->lock);
    free(replay);
    return status;
}
