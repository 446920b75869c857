/* SPDX-License-Identifier: Apache-2.0
 *
 * state: catalogue entries and user documents are kept, patched, replaced, deleted; content tokens
 * and their newest items follow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/figures.h"
#include "state/state.h"

static void put(struct state *state, const struct schema_item *item, bool patch)
{
    struct base_buf bytes;
    base_buf_init(&bytes, 0);
    schema_item_encode(item, &bytes);
    if (patch)
        assert_int_equal(state_apply_item_patch(state, base_buf_slice(&bytes), 1000000), FR_OK);
    else
        assert_int_equal(state_apply_item(state, base_buf_slice(&bytes), 1000000), FR_OK);
    base_buf_release(&bytes);
}

static bool has_item(const uint32_t *items, uint32_t count, uint32_t item)
{
    for (uint32_t i = 0; i < count; i++)
        if (items[i] == item)
            return true;
    return false;
}

static void test_document_lives_and_dies(void **unused)
{
    (void)unused;
    struct state *state;
    struct base_arena arena;
    assert_int_equal(state_new(NULL, NULL, &state), FR_OK);
    assert_int_equal(base_arena_init(&arena, 1 << 20), FR_OK);
    char *text = malloc(16000);
    memset(text, 'x', 16000);
    struct schema_item item = {.id = FR_SLICE("a"),
                               .title = FR_SLICE("Running dogs"),
                               .text = fr_slice_of(text, 16000),
                               .author = FR_SLICE("Ann"),
                               .categories = {FR_SLICE("pets"), FR_SLICE("sport")},
                               .category_count = 2,
                               .expires_us = 5000000000,
                               .present = 0xffff};
    put(state, &item, false);
    uint32_t index = state_item_find(state, FR_SLICE("a"));
    struct schema_item back;
    assert_int_equal(state_item_document(state, index, &arena, &back), FR_OK);
    assert_true(fr_slice_equal(back.title, item.title));
    assert_int_equal(back.text.bytes, 16000);
    assert_memory_equal(back.text.ptr, text, 16000);
    struct state_item row;
    assert_true(state_item_get(state, index, &row));
    assert_true(state_item_servable(&row, 4999) && !state_item_servable(&row, 5000));
    assert_int_equal(row.categories[0], state_category_find(state, FR_SLICE("pets")));
    const struct schema_item patch = {.id = FR_SLICE("a"),
                                      .hidden = true,
                                      .present = SCHEMA_HIDDEN};
    put(state, &patch, true);
    assert_int_equal(state_item_document(state, index, &arena, &back), FR_OK);
    assert_true(back.hidden && fr_slice_equal(back.title, item.title));
    assert_true(state_item_get(state, index, &row) && !state_item_servable(&row, 100));
    state_apply_item_delete(state, FR_SLICE("a"));
    assert_int_equal(state_item_document(state, index, &arena, &back), FR_NOT_FOUND);
    assert_true(state_item_get(state, index, &row) && !state_item_servable(&row, 100));
    for (int i = 0; i < 500; i++) /* replaced chunks are used again */
        put(state, &item, false);
    struct state_stats stats;
    state_stats_get(state, &stats);
    assert_true(stats.bytes_text < 200000);
    base_arena_release(&arena);
    free(text);
    state_free(state);
}

static void test_tokens(void **unused)
{
    (void)unused;
    struct state *state;
    assert_int_equal(state_new(NULL, NULL, &state), FR_OK);
    char id[32];
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(id, sizeof(id), "%u", i);
        const struct schema_item item = {.id = fr_slice_str(id),
                                         .title = i % 2 ? FR_SLICE("Runs and runners")
                                                        : FR_SLICE("The cats"),
                                         .categories = {i % 2 ? FR_SLICE("sport")
                                                              : FR_SLICE("pets")},
                                         .category_count = 1,
                                         .present = 0xffff};
        put(state, &item, false);
        put(state, &item, false); /* a second PUT counts nothing twice */
    }
    uint32_t sport = state_category_find(state, FR_SLICE("sport")), items[24],
             tokens[STATE_ITEM_TOKENS_MAX];
    assert_int_equal(state_token_frequency(state, sport), 20);
    assert_int_equal(state_token_items(state, sport, items, 3), 3);
    assert_int_equal(items[0], state_item_find(state, FR_SLICE("39")));
    uint32_t count = state_item_tokens(state, items[0], tokens);
    assert_true(count >= 2 && tokens[0] == sport);
    bool stem = false;
    for (uint32_t t = 0; t < count; t++)
        stem |= fr_slice_equal(state_token_text(state, tokens[t]), FR_SLICE("run"));
    assert_true(stem);
    uint32_t newest[24];
    assert_int_equal(state_items_newest(state, newest, 24), 24);
    assert_int_equal(newest[0], items[0]);
    state_apply_item_delete(state, FR_SLICE("39"));
    assert_int_equal(state_token_frequency(state, sport), 19);
    assert_false(has_item(items, state_token_items(state, 0, items, 24), 1));
    state_free(state);
}

static void test_user_documents(void **unused)
{
    (void)unused;
    struct state *state;
    struct base_arena arena;
    assert_int_equal(state_new(NULL, NULL, &state), FR_OK);
    assert_int_equal(base_arena_init(&arena, 1 << 18), FR_OK);
    struct schema_user user = {.id = FR_SLICE("u"),
                               .attributes = {{FR_SLICE("age"), FR_SLICE("30")}},
                               .attribute_count = 1,
                               .follows = {FR_SLICE("ann")},
                               .follow_count = 1,
                               .present = 0xffff};
    struct base_buf bytes;
    base_buf_init(&bytes, 0);
    schema_user_encode(&user, &bytes);
    assert_int_equal(state_apply_user(state, base_buf_slice(&bytes)), FR_OK);
    struct schema_user back;
    uint32_t index = state_user_find(state, FR_SLICE("u"));
    assert_int_equal(state_user_document(state, index, &arena, &back), FR_OK);
    assert_int_equal(back.follow_count, 1);
    assert_true(fr_slice_equal(back.attributes[0].value, FR_SLICE("30")));
    state_apply_user_delete(state, FR_SLICE("u"));
    assert_int_equal(state_user_document(state, index, &arena, &back), FR_NOT_FOUND);
    assert_int_equal(state_apply_item(state, FR_SLICE("garbage"), 1) == FR_OK, 0);
    base_buf_release(&bytes);
    base_arena_release(&arena);
    state_free(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_lives_and_dies),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_user_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
