/* SPDX-License-Identifier: Apache-2.0
 *
 * retrieve and rank: parts sum to the score, shares by visit sum to their part, what was seen never
 * comes back, filters hold, a brand-new item is found by its content, a click changes the next
 * answer, learning helps, and the same events give the same bits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rank/rank.h"

enum { START_S = 1600000000, TASTES = 8, ITEMS = 160 };

struct bed {
    struct state *state;
    struct rank *rank;
    struct base_arena arena;
    struct schema_types types;
    uint64_t position;
    uint32_t scored, hits;
    const char *request; /* the answer that events from now on react to */
};

static void bed_init(struct bed *bed, const char *experts)
{
    memset(bed, 0, sizeof(*bed));
    schema_types_init(&bed->types);
    assert_int_equal(state_new(NULL, NULL, &bed->state), FR_OK);
    const struct rank_options options = {.state = bed->state, .experts = experts};
    assert_int_equal(rank_new(&options, NULL, &bed->rank), FR_OK);
    assert_int_equal(base_arena_init(&bed->arena, RANK_ARENA_BYTES), FR_OK);
}

static void bed_release(struct bed *bed)
{
    rank_free(bed->rank);
    state_free(bed->state);
    base_arena_release(&bed->arena);
}

static void act(struct bed *bed, const char *user, const char *item, uint32_t at_s, uint8_t type)
{
    const struct schema_event event = {
        .user = fr_slice_str(user),
        .item = fr_slice_str(item),
        .request = bed->request ? fr_slice_str(bed->request) : (struct fr_slice){0},
        .time_us = (int64_t)(START_S + at_s) * 1000000,
        .type = type,
        .context = {.device = FR_SLICE("phone"), .region = FR_SLICE("north")},
    };
    struct state_event out;
    struct rank_outcome outcome;
    assert_int_equal(state_resolve(bed->state, &event, &bed->types, ++bed->position, event.time_us,
                                   &out),
                     FR_OK);
    rank_learn(bed->rank, &out, true, &outcome);
    bed->scored += outcome.scored;
    bed->hits += outcome.scored && outcome.rank < 10.0f;
    state_apply(bed->state, &out);
    rank_apply(bed->rank, &out);
}

/* Users with one of eight tastes walk among the twenty items of their taste. */
static void live(struct bed *bed, uint32_t events)
{
    char user[16], item[16];
    for (uint32_t i = 0; i < events; i++) {
        uint64_t draw = base_random_u64(7, i, 0);
        uint32_t u = (uint32_t)(draw % 200), taste = u % TASTES;
        uint32_t pick = (uint32_t)(draw >> 32) % (ITEMS / TASTES);
        snprintf(user, sizeof(user), "u%u", u);
        snprintf(item, sizeof(item), "i%u", taste * (ITEMS / TASTES) + pick);
        act(bed, user, item, i * 5, SCHEMA_CLICK);
    }
}

static void ask(struct bed *bed, const struct model_request *request,
                const struct rank_query_options *options, struct model_query *query,
                struct rank_result *result)
{
    base_arena_clear(&bed->arena);
    assert_int_equal(model_query_build(bed->state, request, &bed->arena, query), FR_OK);
    assert_int_equal(rank_query(bed->rank, query, options, &bed->arena, result), FR_OK);
    for (uint32_t r = 1; r < result->count; r++)
        assert_true(result->score[r - 1] >= result->score[r]);
}

/* Months after a user's last visits its list can be asked for as of those: ages and the running session
 * count from there, counts stand where they are (what leave-one-out does). */
static void test_as_of_the_last_visit(void **unused)
{
    (void)unused;
    struct bed bed;
    struct model_query query;
    bed_init(&bed, NULL);
    act(&bed, "u", "a", 0, SCHEMA_CLICK);
    act(&bed, "u", "b", 100, SCHEMA_CLICK);
    act(&bed, "u", "c", 160, SCHEMA_CLICK);
    act(&bed, "another", "a", 5000000, SCHEMA_CLICK);
    struct model_request request = {.user = state_user_find(bed.state, FR_SLICE("u"))};
    base_arena_clear(&bed.arena);
    assert_int_equal(model_query_build(bed.state, &request, &bed.arena, &query), FR_OK);
    assert_int_equal(query.last_age_s, 5000000 - 160);
    assert_int_equal(query.session_count, 0);
    request.visit_clock_s = START_S + 170;
    assert_int_equal(model_query_build(bed.state, &request, &bed.arena, &query), FR_OK);
    assert_int_equal(query.clock_s, START_S + 5000000);
    assert_int_equal(query.last_age_s, 10);
    assert_int_equal(query.session_count, 3);
    assert_int_equal(query.history[2].age_s, 170);
    assert_true(query.history[2].same_session);
    bed_release(&bed);
}

static bool contains(const struct rank_result *result, uint32_t item)
{
    for (uint32_t r = 0; r < result->count; r++)
        if (result->item[r] == item)
            return true;
    return false;
}

static void test_parts_sum(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    live(&bed, 3000);
    struct model_request request = {.user = state_user_find(bed.state, FR_SLICE("u3"))};
    const struct rank_query_options options = {0};
    struct model_query query;
    struct rank_result result;
    ask(&bed, &request, &options, &query, &result);
    assert_true(result.count > 20);
    bool shared = false;
    for (uint32_t r = 0; r < 20; r++) {
        float sum = 0.0f, shares[MODEL_HISTORY_MAX];
        for (uint32_t f = 0; f < result.feature_count; f++) {
            float part = rank_contribution(&result, r, f), whole = 0.0f;
            sum += part;
            if (!rank_history_shares(&result, r, f, shares))
                continue;
            for (uint32_t h = 0; h < query.history_count; h++)
                whole += shares[h];
            assert_true(fabsf(whole - part) < 1e-3f);
            shared |= whole > 0.0f;
        }
        assert_true(fabsf(sum - result.score[r]) < 1e-2f);
    }
    assert_true(shared);
    bed_release(&bed);
}

/* Of many candidates the network sees the 192 best by all other parts; the others get nothing of it. */
static void test_network_sees_the_best(void **unused)
{
    (void)unused;
    enum { SEEN = 192 };
    struct bed bed;
    bed_init(&bed, NULL);
    char user[16], item[16];
    for (uint32_t i = 0; i < 6000; i++) {
        uint64_t draw = base_random_u64(9, i, 0);
        snprintf(user, sizeof(user), "u%u", (uint32_t)(draw % 100));
        snprintf(item, sizeof(item), "i%u", (uint32_t)(draw >> 32) % 500);
        act(&bed, user, item, i * 5, SCHEMA_CLICK);
    }
    struct model_request request = {.user = state_user_find(bed.state, FR_SLICE("u3"))};
    const struct rank_query_options options = {.retrieve = {.candidates_max = 512}};
    struct model_query query;
    struct rank_result result;
    ask(&bed, &request, &options, &query, &result);
    assert_true(result.count > SEEN + 20 && result.feature_count <= MODEL_FEATURES_MAX);
    float least = 1e9f, most = -1e9f; /* of those that it saw; of the others */
    uint32_t seen = 0;
    for (uint32_t r = 0; r < result.count; r++) {
        float part[MODEL_FEATURES_MAX];
        rank_contributions(&result, r, part);
        float network = part[result.feature_count - 1], linear = result.score[r] - network;
        seen += network != 0.0f;
        least = network != 0.0f ? fminf(least, linear) : least;
        most = network != 0.0f ? most : fmaxf(most, linear);
    }
    assert_int_equal(seen, SEEN);
    assert_true(least > most - 1e-4f);
    bed_release(&bed);
}

static void test_seen_and_filters(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    live(&bed, 2000);
    act(&bed, "u5", "i1", 20000, SCHEMA_DISLIKE);
    struct model_request request = {.user = state_user_find(bed.state, FR_SLICE("u5"))};
    struct rank_query_options options = {0};
    struct model_query query;
    struct rank_result result;
    ask(&bed, &request, &options, &query, &result);
    for (uint32_t s = 0; s < query.seen_count; s++)
        assert_false(contains(&result, query.seen[s]));
    request.repeats = true;
    ask(&bed, &request, &options, &query, &result);
    assert_int_equal(query.seen_count, 1); /* the dislike alone */
    assert_false(contains(&result, state_item_find(bed.state, FR_SLICE("i1"))));
    assert_true(contains(&result, query.history[0].item));
    bed_release(&bed);
}

static bool only_even(void *context, const struct state_item *item)
{
    ++*(uint32_t *)context;
    return item->item % 2 == 0;
}

static void test_accept(void **unused)
{
    (void)unused;
    struct bed bed;
    uint32_t asked = 0;
    bed_init(&bed, NULL);
    live(&bed, 2000);
    struct model_request request = {0};
    struct rank_query_options options = {
        .retrieve = {.candidates_max = 30, .accept = only_even, .accept_context = &asked}};
    struct model_query query;
    struct rank_result result;
    ask(&bed, &request, &options, &query, &result);
    assert_true(asked >= result.count && result.count > 0 && result.count <= 30);
    for (uint32_t r = 0; r < result.count; r++)
        assert_int_equal(result.item[r] % 2, 0);
    bed_release(&bed);
}

static void test_a_click_shows_at_once(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    live(&bed, 6000);
    struct model_query query;
    struct rank_result result;
    const struct rank_query_options options = {0};
    act(&bed, "newcomer", "i45", 40000, SCHEMA_CLICK); /* taste 2: items 40 .. 59 */
    struct model_request request = {.user = state_user_find(bed.state, FR_SLICE("newcomer"))};
    ask(&bed, &request, &options, &query, &result);
    uint32_t of_taste = 0;
    for (uint32_t r = 0; r < 10; r++) {
        struct fr_slice id = state_item_id(bed.state, result.item[r]);
        of_taste += id.bytes == 3 && (id.ptr[1] == '4' || id.ptr[1] == '5');
    }
    assert_true(of_taste >= 8);
    uint32_t recent = state_item_find(bed.state, FR_SLICE("i45"));
    const struct model_request anonymous = {.recent = &recent, .recent_count = 1};
    ask(&bed, &anonymous, &options, &query, &result);
    assert_false(contains(&result, recent));
    struct fr_slice id = state_item_id(bed.state, result.item[0]);
    assert_true(id.ptr[1] == '4' || id.ptr[1] == '5');
    assert_int_equal(rank_similar(bed.rank, recent, &options.retrieve, &bed.arena, &result), FR_OK);
    id = state_item_id(bed.state, result.item[0]);
    assert_true(id.ptr[1] == '4' || id.ptr[1] == '5');
    bed_release(&bed);
}

static void put(struct bed *bed, const char *id, const char *title, const char *category)
{
    const struct schema_item item = {.id = fr_slice_str(id),
                                     .title = fr_slice_str(title),
                                     .categories = {fr_slice_str(category)},
                                     .category_count = 1,
                                     .present = 0xffff};
    struct base_buf bytes;
    base_buf_init(&bytes, 0);
    schema_item_encode(&item, &bytes);
    assert_int_equal(state_apply_item(bed->state, base_buf_slice(&bytes), 1), FR_OK);
    base_buf_release(&bytes);
}

static void test_brand_new_item(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    put(&bed, "i0", "Growing tomatoes on balconies", "garden");
    live(&bed, 3000);
    act(&bed, "gardener", "i0", 30000, SCHEMA_CLICK);
    put(&bed, "fresh", "Tomato growers of the balcony", "garden");
    struct model_request request = {.user = state_user_find(bed.state, FR_SLICE("gardener"))};
    const struct rank_query_options options = {0};
    struct model_query query;
    struct rank_result result;
    ask(&bed, &request, &options, &query, &result);
    uint32_t fresh = state_item_find(bed.state, FR_SLICE("fresh")), at = 0;
    while (at < result.count && result.item[at] != fresh)
        at++;
    assert_true(at < result.count);
    assert_true(result.generators[at] & 1u << RETRIEVE_CONTENT);
    float content = 0.0f;
    for (uint32_t f = 0; f < result.feature_count; f++)
        if (result.feature[f].reason == MODEL_REASON_CONTENT)
            content += fabsf(rank_contribution(&result, at, f));
    assert_true(content > 0.0f);
    bed_release(&bed);
}

static struct base_hash128 hash_of(const struct bed *bed)
{
    struct base_digest digest;
    uint32_t count;
    base_digest_init(&digest);
    struct base_rows *const *tables = rank_tables(bed->rank, &count);
    for (uint32_t t = 0; t < count; t++)
        base_rows_digest(tables[t], &digest);
    return base_digest_end(&digest);
}

static void test_learning(void **unused)
{
    (void)unused;
    struct base_hash128 hash[2];
    for (int round = 0; round < 2; round++) {
        struct bed bed;
        bed_init(&bed, NULL);
        live(&bed, 1500);
        bed.scored = bed.hits = 0;
        live(&bed, 500); /* repeats of the same walk are seen: few are scored */
        for (uint32_t i = 0; i < 160; i++) {
            char user[16], item[16];
            snprintf(user, sizeof(user), "w%u", i / 8);
            snprintf(item, sizeof(item), "i%u", (i / 8 % TASTES) * 20 + i % 8);
            act(&bed, user, item, 20000 + i, SCHEMA_CLICK);
        }
        assert_true(bed.scored > 100 && bed.hits * 3 > bed.scored); /* by chance: 10 of 160 */
        struct rank_figure figures[8];
        uint32_t count = rank_figures(bed.rank, figures, 8);
        assert_true(count >= 3 && figures[0].scored > 100 && figures[0].hit10 > figures[1].hit10);
        hash[round] = hash_of(&bed);
        assert_int_equal(rank_rebuild(bed.rank, NULL), FR_OK);
        bed_release(&bed);
    }
    assert_memory_equal(&hash[0], &hash[1], sizeof(hash[0]));
}

/* Sum of the global weights of an expert's features. */
static float belief_in(const struct bed *bed, const char *expert)
{
    float weight[MODEL_FEATURES_MAX], sum = 0.0f;
    uint32_t count, weights = rank_weights(bed->rank, MODEL_BUCKETS, weight, MODEL_FEATURES_MAX);
    const struct rank_feature *feature = rank_features(bed->rank, &count);
    for (uint32_t f = 0; f < weights; f++)
        if (strcmp(feature[f].expert, expert) == 0)
            sum += weight[f];
    return sum;
}

/* Where everyone keeps to a taste and no item is better than another, the blend loses its belief in
 * what is popular, not that in what goes together. */
static void test_weights_follow_who_is_right(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, NULL);
    float popular = belief_in(&bed, "popularity"), together = belief_in(&bed, "cooc");
    live(&bed, 1500);
    popular -= belief_in(&bed, "popularity"); /* 1.57 lost */
    together -= belief_in(&bed, "cooc");      /* 0.37 lost */
    assert_true(popular > 0.5f && popular > 2 * together);
    bed_release(&bed);
}

static void test_options(void **unused)
{
    (void)unused;
    struct state *state;
    struct rank *rank;
    struct fr_error error;
    assert_int_equal(state_new(NULL, NULL, &state), FR_OK);
    struct rank_options options = {.state = state, .experts = "cooc,oracle"};
    assert_int_equal(rank_new(&options, &error, &rank), FR_INVALID);
    assert_non_null(strstr(error.message, "oracle"));
    options.experts = "cooc";
    assert_int_equal(rank_new(&options, &error, &rank), FR_OK);
    const struct model_expert *experts[4];
    assert_int_equal(rank_experts(rank, experts, 4), 1);
    uint32_t sampled = 0;
    for (uint64_t p = 1; p <= 32000; p++)
        sampled += rank_is_sampled(rank, p, 32);
    assert_true(sampled > 850 && sampled < 1150);
    rank_free(rank);
    state_free(state);
}

/* "all" leaves it out, its name puts it in. */
static void test_on_request(void **unused)
{
    (void)unused;
    struct bed bed;
    const struct model_expert *with[MODEL_EXPERTS_MAX], *without[MODEL_EXPERTS_MAX];
    bed_init(&bed, NULL);
    uint32_t defaults = rank_experts(bed.rank, without, MODEL_EXPERTS_MAX);
    bed_release(&bed);
    bed_init(&bed, "all,ridge");
    assert_int_equal(rank_experts(bed.rank, with, MODEL_EXPERTS_MAX), defaults + 1);
    assert_string_equal(with[defaults]->name, "ridge");
    assert_true(with[defaults]->on_request);
    bed_release(&bed);
    bed_init(&bed, "ridge"); /* alone: its rows are solved and put the taste's items first */
    live(&bed, 6000);
    struct rank_figure figure[3];
    assert_int_equal(rank_figures(bed.rank, figure, 3), 3);
    assert_string_equal(figure[2].name, "ridge");
    assert_true(figure[2].recent_hit10 > 1.5 * figure[1].recent_hit10);
    bed_release(&bed);
    bed_init(&bed, "all,ridge,gru"); /* both, in the table's order */
    assert_int_equal(rank_experts(bed.rank, with, MODEL_EXPERTS_MAX), defaults + 2);
    assert_string_equal(with[defaults + 1]->name, "gru");
    bed_release(&bed);
    bed_init(&bed, "gru"); /* alone it learns the tastes too */
    live(&bed, 6000);
    assert_int_equal(rank_figures(bed.rank, figure, 3), 3);
    assert_string_equal(figure[2].name, "gru");
    assert_true(figure[2].recent_hit10 > 1.5 * figure[1].recent_hit10);
    bed_release(&bed);
}

static void figures_of(const struct bed *bed, uint64_t *out_organic, uint64_t *out_caused)
{
    struct rank_figure figure[MODEL_EXPERTS_MAX + 2], caused;
    uint32_t count = rank_figures(bed->rank, figure, MODEL_EXPERTS_MAX + 2);
    rank_figure_caused(bed->rank, &caused);
    for (uint32_t i = 1; i < count; i++)
        assert_int_equal(figure[i].scored, figure[0].scored);
    *out_organic = figure[0].scored;
    *out_caused = caused.scored;
}

/* What our own slates brought about is judged apart, and moves the blend little once there is
 * organic evidence. Two beds live alike; then one more event, organic in one, caused in the other. */
static void test_caused_events(void **unused)
{
    (void)unused;
    float before[MODEL_FEATURES_MAX], after[2][MODEL_FEATURES_MAX];
    uint32_t count = 0, moved = 0;
    for (uint32_t caused = 0; caused < 2; caused++) {
        struct bed bed;
        uint64_t organic, slates, organic_then, slates_then;
        bed_init(&bed, NULL);
        live(&bed, 2000);
        count = rank_weights(bed.rank, MODEL_BUCKETS, before, MODEL_FEATURES_MAX);
        figures_of(&bed, &organic, &slates);
        assert_true(organic > 500 && slates == 0);
        bed.request = caused ? "an-answer" : NULL;
        for (uint32_t i = 0; i < 8; i++) { /* of one taste; some of them are new to the user */
            char item[16];
            snprintf(item, sizeof(item), "i%u", 3 * (ITEMS / TASTES) + i);
            act(&bed, "u3", item, 20000 + i * 5, SCHEMA_CLICK);
        }
        figures_of(&bed, &organic_then, &slates_then);
        assert_true(caused ? organic_then == organic && slates_then > 0
                           : organic_then > organic && slates_then == 0);
        rank_weights(bed.rank, MODEL_BUCKETS, after[caused], MODEL_FEATURES_MAX);
        bed_release(&bed);
    }
    for (uint32_t f = 0; f < count; f++) {
        float whole = fabsf(after[0][f] - before[f]), little = fabsf(after[1][f] - before[f]);
        moved += little > 0.0f;
        assert_true(little <= 0.6f * whole + 2e-4f);
    }
    assert_true(moved > 3); /* but it is not deaf to them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_sum),
        cmocka_unit_test(test_network_sees_the_best),
        cmocka_unit_test(test_as_of_the_last_visit),
        cmocka_unit_test(test_seen_and_filters),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_a_click_shows_at_once),
        cmocka_unit_test(test_brand_new_item),
        cmocka_unit_test(test_learning),
        cmocka_unit_test(test_weights_follow_who_is_right),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_on_request),
        cmocka_unit_test(test_caused_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
