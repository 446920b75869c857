/* SPDX-License-Identifier: Apache-2.0
 *
 * The dedupe window: a ring of the newest keys (24 bytes an id), with an open-addressed table over
 * it that is derived and not saved. The window ends after dedupe_us of event receipt time or at
 * dedupe_count_max keys, whichever is smaller.
 * Thread: writer.
 */
#include <stdlib.h>
#include <string.h>

#include "state/state_priv.h"

/* 1,024 sub-tables by the hash's top bits, each growing alone (no insert waits long); linear probing
 * over slots of six bytes: the place in the ring, and above it as many bits of the hash as are left, by
 * which a slot has its home. Deletion closes the gap, so there are no tombstones. */
enum { SUBS = 1024, SUB_FIRST = 64, SLOT_BYTES = 6, SLOT_BITS = 48 };
struct sub {
    uint8_t *slots; /* and two bytes, so that the last may be read as a word */
    uint32_t mask, used;
};
struct dedupe_index {
    struct sub subs[SUBS];
    size_t bytes;
    uint32_t place_bits;
};

static uint64_t hash_of(const uint32_t key[4])
{
    return base_mix64_pair((uint64_t)key[1] << 32 | key[0], (uint64_t)key[3] << 32 | key[2]);
}
static struct sub *sub_of(const struct state *state, uint64_t hash)
{
    return &state->dedupe_index->subs[hash >> 54];
}
/* What a slot of this hash holds for place 0. */
static uint64_t tag_of(const struct dedupe_index *index, uint64_t hash)
{
    return hash << 10 >> (64 - SLOT_BITS) >> index->place_bits << index->place_bits;
}
/* By the upper bits: where there are fewer than a sub-table has slots, homes stand some slots apart. */
static uint32_t home_of(const struct sub *sub, uint64_t slot)
{
    return (uint32_t)((slot >> (SLOT_BITS - 32)) * ((uint64_t)sub->mask + 1) >> 32);
}
static uint64_t slot_at(const struct sub *sub, uint32_t at)
{
    uint64_t slot;
    memcpy(&slot, sub->slots + (size_t)at * SLOT_BYTES, sizeof(slot));
    return slot & (((uint64_t)1 << SLOT_BITS) - 1);
}
static void slot_set(struct sub *sub, uint32_t at, uint64_t slot)
{
    memcpy(sub->slots + (size_t)at * SLOT_BYTES, &slot, SLOT_BYTES);
}
static size_t slots_bytes(uint32_t count)
{
    return (size_t)count * SLOT_BYTES + sizeof(uint64_t) - SLOT_BYTES;
}

static void put(struct sub *sub, uint64_t slot)
{
    uint32_t at = home_of(sub, slot);
    while (slot_at(sub, at))
        at = (at + 1) & sub->mask;
    slot_set(sub, at, slot);
}

static bool sub_grow(struct dedupe_index *index, struct sub *sub, uint32_t count)
{
    uint32_t old_count = sub->slots ? sub->mask + 1 : 0;
    struct sub old = *sub;
    uint8_t *bigger = calloc(1, slots_bytes(count));
    if (!bigger)
        return false;
    sub->slots = bigger;
    sub->mask = count - 1;
    for (uint32_t i = 0; i < old_count; i++)
        if (slot_at(&old, i))
            put(sub, slot_at(&old, i));
    free(old.slots);
    FR_STORE(index->bytes, index->bytes + (size_t)(count - old_count) * SLOT_BYTES);
    return true;
}

static void index_remove(struct state *state, uint32_t place)
{
    const struct dedupe_row *row = base_rows_at(state->dedupe, place);
    uint64_t hash = hash_of(row->key), wanted = tag_of(state->dedupe_index, hash) | place;
    struct sub *sub = sub_of(state, hash);
    uint32_t at = home_of(sub, wanted);
    while (slot_at(sub, at) && slot_at(sub, at) != wanted)
        at = (at + 1) & sub->mask;
    if (!slot_at(sub, at))
        return;
    sub->used--;
    for (uint32_t hole = at;;) {
        slot_set(sub, hole, 0);
        do {
            at = (at + 1) & sub->mask;
            if (!slot_at(sub, at))
                return;
        } while (((at - home_of(sub, slot_at(sub, at))) & sub->mask) < ((at - hole) & sub->mask));
        slot_set(sub, hole, slot_at(sub, at));
        hole = at;
    }
}

static bool index_add(struct state *state, uint32_t place)
{
    const struct dedupe_row *row = base_rows_at(state->dedupe, place);
    uint64_t hash = hash_of(row->key);
    struct sub *sub = sub_of(state, hash);
    if (!sub->slots && !sub_grow(state->dedupe_index, sub, SUB_FIRST))
        return false;
    if (sub->used >= (sub->mask + 1) / 4 * 3 &&
        !sub_grow(state->dedupe_index, sub, (sub->mask + 1) * 2))
        return false;
    put(sub, tag_of(state->dedupe_index, hash) | place);
    sub->used++;
    return true;
}

/* Ring in the meta words: 0 = next place to write, 1 = oldest live place, 2 = live keys. */
static void expire_one(struct state *state)
{
    uint64_t *meta = base_rows_meta(state->dedupe);
    uint32_t oldest = (uint32_t)meta[1];
    index_remove(state, oldest);
    struct dedupe_row *row = base_rows_write(state->dedupe, oldest);
    memset(row, 0, sizeof(*row));
    meta[1] = oldest == state->options.dedupe_count_max ? 1 : oldest + 1;
    __atomic_store_n(&meta[2], meta[2] - 1, __ATOMIC_RELAXED); /* read by state_stats_get() */
}

static void words_of(struct base_hash128 key, uint32_t out[4])
{
    out[0] = (uint32_t)key.lo;
    out[1] = (uint32_t)(key.lo >> 32);
    out[2] = (uint32_t)key.hi;
    out[3] = (uint32_t)(key.hi >> 32);
}

void state__dedupe_prefetch(const struct state *state, struct base_hash128 key)
{
    uint32_t words[4];
    words_of(key, words);
    uint64_t hash = hash_of(words);
    const struct sub *sub = sub_of(state, hash);
    if (sub->slots)
        __builtin_prefetch(sub->slots +
                           (size_t)home_of(sub, tag_of(state->dedupe_index, hash)) * SLOT_BYTES);
}

/* The row that holds the key, or NULL. */
static const struct dedupe_row *find(const struct state *state, const uint32_t words[4])
{
    uint64_t hash = hash_of(words);
    const struct sub *sub = sub_of(state, hash);
    const uint32_t place_bits = state->dedupe_index->place_bits;
    const uint64_t tag = tag_of(state->dedupe_index, hash);
    for (uint32_t at = home_of(sub, tag); sub->slots; at = (at + 1) & sub->mask) {
        uint64_t slot = slot_at(sub, at);
        if (!slot)
            break;
        if ((slot ^ tag) >> place_bits)
            continue;
        const struct dedupe_row *row = base_rows_at(state->dedupe, (uint32_t)(slot ^ tag));
        if (memcmp(row->key, words, sizeof(row->key)) == 0)
            return row;
    }
    return NULL;
}

enum state_dedupe state_dedupe_check_add(struct state *state, struct base_hash128 key,
                                         uint32_t body_hash32, int64_t time_us)
{
    if (key.lo == 0 && key.hi == 0)
        return STATE_DEDUPE_NEW;
    uint64_t *meta = base_rows_meta(state->dedupe);
    uint32_t now_s = time_us > 0 ? (uint32_t)(time_us / 1000000) : 0;
    uint32_t keep_s = (uint32_t)(state->options.dedupe_us / 1000000);
    uint32_t words[4];
    words_of(key, words);
    while (meta[2] > 0) {
        const struct dedupe_row *oldest = base_rows_at(state->dedupe, (uint32_t)meta[1]);
        if (meta[2] < state->options.dedupe_count_max && oldest->time_s + (uint64_t)keep_s >= now_s)
            break;
        expire_one(state);
    }
    const struct dedupe_row *here = find(state, words);
    if (here)
        return here->body == body_hash32 ? STATE_DEDUPE_DUPLICATE : STATE_DEDUPE_CONFLICT;
    if (meta[2] == 0)
        meta[0] = 1;
    uint32_t place = (uint32_t)meta[0];
    if (place >= base_rows_count(state->dedupe))
        place = base_rows_add(state->dedupe);
    FR_ASSERT(place != 0);
    struct dedupe_row row = {.body = body_hash32, .time_s = now_s};
    memcpy(row.key, words, sizeof(words));
    memcpy(base_rows_write(state->dedupe, place), &row, sizeof(row));
    FR_ASSERT(index_add(state, place));
    if (meta[2] == 0)
        meta[1] = place;
    __atomic_store_n(&meta[2], meta[2] + 1, __ATOMIC_RELAXED);
    meta[0] = place == state->options.dedupe_count_max ? 1 : place + 1;
    return STATE_DEDUPE_NEW;
}

enum fr_status state__dedupe_new(struct state *state)
{
    state->dedupe_index = calloc(1, sizeof(*state->dedupe_index));
    if (!state->dedupe_index)
        return FR_MEMORY;
    for (uint32_t left = state->options.dedupe_count_max; left; left /= 2)
        state->dedupe_index->place_bits++;
    return FR_OK;
}

static void index_clear(struct dedupe_index *index)
{
    for (uint32_t i = 0; i < SUBS; i++)
        free(index->subs[i].slots);
    memset(index->subs, 0, sizeof(index->subs));
    index->bytes = 0;
}

void state__dedupe_free(struct state *state)
{
    if (state->dedupe_index)
        index_clear(state->dedupe_index);
    free(state->dedupe_index);
    state->dedupe_index = NULL;
}

size_t state__dedupe_index_bytes(const struct state *state)
{
    return sizeof(*state->dedupe_index) + FR_LOAD(state->dedupe_index->bytes);
}

/* As of the id maps, but nothing outgrown stays. */
uint64_t state__dedupe_index_bytes_max(const struct state *state)
{
    uint64_t count = state->options.dedupe_count_max;
    return sizeof(*state->dedupe_index) + (count * 8 / 3 + (uint64_t)SUBS * SUB_FIRST) * 7;
}

/* Room for so many at once: no sub-table grows on the way, leaving holes in the heap. */
static void reserve(struct dedupe_index *index, uint64_t count)
{
    uint64_t share = count / SUBS + count / SUBS / 16;
    uint32_t slots = SUB_FIRST;
    while (slots / 4 * 3 < share)
        slots *= 2;
    for (uint32_t s = 0; slots > SUB_FIRST && s < SUBS; s++)
        if (!sub_grow(index, &index->subs[s], slots))
            return;
}

enum fr_status state__dedupe_rebuild(struct state *state, struct fr_error *error)
{
    uint64_t *meta = base_rows_meta(state->dedupe);
    uint32_t max = state->options.dedupe_count_max, count = base_rows_count(state->dedupe);
    index_clear(state->dedupe_index);
    if (meta[2] > max || (meta[2] > 0 && (meta[1] == 0 || meta[1] > max)))
        return base_fail(error, FR_CORRUPT, "state", "the dedupe ring does not fit its limit %u",
                         max);
    reserve(state->dedupe_index, meta[2]);
    uint32_t at = (uint32_t)meta[1];
    for (uint64_t i = 0; i < meta[2]; i++) {
        if (at >= count)
            return base_fail(error, FR_CORRUPT, "state", "the dedupe ring names row %u of %u", at,
                             count);
        if (!index_add(state, at))
            return base_fail(error, FR_MEMORY, "state", "no memory for the dedupe index");
        at = at == max ? 1 : at + 1;
    }
    return FR_OK;
}
