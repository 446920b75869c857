/* SPDX-License-Identifier: Apache-2.0
 *
 * Id maps. Open addressing, linear probing, at most 3/4 full. A slot is one word: the hash's upper
 * 32 bits and the index; 0 is empty. A growing sub-table copies into a fresh array and publishes it
 * with release; readers that hold the old one miss only what came after, which is as if they had
 * asked a moment earlier. Removing shifts those behind back into the hole, each copied before it is
 * overwritten, so that a reader who finds is right; one who does not asks whether the sub-table moved.
 * Thread: add and remove by the writer, next by any.
 */
#include <stdlib.h>
#include <string.h>

#include "state/state_priv.h"

enum { SUBS = 256, SUB_FIRST = 64, OLD_MAX = 28 };

struct slots {
    uint32_t mask;
    uint32_t unused;
    uint64_t slot[];
};
struct sub {
    struct slots *now; /* release by the writer, acquire by readers */
    uint32_t version;  /* of slots in use; odd while some move */
    uint32_t used;
    uint32_t old_count;
    struct slots *old[OLD_MAX];
};
struct map {
    uint64_t seed;
    size_t bytes;
    struct sub subs[SUBS];
};

/* Bits 24 .. 55: sub-table by bits 56 .. 63, place and comparison by these, so that a growing
 * sub-table needs nothing but its slots. */
static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 24);
}

static struct slots *slots_new(uint32_t count)
{
    struct slots *slots = calloc(1, sizeof(*slots) + (size_t)count * sizeof(uint64_t));
    if (slots)
        slots->mask = count - 1;
    return slots;
}

struct map *state__map_new(uint64_t seed)
{
    struct map *map = calloc(1, sizeof(*map));
    if (!map)
        return NULL;
    map->seed = seed;
    map->bytes = sizeof(*map);
    return map;
}

void state__map_clear(struct map *map)
{
    for (uint32_t s = 0; s < SUBS; s++) {
        struct sub *sub = &map->subs[s];
        free(sub->now);
        for (uint32_t i = 0; i < sub->old_count; i++)
            free(sub->old[i]);
        memset(sub, 0, sizeof(*sub));
    }
    map->bytes = sizeof(*map);
}

void state__map_free(struct map *map)
{
    if (!map)
        return;
    state__map_clear(map);
    free(map);
}

uint64_t state__map_hash(const struct map *map, struct fr_slice text)
{
    return base_hash64_slice(text, map->seed);
}

size_t state__map_bytes(const struct map *map)
{
    return FR_LOAD(map->bytes);
}

/* A sub-table doubles when it is 3/4 full, so that its slots are at most 8/3 of its ids; those that it
 * has outgrown are as many again. Sub-tables are unequal by chance: an eighth more. */
uint64_t state__map_bytes_max(uint64_t count)
{
    return sizeof(struct map) + (count * 8 / 3 * 2 + (uint64_t)SUBS * SUB_FIRST) * 9;
}

void state__map_prefetch(const struct map *map, uint64_t hash)
{
    const struct slots *slots = __atomic_load_n(&map->subs[hash >> 56].now, __ATOMIC_ACQUIRE);
    if (slots)
        __builtin_prefetch(&slots->slot[tag_of(hash) & slots->mask]);
}

/* The array may be replaced between two calls of one search; the cursor then counts probes in the
 * new one and may give a candidate twice, which the caller's comparison makes harmless. */
uint32_t state__map_next(const struct map *map, uint64_t hash, uint32_t *cursor)
{
    const struct slots *slots = __atomic_load_n(&map->subs[hash >> 56].now, __ATOMIC_ACQUIRE);
    if (!slots)
        return 0;
    for (; *cursor <= slots->mask; (*cursor)++) {
        uint32_t at = (tag_of(hash) + *cursor) & slots->mask;
        uint64_t slot = __atomic_load_n(&slots->slot[at], __ATOMIC_ACQUIRE); /* pairs with put() */
        if (slot == 0)
            return 0;
        if ((slot >> 32) == tag_of(hash)) {
            (*cursor)++;
            return (uint32_t)slot;
        }
    }
    return 0;
}

const uint32_t *state__map_version(const struct map *map, uint64_t hash)
{
    return &map->subs[hash >> 56].version;
}

static void put(struct slots *slots, uint64_t slot)
{
    uint32_t at = (uint32_t)(slot >> 32) & slots->mask;
    while (slots->slot[at])
        at = (at + 1) & slots->mask;
    __atomic_store_n(&slots->slot[at], slot, __ATOMIC_RELEASE);
}

static bool grow(struct map *map, struct sub *sub)
{
    uint32_t count = sub->now ? (sub->now->mask + 1) * 2 : SUB_FIRST;
    struct slots *bigger = slots_new(count);
    if (!bigger)
        return false;
    for (uint32_t i = 0; sub->now && i <= sub->now->mask; i++)
        if (sub->now->slot[i])
            put(bigger, sub->now->slot[i]);
    if (sub->now) {
        FR_ASSERT(sub->old_count < OLD_MAX);
        sub->old[sub->old_count++] = sub->now;
    }
    FR_STORE(map->bytes, map->bytes + (size_t)count * sizeof(uint64_t));
    base_row_change(&sub->version);
    __atomic_store_n(&sub->now, bigger, __ATOMIC_RELEASE); /* pairs with the acquire of readers */
    base_row_done(&sub->version);
    return true;
}

/* As many slots as a sub-table that grew to its share of `count` ids, an eighth more, would have. */
void state__map_reserve(struct map *map, uint64_t count)
{
    uint64_t share = count / SUBS + count / SUBS / 8;
    uint32_t slots = SUB_FIRST;
    while (slots / 4 * 3 < share)
        slots *= 2;
    for (uint32_t s = 0; s < SUBS; s++) {
        FR_ASSERT(!map->subs[s].now);
        map->subs[s].now = slots_new(slots);
        map->bytes += map->subs[s].now ? (size_t)slots * sizeof(uint64_t) : 0;
    }
}

bool state__map_add(struct map *map, uint64_t hash, uint32_t index)
{
    FR_ASSERT(index != 0);
    struct sub *sub = &map->subs[hash >> 56];
    if ((!sub->now || sub->used >= (sub->now->mask + 1) / 4 * 3) && !grow(map, sub))
        return false;
    put(sub->now, (uint64_t)tag_of(hash) << 32 | index);
    sub->used++;
    return true;
}

/* May the entry at `at` stand in the hole before it? Not if its probing begins behind the hole. */
static bool may_move(const struct slots *slots, uint32_t hole, uint32_t at)
{
    uint32_t home = (uint32_t)(slots->slot[at] >> 32) & slots->mask;
    return ((at - home) & slots->mask) >= ((at - hole) & slots->mask);
}

void state__map_remove(struct map *map, uint64_t hash, uint32_t index)
{
    struct sub *sub = &map->subs[hash >> 56];
    struct slots *slots = sub->now;
    uint64_t wanted = (uint64_t)tag_of(hash) << 32 | index;
    uint32_t hole = tag_of(hash) & slots->mask;
    while (slots->slot[hole] != wanted) {
        FR_ASSERT(slots->slot[hole] != 0);
        hole = (hole + 1) & slots->mask;
    }
    base_row_change(&sub->version);
    for (uint32_t at = (hole + 1) & slots->mask; slots->slot[at]; at = (at + 1) & slots->mask) {
        if (!may_move(slots, hole, at))
            continue;
        __atomic_store_n(&slots->slot[hole], slots->slot[at], __ATOMIC_RELEASE);
        hole = at;
    }
    __atomic_store_n(&slots->slot[hole], 0, __ATOMIC_RELEASE);
    base_row_done(&sub->version);
    sub->used--;
}
