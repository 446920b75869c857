/* SPDX-License-Identifier: Apache-2.0
 *
 * explain: on a small world, reasons sum to the score (E1, E2), agree with the rank's own shares,
 * and merge without losing anything (E3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/hash.h"
#include "explain/explain.h"

enum { START_S = 1800000000, USERS = 60, ITEMS = 80, EVENTS = 2500 };

static struct state *state;
static struct rank *rank;
static struct base_arena arena;

static int world(void **context)
{
    struct schema_types types;
    struct rank_options options = {0};
    (void)context;
    schema_types_init(&types);
    if (state_new(NULL, NULL, &state) != FR_OK || base_arena_init(&arena, 16 << 20) != FR_OK)
        return -1;
    options.state = state;
    if (rank_new(&options, NULL, &rank) != FR_OK)
        return -1;
    for (uint32_t n = 0; n < EVENTS; n++) {
        char user[16], item[16];
        uint32_t u = (uint32_t)(base_random_u64(1, n, 0) % USERS);
        uint32_t i = (uint32_t)(base_random_u64(1, n, 1) % (ITEMS / 4)) * 4 + u % 4;
        struct state_event resolved;
        snprintf(user, sizeof user, "u%u", u);
        snprintf(item, sizeof item, "i%u", i);
        struct schema_event event = {.user = fr_slice_str(user),
                                     .item = fr_slice_str(item),
                                     .type = SCHEMA_CLICK,
                                     .time_us = (START_S + (int64_t)n * 7) * 1000000};
        event.context.region = u % 2 ? FR_SLICE("Berlin") : FR_SLICE("Madrid");
        if (state_resolve(state, &event, &types, n + 1, event.time_us, &resolved) != FR_OK)
            return -1;
        rank_learn(rank, &resolved, true, NULL);
        state_apply(state, &resolved);
        rank_apply(rank, &resolved);
    }
    return 0;
}

static int end_of_world(void **context)
{
    (void)context;
    rank_free(rank);
    state_free(state);
    base_arena_release(&arena);
    return 0;
}

static void answer(const char *user, struct model_query *query, struct rank_result *result)
{
    struct rank_query_options options = {.retrieve = {.candidates_max = 100}};
    struct model_request request = {.user = state_user_find(state, fr_slice_str(user)),
                                    .repeats = true};
    struct schema_context where = {.region = FR_SLICE("Berlin")};
    base_arena_clear(&arena);
    state_context_resolve(state, &where, request.context);
    assert_int_equal(model_query_build(state, &request, &arena, query), FR_OK);
    assert_int_equal(rank_query(rank, query, &options, &arena, result), FR_OK);
    assert_true(result->count >= 20);
}

static struct explain_reasons *explain(const struct rank_result *result, uint32_t count,
                                       uint32_t shown, float least)
{
    uint32_t r[RANK_PARTS_MAX];
    struct explain_options options = {.r = r,
                                      .count = count,
                                      .shown_max = shown,
                                      .share_min = least};
    struct explain_reasons *reasons = base_arena_alloc(&arena, count * sizeof *reasons);
    for (uint32_t i = 0; i < count; i++)
        r[i] = i;
    assert_non_null(reasons);
    assert_int_equal(explain_items(result, &options, &arena, reasons), FR_OK);
    return reasons;
}

static void check_sums(const struct rank_result *result, const struct explain_reasons *reasons,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        double sum = 0, share = 0;
        for (uint32_t k = 0; k < reasons[i].count; k++) {
            sum += (double)reasons[i].reason[k].contribution;
            share += (double)reasons[i].reason[k].share;
            assert_true(reasons[i].reason[k].share >= 0);
        }
        double score = (double)result->score[i];
        assert_true(fabs(sum - score) <= 1e-4 * fmax(1, fabs(score)));
        assert_true(fabs(share - 1) <= 1e-5);
    }
}

/* Nobody is told first why an item should not be there. */
static void what_speaks_for_an_item_comes_first(void **context)
{
    struct model_query query;
    struct rank_result result;
    uint32_t against = 0;
    (void)context;
    for (int u = 0; u < 20; u++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", u);
        answer(user, &query, &result);
        const struct explain_reasons *reasons = explain(&result, 20, EXPLAIN_REASONS_MAX, 0);
        for (uint32_t i = 0; i < 20; i++) {
            bool turned = false;
            for (uint32_t k = 0; k < reasons[i].count; k++) {
                const struct explain_reason *reason = &reasons[i].reason[k];
                if (reason->kind == EXPLAIN_OTHER)
                    continue;
                assert_false(turned && reason->contribution > 0);
                turned |= reason->contribution < 0;
            }
            against += turned;
        }
    }
    assert_true(against > 0); /* or it says nothing */
}

static void reasons_sum_to_the_score(void **context)
{
    struct model_query query;
    struct rank_result result;
    static const uint32_t shown[] = {1, 2, 4, 12, EXPLAIN_REASONS_MAX};
    static const float least[] = {0, 0.002f, 0.02f, 0.5f};
    (void)context;
    for (int u = 0; u < 8; u++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", u);
        answer(user, &query, &result);
        for (size_t s = 0; s < FR_COUNT_OF(shown); s++) {
            for (size_t l = 0; l < FR_COUNT_OF(least); l++) {
                const struct explain_reasons *reasons = explain(&result, 20, shown[s], least[l]);
                check_sums(&result, reasons, 20);
                for (uint32_t i = 0; i < 20; i++)
                    assert_true(reasons[i].count <= shown[s] + 1);
            }
        }
    }
}

/* With nothing merged, a visit's reason is the sum of the rank's own shares. */
static void visits_agree_with_the_rank(void **context)
{
    struct model_query query;
    struct rank_result result;
    float share[MODEL_HISTORY_MAX];
    (void)context;
    answer("u3", &query, &result);
    const struct explain_reasons *reasons = explain(&result, 5, EXPLAIN_REASONS_MAX, 0);
    uint32_t compared = 0;
    for (uint32_t i = 0; i < 5; i++) {
        double expected[MODEL_HISTORY_MAX] = {0};
        for (uint32_t f = 0; f < result.feature_count; f++) {
            if (result.feature[f].reason != MODEL_REASON_HISTORY ||
                !rank_history_shares(&result, i, f, share))
                continue;
            for (uint32_t h = 0; h < query.history_count; h++)
                expected[h] += (double)share[h];
        }
        for (uint32_t k = 0; k < reasons[i].count; k++) {
            const struct explain_reason *reason = &reasons[i].reason[k];
            if (reason->kind != EXPLAIN_BECAUSE)
                continue;
            uint32_t h = 0;
            while (query.history[h].item != reason->item)
                h++;
            assert_true(fabs(expected[h] - (double)reason->contribution) < 1e-3);
            compared++;
        }
    }
    assert_true(compared > 5);
}

static void largest_first_and_other_last(void **context)
{
    struct model_query query;
    struct rank_result result;
    (void)context;
    answer("u5", &query, &result);
    const struct explain_reasons *reasons = explain(&result, 20, 3, 0.01f);
    for (uint32_t i = 0; i < 20; i++) {
        for (uint32_t k = 0; k + 1 < reasons[i].count; k++) {
            assert_true(reasons[i].reason[k].kind != EXPLAIN_OTHER);
            if (reasons[i].reason[k + 1].kind != EXPLAIN_OTHER)
                assert_true(reasons[i].reason[k].share >= reasons[i].reason[k + 1].share);
        }
    }
}

static void sentences(void **context)
{
    struct base_buf out;
    struct explain_reason reason = {.kind = EXPLAIN_BECAUSE, .item = 1, .context_field = -1};
    (void)context;
    base_buf_init(&out, 0);
    explain_text(&reason, state, FR_SLICE("Toy Story"), &out);
    assert_memory_equal(out.bytes, "Because you viewed Toy Story", out.count);
    base_buf_clear(&out);
    reason.contribution = -0.5f; /* E4 */
    explain_text(&reason, state, FR_SLICE("Toy Story"), &out);
    assert_memory_equal(out.bytes, "Ranked lower because you viewed Toy Story", out.count);
    for (uint32_t kind = 0; kind < EXPLAIN_KIND_COUNT; kind++) {
        struct explain_reason good = {.kind = kind, .context_field = -1, .contribution = 1},
                              bad = good;
        size_t first = out.count;
        bad.contribution = -1;
        explain_text(&good, state, FR_SLICE("Up"), &out);
        size_t middle = out.count;
        explain_text(&bad, state, FR_SLICE("Up"), &out);
        assert_true(out.count - middle != middle - first ||
                    memcmp(out.bytes + first, out.bytes + middle, middle - first) != 0);
    }
    base_buf_clear(&out);
    reason = (struct explain_reason){.kind = EXPLAIN_CONTEXT,
                                     .context = state_context_find(state, STATE_REGION,
                                                                   FR_SLICE("Berlin")),
                                     .context_field = STATE_REGION};
    explain_text(&reason, state, (struct fr_slice){0}, &out);
    assert_memory_equal(out.bytes, "Trending in Berlin", out.count);
    base_buf_clear(&out);
    reason = (struct explain_reason){.kind = EXPLAIN_CONTEXT, .context_field = STATE_REGION};
    explain_text(&reason, state, (struct fr_slice){0}, &out);
    assert_memory_equal(out.bytes, "Popular in your situation", out.count);
    base_buf_release(&out);
    for (int kind = 0; kind < EXPLAIN_KIND_COUNT; kind++) {
        assert_non_null(explain_kind_name((enum explain_kind)kind));
        assert_non_null(explain_kind_icon((enum explain_kind)kind));
        assert_non_null(explain_kind_about((enum explain_kind)kind));
    }
}

static void a_small_arena_is_told(void **context)
{
    struct model_query query;
    struct rank_result result;
    static uint8_t memory[256] __attribute__((aligned(64)));
    static struct explain_reasons reasons[20];
    struct base_arena small;
    uint32_t r[20] = {0};
    struct explain_options options = {.r = r, .count = 1};
    (void)context;
    answer("u5", &query, &result);
    base_arena_init_with(&small, memory, sizeof memory);
    assert_int_equal(explain_items(&result, &options, &small, reasons), FR_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_sum_to_the_score),
        cmocka_unit_test(what_speaks_for_an_item_comes_first),
        cmocka_unit_test(visits_agree_with_the_rank),
        cmocka_unit_test(largest_first_and_other_last),
        cmocka_unit_test(sentences),
        cmocka_unit_test(a_small_arena_is_told),
    };
    return cmocka_run_group_tests(tests, world, end_of_world);
}
