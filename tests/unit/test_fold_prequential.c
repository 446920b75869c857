/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fold says of its own predictions was said before it saw the answer: of clicks that are
 * throws of dice it foresees as many as the dice allow, and it is asked about nearly all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/folding.h"

enum { USERS = 150, EVENTS = 900, SEED = 21, FIGURES = 2 };

static void add_throw(struct folding *folding, uint64_t n)
{
    char user[16], item[16];
    snprintf(user, sizeof(user), "u%u", (unsigned)(base_random_u64(SEED, n, 0) % USERS));
    snprintf(item, sizeof(item), "i%u", (unsigned)(base_random_u64(SEED, n, 1) % FOLDING_ITEMS));
    const struct schema_event event = {.user = fr_slice_str(user),
                                       .item = fr_slice_str(item),
                                       .type = SCHEMA_CLICK,
                                       .key = {.lo = n + 1, .hi = 1},
                                       .time_us = 1767225600000000 + (int64_t)n * 60000000};
    base_buf_clear(&folding->payload);
    schema_event_encode(&event, &folding->payload);
    fold_batch_add(&folding->batch, SCHEMA_KIND_EVENT, base_buf_slice(&folding->payload));
}

static void dice_are_not_foreseen(void **state)
{
    (void)state;
    struct os_sim *sim = os_sim_new(SEED, NULL);
    struct folding folding;
    struct fr_error error = {0};
    struct rank_figure figures[FIGURES];
    assert_int_equal(folding_open(&folding, sim, 0, &error), FR_OK);
    folding_add_items(&folding, SEED);
    for (uint64_t n = 0; n < EVENTS; n++)
        add_throw(&folding, n);
    folding.batch.received_us = 1767225600000000 + (int64_t)EVENTS * 60000000;
    assert_int_equal(folding_run(&folding), FR_OK);
    assert_int_equal(rank_figures(folding.rank, figures, FIGURES), FIGURES);
    assert_string_equal(figures[0].name, "blend");
    assert_in_range(figures[0].scored, EVENTS * 8 / 10, EVENTS);     /* few come to a seen item */
    assert_true(figures[0].hit10 > 0.02 && figures[0].hit10 < 0.16); /* 10 of 120: .083 */
    folding_close(&folding);
    os_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dice_are_not_foreseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
