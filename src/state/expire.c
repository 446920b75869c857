/* SPDX-License-Identifier: Apache-2.0
 *
 * Making room: when a table of ids is nearly at its end, its least useful rows expire and are used again.
 * A piece of the work is done after each record, by position alone, so that a replay expires alike; a table
 * with room to spare costs a branch. One batch of rows at a time goes through
 *
 *   choose     of a few rows drawn by number the idlest expires: out of the id map, its history or
 *              neighbour row given back, its id unknown
 *   sweep      (items alone) everything that names items is passed once, and what names a row of the batch is
 *              dropped: here histories, what is seen beyond them, neighbour rows, their leaders, rings of
 *              new items; then, outside this room, what experts keep
 *   hand over  readers are told (EX3); then the rows are emptied and may be used again
 *
 * Idle is who has been away long for the number of his events: events of all since his last one over the
 * number of his own (as in Blankstein, Sen and Freedman, Hyperbolic Caching, ATC'17, which counts from
 * the first one and draws too). Who has just come is not idle; who comes often may stay away longer.
 * What the owner has PUT does not expire, unless deleted since.
 *
 * EX1: no index is used again before a sweep that began after its expiry has ended.
 * EX2: what names a gone item is never copied from before the sweep's hand to behind it. Histories are
 *      swept first; from then on no event finds a gone item in one, so none enters elsewhere. Rows move to later
 *      tables only: visits to `older`, a growing neighbour row to the next length; leaders are taken from
 *      neighbour rows that were swept.
 * EX3: `reused` moves after the expiry of all and before the use of any of the batch: who began to read
 *      after that cannot hold one of its indexes, who began before is told to read again.
 * Thread: writer.
 */
#include <stdlib.h>
#include <string.h>

#include "state/state_priv.h"

enum phase { IDLE, CHOOSE, SWEEP, OTHERS, HAND_OVER };
enum {
    DRAWN_MAX = 32,
    SEED = 20261124,
    SWEEP_BYTES = 16 * 1024, /* of a step */
    SWEPT_MAX = 16,
};

static size_t gone_bytes(const struct state *state)
{
    return (state->options.item_count_max / 64 + 2) * sizeof(*state->gone);
}

struct state_memory state__expire_memory(const struct state *state)
{
    return (
        struct state_memory){.name = "gone", .use = gone_bytes(state), .budget = gone_bytes(state)};
}

enum fr_status state__expire_new(struct state *state, struct fr_error *error)
{
    state->gone = calloc(1, gone_bytes(state));
    if (!state->gone)
        return base_fail(error, FR_MEMORY, "state", "no memory");
    return FR_OK;
}

static struct expiry_row *row_of(struct state *state, enum state_kind kind)
{
    return base_rows_write(state->expiry, 1 + (uint32_t)kind);
}

static const struct expiry_row *row_at(const struct state *state, enum state_kind kind)
{
    return base_rows_at(state->expiry, 1 + (uint32_t)kind);
}

static uint32_t *word_in(void *row, uint16_t at)
{
    return (uint32_t *)(void *)((uint8_t *)row + at);
}

static uint16_t *half_in(void *row, uint16_t at)
{
    return (uint16_t *)(void *)((uint8_t *)row + at);
}

/* ---- the four kinds ------------------------------------------------------------------------- */

static uint64_t user_idleness(const struct state *state, uint32_t index, uint32_t now);
static uint64_t item_idleness(const struct state *state, uint32_t index, uint32_t now);
static uint64_t value_idleness(const struct state *state, uint32_t index, uint32_t now);
static uint64_t token_idleness(const struct state *state, uint32_t index, uint32_t now);
static void expire_user(struct state *state, uint32_t index);
static void expire_item(struct state *state, uint32_t index);
static void expire_value(struct state *state, uint32_t index);
static void expire_token(struct state *state, uint32_t index);
static void empty_user(struct state *state, uint32_t index);
static void empty_item(struct state *state, uint32_t index);
static void empty_value(struct state *state, uint32_t index);
static void empty_token(struct state *state, uint32_t index);

/* A batch is one in `part` of the table's rows. Items: more, since a sweep is long. A record brings one user, one
 * item, a dozen context values, 48 tokens at most. */
static const struct doing {
    uint32_t part, victims; /* of a step */
    uint32_t drawn;         /* for each victim */
    uint64_t (*idleness)(const struct state *state, uint32_t index, uint32_t now);
    void (*expire)(struct state *state, uint32_t index); /* gives back what the row holds */
    void (*empty)(struct state *state, uint32_t index);  /* all but version and lives */
} doing[STATE_KIND_COUNT] = {
    [STATE_KIND_USER] = {256, 4, 32, user_idleness, expire_user, empty_user},
    [STATE_KIND_ITEM] = {32, 4, 32, item_idleness, expire_item, empty_item},
    [STATE_KIND_VALUE] = {64, 12, 32, value_idleness, expire_value, empty_value},
    [STATE_KIND_TOKEN] = {32, STATE_EXPIRE_PIECE, 8, token_idleness, expire_token, empty_token},
};

static uint32_t batch_of(const struct state__kind *kind, enum state_kind which)
{
    return FR_MAX((base_rows_count_max(kind->rows) - 1) / doing[which].part, 1u);
}

static void mark_gone(struct state *state, uint32_t item, bool gone)
{
    uint64_t bit = (uint64_t)1 << item % 64, word = state->gone[item / 64];
    FR_STORE(state->gone[item / 64], gone ? word | bit : word & ~bit);
    FR_STORE(state->gone_count, gone ? state->gone_count + 1 : state->gone_count - 1);
}

void state__expire_want(struct state *state, enum state_kind kind)
{
    struct expiry_row *row = row_of(state, kind);
    row->wanted = 1;
    state->expiring = true;
}

uint32_t state__expire_idle(const struct state *state, enum state_kind kind)
{
    const struct expiry_row *row = row_at(state, kind);
    return FR_LOAD(row->count) + FR_LOAD(row->free_count);
}

/* ---- rows for new ids ----------------------------------------------------------------------- */

uint32_t state__row_take(struct state *state, enum state_kind which)
{
    const struct state__kind kind = state__kind_of(state, which);
    const struct expiry_row *at = row_at(state, which);
    uint32_t left = base_rows_count_max(kind.rows) - base_rows_count(kind.rows);
    if (left + at->free_count <= batch_of(&kind, which))
        state__expire_want(state, which);
    uint32_t index = at->free ? at->free : base_rows_add(kind.rows);
    if (!index)
        return 0;
    void *taken = base_rows_write(kind.rows, index);
    if (at->free) {
        struct expiry_row *row = row_of(state, which);
        row->free = *word_in(taken, kind.next_at);
        FR_STORE(row->free_count, row->free_count - 1);
        FR_STORE(*half_in(taken, kind.flags_at), 0);
    }
    FR_STORE(*word_in(taken, kind.next_at), state__event_number(state)); /* not idle yet */
    return index;
}

void state__row_give_back(struct state *state, enum state_kind which, uint32_t index)
{
    const struct state__kind kind = state__kind_of(state, which);
    struct expiry_row *row = row_of(state, which);
    void *back = base_rows_write(kind.rows, index);
    FR_STORE(*half_in(back, kind.flags_at), STATE__EXPIRED | STATE_ITEM_DELETED);
    FR_STORE(*word_in(back, kind.next_at), row->free);
    row->free = index;
    FR_STORE(row->free_count, row->free_count + 1);
}

/* ---- choosing ------------------------------------------------------------------------------- */

/* Events of all since its last one, for each event of its own, in 2^-20: the largest goes. 0: it stays. */
static uint64_t idleness(uint32_t now, uint32_t last, uint32_t event_count)
{
    return (((uint64_t)(now - last) + 1) << 20) / ((uint64_t)event_count + 1) + 1;
}

static uint64_t user_idleness(const struct state *state, uint32_t index, uint32_t now)
{
    const struct user_row *user = state__user(state, index);
    bool stays = user->flags & STATE__EXPIRED || !user->text || user->document;
    return stays ? 0 : idleness(now, user->next, user->event_count);
}

static uint64_t item_idleness(const struct state *state, uint32_t index, uint32_t now)
{
    const struct item_row *item = state__item(state, index);
    if (item->flags & STATE__EXPIRED || !item->text)
        return 0;
    if (item->flags & STATE_ITEM_DELETED)
        return UINT64_MAX;
    bool stays = item->flags & STATE_ITEM_CATALOGUED;
    return stays ? 0 : idleness(now, item->next, item->event_count);
}

static uint64_t value_idleness(const struct state *state, uint32_t index, uint32_t now)
{
    const struct value_row *value = base_rows_at(state->values, index);
    bool stays = value->flags & STATE__EXPIRED || !value->text;
    return stays ? 0 : idleness(now, value->next, value->event_count);
}

/* Those that items carry stay: the items name them. */
static uint64_t token_idleness(const struct state *state, uint32_t index, uint32_t now)
{
    const struct token_row *token = base_rows_at(state->tokens, index);
    bool stays = token->flags & STATE__EXPIRED || !token->text || token->item_count;
    return stays ? 0 : idleness(now, token->next, 0);
}

/* The idlest of a few rows drawn; 0: none of them may go. */
static uint32_t idlest(const struct state *state, enum state_kind kind, struct expiry_row *row,
                       uint32_t count)
{
    uint64_t most = 0;
    uint32_t drawn[DRAWN_MAX], found = 0, draws = FR_MIN(doing[kind].drawn, (count - 1) / 8 + 1);
    uint32_t now = state__event_number(state);
    const struct base_rows *rows = state__kind_of(state, kind).rows;
    for (uint32_t d = 0; d < draws; d++) {
        drawn[d] = 1 + (uint32_t)(base_random_u64(SEED, row->drawn++, kind) % (count - 1));
        base_rows_prefetch(rows, drawn[d]);
    }
    for (uint32_t d = 0; d < draws; d++) {
        uint64_t here = doing[kind].idleness(state, drawn[d], now);
        if (here > most) {
            most = here;
            found = drawn[d];
        }
    }
    row->looked += draws;
    return found;
}

static void expire_user(struct state *state, uint32_t index)
{
    struct user_row *user = base_rows_write(state->users, index);
    base_row_change(&user->version);
    FR_STORE(user->flags, STATE__EXPIRED);
    base_row_done(&user->version);
    state__history_clear(state, index);
}

static void give_back(struct state *state, uint32_t *pairs)
{
    uint32_t ref = *pairs;
    FR_STORE(*pairs, 0);
    state__pairs_give_back(&state->pairs, ref);
}

static void expire_item(struct state *state, uint32_t index)
{
    struct item_row *item = base_rows_write(state->items, index);
    base_row_change(&item->version);
    FR_STORE(item->flags, STATE_ITEM_DELETED | STATE_ITEM_EXPIRED);
    give_back(state, &item->pairs);
    base_row_done(&item->version);
    mark_gone(state, index, true);
}

static void expire_value(struct state *state, uint32_t index)
{
    struct value_row *value = base_rows_write(state->values, index);
    FR_STORE(value->flags, STATE__EXPIRED);
    give_back(state, &value->pairs);
}

static void expire_token(struct state *state, uint32_t index)
{
    struct token_row *token = base_rows_write(state->tokens, index);
    FR_STORE(token->flags, STATE__EXPIRED);
    give_back(state, &token->pairs);
}

static void expire(struct state *state, enum state_kind which, struct expiry_row *row,
                   uint32_t index)
{
    const struct state__kind kind = state__kind_of(state, which);
    void *at = base_rows_write(kind.rows, index);
    struct fr_slice id = fr_slice_of(state__text_at(state->text, *word_in(at, kind.text_at)),
                                     *half_in(at, kind.bytes_at));
    uint32_t of = kind.of_at ? *half_in(at, kind.of_at) : 0;
    state__map_remove(kind.map, state__kind_hash(&kind, id, of), index);
    doing[which].expire(state, index);
    FR_STORE(*word_in(at, kind.next_at), row->first);
    row->first = index;
    FR_STORE(row->count, row->count + 1);
    __atomic_store_n(&row->expired, row->expired + 1, __ATOMIC_RELAXED);
}

/* EX3 */
static void tell_readers(struct state *state)
{
    __atomic_store_n(&state->reused, state->reused + 1, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* pairs with the fence in state_reading_ok() */
}

static void hand_over_begin(struct state *state, struct expiry_row *row)
{
    tell_readers(state);
    row->phase = HAND_OVER;
}

static void choose(struct state *state, enum state_kind which, struct expiry_row *row)
{
    const struct state__kind kind = state__kind_of(state, which);
    uint32_t count = base_rows_count(kind.rows), batch = batch_of(&kind, which);
    for (uint32_t v = 0; v < doing[which].victims && row->count < batch && row->looked <= count;
         v++) {
        uint32_t index = count > 1 ? idlest(state, which, row, count) : 0;
        if (index)
            expire(state, which, row, index);
        row->looked += count <= 1;
    }
    if (row->count < batch && row->looked <= count)
        return;
    row->looked = 0;
    row->table = 0;
    row->at = 1;
    row->others = 0;
    row->phase = row->count ? SWEEP : IDLE;
    if (row->count && which != STATE_KIND_ITEM) /* nothing names the others */
        hand_over_begin(state, row);
}

/* ---- sweeping ------------------------------------------------------------------------------- */

typedef void (*sweep_fn)(struct state *state, struct base_rows *rows, uint32_t i);

static bool names_gone(const struct state *state, uint32_t item)
{
    return item && state__item_is_gone(state, item);
}

static void sweep_chunk(struct state *state, struct base_rows *rows, uint32_t i)
{
    static const struct state_visit none;
    const struct chunk_row *row = base_rows_at(rows, i);
    for (uint32_t v = 0; v < CHUNK_VISITS; v++) {
        if (!names_gone(state, row->visits[v].item))
            continue;
        struct chunk_row *changed = base_rows_write(rows, i);
        base_rows_put(&changed->visits[v], &none, sizeof(none));
    }
}

static void sweep_older(struct state *state, struct base_rows *rows, uint32_t i)
{
    const struct older_row *row = base_rows_at(rows, i);
    for (uint32_t v = 0; v < OLDER_ITEMS; v++) {
        if (!names_gone(state, row->items[v]))
            continue;
        struct older_row *changed = base_rows_write(rows, i);
        FR_STORE(changed->items[v], 0);
    }
}

static void sweep_token(struct state *state, struct base_rows *rows, uint32_t i)
{
    const struct token_row *row = base_rows_at(rows, i);
    for (uint32_t r = 0; r < TOKEN_RING; r++) {
        if (!names_gone(state, row->ring[r]))
            continue;
        struct token_row *changed = base_rows_write(rows, i);
        FR_STORE(changed->ring[r], 0);
    }
}

static void sweep_total(struct state *state, struct base_rows *rows, uint32_t i)
{
    const struct total_row *row = base_rows_at(rows, i);
    for (uint32_t r = 0; r < FR_COUNT_OF(row->newest); r++) {
        if (!names_gone(state, row->newest[r]))
            continue;
        struct total_row *changed = base_rows_write(rows, i);
        FR_STORE(changed->newest[r], 0);
    }
}

static void sweep_pairs(struct state *state, struct base_rows *rows, uint32_t i)
{
    for (uint32_t class = 0; class < PAIR_CLASSES; class ++)
        if (state->pairs.tables[class] == rows)
            state__pairs_drop(&state->pairs, class << 28 | i, state);
}

static void sweep_top(struct state *state, struct base_rows *rows, uint32_t i)
{
    (void)rows;
    state__tops_drop(&state->pairs, i, state);
}

struct swept {
    struct base_rows *rows;
    sweep_fn sweep;
};

/* In the order of EX2. */
static uint32_t swept_tables(const struct state *state, struct swept out[SWEPT_MAX])
{
    uint32_t n = 0;
    out[n++] = (struct swept){state->chunks, sweep_chunk};
    out[n++] = (struct swept){state->older, sweep_older};
    for (uint32_t class = 0; class < PAIR_CLASSES; class ++)
        out[n++] = (struct swept){state->pairs.tables[class], sweep_pairs};
    out[n++] = (struct swept){state->pairs.tops, sweep_top};
    out[n++] = (struct swept){state->tokens, sweep_token};
    out[n++] = (struct swept){state->total, sweep_total};
    return n;
}

static void sweep(struct state *state, struct expiry_row *row)
{
    struct swept tables[SWEPT_MAX];
    uint32_t count = swept_tables(state, tables);
    const struct swept *table = &tables[row->table];
    uint32_t piece = SWEEP_BYTES / base_rows_row_bytes(table->rows);
    uint32_t end = FR_MIN(row->at + FR_MAX(piece, 1u), base_rows_count(table->rows));
    for (; row->at < end; row->at++)
        table->sweep(state, table->rows, row->at);
    if (row->at < base_rows_count(table->rows))
        return;
    row->at = 1;
    if (++row->table == count)
        row->phase = OTHERS;
}

/* ---- handing over --------------------------------------------------------------------------- */

static void empty_user(struct state *state, uint32_t index)
{
    struct user_row *user = base_rows_write(state->users, index);
    struct user_row empty = {.version = user->version + 1,
                             .flags = STATE__EXPIRED,
                             .lives = user->lives + 1};
    state__text_free(state->text, user->text, user->id_bytes);
    base_row_change(&user->version);
    base_rows_put(user, &empty, sizeof(empty));
    base_row_done(&user->version);
}

static void empty_item(struct state *state, uint32_t index)
{
    struct item_row *item = base_rows_write(state->items, index);
    struct item_row empty = {.version = item->version + 1,
                             .flags = STATE_ITEM_DELETED | STATE_ITEM_EXPIRED,
                             .lives = item->lives + 1};
    FR_ASSERT(item->pairs == 0); /* nobody counts with an expired item */
    state__text_free(state->text, item->text, item->id_bytes);
    state__text_free(state->text, item->tokens, STATE_ITEM_TOKENS_MAX * sizeof(uint32_t));
    base_row_change(&item->version);
    base_rows_put(item, &empty, sizeof(empty));
    base_row_done(&item->version);
    mark_gone(state, index, false);
}

static void empty_value(struct state *state, uint32_t index)
{
    struct value_row *value = base_rows_write(state->values, index);
    struct value_row empty = {.flags = STATE__EXPIRED, .lives = value->lives + 1};
    state__text_free(state->text, value->text, value->id_bytes);
    base_rows_put(value, &empty, sizeof(empty));
}

static void empty_token(struct state *state, uint32_t index)
{
    struct token_row *token = base_rows_write(state->tokens, index);
    struct token_row empty = {.flags = STATE__EXPIRED, .lives = token->lives + 1};
    state__text_free(state->text, token->text, token->id_bytes);
    base_rows_put(token, &empty, sizeof(empty));
}

static void hand_over(struct state *state, enum state_kind which, struct expiry_row *row,
                      struct state_expired *out)
{
    const struct state__kind kind = state__kind_of(state, which);
    while (row->first && out->count < STATE_EXPIRE_PIECE) {
        uint32_t index = row->first;
        void *at = base_rows_write(kind.rows, index);
        row->first = *word_in(at, kind.next_at);
        FR_STORE(row->count, row->count - 1);
        doing[which].empty(state, index);
        state__row_give_back(state, which, index);
        out->index[out->count++] = index;
    }
    if (!row->first)
        row->phase = IDLE;
}

/* ---- the door ------------------------------------------------------------------------------- */

bool state_expire_due(const struct state *state)
{
    return state->expiring;
}

static void due_find(struct state *state)
{
    state->expiring = false;
    for (uint32_t k = 0; k < STATE_KIND_COUNT; k++) {
        const struct expiry_row *row = row_at(state, (enum state_kind)k);
        state->expiring = state->expiring || row->wanted || row->phase != IDLE;
    }
}

void state_expire_step(struct state *state, enum state_kind kind, struct state_expired *out)
{
    *out = (struct state_expired){.kind = kind};
    struct expiry_row *row = row_of(state, kind);
    if (row->phase == IDLE && row->wanted) {
        row->wanted = 0;
        row->phase = CHOOSE;
    }
    switch ((enum phase)row->phase) {
    case IDLE:
        break;
    case CHOOSE:
        choose(state, kind, row);
        break;
    case SWEEP:
        sweep(state, row);
        break;
    case OTHERS:
        out->sweep = &row->others;
        break;
    case HAND_OVER:
        hand_over(state, kind, row, out);
        break;
    }
    due_find(state);
}

void state_expire_swept(struct state *state, enum state_kind kind)
{
    struct expiry_row *row = row_of(state, kind);
    FR_ASSERT(row->phase == OTHERS);
    hand_over_begin(state, row);
}

bool state_item_gone(const struct state *state, uint32_t item)
{
    return item < base_rows_count(state->items) && state__item_is_gone(state, item);
}

bool state_user_expired(const struct state *state, uint32_t user)
{
    return FR_LOAD(state__user(state, user)->flags) & STATE__EXPIRED;
}

uint32_t state_lives(const struct state *state, enum state_kind which, uint32_t index)
{
    const struct state__kind kind = state__kind_of(state, which);
    if (index >= base_rows_count(kind.rows))
        return 0;
    const uint8_t *row = base_rows_at(kind.rows, index);
    return FR_LOAD(*(const uint32_t *)(const void *)(row + kind.lives_at));
}

uint64_t state_reading_begin(const struct state *state)
{
    return __atomic_load_n(&state->reused, __ATOMIC_ACQUIRE); /* pairs with tell_readers() */
}

bool state_reading_ok(const struct state *state, uint64_t began)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with the fence in tell_readers() */
    return __atomic_load_n(&state->reused, __ATOMIC_RELAXED) == began;
}

void state__expire_rebuild(struct state *state)
{
    uint32_t count = base_rows_count(state->items);
    memset(state->gone, 0, gone_bytes(state));
    state->gone_count = 0;
    for (uint32_t i = row_at(state, STATE_KIND_ITEM)->first; i && i < count;
         i = state__item(state, i)->next)
        mark_gone(state, i, true);
    due_find(state);
}
