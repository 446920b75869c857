/* SPDX-License-Identifier: Apache-2.0
 *
 * Cold start of users: whom a document follows is found when known; what friends chose and followed
 * authors made become candidates with a reason of their own. And counts that are aged give way.
 */
#include "base/buf.h"
#include "rank/rank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bed {
    struct schema_types types;
    struct state *state;
    struct rank *rank;
    struct base_arena arena;
    struct base_buf bytes;
    uint64_t position;
    uint32_t time_s;
};

static struct bed bed_new(void)
{
    struct bed bed = {.time_s = 1700000000};
    const struct state_options limits = {.item_count_max = 4096,
                                         .user_count_max = 4096,
                                         .event_count_max = 1 << 14,
                                         .text_bytes_max = 16 << 20,
                                         .pair_bytes_max = 8 << 20,
                                         .dedupe_count_max = 1 << 12};
    schema_types_init(&bed.types);
    base_buf_init(&bed.bytes, 0);
    assert_int_equal(state_new(&limits, NULL, &bed.state), FR_OK);
    struct rank_options options = {.state = bed.state};
    assert_int_equal(rank_new(&options, NULL, &bed.rank), FR_OK);
    assert_int_equal(base_arena_init(&bed.arena, RANK_ARENA_BYTES), FR_OK);
    return bed;
}

static void bed_free(struct bed *bed)
{
    rank_free(bed->rank);
    state_free(bed->state);
    base_arena_release(&bed->arena);
    base_buf_release(&bed->bytes);
}

static void click(struct bed *bed, const char *user, const char *item)
{
    struct schema_event event = {.user = fr_slice_str(user),
                                 .item = fr_slice_str(item),
                                 .type = SCHEMA_CLICK,
                                 .time_us = (int64_t)bed->time_s++ * 1000000};
    struct state_event resolved;
    assert_int_equal(state_resolve(bed->state, &event, &bed->types, ++bed->position, INT64_MAX / 2,
                                   &resolved),
                     FR_OK);
    state_apply(bed->state, &resolved);
    rank_apply(bed->rank, &resolved);
}

static void put_user(struct bed *bed, const char *id, const char *const *follows, uint32_t count)
{
    struct schema_user user = {.id = fr_slice_str(id), .present = SCHEMA_FOLLOWS};
    for (uint32_t f = 0; f < count; f++)
        user.follows[user.follow_count++] = fr_slice_str(follows[f]);
    base_buf_clear(&bed->bytes);
    schema_user_encode(&user, &bed->bytes);
    assert_int_equal(state_apply_user(bed->state, base_buf_slice(&bed->bytes)), FR_OK);
}

static void put_item(struct bed *bed, const char *id, const char *author)
{
    struct schema_item item = {.id = fr_slice_str(id), .author = fr_slice_str(author)};
    item.present = SCHEMA_AUTHOR;
    base_buf_clear(&bed->bytes);
    schema_item_encode(&item, &bed->bytes);
    assert_int_equal(state_apply_item(bed->state, base_buf_slice(&bed->bytes), 1000000), FR_OK);
}

/* Sixty items that all like, so that a friend's and an author's are no leaders. */
static void crowd(struct bed *bed)
{
    for (uint32_t u = 0; u < 40; u++)
        for (uint32_t i = 0; i < 12; i++) {
            char user[16], item[16];
            snprintf(user, sizeof(user), "c%u", u);
            snprintf(item, sizeof(item), "p%u", (u * 7 + i) % 60);
            click(bed, user, item);
        }
}

static void whom_one_follows_is_found(void **unused)
{
    (void)unused;
    static const char *const follows[] = {"ann", "nobody", "M. Voss", "bob"};
    struct bed bed = bed_new();
    struct state_follows found;
    click(&bed, "ann", "x");
    put_user(&bed, "bob", follows, 4); /* himself among them */
    put_item(&bed, "harbour", "M. Voss");
    uint32_t bob = state_user_find(bed.state, FR_SLICE("bob"));
    assert_true(state_user_follows(bed.state, bob, &bed.arena, &found));
    assert_int_equal(found.user_count, 1);
    assert_int_equal(found.users[0], state_user_find(bed.state, FR_SLICE("ann")));
    assert_int_equal(found.author_count, 1);
    assert_false(state_user_follows(bed.state, found.users[0], &bed.arena, &found));
    assert_false(state_user_follows(bed.state, 0, &bed.arena, &found));
    bed_free(&bed);
}

/* Rank in the answer and the generator's mark. */
static uint32_t place_of(const struct bed *bed, const struct rank_result *result, const char *item)
{
    uint32_t wanted = state_item_find(bed->state, fr_slice_str(item));
    for (uint32_t r = 0; r < result->count; r++)
        if (result->item[r] == wanted)
            return r;
    return UINT32_MAX;
}

static void ask(struct bed *bed, const char *user, struct rank_result *out_result)
{
    static struct model_query query;
    struct model_request request = {.user = state_user_find(bed->state, fr_slice_str(user))};
    const struct rank_query_options options = {0};
    base_arena_clear(&bed->arena);
    assert_int_equal(model_query_build(bed->state, &request, &bed->arena, &query), FR_OK);
    assert_int_equal(rank_query(bed->rank, &query, &options, &bed->arena, out_result), FR_OK);
}

static void friends_and_authors_speak_for_the_unknown(void **unused)
{
    (void)unused;
    static const char *const follows[] = {"ann", "M. Voss"};
    struct bed bed = bed_new();
    struct rank_result result;
    put_item(&bed, "harbour", "M. Voss");
    for (uint32_t i = 0; i < 30; i++) { /* later ones, so that it is not among the newest */
        char id[16];
        snprintf(id, sizeof(id), "late%u", i);
        put_item(&bed, id, "somebody");
    }
    click(&bed, "ann", "quiet");
    crowd(&bed);
    put_user(&bed, "new", follows, 2);
    put_user(&bed, "alone", follows, 0);
    ask(&bed, "new", &result);
    uint32_t quiet = place_of(&bed, &result, "quiet"), harbour = place_of(&bed, &result, "harbour");
    assert_true(quiet < 10 && harbour < result.count); /* nothing was learnt yet */
    assert_true(result.generators[quiet] & 1u << RETRIEVE_FRIENDS);
    assert_true(result.generators[harbour] & 1u << RETRIEVE_FRIENDS);
    bool told = false;
    for (uint32_t f = 0; f < result.feature_count; f++)
        told |= result.feature[f].reason == MODEL_REASON_FRIENDS &&
                rank_contribution(&result, quiet, f) > 0.0f;
    assert_true(told);
    ask(&bed, "alone", &result);
    assert_true(place_of(&bed, &result, "quiet") > quiet + 10);
    assert_true(place_of(&bed, &result, "harbour") > harbour);
    bed_free(&bed);
}

static void aged_counts_give_way(void **unused)
{
    (void)unused;
    struct bed bed = bed_new();
    struct state_row row;
    for (uint32_t u = 0; u < 32; u++) {
        char user[16];
        snprintf(user, sizeof(user), "u%u", u);
        click(&bed, user, "from");
        click(&bed, user, "old");
    }
    uint32_t from = state_item_find(bed.state, FR_SLICE("from"));
    uint32_t old = state_item_find(bed.state, FR_SLICE("old"));
    bed.time_s += 10;
    click(&bed, "someone", "else"); /* the clock goes on */
    assert_true(state_row_get(bed.state, STATE_ROW_ITEM, from, bed.time_s, NULL, true, &row));
    float before = row.total[STATE_PAIR_FORWARD], session = row.total[STATE_PAIR_SESSION];
    state_age_counts(bed.state);
    assert_true(state_row_get(bed.state, STATE_ROW_ITEM, from, bed.time_s, NULL, true, &row));
    assert_true(row.total[STATE_PAIR_FORWARD] < before / 15.0f); /* a sixteenth, read */
    assert_true(row.total[STATE_PAIR_SESSION] == session);       /* only the long-term ones */
    bed.time_s += 10;
    click(&bed, "last", "from");
    click(&bed, "last", "new");
    uint32_t fresh = state_item_find(bed.state, FR_SLICE("new"));
    assert_true(state_row_get(bed.state, STATE_ROW_ITEM, from, bed.time_s, NULL, true, &row));
    int32_t a = state_row_place(&row, old), b = state_row_place(&row, fresh);
    assert_true(a >= 0 && b >= 0);
    float share =
        (float)row.counter[b][STATE_PAIR_FORWARD] / (float)row.counter[a][STATE_PAIR_FORWARD];
    assert_true(share > 0.4f && share < 0.6f); /* 1 of 32, sixteen times as heavy: and written */
    bed_free(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whom_one_follows_is_found),
        cmocka_unit_test(friends_and_authors_speak_for_the_unknown),
        cmocka_unit_test(aged_counts_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
