/* SPDX-License-Identifier: Apache-2.0
 *
 * The two stages. Journal stage: takes what waits (at most 1,000 records or 4 MiB), appends it as
 * one group, syncs, hands it on: group commit without a timer, since what arrives during a sync is
 * the next group. Fold stage: applies durable units in order, publishes, answers who waits.
 *
 * Thread: each step runs on its own thread, or both are driven by one caller (simulation, tools).
 * Locks: a queue's lock and command_lock are leaves, never held together.
 */
#include "fold/fold_priv.h"
#include "rank/health.h"

#include <stdlib.h>
#include <string.h>

enum {
    TICK_US = 1000000,
    SNAPSHOT_BLOCKS_A_STEP = 64,
    SPARE_UNITS_MAX = 256,
    SPARE_BYTES_MAX = 1 << 20, /* a larger buffer is not kept */
    SPARE_SHARE = 4,           /* kept buffers: at most this part of what the queues may hold */
    LATE_NS = 3000000,         /* durable to applied: sample less */
    BEHIND_NS = 5000000,       /* durable until its turn: from then on it gives way to nobody */
    PAUSE_NS = 20000000,       /* between two changes */
    CALM_NS = 1000000000,
    BUSY_PART = 4, /* of the time: busy for more than this, it does not sample more */
};

/* ---- queues ----------------------------------------------------------------------------- */

void fold__queue_init(struct fold__queue *queue)
{
    *queue = (struct fold__queue){0};
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
}

static void unit_free(struct fold__unit *unit)
{
    base_buf_release(&unit->bytes);
    free(unit);
}

void fold__queue_release(struct fold__queue *queue)
{
    struct fold__unit *next;
    for (struct fold__unit *unit = queue->first; unit; unit = next) {
        next = unit->next;
        unit_free(unit);
    }
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
}

static void queue_link(struct fold__queue *queue, struct fold__unit *unit)
{
    unit->next = NULL;
    if (queue->last)
        queue->last->next = unit;
    else
        queue->first = unit;
    queue->last = unit;
    queue->bytes += unit->bytes.count;
    queue->units++;
}

static struct fold__unit *queue_unlink(struct fold__queue *queue)
{
    struct fold__unit *unit = queue->first;
    if (!unit)
        return NULL;
    queue->first = unit->next;
    if (!queue->first)
        queue->last = NULL;
    queue->bytes -= unit->bytes.count;
    queue->units--;
    unit->next = NULL;
    return unit;
}

static void queue_put(struct fold__queue *queue, struct fold__unit *unit)
{
    pthread_mutex_lock(&queue->lock);
    queue_link(queue, unit);
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

/* Up to a group of units as a list. NULL: nothing waits (or, waiting, closed and empty). */
static struct fold__unit *queue_take_group(struct fold__queue *queue, bool wait, size_t records_max,
                                           size_t bytes_max)
{
    struct fold__queue group = {0};
    size_t records = 0;
    pthread_mutex_lock(&queue->lock);
    while (wait && !queue->first && !queue->closed) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1; /* wakes for the tick */
        if (pthread_cond_timedwait(&queue->filled, &queue->lock, &until) != 0)
            break;
    }
    while (queue->first &&
           (!group.first || (records + queue->first->count <= records_max &&
                             group.bytes + queue->first->bytes.count <= bytes_max))) {
        struct fold__unit *unit = queue_unlink(queue);
        records += unit->count;
        queue_link(&group, unit);
    }
    pthread_mutex_unlock(&queue->lock);
    return group.first;
}

static bool queue_closed(struct fold__queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool closed = queue->closed && !queue->first;
    pthread_mutex_unlock(&queue->lock);
    return closed;
}

static void queue_close(struct fold__queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

static size_t queue_bytes(struct fold__queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t bytes = queue->bytes;
    pthread_mutex_unlock(&queue->lock);
    return bytes;
}

/* ---- units ------------------------------------------------------------------------------ */

static struct fold__unit *unit_new(struct fold *fold)
{
    pthread_mutex_lock(&fold->spare.lock);
    struct fold__unit *unit = queue_unlink(&fold->spare);
    fold->spare_bytes -= unit ? unit->bytes.capacity : 0;
    pthread_mutex_unlock(&fold->spare.lock);
    if (unit)
        return unit;
    unit = calloc(1, sizeof(*unit));
    FR_ASSERT(unit != NULL);
    return unit;
}

static void unit_recycle(struct fold *fold, struct fold__unit *unit)
{
    pthread_mutex_lock(&fold->spare.lock);
    size_t bytes_max = fold->options.queue_bytes_max / SPARE_SHARE;
    bool keep = fold->spare.units < SPARE_UNITS_MAX &&
                unit->bytes.capacity <= (size_t)SPARE_BYTES_MAX &&
                fold->spare_bytes + unit->bytes.capacity <= bytes_max;
    if (keep) {
        fold->spare_bytes += unit->bytes.capacity;
        struct base_buf bytes = unit->bytes;
        base_buf_clear(&bytes);
        *unit = (struct fold__unit){.bytes = bytes};
        queue_link(&fold->spare, unit);
    }
    pthread_mutex_unlock(&fold->spare.lock);
    if (!keep)
        unit_free(unit);
}

static void unit_answer(struct fold__unit *unit)
{
    struct fold_batch *batch = unit->batch;
    unit->batch = NULL;
    if (batch && batch->done)
        batch->done(batch->done_context, batch);
}

static void unit_finish(struct fold *fold, struct fold__unit *unit)
{
    unit_recycle(fold, unit);
    pthread_mutex_lock(&fold->command_lock);
    fold->applied_units++;
    pthread_cond_broadcast(&fold->command_done);
    pthread_mutex_unlock(&fold->command_lock);
}

static void unit_fail(struct fold *fold, struct fold__unit *unit, const struct fr_error *error)
{
    if (unit->batch) {
        unit->batch->status = error->status;
        unit->batch->error = *error;
    }
    unit_answer(unit);
    unit_finish(fold, unit);
}

/* ---- submit ------------------------------------------------------------------------------ */

enum fr_status fold_submit(struct fold *fold, struct fold_batch *batch, enum fold_ack ack,
                           void (*done)(void *context, struct fold_batch *batch), void *context)
{
    FR_ASSERT(batch->count > 0 && !batch->bytes.overflowed);
    if (batch->bytes.count > JOURNAL_GROUP_BYTES_MAX / 2)
        return FR_INVALID;
    if (fold_failed(fold) || fold->options.read_only)
        return FR_IO;
    size_t waiting = queue_bytes(&fold->to_journal) + queue_bytes(&fold->to_apply);
    if (waiting + batch->bytes.count > fold->options.queue_bytes_max && waiting > 0)
        return FR_FULL;
    struct fold__unit *unit = unit_new(fold);
    struct base_buf spare = unit->bytes;
    unit->bytes = batch->bytes; /* the caller's buffer against a spare one */
    batch->bytes = spare;
    if (batch->received_us == 0)
        batch->received_us = os_wall_us(fold->options.os);
    unit->count = batch->count;
    unit->received_us = batch->received_us;
    unit->ack = ack;
    unit->batch = ack == FOLD_ACK_NONE ? NULL : batch;
    batch->status = FR_OK;
    batch->done = done;
    batch->done_context = context;
    pthread_mutex_lock(&fold->command_lock);
    fold->submitted_units++;
    pthread_mutex_unlock(&fold->command_lock);
    queue_put(&fold->to_journal, unit);
    return FR_OK;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void waiter_done(void *context, struct fold_batch *batch)
{
    struct waiter *waiter = context;
    (void)batch;
    pthread_mutex_lock(&waiter->lock);
    waiter->is_done = true;
    pthread_cond_signal(&waiter->done);
    pthread_mutex_unlock(&waiter->lock);
}

static void drive(struct fold *fold)
{
    while (fold__journal_step(fold, false) || fold__apply_step(fold, false))
        ;
}

enum fr_status fold_run(struct fold *fold, struct fold_batch *batch, enum fold_ack ack)
{
    struct waiter waiter = {.is_done = false};
    pthread_mutex_init(&waiter.lock, NULL);
    pthread_cond_init(&waiter.done, NULL);
    enum fr_status status = fold_submit(fold, batch, ack, waiter_done, &waiter);
    if (status == FR_OK && !fold->threads_running)
        drive(fold);
    if (status == FR_OK && ack != FOLD_ACK_NONE) {
        pthread_mutex_lock(&waiter.lock);
        while (!waiter.is_done)
            pthread_cond_wait(&waiter.done, &waiter.lock);
        pthread_mutex_unlock(&waiter.lock);
        status = batch->status;
    }
    pthread_cond_destroy(&waiter.done);
    pthread_mutex_destroy(&waiter.lock);
    return status;
}

/* ---- journal stage ---------------------------------------------------------------------- */

static enum fr_status append_unit(struct fold *fold, struct fold__unit *unit,
                                  struct fr_error *error)
{
    struct base_reader reader = base_reader_of(unit->bytes.bytes, unit->bytes.count);
    for (uint32_t i = 0; i < unit->count; i++) {
        uint64_t position = 0;
        uint8_t kind = base_reader_u8(&reader);
        struct fr_slice payload = base_reader_string(&reader);
        FR_ASSERT(!reader.failed);
        FR_TRY(journal_append(fold->journal, kind, unit->received_us, payload, error, &position));
        if (i == 0)
            unit->first_position = position;
    }
    return FR_OK;
}

static void answer_durable(struct fold__unit *unit, int64_t now_us, int64_t now_ns)
{
    unit->durable_us = now_us;
    unit->durable_ns = now_ns;
    if (!unit->batch)
        return;
    unit->batch->first_position = unit->first_position;
    unit->batch->last_position = unit->first_position + unit->count - 1;
    unit->batch->durable_us = now_us;
    if (unit->ack == FOLD_ACK_DURABLE)
        unit_answer(unit);
}

static void hand_on_own(struct fold *fold, uint8_t kind, uint32_t value)
{
    const char bytes[4] = {(char)value, (char)(value >> 8), (char)(value >> 16),
                           (char)(value >> 24)};
    fold__hand_on(fold, kind, fr_slice_of(bytes, sizeof(bytes)));
}

void fold__hand_on(struct fold *fold, uint8_t kind, struct fr_slice payload)
{
    struct fold__unit *unit = unit_new(fold);
    base_buf_put_u8(&unit->bytes, kind);
    base_buf_put_string(&unit->bytes, payload);
    unit->count = 1;
    unit->received_us = os_wall_us(fold->options.os);
    unit->ack = FOLD_ACK_NONE;
    pthread_mutex_lock(&fold->command_lock);
    fold->submitted_units++;
    pthread_mutex_unlock(&fold->command_lock);
    queue_put(&fold->to_journal, unit);
}

static void tick(struct fold *fold)
{
    int64_t now_us = os_mono_ns(fold->options.os) / 1000;
    uint64_t durable = journal_durable(fold->journal);
    bool due = now_us - fold->tick_last_us >= TICK_US && durable > fold->tick_position;
    uint32_t rate = __atomic_load_n(&fold->options.sample_one_in, __ATOMIC_RELAXED);
    if (!due || fold_failed(fold) || rate == FOLD_AS_RECORDED)
        return;
    fold->tick_last_us = now_us;
    fold->tick_position = durable + 1; /* a tick alone asks for no further one */
    hand_on_own(fold, SCHEMA_KIND_TICK, 0);
}

static enum fr_status sync_group(struct fold *fold, struct fr_error *error)
{
    int64_t began_ns = os_mono_ns(fold->options.os);
    uint64_t before = journal_durable(fold->journal);
    obs_counter_add(OBS_JOURNAL_BYTES, journal_staged_bytes(fold->journal));
    enum fr_status status = journal_sync(fold->journal, error);
    uint64_t records = journal_durable(fold->journal) - before;
    obs_histogram_record(OBS_JOURNAL_SYNC, (uint64_t)(os_mono_ns(fold->options.os) - began_ns));
    obs_histogram_record(OBS_JOURNAL_BATCH, records);
    obs_counter_add(OBS_JOURNAL_RECORDS, records);
    obs_counter_add(OBS_JOURNAL_SYNCS, 1);
    obs_counter_add(OBS_JOURNAL_ERRORS, status != FR_OK);
    obs_gauge_set(OBS_JOURNAL_POSITION, (double)journal_durable(fold->journal));
    return status;
}

static void group_failed(struct fold *fold, struct fold__unit *group, const struct fr_error *error)
{
    if (journal_failed(fold->journal) && !fold_failed(fold)) {
        __atomic_store_n(&fold->failed, 1, __ATOMIC_RELEASE); /* pairs with fold_failed(); F5 */
        obs_log(OBS_ERROR, "fold", "%s; nothing more is acknowledged: %s", error->message,
                error->hint[0] ? error->hint : "restart to recover from the journal");
    }
    for (struct fold__unit *next; group; group = next) {
        next = group->next;
        unit_fail(fold, group, error);
    }
}

static void group_durable(struct fold *fold, struct fold__unit *group)
{
    int64_t now_us = os_wall_us(fold->options.os), now_ns = os_mono_ns(fold->options.os);
    __atomic_store_n(&fold->durable, journal_durable(fold->journal), __ATOMIC_RELEASE);
    __atomic_fetch_add(&fold->syncs, 1, __ATOMIC_RELAXED);
    for (struct fold__unit *next; group; group = next) {
        next = group->next;
        answer_durable(group, now_us, now_ns);
        queue_put(&fold->to_apply, group);
    }
}

bool fold__journal_step(struct fold *fold, bool wait)
{
    struct fold__unit *group =
        queue_take_group(&fold->to_journal, wait, FOLD__GROUP_RECORDS_MAX, FOLD__GROUP_BYTES_MAX);
    if (!group) {
        if (fold->threads_running)
            tick(fold);
        return wait && !queue_closed(&fold->to_journal);
    }
    struct fr_error error = {0};
    enum fr_status status = FR_OK;
    if (fold_failed(fold))
        status = base_fail(&error, FR_IO, "fold", "the journal has failed before");
    for (struct fold__unit *unit = group; unit && status == FR_OK; unit = unit->next)
        status = append_unit(fold, unit, &error);
    if (status == FR_OK)
        status = sync_group(fold, &error);
    else
        journal_discard(fold->journal);
    if (status == FR_OK)
        group_durable(fold, group);
    else
        group_failed(fold, group, &error);
    return true;
}

/* ---- fold stage ------------------------------------------------------------------------- */

/* Twice as few for a little late, and again for each doubling of that: what waits when the change is
 * journalled is still folded at the old rate. */
static uint32_t rate_when_late(uint32_t now, int64_t late_ns)
{
    uint32_t wish = now * 2;
    for (; late_ns > 2 * (int64_t)LATE_NS && wish < FOLD__SAMPLE_ONE_IN_MAX; late_ns /= 2)
        wish *= 2;
    return FR_MIN(wish, (uint32_t)FOLD__SAMPLE_ONE_IN_MAX);
}

/* The rate that the load asks for. Lateness is the time from durable to applied: above LATE_NS the
 * fold samples less at once (but for a pause in which the change can take effect); after a whole
 * CALM_NS in which nothing was later than a third of that, it samples more, if the fold was busy for so
 * little of it that twice the learning leaves it half idle. */
static uint32_t rate_for_load(struct fold *fold, const struct fold__unit *unit, int64_t began_ns)
{
    uint32_t now = fold->row->sample_one_in;
    int64_t now_ns = os_mono_ns(fold->options.os), since_ns = now_ns - fold->rate_changed_ns;
    int64_t late_ns = now_ns - unit->durable_ns;
    fold->late_max_ns = FR_MAX(fold->late_max_ns, late_ns);
    fold->busy_ns += now_ns - began_ns;
    bool late = late_ns > LATE_NS && since_ns > PAUSE_NS;
    bool calm = since_ns > CALM_NS && fold->late_max_ns < LATE_NS / 3 &&
                fold->busy_ns < since_ns / BUSY_PART;
    if (!late && since_ns <= CALM_NS)
        return now;
    fold->rate_changed_ns = now_ns;
    fold->late_max_ns = 0;
    fold->busy_ns = 0;
    if (late)
        return rate_when_late(now, late_ns);
    return calm ? FR_MAX(now / 2, 1u) : now;
}

void fold__want_rate(struct fold *fold, uint32_t one_in)
{
    if (one_in == 0 || one_in == FOLD_AS_RECORDED || fold_failed(fold))
        return;
    one_in = FR_MIN(one_in, (uint32_t)FOLD__SAMPLE_ONE_IN_MAX);
    if (__atomic_exchange_n(&fold->rate_wanted, one_in, __ATOMIC_RELAXED) != one_in)
        hand_on_own(fold, SCHEMA_KIND_SAMPLING, one_in);
}

/* Sampling follows the load, unless it is fixed. */
static void choose_rate(struct fold *fold, const struct fold__unit *unit, int64_t began_ns)
{
    if (__atomic_load_n(&fold->options.sample_one_in, __ATOMIC_RELAXED) != 0)
        return;
    uint32_t wish = rate_for_load(fold, unit, began_ns);
    if (wish != fold->row->sample_one_in) /* or a change that is under way would be taken back */
        fold__want_rate(fold, wish);
}

/* What an alarm asks for becomes a record, said once, and acts where that stands. */
static void journal_remedy(struct fold *fold)
{
    struct rank_remedy remedy;
    uint32_t rate = __atomic_load_n(&fold->options.sample_one_in, __ATOMIC_RELAXED);
    if (!fold->options.rank || fold->options.no_remedies ||
        !rank_remedy_wanted(fold->options.rank, &remedy) || remedy.alarm == fold->remedy_said ||
        rate == FOLD_AS_RECORDED || fold_failed(fold))
        return;
    struct base_buf payload;
    base_buf_init(&payload, 0);
    rank_remedy_encode(&remedy, &payload);
    if (!payload.overflowed) {
        fold->remedy_said = remedy.alarm;
        fold__hand_on(fold, SCHEMA_KIND_REMEDY, base_buf_slice(&payload));
    }
    base_buf_release(&payload);
}

/* What became of a unit's records. */
static void count_unit(const struct fold__unit *unit, const struct fold__row *before,
                       const struct fold__row *after)
{
    uint64_t conflicts = after->conflicts - before->conflicts;
    uint64_t duplicates = after->duplicates - before->duplicates;
    uint64_t events = after->events - before->events;
    obs_counter_add(OBS_EVENTS_ACCEPTED, events);
    obs_counter_add(OBS_EVENTS_DUPLICATE, duplicates - conflicts);
    obs_counter_add(OBS_EVENTS_CONFLICTING, conflicts);
    obs_counter_add(OBS_FOLD_CLAMPED, after->clamped - before->clamped);
    if (unit->batch) /* the fold's own records are no changes */
        obs_counter_add(OBS_CHANGES, unit->count - events - duplicates);
}

static void apply_unit(struct fold *fold, struct fold__unit *unit, bool give_way)
{
    struct base_reader reader = base_reader_of(unit->bytes.bytes, unit->bytes.count);
    const struct fold__row before = *fold->row;
    struct journal_record records[FOLD__STRETCH_RECORDS_MAX];
    fold__apply_begin(fold, unit->first_position + unit->count - 1);
    for (uint32_t done = 0; done < unit->count;) {
        uint32_t count = FR_MIN(unit->count - done, (uint32_t)FOLD__STRETCH_RECORDS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            records[i].position = unit->first_position + done + i;
            records[i].received_us = unit->received_us;
            records[i].kind = base_reader_u8(&reader);
            records[i].payload = base_reader_string(&reader);
        }
        FR_ASSERT(!reader.failed);
        fold__apply_stretch(fold, records, count, give_way);
        done += count;
    }
    fold__apply_publish(fold, unit->first_position + unit->count - 1);
    count_unit(unit, &before, fold->row);
    if (unit->batch) {
        unit->batch->applied_us = os_wall_us(fold->options.os);
        unit->batch->duplicate_count = (uint32_t)(fold->row->duplicates - before.duplicates);
    }
}

static void measure_unit(struct fold *fold, const struct fold__unit *unit)
{
    int64_t waited_us = os_wall_us(fold->options.os) - unit->received_us;
    obs_histogram_record(OBS_APPLY, (uint64_t)FR_MAX(waited_us, (int64_t)0) * 1000);
    obs_counter_add(OBS_FOLD_RECORDS, unit->count);
    obs_gauge_set(OBS_FOLD_POSITION, (double)fold->row->position);
    obs_gauge_set(OBS_FOLD_CLOCK, (double)state_clock_us(fold->options.state) * 1e-6);
    obs_gauge_set(OBS_SAMPLE_RATE, fold->row->sample_one_in);
    obs_gauge_set(OBS_INGEST_QUEUE, (double)queue_bytes(&fold->to_journal));
    obs_gauge_set(OBS_FOLD_QUEUE, (double)queue_bytes(&fold->to_apply));
    __atomic_fetch_add(&fold->batches, 1, __ATOMIC_RELAXED);
}

bool fold__apply_step(struct fold *fold, bool wait)
{
    struct fold__unit *unit = queue_take_group(&fold->to_apply, wait, 0, 0);
    if (unit) {
        int64_t began_ns = os_mono_ns(fold->options.os);
        FR_ASSERT(unit->first_position == fold->row->position + 1); /* F2 */
        apply_unit(fold, unit, fold->threads_running && began_ns - unit->durable_ns < BEHIND_NS);
        measure_unit(fold, unit);
        unit_answer(unit);
        fold->applying_ns += os_mono_ns(fold->options.os) - began_ns;
        choose_rate(fold, unit, began_ns);
        journal_remedy(fold);
        unit_finish(fold, unit);
    }
    fold__jobs_step(fold);
    fold__commands(fold);
    return unit || (wait && !queue_closed(&fold->to_apply));
}

/* ---- threads ---------------------------------------------------------------------------- */

static void *journal_main(void *context)
{
    struct fold *fold = context;
    while (fold__journal_step(fold, true))
        ;
    return NULL;
}

static void *apply_main(void *context)
{
    struct fold *fold = context;
    while (fold__apply_step(fold, true))
        ;
    return NULL;
}

/* Writes what the fold stage has frozen; sleeps otherwise. */
static void *snapshot_main(void *context)
{
    struct fold *fold = context;
    for (;;) {
        pthread_mutex_lock(&fold->command_lock);
        while (!fold->snapshot && !fold->snapshot_stop)
            pthread_cond_wait(&fold->command_done, &fold->command_lock);
        bool any = fold->snapshot != NULL;
        pthread_mutex_unlock(&fold->command_lock);
        if (!any)
            return NULL;
        while (fold__snapshot_advance(fold, SNAPSHOT_BLOCKS_A_STEP) == FR_AGAIN)
            ;
    }
}

void fold__threads_start(struct fold *fold)
{
    fold->threads_running = true;
    FR_ASSERT(pthread_create(&fold->journal_thread, NULL, journal_main, fold) == 0);
    FR_ASSERT(pthread_create(&fold->apply_thread, NULL, apply_main, fold) == 0);
    FR_ASSERT(pthread_create(&fold->snapshot_thread, NULL, snapshot_main, fold) == 0);
    pthread_setname_np(fold->journal_thread, "fr-journal");
    pthread_setname_np(fold->apply_thread, "fr-fold");
    pthread_setname_np(fold->snapshot_thread, "fr-snapshot");
    fold__jobs_start(fold);
}

void fold__threads_stop(struct fold *fold)
{
    queue_close(&fold->to_journal);
    pthread_join(fold->journal_thread, NULL);
    queue_close(&fold->to_apply);
    pthread_join(fold->apply_thread, NULL);
    fold__jobs_stop(fold);
    pthread_mutex_lock(&fold->command_lock);
    fold->snapshot_stop = true;
    pthread_cond_broadcast(&fold->command_done);
    pthread_mutex_unlock(&fold->command_lock);
    pthread_join(fold->snapshot_thread, NULL);
    fold->threads_running = false;
}
