/* SPDX-License-Identifier: Apache-2.0
 *
 * Full tables: the least useful rows expire and are used again. Streams of newcomers go through small
 * tables of users and items with all experts on; a simple model by names says what may be remembered of
 * whom. When an index comes free, every table is searched for it, raw.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rank/rank.h"
#include "state/state_priv.h"

enum { USERS_MAX = 400, ITEMS_MAX = 320, START_S = 1600000000, ACTIVE = 60, NAME = 32 };

struct bed {
    struct state *state;
    struct rank *rank;
    struct schema_types types;
    uint64_t position;
    uint32_t freed[STATE_KIND_COUNT];
};

static void bed_init(struct bed *bed, const char *experts)
{
    struct state_options options = {.user_count_max = USERS_MAX,
                                    .item_count_max = ITEMS_MAX,
                                    .context_count_max = 200,
                                    .token_count_max = 500,
                                    .text_bytes_max = 1 << 20,
                                    .event_count_max = 20000,
                                    .pair_bytes_max = 4 << 20,
                                    .dedupe_count_max = 1000,
                                    .history_max = 30,
                                    .newcomer_count_max = 4096};
    *bed = (struct bed){0};
    schema_types_init(&bed->types);
    assert_int_equal(state_new(&options, NULL, &bed->state), FR_OK);
    struct rank_options rank = {.state = bed->state, .experts = experts};
    if (experts)
        assert_int_equal(rank_new(&rank, NULL, &bed->rank), FR_OK);
}

static void bed_free(struct bed *bed)
{
    rank_free(bed->rank);
    state_free(bed->state);
}

/* ---- raw search ----------------------------------------------------------------------------- */

static const struct base_rows *table_of(struct base_rows *const *tables, uint32_t count,
                                        const char *name)
{
    for (uint32_t t = 0; t < count; t++)
        if (strcmp(base_rows_name(tables[t]), name) == 0)
            return tables[t];
    return NULL;
}

/* Is it among words first .. first + many - 1 of any row, or (stride) in every stride-th of them? */
static void assert_not_in(const struct base_rows *rows, uint32_t first, uint32_t many,
                          uint32_t stride, uint32_t item)
{
    for (uint32_t i = 1; rows && i < base_rows_count(rows); i++) {
        const uint32_t *word = base_rows_at(rows, i);
        for (uint32_t w = first; w < first + many; w += stride)
            if (word[w] == item)
                fail_msg("%s row %u names item %u, which came free", base_rows_name(rows), i, item);
    }
}

static void assert_empty(const struct base_rows *rows, uint32_t i, uint32_t first)
{
    const uint32_t *word = rows && i < base_rows_count(rows) ? base_rows_at(rows, i) : NULL;
    for (uint32_t w = first; word && w < base_rows_row_bytes(rows) / 4; w++)
        if (word[w] != 0)
            fail_msg("%s row %u keeps something", base_rows_name(rows), i);
}

static void assert_nowhere(const struct bed *bed, uint32_t item)
{
    static const uint32_t slots[PAIR_CLASSES] = {8, 16, 32, 64, 128, 224, 336};
    const struct state *state = bed->state;
    const uint32_t visit = sizeof(struct state_visit) / 4;
    assert_not_in(state->chunks, offsetof(struct chunk_row, visits) / 4, CHUNK_VISITS * visit,
                  visit, item);
    assert_not_in(state->older, offsetof(struct older_row, items) / 4, OLDER_ITEMS, 1, item);
    for (uint32_t c = 0; c < PAIR_CLASSES; c++)
        assert_not_in(state->pairs.tables[c], sizeof(struct pair_head) / 4, slots[c], 1, item);
    assert_not_in(state->pairs.tops, offsetof(struct top_row, items) / 4, 0, 1, item);
    for (uint32_t i = 1; i < base_rows_count(state->pairs.tops); i++) {
        const struct top_row *top = base_rows_at(state->pairs.tops, i);
        for (uint32_t c = 0; c < STATE_ROW_COUNTERS; c++)
            for (uint32_t k = 0; k < top->count[c]; k++)
                assert_int_not_equal(top->items[c][k], item);
    }
    assert_not_in(state->tokens, offsetof(struct token_row, ring) / 4, TOKEN_RING, 1, item);
    assert_not_in(state->total, offsetof(struct total_row, newest) / 4, 24, 1, item);
    uint32_t count = 0;
    struct base_rows *const *tables = bed->rank ? rank_tables(bed->rank, &count) : NULL;
    const struct base_rows *sessions = table_of(tables, count, "sknn-session");
    for (uint32_t i = 1; sessions && i < base_rows_count(sessions); i++) {
        const uint32_t *word =
            base_rows_at(sessions, i); /* the fourth: how many items, the last 20 */
        const uint32_t *items = word + base_rows_row_bytes(sessions) / 4 - 20;
        for (uint32_t k = 0; k < word[3]; k++)
            assert_int_not_equal(items[k], item);
    }
    assert_not_in(table_of(tables, count, "encoder-ring"), 0, 1, 1, item);
    assert_not_in(table_of(tables, count, "gru-ring"), 0, 1, 1, item);
    assert_empty(table_of(tables, count, "sknn-posting"), item, 1);
    assert_empty(table_of(tables, count, "factors-items"), item, 0);
    assert_empty(table_of(tables, count, "encoder-in"), item, 0);
    assert_empty(table_of(tables, count, "encoder-out"), item, 0);
    assert_empty(table_of(tables, count, "gru-in"), item, 0);
    assert_empty(table_of(tables, count, "gru-out"), item, 0);
}

static void assert_stranger(const struct bed *bed, uint32_t user)
{
    struct state_visit visit;
    uint32_t count = 0, older;
    struct base_rows *const *tables = bed->rank ? rank_tables(bed->rank, &count) : NULL;
    assert_int_equal(state_history(bed->state, user, &visit, 1), 0);
    assert_int_equal(state_seen_older(bed->state, user, &older, 1), 0);
    assert_int_equal(state_user_id(bed->state, user).bytes, 0);
    assert_empty(table_of(tables, count, "sknn-user"), user, 0);
}

static void assert_forgotten(const struct bed *bed, enum state_kind kind, uint32_t index)
{
    uint32_t count = 0;
    struct base_rows *const *tables = bed->rank ? rank_tables(bed->rank, &count) : NULL;
    if (kind == STATE_KIND_USER)
        assert_stranger(bed, index);
    if (kind == STATE_KIND_ITEM)
        assert_nowhere(bed, index);
    if (kind == STATE_KIND_VALUE)
        assert_empty(table_of(tables, count, "factors-values"), 64 + index, 0);
}

/* ---- a record, as the fold applies it -------------------------------------------------------- */

static void expire(struct bed *bed)
{
    struct state_expired expired;
    for (uint32_t k = 0; k < STATE_KIND_COUNT && state_expire_due(bed->state); k++) {
        state_expire_step(bed->state, (enum state_kind)k, &expired);
        if (bed->rank)
            rank_expire(bed->rank, &expired);
        else if (expired.sweep)
            state_expire_swept(bed->state, expired.kind);
        bed->freed[k] += expired.count;
        for (uint32_t i = 0; i < expired.count; i++)
            assert_forgotten(bed, (enum state_kind)k, expired.index[i]);
    }
}

static bool act_in(struct bed *bed, const char *user, const char *item, const char *region)
{
    struct schema_event event = {
        .user = fr_slice_str(user),
        .item = fr_slice_str(item),
        .time_us = (int64_t)(START_S + bed->position * 20) * 1000000,
        .type = SCHEMA_CLICK,
        .context.region = fr_slice_str(region),
        .context.extra = {{FR_SLICE("campaign"), fr_slice_str(region)}},
        .context.extra_count = 1,
    };
    struct state_event out;
    enum fr_status status =
        state_resolve(bed->state, &event, &bed->types, ++bed->position, event.time_us, &out);
    if (status == FR_OK) {
        if (bed->rank && bed->position % 3 == 0)
            rank_learn(bed->rank, &out, true, NULL);
        state_apply(bed->state, &out);
        if (bed->rank)
            rank_apply(bed->rank, &out);
    }
    expire(bed);
    return status == FR_OK;
}

static bool act(struct bed *bed, const char *user, const char *item)
{
    return act_in(bed, user, item, "here");
}

static uint32_t draw(const struct bed *bed, uint32_t what, uint32_t count)
{
    return (uint32_t)(base_random_u64(11, bed->position, what) % count);
}

static bool act_by(struct bed *bed, const char *who, uint32_t user, const char *what, uint32_t item)
{
    char user_id[NAME], item_id[NAME];
    snprintf(user_id, sizeof(user_id), "%s-%u", who, user);
    snprintf(item_id, sizeof(item_id), "%s-%u", what, item);
    return act(bed, user_id, item_id);
}

static uint32_t user_of(const struct bed *bed, const char *who, uint32_t user)
{
    char id[NAME];
    snprintf(id, sizeof(id), "%s-%u", who, user);
    return state_user_find(bed->state, fr_slice_str(id));
}

/* ---- users ---------------------------------------------------------------------------------- */

static void newcomers_get_in_and_the_active_stay(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, "all");
    uint32_t refused = 0, back = 0;
    for (uint32_t i = 0; i < 40; i++)
        for (uint32_t a = 0; a < ACTIVE; a++)
            act_by(&bed, "active", a, "item", draw(&bed, 0, 50));
    for (uint32_t n = 0; n < 6000; n++) {
        for (uint32_t again = 0; again < 3; again++) { /* refused, admitted, back */
            bool taken = act_by(&bed, "visitor", n, "item", draw(&bed, 1, 50));
            refused += again == 1 && n > USERS_MAX && !taken;
            back += again == 2 && taken;
        }
        act_by(&bed, "active", n % ACTIVE, "item", draw(&bed, 2, 50));
    }
    assert_true(bed.freed[STATE_KIND_USER] > 5000);
    assert_int_equal(refused, 0);
    assert_true(back >= 5990);
    for (uint32_t a = 0; a < ACTIVE; a++) { /* whole: up to a chunk less than 30 */
        uint32_t user = user_of(&bed, "active", a);
        assert_true(user != 0);
        assert_in_range(state_history_count(bed.state, user), 22, 30);
    }
    assert_true(user_of(&bed, "visitor", 5999) != 0);
    assert_int_equal(user_of(&bed, "visitor", 10), 0);
    assert_in_range(base_rows_count(bed.state->users), USERS_MAX - 1, USERS_MAX + 2);
    assert_int_equal(bed.freed[STATE_KIND_ITEM], 0);
    bed_free(&bed);
}

/* What the owner has PUT is not for the table to drop; what was deleted goes first. */
static void owners_words_stay(void **unused)
{
    (void)unused;
    struct bed bed;
    struct base_buf bytes;
    bed_init(&bed, NULL);
    base_buf_init(&bytes, 0);
    for (uint32_t u = 0; u < 100; u++) {
        char id[NAME];
        snprintf(id, sizeof(id), "put-%u", u);
        const struct schema_user user = {.id = fr_slice_str(id)};
        const struct schema_item item = {.id = fr_slice_str(id),
                                         .title = FR_SLICE("Title"),
                                         .present = SCHEMA_TITLE};
        base_buf_clear(&bytes);
        schema_user_encode(&user, &bytes);
        assert_int_equal(state_apply_user(bed.state, base_buf_slice(&bytes)), FR_OK);
        base_buf_clear(&bytes);
        schema_item_encode(&item, &bytes);
        assert_int_equal(state_apply_item(bed.state, base_buf_slice(&bytes), 1), FR_OK);
    }
    state_apply_user_delete(bed.state, FR_SLICE("put-7"));
    state_apply_item_delete(bed.state, FR_SLICE("put-7"));
    for (uint32_t n = 0; n < 3000; n++)
        for (uint32_t again = 0; again < 2; again++)
            act_by(&bed, "visitor", n, "event", n);
    assert_true(bed.freed[STATE_KIND_USER] > 1000 && bed.freed[STATE_KIND_ITEM] > 100);
    for (uint32_t u = 0; u < 100; u++) {
        char id[NAME];
        snprintf(id, sizeof(id), "put-%u", u);
        assert_true((state_user_find(bed.state, fr_slice_str(id)) != 0) == (u != 7));
        assert_true((state_item_find(bed.state, fr_slice_str(id)) != 0) == (u != 7));
    }
    base_buf_release(&bytes);
    bed_free(&bed);
}

/* An answer under way while its user expires goes on with nobody; once the row is another's, it is told. */
static void readers_are_told(void **unused)
{
    (void)unused;
    struct bed bed;
    struct state_visit visits[8];
    bed_init(&bed, NULL);
    act_by(&bed, "first", 0, "item", 0);
    uint32_t first = user_of(&bed, "first", 0), n = 0;
    uint64_t began = state_reading_begin(bed.state);
    while (!state_user_expired(bed.state, first)) {
        assert_true(n++ < 20000);
        act_by(&bed, "visitor", n / 2, "item", 1);
        if (!state_user_expired(bed.state, first) && !state_reading_ok(bed.state, began))
            began = state_reading_begin(bed.state); /* of other rows: a false alarm is fine */
    }
    assert_int_equal(state_user_find(bed.state, FR_SLICE("first-0")), 0);
    assert_int_equal(state_history(bed.state, first, visits, 8), 0);
    while (state_history(bed.state, first, visits, 8) == 0) {
        assert_true(n++ < 40000);
        act_by(&bed, "visitor", n / 2, "item", 1);
    }
    assert_false(state_reading_ok(bed.state, began)); /* these are a stranger's visits */
    assert_true(state_lives(bed.state, STATE_KIND_USER, first) > 0);
    bed_free(&bed);
}

/* ---- items, by names ------------------------------------------------------------------------- */

enum { NAMES = 4000, PEOPLE = 80 };

/* The model: who has had what, by the numbers in the names. */
static uint8_t had[PEOPLE][NAMES];

static uint32_t number_in(struct fr_slice id)
{
    char text[NAME] = {0};
    memcpy(text, id.ptr, FR_MIN(id.bytes, sizeof(text) - 1));
    return (uint32_t)strtoul(strchr(text, '-') + 1, NULL, 10);
}

static void assert_histories(const struct bed *bed)
{
    struct state_visit visits[64];
    uint32_t older[512];
    for (uint32_t p = 0; p < PEOPLE; p++) {
        uint32_t user = user_of(bed, "person", p),
                 count = state_history(bed->state, user, visits, 64);
        for (uint32_t v = 0; v < count; v++)
            assert_true(had[p][number_in(state_item_id(bed->state, visits[v].item))]);
        count = state_seen_older(bed->state, user, older, 512);
        for (uint32_t v = 0; v < count; v++)
            if (older[v] && !state_item_gone(bed->state, older[v]))
                assert_true(had[p][number_in(state_item_id(bed->state, older[v]))]);
    }
}

/* Whoever stands in an item's neighbour row was had by somebody who had the item too. */
static void assert_neighbours(const struct bed *bed)
{
    struct base_arena arena;
    assert_int_equal(base_arena_init(&arena, 1 << 20), FR_OK);
    for (uint32_t item = 1; item < state_item_count(bed->state); item++) {
        struct state_row row;
        base_arena_clear(&arena);
        if (!state_row_get(bed->state, STATE_ROW_ITEM, item, 0, &arena, false, &row))
            continue;
        uint32_t of = number_in(state_item_id(bed->state, item));
        for (uint32_t s = 0; s < row.count; s++) {
            if (!row.item[s] || state_item_gone(bed->state, row.item[s]))
                continue;
            uint32_t other = number_in(state_item_id(bed->state, row.item[s])), both = 0;
            for (uint32_t p = 0; p < PEOPLE; p++)
                both += had[p][of] && had[p][other];
            if (!both)
                fail_msg("item-%u stands beside item-%u, with which nobody had it", other, of);
        }
    }
    base_arena_release(&arena);
}

static void assert_answers(const struct bed *bed)
{
    struct base_arena arena;
    assert_int_equal(base_arena_init(&arena, RANK_ARENA_BYTES), FR_OK);
    for (uint32_t p = 0; p < PEOPLE; p += 7) {
        struct model_query query;
        struct rank_result result;
        const struct rank_query_options options = {0};
        struct model_request request = {.user = user_of(bed, "person", p)};
        base_arena_clear(&arena);
        assert_int_equal(model_query_build(bed->state, &request, &arena, &query), FR_OK);
        assert_int_equal(rank_query(bed->rank, &query, &options, &arena, &result), FR_OK);
        assert_true(result.count > 10);
        for (uint32_t r = 0; r < result.count; r++) {
            struct fr_slice id = state_item_id(bed->state, result.item[r]);
            assert_int_equal(state_item_find(bed->state, id), result.item[r]);
        }
    }
    base_arena_release(&arena);
}

/* Items are born, had by a few for a while, and left: more than ten times as many as there are rows. */
static void items_turn_over(const char *experts)
{
    struct bed bed;
    bed_init(&bed, experts);
    memset(had, 0, sizeof(had));
    for (uint32_t i = 0; i < 36000; i++) {
        uint32_t person = draw(&bed, 0, PEOPLE), newest = i / 9, back = draw(&bed, 1, 60);
        uint32_t item = draw(&bed, 2, 4) ? newest - FR_MIN(back, newest) : draw(&bed, 3, 20);
        had[person][item % NAMES] |= act_by(&bed, "person", person, "item", item % NAMES);
        if (i % 600 == 599) {
            assert_histories(&bed);
            assert_neighbours(&bed);
            assert_answers(&bed);
        }
    }
    print_message("%u users, %u items came free\n", bed.freed[STATE_KIND_USER],
                  bed.freed[STATE_KIND_ITEM]);
    assert_true(bed.freed[STATE_KIND_ITEM] > 1500);
    for (uint32_t item = 0; item < 20; item++) { /* what all go on having is there */
        char id[NAME];
        snprintf(id, sizeof(id), "item-%u", item);
        assert_true(state_item_find(bed.state, fr_slice_str(id)) != 0);
    }
    bed_free(&bed);
}

static void nothing_names_an_item_that_comes_free(void **unused)
{
    (void)unused;
    items_turn_over("all");
}

static void nor_where_ridge_learns(void **unused)
{
    (void)unused;
    items_turn_over("popularity,cooc,ridge,sessions");
}

static void nor_where_a_recurrent_network_learns(void **unused)
{
    (void)unused;
    items_turn_over("popularity,cooc,gru");
}

/* ---- contexts and tokens --------------------------------------------------------------------- */

/* A region is where one item is read: its leaders are that one, whoever had its rows before. */
static void a_new_region_has_its_own_leaders(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, "all");
    for (uint32_t n = 0; n < 1500; n++) {
        char region[NAME], item[NAME];
        snprintf(region, sizeof(region), "region-%u", n);
        snprintf(item, sizeof(item), "item-%u", n % 97);
        for (uint32_t i = 0; i < 12; i++)
            act_in(&bed, "one", item, region);
        act_in(&bed, "two", "item-here", "here");
        uint32_t value = state_context_find(bed.state, STATE_REGION, fr_slice_str(region)), tops[8];
        uint32_t count =
            state_row_top(bed.state, STATE_ROW_CONTEXT, value, STATE_POP_SLOW, tops, 8);
        assert_true(value != 0);
        assert_int_equal(count, 1);
        assert_int_equal(tops[0], state_item_find(bed.state, fr_slice_str(item)));
    }
    assert_true(bed.freed[STATE_KIND_VALUE] > 2000);
    assert_true(state_context_find(bed.state, STATE_REGION, FR_SLICE("here")) != 0);
    assert_int_equal(state_context_find(bed.state, STATE_REGION, FR_SLICE("region-3")), 0);
    bed_free(&bed);
}

static void put_titled(struct bed *bed, const char *id, const char *title, uint32_t n)
{
    struct base_buf bytes;
    char category[NAME];
    snprintf(category, sizeof(category), "section %u", n);
    const struct schema_item item = {.id = fr_slice_str(id),
                                     .title = fr_slice_str(title),
                                     .categories = {fr_slice_str(category)},
                                     .category_count = 1,
                                     .present = SCHEMA_TITLE | SCHEMA_CATEGORIES};
    base_buf_init(&bytes, 0);
    schema_item_encode(&item, &bytes);
    assert_int_equal(state_apply_item(bed->state, base_buf_slice(&bytes), 1), FR_OK);
    base_buf_release(&bytes);
    expire(bed);
}

/* Words that no item has any more make room; an item keeps its own, and finds by them. */
static void unused_tokens_make_room(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    put_titled(&bed, "stays", "perennial willow", 0);
    for (uint32_t n = 1; n < 3000; n++) { /* the same item, told anew each time */
        char title[64];
        snprintf(title, sizeof(title), "word%ux other%ux", n, n);
        put_titled(&bed, "changes", title, n);
        char category[NAME];
        snprintf(category, sizeof(category), "section %u", n);
        uint32_t items[4], token = state_category_find(bed.state, fr_slice_str(category));
        assert_true(token != 0);
        assert_int_equal(state_token_items(bed.state, token, items, 4), 1);
        assert_int_equal(items[0], state_item_find(bed.state, FR_SLICE("changes")));
    }
    struct state_item stays;
    assert_true(bed.freed[STATE_KIND_TOKEN] > 8000);
    uint32_t section = state_category_find(bed.state, FR_SLICE("section 0"));
    assert_true(state_item_get(bed.state, state_item_find(bed.state, FR_SLICE("stays")), &stays));
    assert_true(section != 0 && stays.categories[0] == section);
    assert_int_equal(state_category_find(bed.state, FR_SLICE("section 5")), 0);
    bed_free(&bed);
}

/* An item that was deleted gives back the place of its tokens, so that one told later has its own. */
static void deleted_items_make_room_for_tokens(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    for (uint32_t n = 0; n < 12000; n++) {
        char id[NAME];
        struct state_item item;
        snprintf(id, sizeof(id), "short-%u", n);
        put_titled(&bed, id, "a title", n % 7);
        uint32_t index = state_item_find(bed.state, fr_slice_str(id));
        assert_true(state_item_get(bed.state, index, &item));
        assert_true(item.categories[0] != 0);
        state_apply_item_delete(bed.state, fr_slice_str(id));
        while (state_expire_due(bed.state))
            expire(&bed);
    }
    assert_true(bed.freed[STATE_KIND_ITEM] > 10000);
    bed_free(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newcomers_get_in_and_the_active_stay),
        cmocka_unit_test(owners_words_stay),
        cmocka_unit_test(readers_are_told),
        cmocka_unit_test(nothing_names_an_item_that_comes_free),
        cmocka_unit_test(nor_where_ridge_learns),
        cmocka_unit_test(nor_where_a_recurrent_network_learns),
        cmocka_unit_test(a_new_region_has_its_own_leaders),
        cmocka_unit_test(unused_tokens_make_room),
        cmocka_unit_test(deleted_items_make_room_for_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
