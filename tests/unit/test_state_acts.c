/* SPDX-License-Identifier: Apache-2.0
 *
 * state: administrative acts are kept newest first, cut to their rows, and the ring forgets the oldest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "schema/schema.h"
#include "state/audit.h"

static struct state *state;
static struct base_buf payload;

static int open_state(void **context)
{
    (void)context;
    base_buf_init(&payload, 0);
    return state_new(NULL, NULL, &state) == FR_OK ? 0 : -1;
}

static int close_state(void **context)
{
    (void)context;
    state_free(state);
    base_buf_release(&payload);
    return 0;
}

static enum fr_status apply(struct fr_slice target, uint64_t position)
{
    base_buf_clear(&payload);
    schema_act_encode(&(struct schema_act){.actor = FR_SLICE("abcdefgh"),
                                           .act = FR_SLICE("key_created"),
                                           .target = target},
                      &payload);
    return state_apply_act(state, base_buf_slice(&payload), position, 7000000);
}

static void acts_are_numbered_and_kept(void **context)
{
    struct state_act act;
    (void)context;
    assert_int_equal(state_act_count(state), 0);
    assert_false(state_act_get(state, 1, &act));
    for (uint64_t n = 1; n <= STATE_ACTS_KEPT + 10; n++) {
        char target[24];
        snprintf(target, sizeof target, "t%u", (unsigned)n);
        assert_int_equal(apply(fr_slice_str(target), 100 + n), FR_OK);
        if (n % 97 == 0 || n > STATE_ACTS_KEPT)
            assert_int_equal(state_act_count(state), n);
        assert_true(state_act_get(state, n, &act));
        assert_string_equal(act.target, target);
        assert_string_equal(act.actor, "abcdefgh");
        assert_true(act.number == n && act.position == 100 + n && act.time_us == 7000000);
    }
    assert_false(state_act_get(state, 10, &act));
    assert_true(state_act_get(state, 11, &act));
    assert_false(state_act_get(state, STATE_ACTS_KEPT + 11, &act));
}

static void long_texts_are_cut_between_characters(void **context)
{
    struct state_act act;
    char text[300];
    (void)context;
    for (size_t i = 0; i < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    assert_int_equal(apply(fr_slice_of(text, sizeof text), 1), FR_OK);
    assert_true(state_act_get(state, 1, &act));
    assert_int_equal(strlen(act.target) % 2, 0);
    assert_true(strlen(act.target) >= 90 && strlen(act.target) < sizeof act.target);
}

static void what_is_no_act_changes_nothing(void **context)
{
    (void)context;
    assert_int_equal(apply(FR_SLICE("x"), 1), FR_OK);
    for (size_t bytes = 0; bytes < payload.count; bytes++)
        assert_int_equal(state_apply_act(state, fr_slice_of((const char *)payload.bytes, bytes), 2,
                                         0),
                         FR_CORRUPT);
    payload.bytes[0] = 9;
    assert_int_equal(state_apply_act(state, base_buf_slice(&payload), 2, 0), FR_CORRUPT);
    assert_int_equal(state_act_count(state), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(acts_are_numbered_and_kept, open_state, close_state),
        cmocka_unit_test_setup_teardown(long_texts_are_cut_between_characters, open_state,
                                        close_state),
        cmocka_unit_test_setup_teardown(what_is_no_act_changes_nothing, open_state, close_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
