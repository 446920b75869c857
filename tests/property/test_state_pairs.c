/* SPDX-License-Identifier: Apache-2.0
 *
 * state: neighbour rows against a model that walks every entry of a row whenever the row is touched. The
 * rows walk only the sets that hold quick counters (P5) and only where an epoch has ended: the counters
 * within a session, just after and near by must come to the same integers after any visits at any times,
 * and so they must when memory was asked for ahead of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "state/ahead.h"
#include "state/decay.h"
#include "state/state.h"

enum { ITEMS = 24, USERS = 5, EVENTS = 20000, COUNTERS = 3 };
static const uint32_t counters[COUNTERS] = {STATE_PAIR_NEAR, STATE_PAIR_SESSION, STATE_PAIR_NEXT};
static const uint32_t half_life_log2_s[COUNTERS] = {22, 13, 10};

/* Indexes are those of the state; a user's items newest first, each once. */
struct model {
    uint32_t count[ITEMS + 1][ITEMS + 1][COUNTERS];
    uint32_t touch_s[ITEMS + 1];
    uint32_t item[USERS + 1][ITEMS], tag[USERS + 1][ITEMS], items[USERS + 1];
};

static void row_age(struct model *model, uint32_t row, uint32_t t)
{
    for (uint32_t other = 1; other <= ITEMS; other++)
        for (uint32_t c = 0; c < COUNTERS; c++)
            model->count[row][other][c] >>=
                state__shift(model->touch_s[row], t, half_life_log2_s[c]);
    model->touch_s[row] = t;
}

static void row_add(struct model *model, uint32_t row, uint32_t other, uint32_t t,
                    const uint32_t weight[COUNTERS])
{
    row_age(model, row, t);
    for (uint32_t c = 0; c < COUNTERS; c++)
        model->count[row][other][c] += state__scaled(weight[c], t, half_life_log2_s[c]);
}

static void model_visit(struct model *model, const struct state_event *event)
{
    uint32_t *item = model->item[event->user], *tag = model->tag[event->user], distance = 0;
    uint32_t *items = &model->items[event->user], kept = 0;
    for (uint32_t i = 0; i < *items; i++) {
        if (item[i] == event->item)
            continue;
        bool same = tag[i] == event->session_tag;
        uint32_t near = STATE_UNIT / ++distance;
        const uint32_t forward[COUNTERS] = {near, same ? near : 0,
                                            same && distance == 1 ? near : 0};
        const uint32_t backward[COUNTERS] = {near, same ? near : 0, 0};
        row_add(model, item[i], event->item, event->clock_s, forward);
        row_add(model, event->item, item[i], event->clock_s, backward);
    }
    uint32_t before[ITEMS], before_tag[ITEMS];
    for (uint32_t i = 0; i < *items; i++)
        if (item[i] != event->item) {
            before[kept] = item[i];
            before_tag[kept++] = tag[i];
        }
    item[0] = event->item;
    tag[0] = event->session_tag;
    memcpy(item + 1, before, kept * sizeof(*item));
    memcpy(tag + 1, before_tag, kept * sizeof(*tag));
    *items = kept + 1;
}

static void compare(const struct state *state, const struct model *model, uint32_t clock_s)
{
    for (uint32_t a = 1; a < state_item_count(state); a++) {
        struct state_row row;
        if (!state_row_get(state, STATE_ROW_ITEM, a, clock_s, NULL, true, &row))
            continue;
        for (uint32_t b = 1; b < state_item_count(state); b++) {
            int32_t place = state_row_place(&row, b);
            for (uint32_t c = 0; c < COUNTERS; c++) {
                uint32_t seen = place < 0 ? 0 : row.counter[place][counters[c]];
                if (seen != model->count[a][b][c])
                    fail_msg("counter %u of %u in the row of %u: %u, the model has %u", counters[c],
                             b, a, seen, model->count[a][b][c]);
            }
        }
    }
}

/* Mostly within a session, sometimes hours, rarely weeks later. */
static uint32_t pause_s(uint64_t n)
{
    uint64_t kind = base_random_u64(2, n, 0) % 40;
    if (kind == 0)
        return (uint32_t)(base_random_u64(2, n, 1) % 2000000);
    return (uint32_t)(base_random_u64(2, n, 1) % (kind < 6 ? 20000 : 300));
}

static void run(bool ahead)
{
    static struct model model;
    struct state *state;
    struct schema_types types;
    struct state_ahead soon;
    uint32_t now_s = 1600000000;
    memset(&model, 0, sizeof(model));
    schema_types_init(&types);
    assert_int_equal(state_new(NULL, NULL, &state), FR_OK);
    for (uint64_t n = 0; n < EVENTS; n++) {
        char user[16], item[16];
        now_s += pause_s(n);
        snprintf(user, sizeof(user), "u%u", (unsigned)(base_random_u64(1, n, 0) % USERS));
        snprintf(item, sizeof(item), "i%u", (unsigned)(base_random_u64(1, n, 1) % ITEMS));
        struct schema_event event = {.user = fr_slice_str(user),
                                     .item = fr_slice_str(item),
                                     .type = SCHEMA_CLICK,
                                     .time_us = (int64_t)now_s * 1000000};
        struct state_event resolved;
        if (ahead) {
            state_ahead_begin(state, &event, &soon);
            for (uint32_t s = 0; s < base_random_u64(3, n, 0) % (STATE_AHEAD_STEPS + 4); s++)
                state_ahead_step(state, &soon);
        }
        assert_int_equal(state_resolve(state, &event, &types, n + 1, event.time_us, &resolved),
                         FR_OK);
        assert_true(resolved.signal == 1.0f);
        state_apply(state, &resolved);
        model_visit(&model, &resolved);
        if (n % 499 == 0)
            compare(state, &model, resolved.clock_s);
    }
    state_free(state);
}

static void rows_age_as_the_model(void **unused)
{
    (void)unused;
    run(false);
}

static void asking_ahead_changes_nothing(void **unused)
{
    (void)unused;
    run(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_age_as_the_model),
        cmocka_unit_test(asking_ahead_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
