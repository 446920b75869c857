/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of appliers: kind of record -> what it does to the state. A record whose payload does
 * not decode cannot have come from this program's intake: it is counted and skipped, the same way
 * at every replay. Thread: the fold stage.
 */
#include "fold/fold_priv.h"
#include "rank/health.h"
#include "rank/rank.h"
#include "state/audit.h"

/* What an applier is given. */
struct applying {
    struct fold *fold;
    struct state *state;
    const struct journal_record *record;
    const struct schema_event *event; /* of a record of that kind; NULL: it does not decode */
};

typedef enum fr_status (*applier_fn)(const struct applying *applying);

/* Judged before learnt, and only then counted. */
static void learn_and_count(struct fold *fold, const struct state_event *event)
{
    struct fold__row *row = fold->row;
    struct rank *rank = fold->options.rank;
    if (rank && rank_is_sampled(rank, event->position, row->sample_one_in)) {
        rank_learn(rank, event, true, NULL);
        FR_STORE(row->sampled, row->sampled + 1);
        obs_counter_add(OBS_SAMPLED_EVENTS, 1);
    }
    state_apply(fold->options.state, event);
    if (rank)
        rank_apply(rank, event);
    FR_STORE(row->events, row->events + 1);
}

static enum fr_status apply_event(const struct applying *applying)
{
    struct fold *fold = applying->fold;
    struct fold__row *row = fold->row;
    const struct journal_record *record = applying->record;
    const struct schema_event *event = applying->event;
    struct state_event resolved;
    if (!event)
        return FR_CORRUPT;
    uint32_t body = (uint32_t)base_hash64(record->payload.ptr, record->payload.bytes, 0);
    int64_t time_us = FR_MIN(event->time_us, record->received_us + FOLD__CLOCK_AHEAD_US);
    FR_STORE(row->clamped, row->clamped + (time_us != event->time_us));
    enum state_dedupe seen =
        state_dedupe_check_add(applying->state, event->key, body, record->received_us);
    FR_STORE(row->duplicates, row->duplicates + (seen != STATE_DEDUPE_NEW));
    FR_STORE(row->conflicts, row->conflicts + (seen == STATE_DEDUPE_CONFLICT));
    if (seen != STATE_DEDUPE_NEW)
        return FR_OK;
    FR_TRY(state_resolve(applying->state, event, &row->types, record->position, record->received_us,
                         &resolved));
    learn_and_count(fold, &resolved);
    return FR_OK;
}

static enum fr_status apply_item(const struct applying *applying)
{
    return state_apply_item(applying->state, applying->record->payload,
                            applying->record->received_us);
}

static enum fr_status apply_item_patch(const struct applying *applying)
{
    return state_apply_item_patch(applying->state, applying->record->payload,
                                  applying->record->received_us);
}

static enum fr_status apply_item_delete(const struct applying *applying)
{
    state_apply_item_delete(applying->state, applying->record->payload);
    return FR_OK;
}

static enum fr_status apply_user(const struct applying *applying)
{
    return state_apply_user(applying->state, applying->record->payload);
}

static enum fr_status apply_user_patch(const struct applying *applying)
{
    return state_apply_user_patch(applying->state, applying->record->payload);
}

static enum fr_status apply_user_delete(const struct applying *applying)
{
    state_apply_user_delete(applying->state, applying->record->payload);
    return FR_OK;
}

static enum fr_status apply_types(const struct applying *applying)
{
    struct schema_types types;
    FR_TRY(schema_types_decode(applying->record->payload, &types));
    applying->fold->row->types = types;
    return FR_OK;
}

static enum fr_status apply_tick(const struct applying *applying)
{
    state_apply_tick(applying->state, applying->record->received_us);
    return FR_OK;
}

static enum fr_status apply_sampling(const struct applying *applying)
{
    struct base_reader reader =
        base_reader_of(applying->record->payload.ptr, applying->record->payload.bytes);
    uint32_t one_in = base_reader_u32(&reader);
    if (reader.failed || one_in < 1 || one_in > FOLD__SAMPLE_ONE_IN_MAX)
        return FR_INVALID;
    FR_STORE(applying->fold->row->sample_one_in, one_in);
    return FR_OK;
}

static enum fr_status apply_source(const struct applying *applying)
{
    struct base_reader reader =
        base_reader_of(applying->record->payload.ptr, applying->record->payload.bytes);
    struct fr_slice name = base_reader_string(&reader);
    int32_t partition = (int32_t)base_reader_u32(&reader);
    int64_t next = (int64_t)base_reader_u64(&reader);
    if (reader.failed)
        return FR_INVALID;
    return state_apply_source(applying->state, name, partition, next);
}

static enum fr_status apply_model(const struct applying *applying)
{
    return fold__jobs_apply(applying->fold, applying->record);
}

/* They hold for the whole journal, from the start that told them (snapshot.c); the record tells when. */
static enum fr_status apply_settings(const struct applying *applying)
{
    FR_STORE(applying->fold->row->settings, fold__settings_of(applying->record->payload));
    return FR_OK;
}

static enum fr_status apply_remedy(const struct applying *applying)
{
    struct rank_remedy remedy;
    FR_TRY(rank_remedy_decode(applying->record->payload, &remedy));
    if (applying->fold->options.rank)
        rank_remedy_apply(applying->fold->options.rank, &remedy, applying->record->position);
    return FR_OK;
}

static enum fr_status apply_act(const struct applying *applying)
{
    return state_apply_act(applying->state, applying->record->payload, applying->record->position,
                           applying->record->received_us);
}

static const applier_fn appliers[] = {
    [SCHEMA_KIND_EVENT] = apply_event,
    [SCHEMA_KIND_ITEM] = apply_item,
    [SCHEMA_KIND_ITEM_PATCH] = apply_item_patch,
    [SCHEMA_KIND_ITEM_DELETE] = apply_item_delete,
    [SCHEMA_KIND_USER] = apply_user,
    [SCHEMA_KIND_USER_PATCH] = apply_user_patch,
    [SCHEMA_KIND_USER_DELETE] = apply_user_delete,
    [SCHEMA_KIND_TYPES] = apply_types,
    [SCHEMA_KIND_TICK] = apply_tick,
    [SCHEMA_KIND_SAMPLING] = apply_sampling,
    [SCHEMA_KIND_SOURCE] = apply_source,
    [SCHEMA_KIND_MODEL] = apply_model,
    [SCHEMA_KIND_AUDIT] = apply_act,
    [SCHEMA_KIND_CONFIG] = apply_settings,
    [SCHEMA_KIND_REMEDY] = apply_remedy,
};

void fold__apply_record(struct fold *fold, const struct journal_record *record,
                        const struct schema_event *event)
{
    struct fold__row *row = base_rows_write(fold->own, 1);
    struct applying applying = {.fold = fold,
                                .state = fold->options.state,
                                .record = record,
                                .event = event};
    bool known = record->kind < FR_COUNT_OF(appliers) && appliers[record->kind];
    FR_ASSERT(row == fold->row && record->position == row->position + 1); /* F2 */
    if (!known || appliers[record->kind](&applying) != FR_OK)
        FR_STORE(row->refused, row->refused + 1);
    FR_STORE(row->position, record->position);
    rank_make_room(fold->options.rank, fold->options.state);
}

void fold__apply_begin(struct fold *fold, uint64_t last_position)
{
    __atomic_store_n(&fold->applying, last_position, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* pairs with the fence in fold_still() */
}

void fold__apply_publish(struct fold *fold, uint64_t position)
{
    __atomic_store_n(&fold->applied, position,
                     __ATOMIC_RELEASE); /* F3, pairs with fold_applied() */
}
