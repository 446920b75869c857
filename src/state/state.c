/* SPDX-License-Identifier: Apache-2.0
 *
 * state: the tables, and the fold of one event. See README.md for the way an event takes.
 * Thread: writer, as the door says. Owner: everything in struct state.
 */
#include <stdlib.h>
#include <string.h>

#include "state/audit.h"
#include "state/state_priv.h"

enum { WINDOW = 50, SOURCES_MAX = 16384 /* partitions of topics */ };

/* Weight of a pair at distance d = 1 .. WINDOW in STATE_UNITs: d^-0.4 for the long-term counts,
 * d^-1 within a session. */
static const uint8_t window_weight[WINDOW + 1] = {
    0,  255, 194, 165, 147, 134, 125, 118, 111, 106, 102, 98, 95, 92, 89, 87, 84,
    82, 81,  79,  77,  76,  74,  73,  72,  71,  70,  69,  68, 67, 66, 65, 64, 63,
    62, 62,  61,  60,  60,  59,  59,  58,  57,  57,  56,  56, 55, 55, 54, 54, 54,
};

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

static void options_fill(struct state_options *options)
{
    options->item_count_max = or_default(options->item_count_max, 1u << 20);
    options->user_count_max = or_default(options->user_count_max, 4u << 20);
    options->context_count_max = or_default(options->context_count_max, 1u << 18);
    options->token_count_max = or_default(options->token_count_max, 1u << 20);
    options->newcomer_count_max = or_default(options->newcomer_count_max, 1u << 20);
    options->dedupe_count_max = or_default(options->dedupe_count_max, 10000000);
    options->history_max = or_default(options->history_max, STATE_HISTORY_MAX);
    options->session_gap_s = or_default(options->session_gap_s, STATE_SESSION_GAP_S);
    options->slow_half_life_log2_s = or_default(options->slow_half_life_log2_s, 22);
    if (!options->text_bytes_max)
        options->text_bytes_max = (uint64_t)4 << 30;
    if (!options->event_count_max)
        options->event_count_max = 64u << 20;
    if (!options->pair_bytes_max)
        options->pair_bytes_max = (uint64_t)768 << 20;
    if (!options->dedupe_us)
        options->dedupe_us = (int64_t)86400 * 1000000;
}

static enum fr_status table_new(struct state *state, const char *name, size_t row_bytes,
                                uint64_t count_max, struct base_rows **out, struct fr_error *error)
{
    struct base_rows_options options = {.name = name,
                                        .row_bytes = (uint32_t)row_bytes,
                                        .count_max = (uint32_t)FR_MIN(count_max + 2, UINT32_MAX)};
    FR_TRY(base_rows_new(&options, error, out));
    state->tables[state->table_count++] = *out;
    return FR_OK;
}

static enum fr_status tables_new(struct state *state, struct fr_error *error)
{
    const struct state_options *o = &state->options;
    struct state *s = state;
    FR_TRY(table_new(s, "total", sizeof(struct total_row), 2, &s->total, error));
    FR_TRY(table_new(s, "text", TEXT_UNIT, o->text_bytes_max / TEXT_UNIT, &s->text, error));
    FR_TRY(table_new(s, "items", sizeof(struct item_row), o->item_count_max, &s->items, error));
    FR_TRY(table_new(s, "users", sizeof(struct user_row), o->user_count_max, &s->users, error));
    FR_TRY(table_new(s, "history", sizeof(struct chunk_row), o->event_count_max / 4, &s->chunks,
                     error));
    FR_TRY(
        table_new(s, "older", sizeof(struct older_row), o->event_count_max / 14, &s->older, error));
    FR_TRY(
        table_new(s, "values", sizeof(struct value_row), o->context_count_max, &s->values, error));
    FR_TRY(table_new(s, "tokens", sizeof(struct token_row), o->token_count_max, &s->tokens, error));
    FR_TRY(
        table_new(s, "dedupe", sizeof(struct dedupe_row), o->dedupe_count_max, &s->dedupe, error));
    FR_TRY(table_new(s, "sources", sizeof(struct source_row), SOURCES_MAX, &s->sources, error));
    FR_TRY(table_new(s, "expiry", sizeof(struct expiry_row), STATE_KIND_COUNT, &s->expiry, error));
    FR_TRY(table_new(s, "audit", STATE__ACT_BYTES, STATE_ACTS_KEPT, &s->acts, error));
    FR_TRY(state__newcomers_new(o->newcomer_count_max / 16, error, &s->newcomers));
    s->tables[s->table_count++] = s->newcomers;
    FR_TRY(state__pairs_new(&s->pairs, o, error));
    for (uint32_t class = 0; class < PAIR_CLASSES; class ++)
        s->tables[s->table_count++] = s->pairs.tables[class];
    s->tables[s->table_count++] = s->pairs.tops;
    return FR_OK;
}

/* What is there from the start. */
static void first_rows(struct state *state)
{
    FR_ASSERT(base_rows_add(state->total) == 1);
    for (uint32_t k = 1; k <= STATE_KIND_COUNT; k++)
        FR_ASSERT(base_rows_add(state->expiry) == k);
}

enum fr_status state_new(const struct state_options *options, struct fr_error *error,
                         struct state **out_state)
{
    struct state *state = calloc(1, sizeof(*state));
    if (!state)
        return base_fail(error, FR_MEMORY, "state", "no memory");
    if (options)
        state->options = *options;
    options_fill(&state->options);
    base_buf_init(&state->patched, 0);
    state->item_map = state__map_new(1);
    state->user_map = state__map_new(2);
    state->value_map = state__map_new(3);
    state->token_map = state__map_new(4);
    state->stemmers = state__stemmers_new();
    enum fr_status status = FR_MEMORY;
    if (state->item_map && state->user_map && state->value_map && state->token_map &&
        state->stemmers && state__dedupe_new(state) == FR_OK)
        status = tables_new(state, error);
    if (status == FR_OK)
        status = state__expire_new(state, error);
    if (status != FR_OK) {
        state_free(state);
        return status;
    }
    first_rows(state);
    state->pairs.ages = &state__total(state)->ages;
    *out_state = state;
    return FR_OK;
}

void state_free(struct state *state)
{
    if (!state)
        return;
    for (uint32_t i = 0; i < state->table_count; i++)
        base_rows_free(state->tables[i]);
    state__map_free(state->item_map);
    state__map_free(state->user_map);
    state__map_free(state->value_map);
    state__map_free(state->token_map);
    state__stemmers_free(state->stemmers);
    state__dedupe_free(state);
    base_buf_release(&state->patched);
    free(state->gone);
    free(state);
}

struct base_rows *const *state_tables(const struct state *state, uint32_t *out_count)
{
    *out_count = state->table_count;
    return state->tables;
}

const struct state_options *state_limits(const struct state *state)
{
    return &state->options;
}

enum fr_status state_rebuild(struct state *state, struct fr_error *error)
{
    if (base_rows_count(state->total) != 2)
        return base_fail(error, FR_CORRUPT, "state", "table \"total\" must have one row");
    if (base_rows_count(state->expiry) != 1 + STATE_KIND_COUNT)
        return base_fail(error, FR_CORRUPT, "state", "table \"expiry\" must have %u rows",
                         (uint32_t)STATE_KIND_COUNT);
    FR_TRY(state__ids_rebuild(state, error));
    state__expire_rebuild(state);
    return state__dedupe_rebuild(state, error);
}

void state_clear(struct state *state)
{
    for (uint32_t i = 0; i < state->table_count; i++)
        base_rows_clear(state->tables[i]);
    first_rows(state);
    fr_ignore(state_rebuild(state, NULL), "an empty state cannot be corrupt");
}

/* ---- resolving ------------------------------------------------------------------------------ */

uint32_t state_session_tag(struct fr_slice session_id)
{
    return (uint32_t)(base_hash64_slice(session_id, 7) >> 32) | 1u;
}

static void cut_session(const struct state *state, struct fr_slice session,
                        struct state_event *event)
{
    const struct user_row *user = state__user(state, event->user);
    if (session.bytes) {
        event->session_tag = state_session_tag(session);
        event->is_first_of_session =
            user->last_tag != event->session_tag &&
            !state__history_has_tag(state, event->user, event->session_tag);
        return;
    }
    bool runs =
        user->visit_count > 0 && event->clock_s - user->last_s < state->options.session_gap_s;
    event->is_first_of_session = !runs;
    event->session_tag = runs ? user->last_tag : event->clock_s << 1;
}

uint32_t state_session_gap_s(const struct state *state)
{
    return state->options.session_gap_s;
}

static int64_t clock_move(struct state *state, int64_t time_us)
{
    struct total_row *total = base_rows_write(state->total, 1);
    if (time_us > total->clock_us)
        __atomic_store_n(&total->clock_us, time_us, __ATOMIC_RELAXED);
    return total->clock_us;
}

/* Both or neither: an event that is refused for its item gives its user no row. */
static bool resolve_ids(struct state *state, const struct schema_event *event,
                        struct state_event *out)
{
    uint32_t user = state_user_find(state, event->user);
    uint32_t item = state_item_find(state, event->item);
    out->item_was_known = item != 0;
    bool user_good = user || state__user_admit(state, event->user);
    bool item_good = item || state__item_admit(state, event->item);
    if (user_good && item_good) {
        user = user ? user : state__user_intern(state, event->user);
        item = item || !user ? item : state__item_intern(state, event->item);
        user_good = user != 0;
        item_good = item != 0;
    }
    out->user = user;
    out->item = item;
    if (user_good && item_good)
        return true;
    struct total_row *total = base_rows_write(state->total, 1);
    FR_STORE(total->refused_users, total->refused_users + !user_good);
    FR_STORE(total->refused_items, total->refused_items + (user_good && !item_good));
    return false;
}

enum fr_status state_resolve(struct state *state, const struct schema_event *event,
                             const struct schema_types *types, uint64_t position,
                             int64_t received_us, struct state_event *out_event)
{
    struct state_event out = {0};
    if (!resolve_ids(state, event, &out))
        return FR_FULL;
    int64_t time_us = FR_MIN(event->time_us, received_us + STATE_CLOCK_AHEAD_US);
    out = (struct state_event){
        .position = position,
        .time_us = time_us,
        .clock_s = (uint32_t)(clock_move(state, time_us) / 1000000),
        .user = out.user,
        .item = out.item,
        .type = event->type,
        .signal = schema_signal(types, event->type, event->value, event->has_value),
        .is_exposure = event->type < types->count && types->row[event->type].is_exposure,
        .has_request = event->request.bytes > 0,
        .item_was_known = out.item_was_known,
    };
    state__context_intern(state, &event->context, out.context);
    cut_session(state, event->session, &out);
    *out_event = out;
    return FR_OK;
}

/* ---- counting ------------------------------------------------------------------------------- */

static const uint8_t half_life_log2[STATE_HALF_COUNT] = {8, 10, 13, 16, 0};

static uint32_t half_life(const struct state *state, uint32_t h)
{
    return half_life_log2[h] ? half_life_log2[h] : state->options.slow_half_life_log2_s;
}

static void count_popularity(struct state *state, const struct state_event *event, uint32_t weight)
{
    uint32_t t = event->clock_s;
    struct item_row *item = base_rows_write(state->items, event->item);
    struct total_row *total = base_rows_write(state->total, 1);
    base_row_change(&item->version);
    base_row_change(&total->version);
    for (uint32_t h = 0; h < STATE_HALF_COUNT; h++) {
        uint32_t k = half_life(state, h), more = state__scaled(weight, t, k);
        uint32_t old = item->popularity[h] >> state__shift(item->touch_s, t, k);
        FR_STORE(item->popularity[h], state__plus(old, more));
        uint64_t sum = (total->popularity[h] >> state__shift(total->touch_s, t, k)) + more;
        __atomic_store_n(&total->popularity[h], sum, __ATOMIC_RELAXED);
    }
    FR_STORE(item->touch_s, t);
    FR_STORE(item->last_s, t);
    if (!item->first_s)
        FR_STORE(item->first_s, t);
    FR_STORE(item->event_count, item->event_count + 1);
    FR_STORE(item->next, (uint32_t)total->event_count);
    FR_STORE(total->touch_s, t);
    base_row_done(&total->version);
    base_row_done(&item->version);
}

/* Contexts that have rows of what is liked in them. */
static const uint8_t counted_fields[] = {STATE_DEVICE, STATE_COUNTRY,  STATE_REGION,
                                         STATE_CITY,   STATE_REFERRER, STATE_LANGUAGE};

/* Rows of contexts, and the user's newest visits, have mostly left the cache when the event was judged in
 * between: asked for side by side. The second call asks for what the first has brought. */
static void ask_contexts(const struct state *state, const struct state_event *event,
                         void (*ask)(const struct pairs *pairs, uint32_t ref, uint32_t item))
{
    ask(&state->pairs, state__total(state)->everyone, event->item);
    for (uint32_t f = 0; f < FR_COUNT_OF(counted_fields); f++) {
        const struct value_row *row =
            base_rows_at(state->values, event->context[counted_fields[f]]);
        ask(&state->pairs, row->pairs, event->item);
    }
}

/* Popularity among everybody, in each context and in each category of the item. */
static void count_contexts(struct state *state, const struct state_event *event, uint32_t weight)
{
    const struct pair_add add = {event->item, {weight, weight, weight, weight, weight}};
    struct pair_owner owner = {STATE_ROW_EVERYONE, 0, event->clock_s, STATE_ROW_ENTRIES_MAX};
    struct total_row *total = base_rows_write(state->total, 1);
    FR_STORE(total->everyone, state__pairs_add(&state->pairs, total->everyone, &owner, &add, 1));
    owner.slots_max = 320;
    owner.kind = STATE_ROW_CONTEXT;
    for (uint32_t f = 0; f < FR_COUNT_OF(counted_fields); f++) {
        uint32_t value = event->context[counted_fields[f]];
        if (!value)
            continue;
        struct value_row *row = base_rows_write(state->values, value);
        owner.key = value;
        FR_STORE(row->pairs, state__pairs_add(&state->pairs, row->pairs, &owner, &add, 1));
    }
    for (uint32_t f = 0; f < STATE_CONTEXT_COUNT; f++) {
        if (!event->context[f])
            continue;
        struct value_row *row = base_rows_write(state->values, event->context[f]);
        FR_STORE(row->event_count, row->event_count + 1);
        FR_STORE(row->next, (uint32_t)total->event_count);
    }
    owner.kind = STATE_ROW_CATEGORY;
    const struct item_row *item = state__item(state, event->item);
    for (uint32_t c = 0; c < 4 && item->categories[c]; c++) {
        struct token_row *row = base_rows_write(state->tokens, item->categories[c]);
        owner.key = item->categories[c];
        FR_STORE(row->pairs, state__pairs_add(&state->pairs, row->pairs, &owner, &add, 1));
    }
}

static uint32_t weighted(uint32_t weight, float signal)
{
    return (uint32_t)((float)weight * signal);
}

static void count_in_row(struct state *state, const struct pair_owner *owner,
                         const struct pair_add *adds, uint32_t count)
{
    uint32_t ref = state__item(state, owner->key)->pairs;
    uint32_t now = state__pairs_add(&state->pairs, ref, owner, adds, count);
    if (now == ref)
        return;
    struct item_row *row = base_rows_write(state->items, owner->key);
    FR_STORE(row->pairs, now);
}

/* The pairs of this item with the user's newest visits: forward in the earlier item's row,
 * backward in this one's. */
static void count_pairs(struct state *state, const struct state_event *event, float signal)
{
    struct state_visit window[WINDOW];
    struct pair_add back[WINDOW];
    uint32_t count = state__history_window(state, event->user, event->item, window, WINDOW);
    if (count == 0)
        return;
    struct pair_owner owner = {STATE_ROW_ITEM, event->item, event->clock_s,
                               state__pairs_slots_max(&state->pairs,
                                                      base_rows_count(state->items))};
    for (uint32_t i = 0; i < count; i++)
        state__pairs_prefetch(&state->pairs, state__item(state, window[i].item)->pairs);
    for (uint32_t i = 0; i < count; i++) {
        bool same = window[i].session_tag == event->session_tag;
        uint32_t far = weighted(window_weight[i + 1], signal);
        uint32_t near = weighted(STATE_UNIT / (i + 1), signal), session = same ? near : 0;
        uint32_t next = same && i == 0 ? near : 0;
        struct pair_add add = {event->item, {far, 0, near, session, next}};
        back[i] = (struct pair_add){window[i].item, {0, far, near, session, 0}};
        owner.key = window[i].item;
        count_in_row(state, &owner, &add, 1);
    }
    owner.key = event->item;
    count_in_row(state, &owner, back, count);
}

void state_apply(struct state *state, const struct state_event *event)
{
    if (event->is_exposure)
        return;
    if (event->signal > 0.0f) {
        float signal = FR_MIN(event->signal, 4.0f);
        ask_contexts(state, event, state__pairs_prefetch_set);
        if (!state__item(state, event->item)->event_count && !event->item_was_known)
            state__newest_add(state, event->item);
        count_popularity(state, event, weighted(STATE_UNIT, signal));
        ask_contexts(state, event, state__pairs_prefetch_entry);
        count_contexts(state, event, weighted(STATE_UNIT, signal));
        count_pairs(state, event, signal);
    }
    state__history_add(state, event->user, event);
    struct total_row *total = base_rows_write(state->total, 1);
    __atomic_store_n(&total->event_count, total->event_count + 1, __ATOMIC_RELAXED);
}

enum fr_status state_apply_source(struct state *state, struct fr_slice name, int32_t partition,
                                  int64_t next)
{
    uint32_t count = base_rows_count(state->sources);
    for (uint32_t i = 1; i < count; i++) {
        const struct source_row *at = base_rows_at(state->sources, i);
        if (at->partition != partition || at->id_bytes != name.bytes ||
            memcmp(state__text_at(state->text, at->text), name.ptr, name.bytes) != 0)
            continue;
        struct source_row *row = base_rows_write(state->sources, i);
        __atomic_store_n(&row->next, next, __ATOMIC_RELAXED);
        return FR_OK;
    }
    uint32_t text = state__text_add(state->text, name);
    uint32_t i = text ? base_rows_add(state->sources) : 0;
    if (!i)
        return FR_FULL;
    struct source_row *row = base_rows_write(state->sources, i);
    FR_STORE(row->id_bytes, (uint32_t)name.bytes);
    FR_STORE(row->partition, partition);
    __atomic_store_n(&row->next, next, __ATOMIC_RELAXED);
    __atomic_store_n(&row->text, text, __ATOMIC_RELEASE); /* pairs with state_source_offset() */
    return FR_OK;
}

bool state_source_offset(const struct state *state, struct fr_slice name, int32_t partition,
                         int64_t *out_next)
{
    uint32_t count = base_rows_count(state->sources);
    for (uint32_t i = 1; i < count; i++) {
        const struct source_row *at = base_rows_at(state->sources, i);
        uint32_t text = __atomic_load_n(&at->text, __ATOMIC_ACQUIRE);
        if (!text || FR_LOAD(at->partition) != partition || FR_LOAD(at->id_bytes) != name.bytes ||
            memcmp(state__text_at(state->text, text), name.ptr, name.bytes) != 0)
            continue;
        *out_next = __atomic_load_n(&at->next, __ATOMIC_RELAXED);
        return true;
    }
    return false;
}

void state_apply_tick(struct state *state, int64_t received_us)
{
    struct total_row *total = base_rows_write(state->total, 1);
    __atomic_store_n(&total->tick_us, received_us, __ATOMIC_RELAXED);
}

void state_age_counts(struct state *state)
{
    struct ages *ages = &((struct total_row *)base_rows_write(state->total, 1))->ages;
    uint32_t now_s = (uint32_t)(state_clock_us(state) / 1000000);
    FR_STORE(ages->moment_s[ages->at % AGED_KEPT], now_s);
    FR_STORE(ages->at, ages->at + 1);
    FR_STORE(ages->last_s, now_s);
}

/* ---- reading -------------------------------------------------------------------------------- */

uint32_t state_item_count(const struct state *state)
{
    return base_rows_count(state->items);
}

uint32_t state_user_count(const struct state *state)
{
    return base_rows_count(state->users);
}

int64_t state_clock_us(const struct state *state)
{
    return __atomic_load_n(&state__total(state)->clock_us, __ATOMIC_RELAXED);
}

static uint32_t row_ref(const struct state *state, enum state_row_kind kind, uint32_t key)
{
    switch (kind) {
    case STATE_ROW_ITEM:
        return key && key < base_rows_count(state->items) ? FR_LOAD(state__item(state, key)->pairs)
                                                          : 0;
    case STATE_ROW_EVERYONE:
        return FR_LOAD(state__total(state)->everyone);
    case STATE_ROW_CONTEXT:
        return key && key < base_rows_count(state->values)
                   ? FR_LOAD(((const struct value_row *)base_rows_at(state->values, key))->pairs)
                   : 0;
    case STATE_ROW_CATEGORY:
        return key && key < base_rows_count(state->tokens)
                   ? FR_LOAD(((const struct token_row *)base_rows_at(state->tokens, key))->pairs)
                   : 0;
    case STATE_ROW_KIND_COUNT:
        break;
    }
    return 0;
}

bool state_row_get(const struct state *state, enum state_row_kind kind, uint32_t key,
                   uint32_t clock_s, struct base_arena *arena, bool in_place,
                   struct state_row *out_row)
{
    const struct pair_owner owner = {kind, key, clock_s, 0};
    for (int i = 0; i < 3; i++) /* again when the row has just moved */
        if (state__pairs_read(&state->pairs, row_ref(state, kind, key), &owner,
                              in_place ? NULL : arena, out_row))
            return true;
    return false;
}

struct state_row_hint state_row_hint(const struct state *state, enum state_row_kind kind,
                                     uint32_t key)
{
    return state__pairs_hint(&state->pairs, row_ref(state, kind, key));
}

uint32_t state_row_top(const struct state *state, enum state_row_kind kind, uint32_t key,
                       uint32_t counter, uint32_t *out_items, uint32_t count_max)
{
    const struct pair_owner owner = {kind, key, 0, 0};
    return state__pairs_top(&state->pairs, row_ref(state, kind, key), &owner, counter, out_items,
                            count_max);
}

void state_item_popularity(const struct state *state, uint32_t item, uint32_t clock_s,
                           float out[STATE_HALF_COUNT])
{
    const struct item_row *row = state__item(state, item);
    uint32_t touch = FR_LOAD(row->touch_s), t = FR_MAX(clock_s, touch);
    for (uint32_t h = 0; h < STATE_HALF_COUNT; h++) {
        uint32_t value = FR_LOAD(row->popularity[h]);
        out[h] = value ? (float)(int32_t)value * state__scale(touch, t, half_life(state, h)) : 0.0f;
    }
}

void state_total_popularity(const struct state *state, uint32_t clock_s,
                            float out[STATE_HALF_COUNT])
{
    const struct total_row *row = state__total(state);
    uint32_t touch = FR_LOAD(row->touch_s), t = FR_MAX(clock_s, touch);
    for (uint32_t h = 0; h < STATE_HALF_COUNT; h++) {
        uint64_t value = __atomic_load_n(&row->popularity[h], __ATOMIC_RELAXED);
        out[h] = (float)(int64_t)value * state__scale(touch, t, half_life(state, h));
    }
}

static uint64_t expired(const struct state *state, enum state_kind kind)
{
    const struct expiry_row *row = base_rows_at(state->expiry, 1 + (uint32_t)kind);
    return __atomic_load_n(&row->expired, __ATOMIC_RELAXED);
}

void state_stats_get(const struct state *state, struct state_stats *out)
{
    const struct total_row *total = state__total(state);
    struct state_stats stats = {
        .events = __atomic_load_n(&total->event_count, __ATOMIC_RELAXED),
        .users = base_rows_count(state->users) - 1 - state__expire_idle(state, STATE_KIND_USER),
        .items = base_rows_count(state->items) - 1 - state__expire_idle(state, STATE_KIND_ITEM),
        .contexts =
            base_rows_count(state->values) - 1 - state__expire_idle(state, STATE_KIND_VALUE),
        .tokens = base_rows_count(state->tokens) - 1 - state__expire_idle(state, STATE_KIND_TOKEN),
        .refused_items = __atomic_load_n(&total->refused_items, __ATOMIC_RELAXED),
        .refused_users = __atomic_load_n(&total->refused_users, __ATOMIC_RELAXED),
        .refused_contexts = __atomic_load_n(&total->refused_contexts, __ATOMIC_RELAXED),
        .expired_users = expired(state, STATE_KIND_USER),
        .expired_items = expired(state, STATE_KIND_ITEM),
        .expired_contexts = expired(state, STATE_KIND_VALUE),
        .expired_tokens = expired(state, STATE_KIND_TOKEN),
        .dedupe_ids = __atomic_load_n(&base_rows_meta(state->dedupe)[2], __ATOMIC_RELAXED),
        .bytes_items = base_rows_bytes(state->items) + base_rows_bytes(state->tokens),
        .bytes_users = base_rows_bytes(state->users),
        .bytes_history = base_rows_bytes(state->chunks) + base_rows_bytes(state->older),
        .bytes_pairs = state__pairs_bytes(&state->pairs) + base_rows_bytes(state->pairs.tops),
        .bytes_text = base_rows_bytes(state->text),
        .bytes_dedupe = base_rows_bytes(state->dedupe) + state__dedupe_index_bytes(state),
        .bytes_index = state__map_bytes(state->item_map) + state__map_bytes(state->user_map) +
                       state__map_bytes(state->value_map) + state__map_bytes(state->token_map),
        .clock_us = state_clock_us(state),
    };
    stats.bytes = stats.bytes_items + stats.bytes_users + stats.bytes_history + stats.bytes_pairs +
                  stats.bytes_text + stats.bytes_dedupe + stats.bytes_index;
    *out = stats;
}

/* ---- the budget ----------------------------------------------------------------------------- */

static struct state_memory memory_of(const struct base_rows *rows, uint64_t index_use,
                                     uint64_t index_budget)
{
    uint64_t rows_per_block = BASE_ROWS_BLOCK_BYTES / base_rows_row_bytes(rows);
    uint64_t blocks = (base_rows_count_max(rows) + rows_per_block - 1) / rows_per_block;
    return (struct state_memory){.name = base_rows_name(rows),
                                 .rows = base_rows_count(rows) - 1,
                                 .rows_max = base_rows_count_max(rows) - 1,
                                 .use = base_rows_bytes(rows) + index_use,
                                 .budget = blocks * BASE_ROWS_BLOCK_BYTES + index_budget};
}

uint32_t state_memory(const struct state *s, struct state_memory out[STATE_TABLES_MAX])
{
    const struct {
        const struct base_rows *rows;
        const struct map *map;
    } named[] = {{s->items, s->item_map},
                 {s->users, s->user_map},
                 {s->values, s->value_map},
                 {s->tokens, s->token_map}};
    const struct base_rows *plain[] = {s->text,  s->chunks,    s->older,      s->sources, s->acts,
                                       s->total, s->newcomers, s->pairs.tops, s->expiry};
    uint32_t n = 0;
    for (uint32_t i = 0; i < FR_COUNT_OF(named); i++)
        out[n++] = memory_of(named[i].rows, state__map_bytes(named[i].map),
                             state__map_bytes_max(base_rows_count_max(named[i].rows)));
    out[n++] = memory_of(s->dedupe, state__dedupe_index_bytes(s), state__dedupe_index_bytes_max(s));
    for (uint32_t i = 0; i < FR_COUNT_OF(plain); i++)
        out[n++] = memory_of(plain[i], 0, 0);
    out[n++] = (struct state_memory){.name = "pairs",
                                     .use = state__pairs_bytes(&s->pairs),
                                     .budget = s->pairs.bytes_max};
    out[n++] = state__expire_memory(s);
    return n;
}
