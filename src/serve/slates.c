/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/slates: see the door. Two buffers: answers fill one while the thread writes the other.
 * A failing disk is not the answers' business: slates are lost and counted, one log line a second.
 */
#include "serve/slates.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "obs/obs.h"

enum { NAMES_MAX = 4096, WRITE_MS = 200, SYNC_TURNS = 5, FRAME_BYTES = 8 };

static const char magic[8] = {'F', 'R', 'S', 'L', 'A', 'T', 'E', '1'};

struct serve_slates {
    struct os *os;
    char directory[480];
    uint64_t bytes_max;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool runs, quit;         /* quit: under lock */
    struct base_buf filling; /* under lock */
    uint32_t filling_count;
    struct base_buf writing; /* the thread's */
    struct os_file *file;
    uint64_t segment, first_segment, segment_bytes;
};

/* ---- segments --------------------------------------------------------------------------- */

static void segment_path(const struct serve_slates *slates, uint64_t segment, char *out,
                         size_t bytes)
{
    snprintf(out, bytes, "%s/%08llu.slates", slates->directory, (unsigned long long)segment);
}

static void each_name(void *context, const char *name)
{
    struct serve_slates *slates = context;
    char *end;
    unsigned long long segment = strtoull(name, &end, 10);
    if (end == name || strcmp(end, ".slates") != 0)
        return;
    slates->segment = FR_MAX(slates->segment, (uint64_t)segment + 1);
    slates->first_segment = FR_MIN(slates->first_segment, (uint64_t)segment);
}

static enum fr_status segment_open(struct serve_slates *slates, struct fr_error *error)
{
    char path[512];
    segment_path(slates, slates->segment, path, sizeof path);
    FR_TRY(os_open(slates->os, path, OS_WRITE | OS_CREATE | OS_TRUNCATE, error, &slates->file));
    slates->segment_bytes = sizeof magic;
    return os_write_at(slates->file, 0, magic, sizeof magic, error);
}

/* Keeps the newest segments that fit; the one being written is always kept. */
static void retain(struct serve_slates *slates)
{
    uint64_t kept = FR_MAX(slates->bytes_max / SERVE_SLATES_SEGMENT_BYTES, (uint64_t)1);
    while (slates->first_segment + kept <= slates->segment) {
        char path[512];
        segment_path(slates, slates->first_segment++, path, sizeof path);
        fr_ignore(slates->os->table->unlink(slates->os, path, NULL), "gone is gone");
    }
}

static enum fr_status segment_write(struct serve_slates *slates, struct fr_error *error)
{
    if (!slates->file || slates->segment_bytes > SERVE_SLATES_SEGMENT_BYTES) {
        if (slates->file) {
            os_close(slates->file);
            slates->file = NULL;
            slates->segment++;
        }
        FR_TRY(segment_open(slates, error));
        retain(slates);
    }
    FR_TRY(os_write_at(slates->file, slates->segment_bytes, slates->writing.bytes,
                       slates->writing.count, error));
    slates->segment_bytes += slates->writing.count;
    return FR_OK;
}

/* ---- the thread ------------------------------------------------------------------------- */

static void write_waiting(struct serve_slates *slates)
{
    static struct obs_limit limit;
    struct fr_error error = {0};
    pthread_mutex_lock(&slates->lock);
    struct base_buf full = slates->filling;
    uint32_t count = slates->filling_count;
    slates->filling = slates->writing;
    slates->writing = full;
    slates->filling_count = 0;
    pthread_mutex_unlock(&slates->lock);
    obs_gauge_set(OBS_SLATE_QUEUE, count);
    if (count == 0)
        return;
    if (segment_write(slates, &error) == FR_OK) {
        obs_counter_add(OBS_SLATES, count);
    } else {
        obs_counter_add(OBS_SLATES_LOST, count);
        obs_log_limited(&limit, OBS_WARN, "serve", "%u slates are lost: %s", count, error.message);
    }
    base_buf_clear(&slates->writing);
}

static bool wait_turn(struct serve_slates *slates)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WRITE_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&slates->lock);
    if (!slates->quit)
        pthread_cond_timedwait(&slates->wake, &slates->lock, &until);
    bool quit = slates->quit;
    pthread_mutex_unlock(&slates->lock);
    return !quit;
}

static void *writer_main(void *context)
{
    struct serve_slates *slates = context;
    bool more = true;
    for (uint32_t turn = 1; more; turn++) {
        more = wait_turn(slates);
        write_waiting(slates);
        if (slates->file && (turn % SYNC_TURNS == 0 || !more))
            fr_ignore(os_sync(slates->file, NULL), "slates may be lost; the journal is the truth");
    }
    return NULL;
}

/* ---- the door --------------------------------------------------------------------------- */

enum fr_status serve_slates_open(struct os *os, const char *directory, uint64_t bytes_max,
                                 struct fr_error *error, struct serve_slates **out_slates)
{
    struct serve_slates *slates = calloc(1, sizeof *slates);
    if (!slates)
        return base_fail(error, FR_MEMORY, "serve", "no memory for slates");
    slates->os = os;
    slates->bytes_max = bytes_max;
    snprintf(slates->directory, sizeof slates->directory, "%s/slates", directory);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&slates->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&slates->lock, NULL);
    base_buf_init(&slates->filling, SERVE_SLATES_BUFFER_BYTES);
    base_buf_init(&slates->writing, SERVE_SLATES_BUFFER_BYTES);
    slates->first_segment = UINT64_MAX;
    /* all of it at once, so that no answer ever pays for growth; pages come with use */
    enum fr_status status = FR_OK;
    if (!base_buf_reserve(&slates->filling, SERVE_SLATES_BUFFER_BYTES) ||
        !base_buf_reserve(&slates->writing, SERVE_SLATES_BUFFER_BYTES))
        status = base_fail(error, FR_MEMORY, "serve", "no memory for slates");
    if (status == FR_OK)
        status = os->table->mkdir(os, slates->directory, error);
    if (status == FR_OK)
        status = os->table->list(os, slates->directory, each_name, slates, error);
    slates->first_segment = FR_MIN(slates->first_segment, slates->segment);
    if (status == FR_OK && pthread_create(&slates->thread, NULL, writer_main, slates) != 0)
        status = base_fail(error, FR_IO, "serve", "cannot start the slate writer");
    slates->runs = status == FR_OK;
    if (slates->runs)
        pthread_setname_np(slates->thread, "fr-slates");
    if (status != FR_OK) {
        serve_slates_close(slates);
        return status;
    }
    *out_slates = slates;
    return FR_OK;
}

void serve_slates_close(struct serve_slates *slates)
{
    if (!slates)
        return;
    if (slates->runs) {
        pthread_mutex_lock(&slates->lock);
        slates->quit = true;
        pthread_cond_signal(&slates->wake);
        pthread_mutex_unlock(&slates->lock);
        pthread_join(slates->thread, NULL);
    }
    if (slates->file)
        os_close(slates->file);
    base_buf_release(&slates->filling);
    base_buf_release(&slates->writing);
    pthread_cond_destroy(&slates->wake);
    pthread_mutex_destroy(&slates->lock);
    free(slates);
}

void serve_slates_put(struct serve_slates *slates, struct fr_slice payload)
{
    uint32_t crc = base_crc32c(0, payload.ptr, payload.bytes);
    bool lost = false;
    pthread_mutex_lock(&slates->lock);
    if (slates->filling.count + FRAME_BYTES + payload.bytes > SERVE_SLATES_BUFFER_BYTES) {
        lost = true;
    } else {
        base_buf_put_u32(&slates->filling, (uint32_t)payload.bytes);
        base_buf_put_u32(&slates->filling, crc);
        base_buf_put_slice(&slates->filling, payload);
        slates->filling_count++;
    }
    pthread_mutex_unlock(&slates->lock);
    if (lost)
        obs_counter_add(OBS_SLATES_LOST, 1);
}

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void encode_inputs(const struct serve_decision *decision, const struct serve_inputs *inputs,
                          struct base_buf *out)
{
    const struct serve_settings *settings = &inputs->settings;
    struct base_hash128 hash = serve_slate_hash(inputs->answer);
    base_buf_put_u32(out, decision->timing.took_us);
    for (uint32_t s = 0; s < SERVE_STAGE_COUNT; s++)
        base_buf_put_u32(out, decision->timing.stage_ns[s]);
    base_buf_put_u64(out, settings->seed);
    base_buf_put_u32(out, settings->candidates_max);
    base_buf_put_u32(out, settings->new_age_s);
    base_buf_put_u32(out, settings->category_cap);
    base_buf_put_u32(out, settings->author_cap);
    base_buf_put_u32(out, float_bits(settings->new_share));
    base_buf_put_u8(out, settings->repeats);
    base_buf_put_string(out, fr_slice_str(inputs->version ? inputs->version : ""));
    base_buf_put_u64(out, inputs->answer.bytes);
    base_buf_put_u64(out, hash.lo);
    base_buf_put_u64(out, hash.hi);
    base_buf_put_string(out, inputs->record);
    base_buf_put_varint(out, inputs->args->count);
    for (uint32_t i = 0; i < inputs->args->count; i++) {
        const struct serve_arg *arg = &inputs->args->row[i];
        base_buf_put_u8(out, (uint8_t)((uint32_t)arg->kind | (arg->in_list ? 128u : 0u)));
        base_buf_put_string(out, arg->name);
        base_buf_put_string(out, arg->value);
    }
}

bool serve_slates_samples(uint64_t id, uint32_t one_in)
{
    return one_in != 0 && base_mix64(id) % one_in == 0;
}

void serve_slates_encode(const struct serve_decision *decision, const struct serve_inputs *inputs,
                         const struct state *state, struct base_buf *out)
{
    base_buf_put_u8(out, 3);
    base_buf_put_u64(out, decision->id);
    base_buf_put_u64(out, decision->position);
    base_buf_put_u64(out, (uint64_t)decision->time_us);
    base_buf_put_string(out, fr_slice_str(decision->user_id));
    base_buf_put_u8(out, (uint8_t)((decision->degraded_reason[0] != 0) | decision->still << 1));
    base_buf_put_varint(out, decision->offset);
    base_buf_put_varint(out, decision->place_count);
    for (uint32_t i = 0; i < decision->place_count; i++) {
        const struct serve_place *place = &decision->place[i];
        base_buf_put_string(out, state_item_id(state, place->item));
        base_buf_put_u32(out, float_bits(place->score));
        base_buf_put_u32(out, float_bits(place->propensity));
        base_buf_put_u8(out, place->move);
        base_buf_put_varint(out, place->generators);
    }
    encode_inputs(decision, inputs, out);
}
