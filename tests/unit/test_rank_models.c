/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of the experts: a shadow changes no bit of an answer, a live one of the second stage is a
 * part that sums, an expert that is off says nothing; what helps is seen by the evidence and what is
 * noise is not; exposures without a click and dislikes are negatives; boosted trees go through a job.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "rank/models.h"

enum { START_S = 1600000000, ITEMS = 400, TASTES = 4 };

struct bed {
    struct state *state;
    struct rank *rank;
    struct base_arena arena;
    struct schema_types types;
    uint64_t position;
};

static void bed_init(struct bed *bed, const char *experts)
{
    const struct state_options limits = {.item_count_max = 1 << 14, .user_count_max = 1 << 14};
    memset(bed, 0, sizeof(*bed));
    schema_types_init(&bed->types);
    assert_int_equal(state_new(&limits, NULL, &bed->state), FR_OK);
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

static void act_as(struct bed *bed, uint32_t user, uint32_t item, uint8_t type)
{
    char user_id[16], item_id[16];
    struct state_event out;
    snprintf(user_id, sizeof(user_id), "u%u", user);
    snprintf(item_id, sizeof(item_id), "i%u", item);
    const struct schema_event event = {
        .user = fr_slice_str(user_id),
        .item = fr_slice_str(item_id),
        .time_us = (int64_t)(START_S + bed->position * 5) * 1000000,
        .type = type,
        .context = {.device = user % 2 ? FR_SLICE("phone") : FR_SLICE("desk")},
    };
    assert_int_equal(state_resolve(bed->state, &event, &bed->types, ++bed->position, event.time_us,
                                   &out),
                     FR_OK);
    rank_learn(bed->rank, &out, true, NULL);
    state_apply(bed->state, &out);
    rank_apply(bed->rank, &out);
    rank_jobs_now(bed->rank, bed->position);
}

static void live(struct bed *bed, uint32_t events)
{
    for (uint32_t i = 0; i < events; i++) {
        uint64_t draw = base_random_u64(7, bed->position, 0);
        uint32_t user = (uint32_t)(draw % 200), taste = user % TASTES;
        act_as(bed, user, taste * (ITEMS / TASTES) + (uint32_t)(draw >> 32) % (ITEMS / TASTES),
               SCHEMA_CLICK);
    }
}

static void set_role(struct bed *bed, const char *name, enum rank_role role)
{
    const struct rank_act act = {.kind = RANK_ACT_ROLE, .model = fr_slice_str(name), .value = role};
    assert_int_equal(rank_act_apply(bed->rank, &act, NULL), FR_OK);
}

static struct rank_model model_of(const struct bed *bed, const char *name)
{
    struct rank_model models[RANK_MODELS_MAX];
    int m = rank_model_find(bed->rank, fr_slice_str(name));
    assert_true(m >= 0);
    rank_models(bed->rank, models, RANK_MODELS_MAX);
    return models[m];
}

static struct rank_result ask(struct bed *bed, struct model_query *query, uint32_t user)
{
    const struct model_request request = {.user = user};
    const struct rank_query_options options = {0};
    struct rank_result result;
    base_arena_clear(&bed->arena);
    assert_int_equal(model_query_build(bed->state, &request, &bed->arena, query), FR_OK);
    assert_int_equal(rank_query(bed->rank, query, &options, &bed->arena, &result), FR_OK);
    assert_true(result.count > 30);
    return result;
}

static void a_shadow_changes_nothing(void **unused)
{
    (void)unused;
    struct bed with, without;
    struct model_query query;
    bed_init(&with, "popularity,cooc,mlp");
    bed_init(&without, "popularity,cooc");
    live(&with, 2500);
    live(&without, 2500);
    assert_true(model_of(&with, "mlp").steps > 0 && model_of(&with, "ctr").examples > 1000);
    for (uint32_t user = 1; user < 20; user++) {
        struct rank_result a = ask(&with, &query, user), b = ask(&without, &query, user);
        assert_int_equal(a.count, b.count);
        assert_memory_equal(a.item, b.item, a.count * sizeof(*a.item));
        assert_memory_equal(a.score, b.score, a.count * sizeof(*a.score));
    }
    bed_release(&with);
    bed_release(&without);
}

static void a_live_one_is_a_part_that_sums(void **unused)
{
    (void)unused;
    struct bed bed;
    struct model_query query;
    bed_init(&bed, NULL);
    set_role(&bed, "mlp", RANK_LIVE);
    set_role(&bed, "ctr", RANK_LIVE);
    live(&bed, 2500);
    uint32_t moved = 0;
    for (uint32_t user = 1; user < 20; user++) {
        struct rank_result result = ask(&bed, &query, user);
        for (uint32_t r = 0; r < result.count; r++) {
            float sum = 0;
            for (uint32_t f = 0; f < result.feature_count; f++)
                sum += rank_contribution(&result, r, f);
            assert_true(fabsf(sum - result.score[r]) <= 1e-3f * (1 + fabsf(sum)));
            assert_true(r == 0 || result.score[r - 1] >= result.score[r]);
            moved += rank_contribution(&result, r, result.feature_count - 1) != 0.0f;
        }
        assert_string_equal(result.feature[result.feature_count - 1].name, "clicks");
    }
    assert_true(moved > 20 * 10 && moved <= 20 * RANK_WINDOW);
    bed_release(&bed);
}

static void off_is_off(void **unused)
{
    (void)unused;
    struct bed bed;
    struct model_query query;
    bed_init(&bed, NULL);
    live(&bed, 1500);
    set_role(&bed, "cooc", RANK_OFF);
    set_role(&bed, "mlp", RANK_OFF);
    uint64_t examples = model_of(&bed, "mlp").examples;
    struct rank_result result = ask(&bed, &query, 3);
    for (uint32_t f = 0; f < result.feature_count; f++)
        for (uint32_t r = 0; strcmp(result.feature[f].expert, "cooc") == 0 && r < result.count; r++)
            assert_true(rank_contribution(&result, r, f) == 0.0f);
    live(&bed, 300);
    assert_int_equal(model_of(&bed, "mlp").examples, examples);
    assert_true(model_of(&bed, "ctr").examples > examples);
    bed_release(&bed);
}

/* Everybody walks from item to item in one order, from a place of his own. */
static void walk(struct bed *bed, uint32_t events)
{
    for (uint32_t i = 0; i < events; i++) {
        uint32_t user = (uint32_t)(bed->position % 200), step = (uint32_t)(bed->position / 200);
        act_as(bed, user, (user * 7 + step) % ITEMS, SCHEMA_CLICK);
    }
}

/* The best expert is put into the shadow: judged by what it would bring, it must be seen to help.
 * A click expert on a blend that already knows all there is must not be. */
static void evidence_tells_help_from_noise(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, "popularity,cooc,mlp");
    walk(&bed, 1000);
    set_role(&bed, "cooc", RANK_SHADOW);
    walk(&bed, 2400);
    struct rank_model cooc = model_of(&bed, "cooc");
    assert_true(cooc.judged > 1000 && cooc.gain_low > 0.1);
    bed_release(&bed);
    bed_init(&bed, "popularity,cooc,mlp");
    live(&bed, 2500);
    struct rank_model mlp = model_of(&bed, "mlp");
    assert_true(mlp.judged > 1000 && mlp.gain_low <= 0 && mlp.gain_high >= 0);
    bed_release(&bed);
}

static void exposures_are_negatives(void **unused)
{
    (void)unused;
    struct bed bed;
    bed_init(&bed, "popularity,cooc,mlp");
    live(&bed, 800);
    const uint64_t drawn = model_of(&bed, "ctr").examples;
    struct model_query query;
    uint32_t told = 0;
    for (uint32_t n = 0; n < 60; n++) {
        uint32_t user = 1 + n % 40, item;
        char id[16];
        struct rank_result result = ask(&bed, &query, user);
        item = result.item[n % 10];
        struct fr_slice name = state_item_id(bed.state, item), who = state_user_id(bed.state, user);
        snprintf(id, sizeof(id), "%.*s", (int)name.bytes - 1, name.ptr + 1);
        uint32_t item_number = (uint32_t)strtoul(id, NULL, 10);
        snprintf(id, sizeof(id), "%.*s", (int)who.bytes - 1, who.ptr + 1);
        act_as(&bed, (uint32_t)strtoul(id, NULL, 10), item_number,
               n % 2 ? SCHEMA_EXPOSURE : SCHEMA_DISLIKE);
        told = (uint32_t)(model_of(&bed, "ctr").examples - drawn);
    }
    assert_true(told >= 50 && told <= 60); /* one each; an item that is no candidate is none */
    bed_release(&bed);
}

static void trees_go_through_a_job(void **unused)
{
    (void)unused;
    struct bed bed;
    struct fr_error error = {0};
    struct base_buf bytes;
    bed_init(&bed, "popularity,cooc,gbt");
    base_buf_init(&bytes, 0);
    set_role(&bed, "gbt", RANK_SHADOW);
    live(&bed, 2200);
    struct rank_model gbt = model_of(&bed, "gbt");
    assert_true(gbt.jobs >= 1 && gbt.refused == 0 && gbt.steps >= 1);
    uint32_t m = (uint32_t)rank_model_find(bed.rank, FR_SLICE("gbt"));
    assert_int_equal(rank_model_save(bed.rank, m, &bytes, NULL), FR_OK);
    struct rank_act load = {.kind = RANK_ACT_LOAD,
                            .model = FR_SLICE("gbt"),
                            .bytes = base_buf_slice(&bytes)};
    assert_int_equal(rank_act_apply(bed.rank, &load, &error), FR_OK);
    load.bytes.bytes /= 2;
    assert_int_equal(rank_act_apply(bed.rank, &load, &error), FR_CORRUPT);
    assert_true(error.message[0] != 0);
    load.bytes = base_buf_slice(&bytes);
    char *leaf = memmem(bytes.bytes, bytes.count, "\"base_weights\":[", 16);
    char *conditions = memmem(bytes.bytes, bytes.count, "\"split_conditions\":[", 20);
    assert_non_null(leaf);
    assert_non_null(conditions);
    memcpy(conditions + 20, "NaN", 3); /* no number that a tree may hold */
    assert_int_not_equal(rank_act_check(bed.rank, &load, &error), FR_OK);
    base_buf_release(&bytes);
    bed_release(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shadow_changes_nothing),
        cmocka_unit_test(a_live_one_is_a_part_that_sums),
        cmocka_unit_test(off_is_off),
        cmocka_unit_test(evidence_tells_help_from_noise),
        cmocka_unit_test(exposures_are_negatives),
        cmocka_unit_test(trees_go_through_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
