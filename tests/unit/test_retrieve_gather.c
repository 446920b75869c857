/* SPDX-License-Identifier: Apache-2.0
 *
 * The gather: its sums are those of the rows, visit by visit; the best by a sum are named, as many as the
 * quota says, whatever a sample of the slots made the search expect.
 */
#include "base/buf.h"
#include "model/gather.h"
#include "rank/rank.h"
#include "retrieve/retrieve.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ITEMS = 3000, USERS = 1500, VISITS = 24, ASKED = 512, QUOTA = 80 * ASKED / 192 };

struct bed {
    struct schema_types types;
    struct state *state;
    struct base_arena arena;
    uint64_t position;
    uint32_t time_s;
};

static void click(struct bed *bed, uint32_t user, uint32_t item)
{
    char user_id[16], item_id[16];
    snprintf(user_id, sizeof(user_id), "u%u", user);
    snprintf(item_id, sizeof(item_id), "i%u", item);
    struct schema_event event = {.user = fr_slice_str(user_id),
                                 .item = fr_slice_str(item_id),
                                 .type = SCHEMA_CLICK,
                                 .time_us = (int64_t)bed->time_s * 1000000};
    struct state_event resolved;
    bed->time_s += 20;
    assert_int_equal(state_resolve(bed->state, &event, &bed->types, ++bed->position, INT64_MAX / 2,
                                   &resolved),
                     FR_OK);
    state_apply(bed->state, &resolved);
}

/* Half of a user's clicks are on few items, so that rows are long and counts differ. */
static struct bed bed_new(void)
{
    struct bed bed = {.time_s = 1700000000};
    const struct state_options limits = {.item_count_max = 4096,
                                         .user_count_max = 4096,
                                         .event_count_max = 1 << 16,
                                         .text_bytes_max = 16 << 20,
                                         .pair_bytes_max = 64 << 20,
                                         .dedupe_count_max = 1 << 12};
    schema_types_init(&bed.types);
    assert_int_equal(state_new(&limits, NULL, &bed.state), FR_OK);
    assert_int_equal(base_arena_init(&bed.arena, RANK_ARENA_BYTES), FR_OK);
    for (uint32_t v = 0; v < VISITS; v++)
        for (uint32_t u = 0; u < USERS; u++) {
            uint64_t chance = base_random_u64(7, u, v);
            click(&bed, u, (uint32_t)(chance >> 8) % (chance & 1 ? ITEMS / 30 : ITEMS));
        }
    return bed;
}

static void bed_free(struct bed *bed)
{
    state_free(bed->state);
    base_arena_release(&bed->arena);
}

struct asked {
    struct model_query query;
    struct model_gather *gather;
    struct retrieve_candidates candidates;
};

static void ask(struct bed *bed, uint32_t user, struct asked *out)
{
    char id[16];
    snprintf(id, sizeof(id), "u%u", user);
    struct model_request request = {.user = state_user_find(bed->state, fr_slice_str(id))};
    struct retrieve_options options = {.candidates_max = ASKED, .allow_unservable = true};
    base_arena_clear(&bed->arena);
    assert_int_equal(model_query_build(bed->state, &request, &bed->arena, &out->query), FR_OK);
    assert_int_equal(retrieve_run(bed->state, &out->query, &options, &bed->arena, &out->gather,
                                  &out->candidates),
                     FR_OK);
    assert_true(out->query.history_count > 12);
}

static void sums_are_those_of_the_rows(void **unused)
{
    (void)unused;
    struct bed bed = bed_new();
    struct asked asked;
    ask(&bed, 3, &asked);
    const struct model_gather *gather = asked.gather;
    for (uint32_t s = 1; s <= gather->count; s++) {
        const struct model_slot *slot = &gather->slot[s];
        assert_int_equal(model_gather_find(gather, slot->item), s);
        for (uint32_t sum = 0; sum < MODEL_GATHER_SUMS; sum++) {
            double whole = 0;
            for (uint32_t v = 0; v < gather->visit_count; v++)
                whole += (double)model_gather_part(gather, v, sum, slot->item);
            assert_true(fabs(whole - (double)slot->sum.at[sum]) <= 1e-5 * (1 + whole));
        }
    }
    assert_int_equal(model_gather_find(gather, ITEMS + 1000), 0);
    bed_free(&bed);
}

static int by_size(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

static bool is_named(const struct retrieve_candidates *candidates, uint32_t item)
{
    for (uint32_t c = 0; c < candidates->count; c++)
        if (candidates->item[c] == item)
            return candidates->generators[c] & 1u << RETRIEVE_HISTORY;
    return false;
}

static void the_best_by_a_sum_are_named(void **unused)
{
    (void)unused;
    struct bed bed = bed_new();
    for (uint32_t user = 0; user < 40; user++) {
        struct asked asked;
        ask(&bed, user, &asked);
        const struct model_gather *gather = asked.gather;
        float *sum = calloc(gather->count, sizeof(float));
        uint32_t unseen = 0, named = 0, above = 0;
        assert_true(gather->count > 1024); /* or nothing is sampled */
        for (uint32_t s = 1; s <= gather->count; s++)
            if (!(gather->slot[s].flags & MODEL_SLOT_SEEN))
                sum[unseen++] = gather->slot[s].sum.at[MODEL_SUM_SEQ_8];
        qsort(sum, unseen, sizeof(float), by_size);
        for (uint32_t s = 1; s <= gather->count; s++) {
            const struct model_slot *slot = &gather->slot[s];
            if (slot->flags & MODEL_SLOT_SEEN || slot->sum.at[MODEL_SUM_SEQ_8] <= sum[QUOTA / 2])
                continue;
            above++;
            named += is_named(&asked.candidates, slot->item);
        }
        assert_true(above > QUOTA / 3);
        assert_int_equal(named, above);
        free(sum);
    }
    bed_free(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_rows),
        cmocka_unit_test(the_best_by_a_sum_are_named),
    };
    return cmocka_run_group_tests_name("retrieve_gather", tests, NULL, NULL);
}
