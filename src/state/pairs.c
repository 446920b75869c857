/* SPDX-License-Identifier: Apache-2.0
 *
 * Neighbour rows: what goes with an item (co-counts, transitions) or what is liked in a context, as
 * up to 336 entries {item, five decayed counters}. A row is set-associative: the item's hash names
 * a set of 16 places (one cache line of ids), so finding costs one line and a full set gives up its
 * least useful entry. A row grows through seven lengths; long ones are for popular items only.
 *
 *     struct pair_head (64 bytes), u32 ids[slots], u32 counters[slots][5]
 *
 * P1: an id occurs at most once in a row.  P2: ids of a set are filled from its start.
 * P3: all counters stand on the scale of touch_s.  P4: a ref is class << 28 | index; a reader
 * checks owner and version, because a row that grew leaves its place to another.
 *
 * P5: a quick counter above zero has its set's bit in the head. The quickest two counters of a kind
 * change their epoch every few minutes or hours, at which the whole row would have to be walked; they are
 * zero nearly everywhere, so only the sets with a bit are.
 *
 * Cost: one entry ~20 ns warm. Thread: writer; reading from any.
 */
#include <string.h>

#include "state/state_priv.h"

/* The longest two fill a 16 KiB block of the row store by threes and twos. Longer rows were measured:
 * 640 places cost a third more time a query for +.001 HR@10 on MovieLens-100K. */
static const uint32_t class_slots[PAIR_CLASSES] = {8, 16, 32, 64, 128, 224, 336};
static const char *const class_names[PAIR_CLASSES] = {
    "pairs-8", "pairs-16", "pairs-32", "pairs-64", "pairs-128", "pairs-224", "pairs-336",
};
enum { C = STATE_ROW_COUNTERS, ENTRY_BYTES = 4 + 4 * C };

/* Half-lives, log2 of seconds; 0 stands for the slow one of the options. */
static const uint8_t half_lives[STATE_ROW_KIND_COUNT][STATE_ROW_COUNTERS] = {
    [STATE_ROW_ITEM] = {0, 0, 0, 13, 10},
    [STATE_ROW_EVERYONE] = {8, 10, 13, 16, 0},
    [STATE_ROW_CONTEXT] = {8, 10, 13, 16, 0},
    [STATE_ROW_CATEGORY] = {8, 10, 13, 16, 0},
};
/* What an entry is worth when one has to go: fresh counts first, so that what is new gets in. */
static const float worth[STATE_ROW_KIND_COUNT][STATE_ROW_COUNTERS] = {
    [STATE_ROW_ITEM] = {1.0f, 0.5f, 1.0f, 2.0f, 8.0f},
    [STATE_ROW_EVERYONE] = {8.0f, 4.0f, 2.0f, 0.5f, 0.05f},
    [STATE_ROW_CONTEXT] = {8.0f, 4.0f, 2.0f, 0.5f, 0.05f},
    [STATE_ROW_CATEGORY] = {8.0f, 4.0f, 2.0f, 0.5f, 0.05f},
};

/* The quickest two counters of a kind (P5). */
static const uint8_t quick_counters[STATE_ROW_KIND_COUNT][PAIR_QUICK] = {
    [STATE_ROW_ITEM] = {STATE_PAIR_NEXT, STATE_PAIR_SESSION},
    [STATE_ROW_EVERYONE] = {STATE_POP_4MIN, STATE_POP_17MIN},
    [STATE_ROW_CONTEXT] = {STATE_POP_4MIN, STATE_POP_17MIN},
    [STATE_ROW_CATEGORY] = {STATE_POP_4MIN, STATE_POP_17MIN},
};

static inline uint32_t class_of(uint32_t ref)
{
    return ref >> 28;
}
static inline uint32_t index_of(uint32_t ref)
{
    return ref & 0x0fffffffu;
}
static inline uint32_t owner_word(const struct pair_owner *owner)
{
    return (uint32_t)owner->kind << 28 | owner->key;
}
static inline bool is_slow(uint32_t kind, uint32_t c)
{
    return half_lives[kind][c] == 0;
}
static inline uint32_t half_life(const struct pairs *pairs, enum state_row_kind kind, uint32_t c)
{
    return is_slow(kind, c) ? pairs->slow : half_lives[kind][c];
}
static inline uint32_t *ids_of(const struct pair_head *head)
{
    return (uint32_t *)(uintptr_t)(head + 1);
}
static inline uint32_t (*counters_of(const struct pair_head *head, uint32_t slots))[C]
{
    return (uint32_t(*)[C])(uintptr_t)(ids_of(head) + slots);
}

static void clocks_init(struct pairs *pairs)
{
    for (uint32_t kind = 0; kind < STATE_ROW_KIND_COUNT; kind++) {
        struct pair_clock *clock = &pairs->clocks[kind];
        *clock = (struct pair_clock){.clock_s = UINT32_MAX, .epoch_log2_s = 31};
        for (uint32_t c = 0; c < C; c++) {
            clock->half_life[c] = half_life(pairs, (enum state_row_kind)kind, c);
            clock->epoch_log2_s = FR_MIN(clock->epoch_log2_s, clock->half_life[c] + 2);
        }
    }
}

static const struct pair_clock *clock_at(struct pairs *pairs, enum state_row_kind kind, uint32_t t)
{
    struct pair_clock *clock = &pairs->clocks[kind];
    if (clock->clock_s == t)
        return clock;
    clock->clock_s = t;
    for (uint32_t c = 0; c < C; c++) {
        uint32_t step = state__step(t, clock->half_life[c]);
        clock->grow[c] = state__grow[step];
        clock->worth[c] = worth[kind][c] * state__shrink[step];
    }
    return clock;
}

enum fr_status state__pairs_new(struct pairs *pairs, const struct state_options *options,
                                struct fr_error *error)
{
    pairs->bytes_max = options->pair_bytes_max;
    pairs->slow = options->slow_half_life_log2_s;
    clocks_init(pairs);
    for (uint32_t class = 0; class < PAIR_CLASSES; class ++) {
        uint32_t row_bytes = (uint32_t)sizeof(struct pair_head) + class_slots[class] * ENTRY_BYTES;
        struct base_rows_options table = {
            .name = class_names[class],
            .row_bytes = row_bytes,
            .count_max = (uint32_t)FR_MIN(pairs->bytes_max / row_bytes + 64, 0x0fffffffu),
        };
        FR_TRY(base_rows_new(&table, error, &pairs->tables[class]));
    }
    struct base_rows_options tops = {.name = "tops",
                                     .row_bytes = sizeof(struct top_row),
                                     .count_max = (uint32_t)
                                         FR_MIN(pairs->bytes_max / 8 / sizeof(struct top_row) + 64,
                                                1u << 20)};
    return base_rows_new(&tops, error, &pairs->tops);
}

size_t state__pairs_bytes(const struct pairs *pairs)
{
    size_t bytes = 0;
    for (uint32_t class = 0; class < PAIR_CLASSES; class ++)
        bytes += base_rows_bytes(pairs->tables[class]);
    return bytes;
}

uint32_t state__pairs_slots_max(const struct pairs *pairs, uint32_t item_count)
{
    uint32_t class = PAIR_CLASSES - 1;
    while (class > 2 &&
           (uint64_t)item_count * (class_slots[class] * ENTRY_BYTES + 64) > pairs->bytes_max)
        class --;
    return class_slots[class];
}

void state__pairs_prefetch(const struct pairs *pairs, uint32_t ref)
{
    if (ref)
        base_rows_prefetch(pairs->tables[class_of(ref)], index_of(ref));
}

struct state_row_hint state__pairs_hint(const struct pairs *pairs, uint32_t ref)
{
    if (!ref || class_of(ref) >= PAIR_CLASSES)
        return (struct state_row_hint){0};
    uint32_t slots = class_slots[class_of(ref)];
    return (struct state_row_hint){base_rows_at(pairs->tables[class_of(ref)], index_of(ref)),
                                   (uint32_t)sizeof(struct pair_head) + slots * ENTRY_BYTES, slots};
}

/* ---- places --------------------------------------------------------------------------------- */

typedef uint32_t four __attribute__((vector_size(16)));

/* Place of `item` among `ways` ids, or -1. One of them at most matches (P1), or none is asked for
 * but the first 0. */
static inline int place_in_set(const uint32_t *ids, uint32_t ways, uint32_t item)
{
    const four wanted = {item, item, item, item};
    four found = {0, 0, 0, 0};
    for (uint32_t w = 0; w < ways; w += 4) {
        four here, at = {w + 1, w + 2, w + 3, w + 4};
        memcpy(&here, ids + w, sizeof(here));
        found |= (four)(here == wanted) & at;
    }
    return (int)(found[0] | found[1] | found[2] | found[3]) - 1;
}

static inline uint32_t set_of(uint32_t item, uint32_t slots)
{
    uint32_t sets = slots < PAIR_WAYS ? 1 : slots / PAIR_WAYS;
    return (uint32_t)(((uint64_t)(item * 0x9e3779b1u) * sets) >> 32) * PAIR_WAYS;
}

/* P2: the first empty place of a set, or -1. */
static inline int empty_in_set(const uint32_t *ids, uint32_t ways)
{
    if (ids[ways - 1])
        return -1;
    int w = 0;
    while (ids[w])
        w++;
    return w;
}

void state__pairs_prefetch_set(const struct pairs *pairs, uint32_t ref, uint32_t item)
{
    if (!ref || !item)
        return;
    const struct pair_head *head = base_rows_at(pairs->tables[class_of(ref)], index_of(ref));
    __builtin_prefetch(head);
    __builtin_prefetch(ids_of(head) + set_of(item, class_slots[class_of(ref)]));
}

void state__pairs_prefetch_entry(const struct pairs *pairs, uint32_t ref, uint32_t item)
{
    if (!ref || !item)
        return;
    const struct pair_head *head = base_rows_at(pairs->tables[class_of(ref)], index_of(ref));
    uint32_t slots = class_slots[class_of(ref)], set = set_of(item, slots);
    uint32_t ways = FR_MIN(slots, (uint32_t)PAIR_WAYS);
    const char *counters = (const char *)(counters_of(head, slots) + set);
    int w = place_in_set(ids_of(head) + set, ways, item);
    if (w < 0)
        w = empty_in_set(ids_of(head) + set, ways);
    if (w >= 0) {
        counters += (size_t)w * C * sizeof(uint32_t);
        __builtin_prefetch(counters);
        __builtin_prefetch(counters + C * sizeof(uint32_t) - 1);
        return;
    }
    for (size_t at = 0; at < ways * C * sizeof(uint32_t); at += 64)
        __builtin_prefetch(counters + at);
}

/* ---- rows: taking, growing, ageing ---------------------------------------------------------- */

static uint32_t row_take(struct pairs *pairs, uint32_t class)
{
    struct base_rows *table = pairs->tables[class];
    uint64_t *meta = base_rows_meta(table);
    uint32_t index = (uint32_t)meta[0];
    if (index) {
        struct pair_head *head = base_rows_write(table, index);
        meta[0] = head->next_free;
        FR_STORE(head->next_free, 0);
        return class << 28 | index;
    }
    if (state__pairs_bytes(pairs) + BASE_ROWS_BLOCK_BYTES > pairs->bytes_max)
        return 0;
    index = base_rows_add(table);
    return index ? class << 28 | index : 0;
}

static void row_give_back(struct pairs *pairs, uint32_t ref)
{
    struct base_rows *table = pairs->tables[class_of(ref)];
    uint64_t *meta = base_rows_meta(table);
    struct pair_head *head = base_rows_write(table, index_of(ref));
    uint32_t bytes = base_rows_row_bytes(table);
    base_row_change(&head->version);
    for (uint32_t w = 1; w < bytes / 4; w++)
        FR_STORE(((uint32_t *)head)[w], 0);
    FR_STORE(head->next_free, (uint32_t)meta[0]);
    base_row_done(&head->version);
    meta[0] = index_of(ref);
}

void state__pairs_give_back(struct pairs *pairs, uint32_t ref)
{
    if (!ref)
        return;
    const struct pair_head *head = base_rows_at(pairs->tables[class_of(ref)], index_of(ref));
    uint32_t top = head->top;
    row_give_back(pairs, ref);
    if (!top)
        return;
    uint64_t *meta = base_rows_meta(pairs->tops);
    struct top_row *row = base_rows_write(pairs->tops, top);
    base_row_change(&row->version);
    for (uint32_t w = 1; w < sizeof(*row) / 4; w++)
        FR_STORE(((uint32_t *)row)[w], 0);
    FR_STORE(row->next_free, (uint32_t)meta[0]);
    base_row_done(&row->version);
    meta[0] = top;
}

static uint32_t top_take(struct pairs *pairs)
{
    uint64_t *meta = base_rows_meta(pairs->tops);
    uint32_t top = (uint32_t)meta[0];
    if (!top)
        return base_rows_add(pairs->tops);
    struct top_row *row = base_rows_write(pairs->tops, top);
    meta[0] = row->next_free;
    FR_STORE(row->next_free, 0);
    return top;
}

static uint32_t row_new(struct pairs *pairs, const struct pair_owner *owner, uint32_t class)
{
    uint32_t ref = row_take(pairs, class);
    if (!ref)
        return 0;
    struct pair_head *head = base_rows_write(pairs->tables[class], index_of(ref));
    base_row_change(&head->version);
    FR_STORE(head->owner, owner_word(owner));
    FR_STORE(head->touch_s, owner->clock_s);
    base_row_done(&head->version);
    return ref;
}

/* P5 after the entry's counters were written. */
static inline void quick_mark(struct pair_head *head, enum state_row_kind kind, uint32_t set,
                              const uint32_t counter[C])
{
    for (uint32_t q = 0; q < PAIR_QUICK; q++)
        if (counter[quick_counters[kind][q]])
            FR_STORE(head->quick[q], head->quick[q] | 1u << set);
}

/* The next longer row with the same content; the old one is given back. */
static uint32_t row_grow(struct pairs *pairs, uint32_t ref, const struct pair_owner *owner)
{
    uint32_t class = class_of(ref) + 1, slots = class_slots[class];
    uint32_t bigger = row_new(pairs, owner, class);
    if (!bigger)
        return ref;
    struct pair_head *to = base_rows_write(pairs->tables[class], index_of(bigger));
    const struct pair_head *from = base_rows_at(pairs->tables[class - 1], index_of(ref));
    uint32_t old_slots = class_slots[class - 1], *ids = ids_of(to);
    const uint32_t(*old_counters)[C] = (const uint32_t(*)[C])counters_of(from, old_slots);
    uint32_t(*counters)[C] = counters_of(to, slots);
    base_row_change(&to->version);
    FR_STORE(to->touch_s, from->touch_s);
    base_rows_put(to->total, from->total, sizeof(to->total));
    FR_STORE(to->top, from->top);
    FR_STORE(to->touches, from->touches);
    for (uint32_t s = 0; s < old_slots; s++) {
        uint32_t item = ids_of(from)[s];
        uint32_t set = set_of(item, slots);
        int w = item ? empty_in_set(ids + set, FR_MIN(slots, (uint32_t)PAIR_WAYS)) : -1;
        if (w < 0)
            continue; /* empty, or one of more than 16 that fell into one set */
        FR_STORE(ids[set + (uint32_t)w], item);
        base_rows_put(counters[set + (uint32_t)w], old_counters[s], sizeof(counters[0]));
        quick_mark(to, owner->kind, set / PAIR_WAYS, counters[set + (uint32_t)w]);
        FR_STORE(to->used, to->used + 1);
    }
    base_row_done(&to->version);
    row_give_back(pairs, ref);
    return bigger;
}

/* The quick counters of the sets that have any, `shift` down. */
static void quick_age(struct pair_head *head, uint32_t slots, uint32_t q, uint32_t c,
                      uint32_t shift)
{
    uint32_t ways = FR_MIN(slots, (uint32_t)PAIR_WAYS), left = 0;
    for (uint32_t sets = head->quick[q]; sets; sets &= sets - 1) {
        uint32_t set = (uint32_t)__builtin_ctz(sets), any = 0;
        uint32_t(*counters)[C] = counters_of(head, slots) + set * PAIR_WAYS;
        for (uint32_t w = 0; w < ways; w++) {
            uint32_t value = counters[w][c] >> shift;
            FR_STORE(counters[w][c], value);
            any |= value;
        }
        left |= (uint32_t)(any != 0) << set;
    }
    FR_STORE(head->quick[q], left);
}

/* P3: brings every counter to the scale of t. Within an epoch of the quickest there is nothing to do. */
static void row_age(const struct pairs *pairs, struct pair_head *head, uint32_t slots,
                    const struct pair_clock *clock)
{
    uint32_t touch = head->touch_s, t = clock->clock_s;
    uint32_t aged = state__aged_bits(pairs->ages, touch);
    FR_STORE(head->touch_s, t);
    if (touch >> clock->epoch_log2_s == t >> clock->epoch_log2_s && !aged)
        return;
    uint32_t shift[C], slow[C], any = 0;
    for (uint32_t c = 0; c < C; c++)
        slow[c] = shift[c] = FR_MIN(state__shift(touch, t, clock->half_life[c]) +
                                        (is_slow(head->owner >> 28, c) ? aged : 0),
                                    31u);
    for (uint32_t q = 0; q < PAIR_QUICK; q++) {
        uint32_t c = quick_counters[head->owner >> 28][q];
        if (shift[c])
            quick_age(head, slots, q, c, shift[c]);
        slow[c] = 0;
    }
    for (uint32_t c = 0; c < C; c++) {
        FR_STORE(head->total[c], head->total[c] >> shift[c]);
        any |= slow[c];
    }
    uint32_t(*counters)[C] = counters_of(head, slots);
    for (uint32_t s = 0; any && s < slots; s++)
        for (uint32_t c = 0; c < C; c++)
            FR_STORE(counters[s][c], counters[s][c] >> slow[c]);
}

/* ---- adding --------------------------------------------------------------------------------- */

typedef float four_floats __attribute__((vector_size(16)));
typedef int32_t four_ints __attribute__((vector_size(16)));

/* The first four counters of one entry, weighted. */
static inline four_floats weigh_four(const uint32_t counter[C], four_floats weight)
{
    four_ints raw;
    memcpy(&raw, counter, sizeof(raw));
    return __builtin_convertvector(raw, four_floats) * weight;
}

/* Four entries at a time; each sum is ((((0 + 1) + 2) + 3) + 4). */
static uint32_t least_useful(const struct pair_clock *clock, const uint32_t (*counters)[C],
                             uint32_t ways)
{
    four_floats weight;
    memcpy(&weight, clock->worth, sizeof(weight));
    float least = 3e38f;
    uint32_t at = 0;
    for (uint32_t w = 0; w < ways; w += 4) {
        const uint32_t(*entry)[C] = counters + w;
        four_floats a = weigh_four(entry[0], weight), b = weigh_four(entry[1], weight);
        four_floats c = weigh_four(entry[2], weight), d = weigh_four(entry[3], weight);
        four_floats ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        four_floats ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        four_floats cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        four_floats cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        const four_ints last = {(int32_t)entry[0][4], (int32_t)entry[1][4], (int32_t)entry[2][4],
                                (int32_t)entry[3][4]};
        four_floats value = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
        value += __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
        value += __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
        value += __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
        value += __builtin_convertvector(last, four_floats) * clock->worth[4];
        for (uint32_t i = 0; i < 4; i++)
            if (value[i] < least) {
                least = value[i];
                at = w + i;
            }
    }
    return at;
}

/* The place of `item` in the row, made if need be; -1: the row should grow first. */
static int place_for(struct pair_head *head, uint32_t slots, uint32_t item, uint32_t slots_max,
                     const struct pair_clock *clock)
{
    uint32_t *ids = ids_of(head), set = set_of(item, slots);
    uint32_t ways = FR_MIN(slots, (uint32_t)PAIR_WAYS);
    int w = place_in_set(ids + set, ways, item);
    if (w >= 0)
        return (int)set + w;
    w = empty_in_set(ids + set, ways);
    if (w < 0 && slots < slots_max && head->used * 2 >= slots)
        return -1;
    uint32_t(*counters)[C] = counters_of(head, slots);
    if (w < 0) {
        w = (int)least_useful(clock, (const uint32_t(*)[C])counters + set, ways);
        FR_STORE(head->evicted, head->evicted + 1);
    } else {
        FR_STORE(head->used, head->used + 1);
    }
    FR_STORE(ids[set + (uint32_t)w], item);
    for (uint32_t c = 0; c < C; c++)
        FR_STORE(counters[set + (uint32_t)w][c], 0);
    return (int)set + w;
}

static void entry_add(struct pair_head *head, uint32_t counter[C], const struct pair_add *add,
                      const struct pair_clock *clock)
{
    for (uint32_t c = 0; c < C; c++) {
        if (!add->weight[c])
            continue;
        uint32_t more = (uint32_t)(((uint64_t)add->weight[c] * clock->grow[c]) >> 16);
        FR_STORE(counter[c], state__plus(counter[c], more));
        FR_STORE(head->total[c], state__plus(head->total[c], more));
    }
}

/* The best so far, best first, as value << 16 | (places after it): of equal values the earlier place. */
struct leaders {
    uint64_t key[TOP_ITEMS];
    uint32_t count;
};

static inline void leaders_offer(struct leaders *best, uint32_t value, uint32_t place)
{
    uint64_t key = (uint64_t)value << 16 | (0xffffu - place);
    if (!value || (best->count == TOP_ITEMS && key <= best->key[TOP_ITEMS - 1]))
        return;
    uint32_t at = best->count < TOP_ITEMS ? best->count++ : TOP_ITEMS - 1;
    for (; at > 0 && best->key[at - 1] < key; at--)
        best->key[at] = best->key[at - 1];
    best->key[at] = key;
}

/* Those who led are offered first, in their order: they mostly still do, and the rest is then refused at
 * its first comparison. */
static void leaders_find(const struct pair_head *head, uint32_t slots, uint32_t c,
                         const struct top_row *before, struct leaders *best)
{
    const uint32_t *ids = ids_of(head),
                   (*counters)[C] = (const uint32_t(*)[C])counters_of(head, slots);
    uint64_t offered[(STATE_ROW_ENTRIES_MAX + 63) / 64] = {0};
    best->count = 0;
    for (uint32_t i = 0; i < before->count[c]; i++) {
        uint32_t set = set_of(before->items[c][i], slots);
        int w = place_in_set(ids + set, FR_MIN(slots, (uint32_t)PAIR_WAYS), before->items[c][i]);
        if (w < 0)
            continue;
        uint32_t place = set + (uint32_t)w;
        leaders_offer(best, counters[place][c], place);
        offered[place / 64] |= (uint64_t)1 << place % 64;
    }
    for (uint32_t s = 0; s < slots; s++)
        if (!(offered[s / 64] >> s % 64 & 1))
            leaders_offer(best, counters[s][c], s);
}

static void top_make(struct pairs *pairs, struct pair_head *head, uint32_t slots)
{
    if (!head->top)
        FR_STORE(head->top, top_take(pairs));
    if (!head->top)
        return;
    struct top_row *top = base_rows_write(pairs->tops, head->top);
    base_row_change(&top->version);
    for (uint32_t c = 0; c < STATE_ROW_COUNTERS; c++) {
        struct leaders best;
        leaders_find(head, slots, c, top, &best);
        for (uint32_t i = 0; i < best.count; i++)
            FR_STORE(top->items[c][i], ids_of(head)[0xffffu - (best.key[i] & 0xffffu)]);
        FR_STORE(top->count[c], best.count);
    }
    base_row_done(&top->version);
    FR_STORE(head->touches, 0);
}

static uint32_t class_for(uint32_t count)
{
    uint32_t class = 0;
    while (class < 3 && class_slots[class] < count)
        class ++;
    return class;
}

uint32_t state__pairs_add(struct pairs *pairs, uint32_t ref, const struct pair_owner *owner,
                          const struct pair_add *adds, uint32_t count)
{
    if (!ref)
        ref = row_new(pairs, owner, class_for(count));
    if (!ref)
        return 0;
    const struct pair_clock *clock = clock_at(pairs, owner->kind, owner->clock_s);
    struct pair_head *head = base_rows_write(pairs->tables[class_of(ref)], index_of(ref));
    uint32_t slots = class_slots[class_of(ref)];
    FR_ASSERT(head->owner == owner_word(owner));
    base_row_change(&head->version);
    row_age(pairs, head, slots, clock);
    for (uint32_t i = 0; i < count; i++) {
        int at = place_for(head, slots, adds[i].item, owner->slots_max, clock);
        if (at < 0) {
            base_row_done(&head->version);
            uint32_t grown = row_grow(pairs, ref, owner);
            struct pair_owner fixed = *owner;
            if (grown == ref) /* no room: stay at this length */
                fixed.slots_max = slots;
            return state__pairs_add(pairs, grown, &fixed, adds + i, count - i);
        }
        uint32_t *counter = counters_of(head, slots)[at];
        entry_add(head, counter, &adds[i], clock);
        quick_mark(head, owner->kind, (uint32_t)at / PAIR_WAYS, counter);
    }
    FR_STORE(head->touches, head->touches + 1);
    uint32_t every = FR_MIN(FR_MAX(head->used / 4, 4u), 48u);
    if (owner->kind != STATE_ROW_ITEM && head->touches >= every)
        top_make(pairs, head, slots);
    base_row_done(&head->version);
    return ref;
}

/* ---- what expired --------------------------------------------------------------------------- */

/* P2: the last of the set takes the place. */
static void entry_drop(struct pair_head *head, uint32_t slots, uint32_t place)
{
    uint32_t ways = FR_MIN(slots, (uint32_t)PAIR_WAYS), last = place / PAIR_WAYS * PAIR_WAYS + ways;
    uint32_t *ids = ids_of(head), (*counters)[C] = counters_of(head, slots);
    static const uint32_t none[C];
    while (!ids[--last])
        ;
    base_rows_put(counters[place], counters[last], sizeof(counters[0]));
    FR_STORE(ids[place], ids[last]);
    base_rows_put(counters[last], none, sizeof(none));
    FR_STORE(ids[last], 0);
    FR_STORE(head->used, head->used - 1);
}

void state__pairs_drop(struct pairs *pairs, uint32_t ref, const struct state *state)
{
    const struct pair_head *seen = base_rows_at(pairs->tables[class_of(ref)], index_of(ref));
    uint32_t slots = class_slots[class_of(ref)];
    for (uint32_t s = 0; seen->used && s < slots; s++) {
        while (ids_of(seen)[s] && state__item_is_gone(state, ids_of(seen)[s])) {
            struct pair_head *head = base_rows_write(pairs->tables[class_of(ref)], index_of(ref));
            base_row_change(&head->version);
            entry_drop(head, slots, s);
            base_row_done(&head->version);
        }
    }
}

void state__tops_drop(struct pairs *pairs, uint32_t top, const struct state *state)
{
    const struct top_row *seen = base_rows_at(pairs->tops, top);
    for (uint32_t c = 0; c < C; c++) {
        for (uint32_t i = 0; i < seen->count[c]; i++) {
            if (!state__item_is_gone(state, seen->items[c][i]))
                continue;
            struct top_row *row = base_rows_write(pairs->tops, top);
            base_row_change(&row->version);
            FR_STORE(row->count[c], row->count[c] - 1);
            for (uint32_t k = i--; k < row->count[c]; k++)
                FR_STORE(row->items[c][k], row->items[c][k + 1]);
            base_row_done(&row->version);
        }
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

int32_t state_row_place(const struct state_row *row, uint32_t item)
{
    uint32_t set = set_of(item, row->count);
    int w = place_in_set(row->item + set, FR_MIN(row->count, (uint32_t)PAIR_WAYS), item);
    return w < 0 ? -1 : (int32_t)set + w;
}

enum { READ_TRIES = 8 };

bool state__pairs_read(const struct pairs *pairs, uint32_t ref, const struct pair_owner *owner,
                       struct base_arena *arena, struct state_row *out_row)
{
    if (!ref || class_of(ref) >= PAIR_CLASSES)
        return false;
    uint32_t slots = class_slots[class_of(ref)];
    const struct pair_head *head = base_rows_at(pairs->tables[class_of(ref)], index_of(ref));
    const struct pair_head *seen = head;
    if (arena) { /* a copy: the writer goes on meanwhile */
        size_t bytes = sizeof(*head) + (size_t)slots * ENTRY_BYTES;
        struct pair_head *copy = base_arena_alloc(arena, bytes);
        bool whole = false;
        for (int i = 0; copy && i < READ_TRIES && !whole; i++) {
            uint32_t began = base_row_read_begin(&head->version);
            base_rows_copy(copy, head, bytes);
            whole = base_row_read_ok(&head->version, began);
        }
        if (!whole)
            return false;
        seen = copy;
    }
    if (seen->owner != owner_word(owner))
        return false;
    uint32_t t = FR_MAX(owner->clock_s, seen->touch_s);
    out_row->count = slots;
    out_row->item = ids_of(seen);
    out_row->counter = (const uint32_t(*)[C])counters_of(seen, slots);
    float aged = 1.0f / (float)(1u << state__aged_bits(pairs->ages, seen->touch_s));
    for (uint32_t c = 0; c < STATE_ROW_COUNTERS; c++) {
        out_row->scale[c] = state__scale(seen->touch_s, t, half_life(pairs, owner->kind, c)) *
                            (is_slow(owner->kind, c) ? aged : 1.0f);
        out_row->total[c] = (float)(int32_t)seen->total[c] * out_row->scale[c];
    }
    return true;
}

uint32_t state__pairs_top(const struct pairs *pairs, uint32_t ref, const struct pair_owner *owner,
                          uint32_t counter, uint32_t *out_items, uint32_t count_max)
{
    if (!ref || class_of(ref) >= PAIR_CLASSES || counter >= STATE_ROW_COUNTERS)
        return 0;
    const struct pair_head *head = base_rows_at(pairs->tables[class_of(ref)], index_of(ref));
    uint32_t index = FR_LOAD(head->owner) == owner_word(owner) ? FR_LOAD(head->top) : 0;
    if (!index || index >= base_rows_count(pairs->tops))
        return 0;
    const struct top_row *top = base_rows_at(pairs->tops, index);
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t began = base_row_read_begin(&top->version);
        uint32_t count =
            FR_MIN(FR_MIN(FR_LOAD(top->count[counter]), count_max), (uint32_t)TOP_ITEMS);
        base_rows_copy(out_items, top->items[counter], count * sizeof(uint32_t));
        if (!base_row_read_ok(&top->version, began))
            continue;
        bool ours = FR_LOAD(head->owner) == owner_word(owner) && FR_LOAD(head->top) == index;
        return ours ? count : 0; /* else the row expired, and its leaders are another's */
    }
    return 0;
}
