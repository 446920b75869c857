/* SPDX-License-Identifier: Apache-2.0
 *
 * What documents say, as facets of the click experts: a user's attributes and an item's words change the
 * example; a word that few items carry, or that is met often in the item, weighs more than another;
 * where only the attribute and the word together decide, the expert "ctr" learns it by them, and by
 * neither of them alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fmath.h"
#include "base/hash.h"
#include "model/clicks.h"

enum { CLOCK_S = 1600000000, EXAMPLES = 2000, SCORED = 500 };

struct bed {
    struct state *state;
    struct model_clicks *clicks;
    struct base_arena arena;
    struct base_buf payload;
};

static void bed_init(struct bed *bed)
{
    const struct state_options limits = {.item_count_max = 1 << 14, .user_count_max = 1 << 14};
    memset(bed, 0, sizeof(*bed));
    assert_int_equal(state_new(&limits, NULL, &bed->state), FR_OK);
    const struct model_clicks_options options = {.state = bed->state, .feature_count = 1};
    assert_int_equal(model_clicks_new(&options, NULL, &bed->clicks), FR_OK);
    assert_int_equal(base_arena_init(&bed->arena, 1 << 20), FR_OK);
    base_buf_init(&bed->payload, 0);
}

static void bed_release(struct bed *bed)
{
    model_clicks_free(bed->clicks);
    state_free(bed->state);
    base_arena_release(&bed->arena);
    base_buf_release(&bed->payload);
}

static void put_item(struct bed *bed, uint32_t number, const char *title, const char *text)
{
    char id[16];
    snprintf(id, sizeof(id), "i%u", number);
    const struct schema_item item = {.id = fr_slice_str(id),
                                     .title = fr_slice_str(title),
                                     .text = fr_slice_str(text),
                                     .present = 0xffff};
    base_buf_clear(&bed->payload);
    schema_item_encode(&item, &bed->payload);
    assert_int_equal(state_apply_item(bed->state, base_buf_slice(&bed->payload), 1000000), FR_OK);
}

/* A user with `count` attributes: keys k0, k1, ... of one value; the first one's key is given. */
static void put_user(struct bed *bed, uint32_t number, const char *key, const char *value,
                     uint32_t count)
{
    char id[16], keys[SCHEMA_LIST_MAX][8];
    snprintf(id, sizeof(id), "u%u", number);
    struct schema_user user = {.id = fr_slice_str(id), .attribute_count = count, .present = 0xffff};
    for (uint32_t a = 0; a < count; a++) {
        snprintf(keys[a], sizeof(keys[a]), "k%u", a);
        user.attributes[a] =
            (struct schema_pair){fr_slice_str(a ? keys[a] : key), fr_slice_str(value)};
    }
    base_buf_clear(&bed->payload);
    schema_user_encode(&user, &bed->payload);
    assert_int_equal(state_apply_user(bed->state, base_buf_slice(&bed->payload)), FR_OK);
}

static void build(struct bed *bed, uint32_t user, uint32_t item, bool writer,
                  struct model_click_example *out)
{
    static const float nothing[1];
    char id[16];
    struct model_query query;
    struct model_click_source source;
    struct model_request request = {.clock_s = CLOCK_S};
    snprintf(id, sizeof(id), "u%u", user);
    request.user = state_user_find(bed->state, fr_slice_str(id));
    base_arena_clear(&bed->arena);
    assert_int_equal(model_query_build(bed->state, &request, &bed->arena, &query), FR_OK);
    size_t mark = base_arena_mark(&bed->arena);
    model_clicks_ask(bed->clicks, &query, &bed->arena, &source);
    assert_int_equal(base_arena_mark(&bed->arena), mark);
    snprintf(id, sizeof(id), "i%u", item);
    source.item = state_item_find(bed->state, fr_slice_str(id));
    source.x = nothing;
    source.stride = 1;
    model_clicks_build(bed->clicks, &source, writer, out);
}

static bool same_facets(const struct model_click_example *a, const struct model_click_example *b)
{
    bool same = a->row.facet_count == b->row.facet_count;
    for (uint32_t f = 0; same && f < a->row.facet_count; f++)
        same = a->facet[f].kind == b->facet[f].kind && a->facet[f].value == b->facet[f].value;
    return same;
}

static void a_users_attributes_are_facets(void **unused)
{
    (void)unused;
    static struct model_click_example none, red, now;
    struct bed bed;
    bed_init(&bed);
    put_item(&bed, 1, "", "");
    put_user(&bed, 1, "", "", 0);
    build(&bed, 1, 1, true, &none);
    put_user(&bed, 1, "colour", "red", 1);
    build(&bed, 1, 1, true, &red);
    assert_int_equal(red.row.facet_count, none.row.facet_count + 1);
    build(&bed, 1, 1, false, &now); /* served as it was learnt */
    assert_true(same_facets(&now, &red));
    assert_memory_equal(now.ctr.dense, red.ctr.dense, red.ctr.dense_count * sizeof(float));
    put_user(&bed, 1, "colour", "blue", 1);
    build(&bed, 1, 1, false, &now);
    assert_false(same_facets(&now, &red));
    put_user(&bed, 1, "mood", "red", 1); /* another key */
    build(&bed, 1, 1, false, &now);
    assert_false(same_facets(&now, &red));
    put_user(&bed, 1, "colour", "red", 20);
    build(&bed, 1, 1, false, &now);
    assert_int_equal(now.row.facet_count, none.row.facet_count + MODEL_CLICK_ATTRIBUTES);
    state_apply_user_delete(bed.state, FR_SLICE("u1"));
    build(&bed, 1, 1, false, &now);
    assert_true(same_facets(&now, &none));
    bed_release(&bed);
}

/* The facets that have a weight. */
static uint32_t words_of(struct bed *bed, uint32_t item, struct model_ctr_facet out[8])
{
    static struct model_click_example example;
    uint32_t count = 0;
    build(bed, 1, item, false, &example);
    for (uint32_t f = 0; f < example.row.facet_count; f++)
        if (example.facet[f].number > 0.0f) {
            assert_true(count < 8);
            out[count++] = example.facet[f];
        }
    return count;
}

static void rare_words_outrank_common_ones(void **unused)
{
    (void)unused;
    struct bed bed;
    struct model_ctr_facet word[8], common[8];
    float squares = 0.0f;
    bed_init(&bed);
    for (uint32_t i = 0; i < 50; i++)
        put_item(&bed, i, "ordinary", "");
    put_item(&bed, 100, "ordinary quince", "");
    assert_int_equal(words_of(&bed, 1, common), 1);
    assert_int_equal(words_of(&bed, 100, word), 2);
    assert_true(word[0].number > 2.0f * word[1].number && word[1].value == common[0].value);
    put_item(&bed, 101, "mango papaya", "papaya papayas"); /* one stem, three times */
    assert_int_equal(words_of(&bed, 101, word), 2);
    assert_true(word[0].number > 1.5f * word[1].number);
    put_item(&bed, 102, "ordinary", "one2 two2 three3 four4 five5 six6 seven7 eight8 nine9 quince");
    assert_int_equal(words_of(&bed, 102, word), 8);
    for (uint32_t w = 0; w < 8; w++) {
        squares += word[w].number * word[w].number;
        assert_true(word[w].value != common[0].value && word[w].value <= 1024);
    }
    assert_true(fabsf(squares - 1.0f) < 1e-5f);
    put_item(&bed, 100, "", ""); /* replaced */
    assert_int_equal(words_of(&bed, 100, word), 0);
    bed_release(&bed);
}

static bool coin(uint32_t n, uint64_t of)
{
    return base_random_u64(3, n, of) & 1;
}

/* The mean log loss of the last examples, each scored before it is learnt. Users of one of two colours
 * like one of two kinds of items; nobody comes twice, and no item does. */
static double loss_of(bool attributes, bool words)
{
    static struct model_click_example example;
    struct bed bed;
    void *ctr;
    double loss = 0;
    bed_init(&bed);
    for (uint32_t n = 0; n < EXAMPLES; n++) {
        put_item(&bed, n, !words ? "thing" : coin(n, 0) ? "zebra thing" : "walnut thing", "");
        put_user(&bed, n, "colour", !attributes ? "grey" : coin(n, 1) ? "red" : "blue", 1);
    }
    const struct model_click_shape shape = {.clicks = bed.clicks,
                                            .limits = state_limits(bed.state),
                                            .seed = 1};
    assert_int_equal(model_click_open(&model_click_ctr, &shape, NULL, &ctr), FR_OK);
    for (uint32_t n = 0; n < EXAMPLES; n++) {
        float logit;
        build(&bed, n, n, true, &example);
        example.row.label = coin(n, 0) == coin(n, 1);
        example.row.weight = 1.0f;
        model_click_ctr.fresh(ctr, &example);
        model_click_ctr.score(ctr, &example, 1, true, &logit);
        model_click_ctr.learn(ctr, &example);
        model_clicks_learn(bed.clicks, &example);
        if (n >= EXAMPLES - SCORED)
            loss += log1p(exp(example.row.label > 0.5f ? -(double)logit : (double)logit)) / SCORED;
    }
    model_click_close(&model_click_ctr, ctr);
    bed_release(&bed);
    return loss;
}

static void what_only_both_tell_is_learnt(void **unused)
{
    (void)unused;
    double neither = loss_of(false, false), both = loss_of(true, true);
    double attributes = loss_of(true, false), words = loss_of(false, true);
    print_message("# log loss with both %.3f, attributes %.3f, words %.3f, neither %.3f\n", both,
                  attributes, words, neither);
    assert_true(both < 0.2);
    assert_true(neither > 0.6 && attributes > 0.6 && words > 0.6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_users_attributes_are_facets),
        cmocka_unit_test(rare_words_outrank_common_ones),
        cmocka_unit_test(what_only_both_tell_is_learnt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
