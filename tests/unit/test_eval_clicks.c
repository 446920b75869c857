/* SPDX-License-Identifier: Apache-2.0
 *
 * eval/clicks: what is an example, what is scored, that facets of items, users and contexts carry
 * (a label that only they tell is learnt), that what is predicted only is not learnt, and that boosted
 * trees learn the same where they are asked for, and change nothing of the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "eval/clicks.h"

static struct eval_clicks *begin(struct eval_clicks_options options)
{
    struct eval_clicks *clicks;
    assert_int_equal(eval_clicks_new(&options, &clicks), FR_OK);
    return clicks;
}

static struct eval_clicks_result end(struct eval_clicks *clicks)
{
    struct eval_clicks_result result;
    assert_int_equal(eval_clicks_finish(clicks, NULL, &result), FR_OK);
    eval_clicks_free(clicks);
    return result;
}

static void event(struct eval_clicks *clicks, uint32_t user, uint32_t item, double value, bool test)
{
    char u[16], i[16];
    snprintf(u, sizeof(u), "u%u", user);
    snprintf(i, sizeof(i), "i%u", item);
    struct schema_event e = {.user = fr_slice_str(u),
                             .item = fr_slice_str(i),
                             .value = value,
                             .has_value = value >= 0,
                             .time_us = 1};
    assert_int_equal(eval_clicks_event(clicks, &e, test), FR_OK);
}

static void what_is_an_example(void **unused)
{
    (void)unused;
    struct eval_clicks *clicks = begin((struct eval_clicks_options){.positive = 4, .skip = 1});
    event(clicks, 1, 1, 5, false);
    event(clicks, 1, 2, 4, false);
    event(clicks, 2, 1, 3.9, false);
    event(clicks, 2, 2, -1, false); /* no value */
    struct eval_clicks_result result = end(clicks);
    assert_int_equal(result.examples, 3);
    assert_int_equal(result.unlabelled, 1);
    assert_int_equal(result.model.scored, 2);
    assert_int_equal(result.model.positives, 1);
}

static void labels_must_differ(void **unused)
{
    (void)unused;
    struct fr_error error;
    struct eval_clicks_result result;
    struct eval_clicks *clicks = begin((struct eval_clicks_options){.positive = 6});
    assert_int_equal(eval_clicks_finish(clicks, &error, &result), FR_INVALID);
    assert_non_null(strstr(error.message, "no event has a value"));
    event(clicks, 1, 1, 5, false);
    event(clicks, 1, 2, 4, false);
    assert_int_equal(eval_clicks_finish(clicks, &error, &result), FR_INVALID);
    assert_non_null(strstr(error.message, "alike"));
    eval_clicks_free(clicks);
}

/* Every item comes once, so only its category and the user's age tell: young ones like category 0,
 * old ones category 1. */
static struct eval_clicks_result told_by_facets(bool with_catalogue, uint32_t test_from,
                                                bool with_trees)
{
    struct eval_clicks *clicks =
        begin((struct eval_clicks_options){.positive = 1, .skip = 2000, .gbt = with_trees});
    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t user = (uint32_t)(base_random_u64(1, i, 0) % 40);
        uint32_t category = (uint32_t)(base_random_u64(1, i, 1) % 2);
        event(clicks, user, i, (user < 20) == (category == 0), test_from && i >= test_from);
    }
    for (uint32_t i = 0; i < 4000 && with_catalogue;
         i++) { /* after the events: joined at the end */
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        struct schema_item item = {.id = fr_slice_str(id), .category_count = 1};
        item.categories[0] = fr_slice_str(base_random_u64(1, i, 1) % 2 ? "one" : "zero");
        assert_int_equal(eval_clicks_item(clicks, &item), FR_OK);
    }
    for (uint32_t u = 0; u < 40 && with_catalogue; u++) {
        char id[16], age[16];
        snprintf(id, sizeof(id), "u%u", u);
        snprintf(age, sizeof(age), "%u", 20 + u);
        struct schema_user user = {.id = fr_slice_str(id), .attribute_count = 1};
        user.attributes[0] = (struct schema_pair){fr_slice_str("age"), fr_slice_str(age)};
        assert_int_equal(eval_clicks_user(clicks, &user), FR_OK);
    }
    return end(clicks);
}

static void facets_tell(void **unused)
{
    (void)unused;
    struct eval_clicks_result blind = told_by_facets(false, 0, false),
                              seeing = told_by_facets(true, 0, false);
    assert_true(blind.model.auc < 0.6);
    assert_true(seeing.model.auc > 0.95);
    assert_int_equal(seeing.kind_count, 3); /* category, age in classes, age as a number */
}

static void a_test_part_is_not_learnt(void **unused)
{
    (void)unused;
    struct eval_clicks_result late = told_by_facets(true, 3000, false),
                              early = told_by_facets(true, 40, false);
    assert_int_equal(late.model.scored, 1000);
    assert_int_equal(early.model.scored, 3960);
    assert_true(late.model.auc > 0.95);
    assert_true(early.model.log_loss > late.model.log_loss + 0.1); /* forty examples teach little */
}

static void trees_stand_beside(void **unused)
{
    (void)unused;
    struct eval_clicks_result with = told_by_facets(true, 3000, true);
    struct eval_clicks_result without = told_by_facets(true, 3000, false);
    struct eval_clicks_result early = told_by_facets(true, 1000, true); /* no job yet */
    assert_int_equal(with.part_count, without.part_count + 1);
    assert_string_equal(with.part_names[without.part_count], "gbt");
    assert_true(with.parts[without.part_count].auc > 0.95);
    assert_true(with.model.log_loss == without.model.log_loss);
    assert_true(early.parts[without.part_count].auc == 0.5);
}

static void too_many_kinds(void **unused)
{
    (void)unused;
    struct eval_clicks *clicks = begin((struct eval_clicks_options){.positive = 1});
    struct schema_user user = {.id = fr_slice_str("u"), .attribute_count = 25};
    char names[25][8];
    for (uint32_t i = 0; i < 25; i++) {
        snprintf(names[i], sizeof(names[i]), "a%u", i);
        user.attributes[i] = (struct schema_pair){fr_slice_str(names[i]), fr_slice_str("x")};
    }
    assert_int_equal(eval_clicks_user(clicks, &user), FR_FULL);
    eval_clicks_free(clicks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_an_example), cmocka_unit_test(labels_must_differ),
        cmocka_unit_test(facets_tell),        cmocka_unit_test(a_test_part_is_not_learnt),
        cmocka_unit_test(trees_stand_beside), cmocka_unit_test(too_many_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
