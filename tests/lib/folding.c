/* SPDX-License-Identifier: Apache-2.0
 *
 * folding: see folding.h.
 */
#include "tests/lib/folding.h"

#include <stdio.h>
#include <string.h>

#include "schema/schema.h"

static const uint8_t dedupe_key[16] = "freshet tests 01";

static enum fr_status open_parts(struct folding *folding, struct fr_error *error)
{
    struct state_options state = {.item_count_max = 1 << 16,
                                  .user_count_max = 1 << 14,
                                  .context_count_max = 1 << 12,
                                  .token_count_max = 1 << 14,
                                  .text_bytes_max = 16 << 20,
                                  .event_count_max = 1 << 20,
                                  .pair_bytes_max = 64 << 20,
                                  .dedupe_count_max = 1 << 16};
    if (folding->bare)
        state = (struct state_options){.item_count_max = 1 << 9,
                                       .user_count_max = 1 << 8,
                                       .context_count_max = 1 << 7,
                                       .token_count_max = 1 << 9,
                                       .text_bytes_max = 1 << 18,
                                       .event_count_max = 1 << 11,
                                       .pair_bytes_max = 1 << 20,
                                       .dedupe_count_max = 1 << 10};
    if (folding->tight) {
        state.item_count_max = 96;
        state.user_count_max = 64;
    }
    FR_TRY(state_new(&state, error, &folding->state));
    struct rank_options rank = {.state = folding->state};
    if (!folding->bare)
        FR_TRY(rank_new(&rank, error, &folding->rank));
    struct fold_options fold = {.os = os_sim_os(folding->sim),
                                .directory = "data",
                                .state = folding->state,
                                .rank = folding->rank,
                                .snapshot_records = folding->snapshot_records,
                                .retention_us = folding->retention_us,
                                .replay_us = folding->replay_us,
                                .queue_bytes_max = folding->queue_bytes_max,
                                .settings = folding->settings,
                                .segment_bytes = 1 << 14, /* several in a run: rolled, sealed */
                                .sample_one_in = 1,
                                .no_remedies = folding->no_remedies,
                                .read_only = folding->until > 0,
                                .until = folding->until,
                                .by_hand = true};
    return fold_open(&fold, error, &folding->fold);
}

static void release_parts(struct folding *folding)
{
    fold_close(folding->fold);
    rank_free(folding->rank);
    state_free(folding->state);
    fold_batch_release(&folding->batch);
    base_buf_release(&folding->payload);
    folding->fold = NULL;
    folding->rank = NULL;
    folding->state = NULL;
}

static enum fr_status open_whole(struct folding *folding, struct fr_error *error)
{
    fold_batch_init(&folding->batch);
    base_buf_init(&folding->payload, 0);
    enum fr_status status = open_parts(folding, error);
    if (status != FR_OK)
        release_parts(folding);
    return status;
}

enum fr_status folding_open(struct folding *folding, struct os_sim *sim, uint64_t snapshot_records,
                            struct fr_error *error)
{
    return folding_open_retaining(folding, sim, snapshot_records, 0, error);
}

enum fr_status folding_open_retaining(struct folding *folding, struct os_sim *sim,
                                      uint64_t snapshot_records, int64_t retention_us,
                                      struct fr_error *error)
{
    *folding = (struct folding){.sim = sim,
                                .snapshot_records = snapshot_records,
                                .retention_us = retention_us};
    return open_whole(folding, error);
}

enum fr_status folding_open_prompt(struct folding *folding, struct os_sim *sim, int64_t replay_us,
                                   struct fr_error *error)
{
    *folding = (struct folding){.sim = sim, .replay_us = replay_us};
    return open_whole(folding, error);
}

enum fr_status folding_open_bounded(struct folding *folding, struct os_sim *sim,
                                    uint32_t queue_bytes_max, struct fr_error *error)
{
    *folding = (struct folding){.sim = sim, .queue_bytes_max = queue_bytes_max};
    return open_whole(folding, error);
}

enum fr_status folding_open_watching(struct folding *folding, struct os_sim *sim,
                                     struct fr_error *error)
{
    *folding = (struct folding){.sim = sim, .no_remedies = true};
    return open_whole(folding, error);
}

enum fr_status folding_open_settings(struct folding *folding, struct os_sim *sim,
                                     const char *settings, int64_t retention_us,
                                     struct fr_error *error)
{
    *folding = (struct folding){.sim = sim, .settings = settings, .retention_us = retention_us};
    return open_whole(folding, error);
}

enum fr_status folding_open_bare(struct folding *folding, struct os_sim *sim,
                                 struct fr_error *error)
{
    *folding = (struct folding){.sim = sim, .bare = true};
    return open_whole(folding, error);
}

enum fr_status folding_open_tight(struct folding *folding, struct os_sim *sim,
                                  uint64_t snapshot_records, struct fr_error *error)
{
    *folding = (struct folding){.sim = sim, .snapshot_records = snapshot_records, .tight = true};
    return open_whole(folding, error);
}

enum fr_status folding_open_until(struct folding *folding, struct os_sim *sim, uint64_t until,
                                  struct fr_error *error)
{
    FR_ASSERT(until > 0);
    *folding = (struct folding){.sim = sim, .until = until};
    return open_whole(folding, error);
}

void folding_close(struct folding *folding)
{
    release_parts(folding);
}

void folding_kill(struct folding *folding, bool power)
{
    os_sim_halt(folding->sim);
    release_parts(folding);
    if (power)
        os_sim_crash(folding->sim);
    else
        os_sim_kill(folding->sim);
}

uint32_t folding_user_of(uint64_t seed, uint64_t n)
{
    return (uint32_t)(base_random_u64(seed, n, 0) % FOLDING_USERS);
}

uint32_t folding_item_of(uint64_t seed, uint64_t n)
{
    (void)seed;
    return (uint32_t)n; /* every event names an item of its own block, so that histories tell all */
}

void folding_add_event(struct folding *folding, uint64_t seed, uint64_t n)
{
    static const char *const devices[] = {"phone", "desktop", "tablet"};
    char id[32], user[32], item[32], region[16];
    snprintf(id, sizeof(id), "e%llu", (unsigned long long)n);
    snprintf(user, sizeof(user), "u%u", folding_user_of(seed, n));
    snprintf(item, sizeof(item), "i%u", folding_item_of(seed, n));
    snprintf(region, sizeof(region), "r%u", (unsigned)(base_random_u64(seed, n, 2) % 5));
    struct schema_event event = {.id = fr_slice_str(id),
                                 .user = fr_slice_str(user),
                                 .item = fr_slice_str(item),
                                 .type =
                                     base_random_u64(seed, n, 3) % 8 ? SCHEMA_CLICK : SCHEMA_LIKE};
    event.key = base_siphash128(id, strlen(id), dedupe_key);
    event.time_us = 1767225600000000 + (int64_t)n * 7000000 -
                    (int64_t)(base_random_u64(seed, n, 4) % 60) * 1000000;
    event.context.device = fr_slice_str(devices[base_random_u64(seed, n, 5) % 3]);
    event.context.region = fr_slice_str(region);
    base_buf_clear(&folding->payload);
    schema_event_encode(&event, &folding->payload);
    fold_batch_add(&folding->batch, SCHEMA_KIND_EVENT, base_buf_slice(&folding->payload));
}

void folding_add_items(struct folding *folding, uint64_t seed)
{
    for (uint64_t i = 0; i < FOLDING_ITEMS; i++) {
        char id[16], title[64], category[16];
        snprintf(id, sizeof(id), "i%u", (unsigned)i);
        snprintf(title, sizeof(title), "Story %u of the river", (unsigned)i);
        snprintf(category, sizeof(category), "c%u", (unsigned)(base_random_u64(seed, i, 9) % 6));
        struct schema_item item = {.id = fr_slice_str(id),
                                   .title = fr_slice_str(title),
                                   .category_count = 1,
                                   .present = SCHEMA_TITLE | SCHEMA_CATEGORIES};
        item.categories[0] = fr_slice_str(category);
        base_buf_clear(&folding->payload);
        schema_item_encode(&item, &folding->payload);
        fold_batch_add(&folding->batch, SCHEMA_KIND_ITEM, base_buf_slice(&folding->payload));
    }
}

enum fr_status folding_run(struct folding *folding)
{
    enum fr_status status = fold_run(folding->fold, &folding->batch, FOLD_ACK_APPLIED);
    fold_batch_clear(&folding->batch);
    return status;
}

static void stream_open(struct folding *folding, struct os_sim *sim,
                        const struct folding_stream *stream, const struct folding_manner *manner)
{
    struct fr_error error = {0};
    enum fr_status status =
        (stream->tight ? folding_open_tight : folding_open)(folding, sim, manner->snapshot_records,
                                                            &error);
    FR_ASSERT(status == FR_OK);
}

static void stream_restart(struct folding *folding, const struct folding_stream *stream,
                           const struct folding_manner *manner, uint64_t n)
{
    if (manner->kill)
        folding_kill(folding, n % 2);
    else
        folding_close(folding);
    stream_open(folding, folding->sim, stream, manner);
}

static void stream_run(struct folding *folding, const struct folding_stream *stream)
{
    folding->batch.received_us = stream->received_us;
    FR_ASSERT(folding_run(folding) == FR_OK);
}

struct base_hash128 folding_stream_hash(const struct folding_stream *stream,
                                        const struct folding_manner *manner)
{
    struct os_sim *sim = os_sim_new(stream->seed, NULL);
    struct folding folding;
    stream_open(&folding, sim, stream, manner);
    if (stream->first) {
        stream->first(&folding);
        stream_run(&folding, stream);
    }
    for (uint64_t n = 0; n < stream->events;) {
        for (uint64_t i = 0; i < manner->batch && n < stream->events; i++, n++)
            stream->add(&folding, n);
        stream_run(&folding, stream);
        if (manner->restart_every && n % manner->restart_every < manner->batch &&
            n < stream->events)
            stream_restart(&folding, stream, manner, n);
    }
    struct base_hash128 hash = fold_hash(folding.fold, NULL);
    stream->check(&folding);
    folding_close(&folding);
    os_sim_free(sim);
    return hash;
}

bool folding_hash_equal(struct base_hash128 a, struct base_hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}
