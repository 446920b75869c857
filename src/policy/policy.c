/* SPDX-License-Identifier: Apache-2.0
 *
 * policy: filters, quota, caps. See the door for the rules.
 *
 * The quota. With n places and share s, q = floor(n s) places are for new items, one more with
 * probability n s - q (one draw). New items that the scores brought in already count. The missing m
 * are drawn without replacement from the pool (the best-scored new items outside the list), and
 * displace the last m of the list; they enter in the list's second half, at places drawn apart.
 * Propensities (P3): a pool item: E[m] / pool; a displaceable item: 1 - P(it is displaced);
 * others 1. E[m] and P come from the two values that m can take. Thread: the request's.
 */
#include "policy/policy.h"

#include <string.h>

#include "base/hash.h"

struct policy {
    const struct policy_request *request;
    uint32_t *set;     /* open addressing: excluded and seen items; 0 = empty */
    uint8_t *set_rule; /* enum policy_rule of each */
    uint32_t set_mask;
    uint32_t rejected[POLICY_RULE_COUNT];
};

/* ---- filters ---------------------------------------------------------------------------- */

static uint32_t set_home(const struct policy *policy, uint32_t item)
{
    return (item * 0x9e3779b1u) >> 8 & policy->set_mask;
}

static void set_add(struct policy *policy, uint32_t item, enum policy_rule rule)
{
    uint32_t at = set_home(policy, item);
    while (policy->set[at] != 0 && policy->set[at] != item)
        at = (at + 1) & policy->set_mask;
    if (policy->set[at] == item || item == 0)
        return;
    policy->set[at] = item;
    policy->set_rule[at] = (uint8_t)rule;
}

static bool set_has(const struct policy *policy, uint32_t item, enum policy_rule rule)
{
    uint32_t at = set_home(policy, item);
    while (policy->set[at] != 0 && policy->set[at] != item)
        at = (at + 1) & policy->set_mask;
    return policy->set[at] == item && policy->set_rule[at] == (uint8_t)rule;
}

static bool is_excluded(const struct policy *policy, const struct state_item *item)
{
    return set_has(policy, item->item, POLICY_EXCLUDED);
}

static bool is_seen(const struct policy *policy, const struct state_item *item)
{
    return set_has(policy, item->item, POLICY_SEEN);
}

static bool is_hidden(const struct policy *policy, const struct state_item *item)
{
    (void)policy;
    return (item->flags & STATE_ITEM_HIDDEN) != 0;
}

static bool is_deleted(const struct policy *policy, const struct state_item *item)
{
    (void)policy;
    return (item->flags & STATE_ITEM_DELETED) != 0;
}

static bool is_expired(const struct policy *policy, const struct state_item *item)
{
    return item->expires_s != 0 && item->expires_s <= policy->request->now_s;
}

static bool is_unpublished(const struct policy *policy, const struct state_item *item)
{
    return item->published_s > policy->request->now_s;
}

static bool has_category(const struct state_item *item, uint32_t token)
{
    for (uint32_t i = 0; i < STATE_ITEM_CATEGORIES_MAX && item->categories[i]; i++)
        if (item->categories[i] == token)
            return true;
    return false;
}

static bool is_of_other_category(const struct policy *policy, const struct state_item *item)
{
    const struct policy_request *request = policy->request;
    uint32_t found = 0;
    if (request->category_count == 0)
        return false;
    for (uint32_t i = 0; i < request->category_count; i++)
        found += request->categories[i] != 0 && has_category(item, request->categories[i]);
    return request->categories_all ? found < request->category_count : found == 0;
}

static const struct {
    const char *name;
    const char *about;
    bool (*rejects)(const struct policy *policy, const struct state_item *item);
} filter[POLICY_RULE_COUNT] = {
    [POLICY_EXCLUDED] = {"excluded", "The request named it under exclude.", is_excluded},
    [POLICY_SEEN] = {"seen", "The user has acted on it (repeats=skip), or disliked it (always).",
                     is_seen},
    [POLICY_HIDDEN] = {"hidden", "The catalogue marks it hidden.", is_hidden},
    [POLICY_DELETED] = {"deleted", "It was deleted from the catalogue.", is_deleted},
    [POLICY_EXPIRED] = {"expired", "Its expiry lies in the past.", is_expired},
    [POLICY_UNPUBLISHED] = {"unpublished", "Its publication lies in the future.", is_unpublished},
    [POLICY_CATEGORY] = {"category", "It is not of the categories asked for.",
                         is_of_other_category},
};

const char *policy_rule_name(enum policy_rule rule)
{
    return filter[rule].name;
}

const char *policy_rule_about(enum policy_rule rule)
{
    return filter[rule].about;
}

const char *policy_move_name(enum policy_move move)
{
    static const char *const name[POLICY_MOVE_COUNT] = {
        [POLICY_RANKED] = "ranked",
        [POLICY_NEW] = "new_quota",
        [POLICY_DIVERSE] = "diversity",
        [POLICY_CAPPED] = "over_cap",
    };
    return name[move];
}

static bool passes(const struct policy *policy, const struct state_item *item, uint32_t *out_rule)
{
    for (uint32_t rule = 0; rule < POLICY_RULE_COUNT; rule++) {
        if (filter[rule].rejects(policy, item)) {
            *out_rule = rule;
            return false;
        }
    }
    return true;
}

/* Nearly every item: one look-up and a few words tell that no rule can reject it. */
static bool is_free(const struct policy *policy, const struct state_item *item)
{
    const struct policy_request *request = policy->request;
    return policy->set[set_home(policy, item->item)] == 0 && request->category_count == 0 &&
           !(item->flags & (STATE_ITEM_HIDDEN | STATE_ITEM_DELETED)) && item->expires_s == 0 &&
           item->published_s <= request->now_s;
}

bool policy_accept(void *context, const struct state_item *item)
{
    struct policy *policy = context;
    uint32_t rule;
    if (is_free(policy, item) || passes(policy, item, &rule))
        return true;
    policy->rejected[rule]++;
    return false;
}

enum fr_status policy_new(const struct policy_request *request, struct base_arena *arena,
                          struct policy **out_policy)
{
    FR_ASSERT(request->n <= POLICY_PLACES_MAX);
    struct policy *policy = base_arena_zalloc(arena, sizeof *policy);
    uint32_t slots = 16;
    while (slots < 2 * (request->exclude_count + request->query->seen_count))
        slots *= 2;
    uint32_t *set = base_arena_zalloc(arena, slots * sizeof *set);
    uint8_t *set_rule = base_arena_alloc(arena, slots);
    if (!policy || !set || !set_rule)
        return FR_FULL;
    *policy = (struct policy){.request = request,
                              .set = set,
                              .set_rule = set_rule,
                              .set_mask = slots - 1};
    for (uint32_t i = 0; i < request->exclude_count; i++)
        set_add(policy, request->exclude[i], POLICY_EXCLUDED);
    for (uint32_t i = 0; i < request->query->seen_count; i++)
        set_add(policy, request->query->seen[i], POLICY_SEEN);
    *out_policy = policy;
    return FR_OK;
}

/* ---- caps ------------------------------------------------------------------------------- */

/* How often a category or an author has been placed. A few dozen at most: looked at one by one. */
struct tally {
    uint32_t key[2 * POLICY_PLACES_MAX];
    uint32_t placed[2 * POLICY_PLACES_MAX];
    uint32_t count;
};

static uint32_t *tally_of(struct tally *tally, uint32_t key)
{
    for (uint32_t i = 0; i < tally->count; i++)
        if (tally->key[i] == key)
            return &tally->placed[i];
    if (tally->count == FR_COUNT_OF(tally->key))
        return NULL;
    tally->key[tally->count] = key;
    tally->placed[tally->count] = 0;
    return &tally->placed[tally->count++];
}

static bool take_place(struct tally *tally, uint32_t key, uint32_t cap, bool really)
{
    uint32_t *placed = cap && key ? tally_of(tally, key) : NULL;
    if (!placed)
        return true;
    if (!really)
        return *placed < cap;
    (*placed)++;
    return true;
}

struct filling {
    struct policy *policy;
    struct tally category, author;
    struct policy_place *list; /* offset + n of them, then the pool's choice */
    uint32_t count, wanted;
    uint32_t *late; /* results over a cap, in order */
    uint32_t late_count;
};

static void place(struct filling *fill, uint32_t result, const struct state_item *item,
                  enum policy_move move)
{
    const struct policy_request *request = fill->policy->request;
    (void)take_place(&fill->category, item->categories[0], request->category_cap, true);
    (void)take_place(&fill->author, item->author, request->author_cap, true);
    fill->list[fill->count++] =
        (struct policy_place){.item = item->item, .result = result, .propensity = 1, .move = move};
}

static bool is_over_cap(struct filling *fill, const struct state_item *item)
{
    const struct policy_request *request = fill->policy->request;
    return !take_place(&fill->category, item->categories[0], request->category_cap, false) ||
           !take_place(&fill->author, item->author, request->author_cap, false);
}

static bool is_new(const struct policy *policy, const struct state_item *item)
{
    uint32_t clock_s = policy->request->query->clock_s;
    uint32_t age_s = clock_s > item->first_s ? clock_s - item->first_s : 0;
    uint32_t most_s = policy->request->new_age_s ? policy->request->new_age_s : POLICY_NEW_AGE_S;
    return item->event_count < POLICY_NEW_EVENTS && age_s < most_s;
}

/* ---- the quota -------------------------------------------------------------------------- */

struct pool {
    uint32_t result[POLICY_POOL_MAX], item[POLICY_POOL_MAX];
    uint32_t count, have; /* candidates to draw; new ones that stand in the list anyway */
    uint32_t drawn;       /* how many of them come in */
    float propensity;     /* of each */
};

static double unit(const struct policy *policy, uint64_t index)
{
    return base_random_unit(policy->request->seed, policy->request->request_id, index);
}

static uint32_t missing(uint32_t quota, const struct pool *pool, uint32_t page)
{
    uint32_t wanted = quota > pool->have ? quota - pool->have : 0;
    wanted = FR_MIN(wanted, pool->count);
    return FR_MIN(wanted, page / 2);
}

static void propensities(struct policy_place *list, uint32_t page, uint32_t few, uint32_t many,
                         float more)
{
    for (uint32_t i = 0; i < page; i++) {
        uint32_t from_end = page - i; /* the last has 1 */
        if (from_end <= few)
            list[i].propensity = 0; /* always displaced; stands here only if few is not reached */
        else if (from_end <= many)
            list[i].propensity = 1 - more;
    }
}

/* Draws pool->drawn of the pool into the list's tail, then each to a place in the second half. */
static void draw(const struct policy *policy, struct pool *pool, struct policy_place *list,
                 uint32_t page)
{
    uint32_t m = pool->drawn;
    for (uint32_t i = 0; i < m; i++) {
        uint32_t pick = i + (uint32_t)(unit(policy, 1 + 2 * i) * (pool->count - i));
        struct policy_place chosen = {.item = pool->item[pick],
                                      .result = pool->result[pick],
                                      .propensity = pool->propensity,
                                      .move = POLICY_NEW};
        pool->item[pick] = pool->item[i];
        pool->result[pick] = pool->result[i];
        uint32_t last = page - m + i; /* of the places filled so far */
        uint32_t low = page / 2;
        uint32_t to = low + (uint32_t)(unit(policy, 2 + 2 * i) * (last + 1 - low));
        memmove(&list[to + 1], &list[to], (last - to) * sizeof *list);
        list[to] = chosen;
    }
}

static void quota(const struct policy *policy, struct pool *pool, struct policy_place *list,
                  uint32_t page, struct policy_slate *slate)
{
    float places = policy->request->new_share * (float)policy->request->n;
    uint32_t whole = (uint32_t)places;
    float more = places - (float)whole;
    uint32_t few = missing(whole, pool, page), many = missing(whole + 1, pool, page);
    pool->drawn = unit(policy, 0) < (double)more ? many : few;
    slate->new_pool = pool->count;
    slate->new_placed = pool->drawn;
    if (many == 0)
        return;
    float expected = (1 - more) * (float)few + more * (float)many;
    propensities(list, page, few, many, more);
    pool->propensity = expected / (float)pool->count;
    draw(policy, pool, list, page);
}

/* ---- deciding --------------------------------------------------------------------------- */

static void pool_add(struct pool *pool, uint32_t result, uint32_t item)
{
    if (pool->count == POLICY_POOL_MAX)
        return;
    pool->result[pool->count] = result;
    pool->item[pool->count++] = item;
}

/* One ranked item: into the list, to the late ones, or (list full) into the pool. */
static void consider(struct filling *fill, struct pool *pool, uint32_t result, uint32_t index)
{
    struct policy *policy = fill->policy;
    struct state_item item;
    if (!state_item_get(policy->request->state, index, &item))
        return;
    if (!policy_accept(policy, &item)) /* P1 */
        return;
    bool full = fill->count == fill->wanted;
    if (full) {
        if (is_new(policy, &item))
            pool_add(pool, result, index);
        return;
    }
    if (is_over_cap(fill, &item)) {
        fill->late[fill->late_count++] = result;
        return;
    }
    if (fill->count >= policy->request->offset)
        pool->have += is_new(policy, &item);
    place(fill, result, &item, fill->late_count ? POLICY_DIVERSE : POLICY_RANKED);
}

static void place_late(struct filling *fill, const uint32_t *item)
{
    for (uint32_t i = 0; i < fill->late_count && fill->count < fill->wanted; i++) {
        struct state_item row;
        if (state_item_get(fill->policy->request->state, item[fill->late[i]], &row))
            place(fill, fill->late[i], &row, POLICY_CAPPED);
    }
}

enum fr_status policy_decide(struct policy *policy, const uint32_t *item, uint32_t count,
                             struct base_arena *arena, struct policy_slate *out_slate)
{
    const struct policy_request *request = policy->request;
    struct filling *fill = base_arena_zalloc(arena, sizeof *fill);
    struct pool *pool = base_arena_zalloc(arena, sizeof *pool);
    uint32_t wanted = FR_MIN(request->offset + request->n, count);
    struct policy_place *list = base_arena_alloc(arena, (wanted + 1) * sizeof *list);
    uint32_t *late = base_arena_alloc(arena, (count + 1) * sizeof *late);
    if (!fill || !pool || !list || !late)
        return FR_FULL;
    fill->policy = policy;
    fill->list = list;
    fill->late = late;
    fill->wanted = wanted;
    bool with_quota = request->new_share > 0 && request->offset == 0;
    for (uint32_t i = 0; i < count && (with_quota || fill->count < wanted); i++)
        consider(fill, pool, i, item[i]);
    place_late(fill, item);
    uint32_t first = FR_MIN(request->offset, fill->count);
    *out_slate = (struct policy_slate){.count = fill->count - first, .place = list + first};
    if (with_quota)
        quota(policy, pool, list, fill->count, out_slate);
    memcpy(out_slate->rejected, policy->rejected, sizeof policy->rejected);
    return FR_OK;
}
