/* SPDX-License-Identifier: Apache-2.0
 *
 * Health: figures with intervals by segment, alarms when a generated world changes and none before,
 * the remedy and what it brings, hysteresis, equal state after equal events; and in the fold, the
 * remedy as a record that a replay repeats.
 */
#include "base/buf.h"
#include "fold/fold.h"
#include "journal/journal.h"
#include "rank/health.h"
#include "tests/lib/folding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A user walks eight steps along one of five chains of twelve items, then another comes. From event
 * CHANGE on, all items have exchanged their ids. */
enum {
    CHAINS = 5,
    CHAIN = 12,
    STEPS = 8,
    CHANGE = 6000,
    EVENTS = 9000,
    START_S = 1600000000,
    STEP_S = 10800 /* only long-term counts live that long */
};

struct names {
    char user[16], item[16];
};

static uint32_t item_of(uint64_t n, uint32_t changes)
{
    uint64_t draw = base_random_u64(11, n / STEPS, 0);
    uint32_t chain = (uint32_t)(draw % CHAINS);
    uint32_t at = (uint32_t)(draw >> 32) % (CHAIN - STEPS + 1) + (uint32_t)(n % STEPS);
    uint32_t item = chain * CHAIN + at;
    for (; changes > 0; changes--)
        item = item * 23 % (CHAINS * CHAIN); /* 23 and 60 have no common factor */
    return item;
}

static struct schema_event event_of(uint64_t n, uint32_t changes, struct names *names)
{
    snprintf(names->user, sizeof(names->user), "u%u", (uint32_t)(n / STEPS));
    snprintf(names->item, sizeof(names->item), "i%u", item_of(n, changes));
    return (struct schema_event){.key = {n + 1, 1},
                                 .user = fr_slice_str(names->user),
                                 .item = fr_slice_str(names->item),
                                 .type = SCHEMA_CLICK,
                                 .time_us = (START_S + (int64_t)n * STEP_S) * 1000000,
                                 .context = {.device = n / STEPS % 3 ? FR_SLICE("phone")
                                                                     : FR_SLICE("desk")}};
}

struct world {
    struct schema_types types;
    struct state *state;
    struct rank *rank;
    uint64_t hits_after, scored_after, remedies;
    uint64_t remedy_at[16];
    uint64_t every; /* after CHANGE, there is another change every so many events; 0: none */
    uint64_t last_at[RANK_ACTION_COUNT]; /* of each kind; 0: never */
    uint32_t actions;
};

static struct world world_new(void)
{
    struct world world = {0};
    const struct state_options limits = {.item_count_max = 4096,
                                         .user_count_max = 8192,
                                         .event_count_max = 1 << 16,
                                         .text_bytes_max = 16 << 20,
                                         .pair_bytes_max = 16 << 20,
                                         .dedupe_count_max = 1 << 14,
                                         .slow_half_life_log2_s = 27};
    schema_types_init(&world.types);
    assert_int_equal(state_new(&limits, NULL, &world.state), FR_OK);
    struct rank_options options = {.state = world.state, .experts = "popularity,cooc,transition"};
    assert_int_equal(rank_new(&options, NULL, &world.rank), FR_OK);
    return world;
}

static void world_free(struct world *world)
{
    rank_free(world->rank);
    state_free(world->state);
}

/* Hysteresis: each kind rests, and a switch has a trial of some length before it. An event in eight is not
 * judged (the first of a user's). */
static void check_rests(struct world *world, uint32_t actions, uint64_t n)
{
    for (uint32_t bit = 0; bit < RANK_ACTION_COUNT; bit++) {
        if (!(actions & 1u << bit))
            continue;
        if (1u << bit == RANK_ACTION_SWITCH)
            assert_true(world->last_at[0] && n - world->last_at[0] >= 256);
        else
            assert_true(!world->last_at[bit] || n - world->last_at[bit] >= 2000);
        world->last_at[bit] = n;
    }
}

static void live(struct world *world, uint64_t from, uint64_t to, bool act)
{
    for (uint64_t n = from; n < to; n++) {
        struct names names;
        struct state_event resolved;
        struct rank_outcome outcome;
        struct rank_remedy remedy;
        uint64_t after = n < CHANGE ? 0 : n - CHANGE;
        uint32_t changes = (uint32_t)((n >= CHANGE) + (world->every ? after / world->every : 0));
        struct schema_event event = event_of(n, changes, &names);
        assert_int_equal(state_resolve(world->state, &event, &world->types, n + 1, INT64_MAX / 2,
                                       &resolved),
                         FR_OK);
        rank_learn(world->rank, &resolved, true, &outcome);
        state_apply(world->state, &resolved);
        rank_apply(world->rank, &resolved);
        if (act && rank_remedy_wanted(world->rank, &remedy)) {
            rank_remedy_apply(world->rank, &remedy, n + 1);
            world->actions |= remedy.actions;
            check_rests(world, remedy.actions, n);
            if (world->remedies < FR_COUNT_OF(world->remedy_at))
                world->remedy_at[world->remedies++] = n;
        }
        if (n >= CHANGE && n < CHANGE + 1000 && outcome.scored && n % STEPS > 0) {
            world->hits_after += outcome.rank < 1.0f;
            world->scored_after++;
        }
    }
}

static struct base_hash128 hash_of(const struct world *world)
{
    struct base_digest digest;
    uint32_t count;
    base_digest_init(&digest);
    struct base_rows *const *tables = rank_tables(world->rank, &count);
    for (uint32_t t = 0; t < count; t++)
        base_rows_digest(tables[t], &digest);
    tables = state_tables(world->state, &count);
    for (uint32_t t = 0; t < count; t++)
        base_rows_digest(tables[t], &digest);
    return base_digest_end(&digest);
}

static const struct rank_health *row_of(const struct rank_health *rows, uint32_t count,
                                        const char *name, const char *segment)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0 && strcmp(rows[i].segment, segment) == 0)
            return &rows[i];
    return NULL;
}

static void figures_say_how_good_each_is(void **unused)
{
    (void)unused;
    static struct rank_health rows[RANK_HEALTH_MAX];
    struct world world = world_new();
    live(&world, 0, 4000, true);
    uint32_t count = rank_health(world.rank, rows, RANK_HEALTH_MAX);
    const struct rank_health *blend = row_of(rows, count, "blend", "all");
    const struct rank_health *cooc = row_of(rows, count, "cooc", "all");
    const struct rank_health *popular = row_of(rows, count, "popular", "all");
    assert_non_null(blend);
    assert_non_null(cooc);
    assert_non_null(popular);
    assert_true(blend->hit.count >= 2000 && blend->hit.low < blend->hit.mean &&
                blend->hit.mean < blend->hit.high);
    assert_true(blend->hit.low > popular->hit.high); /* sure that it is better */
    assert_true(blend->auc.mean > 0.8 && blend->auc.mean <= 1.0);
    assert_true(blend->logloss.mean > 0.0 && blend->logloss.mean < 4.2);
    assert_true(blend->ece >= 0.0 && blend->ece < 0.5 && blend->pcoc > 0.2 && blend->pcoc < 5.0);
    assert_non_null(row_of(rows, count, "blend", "history"));
    assert_non_null(row_of(rows, count, "blend", "device"));
    assert_null(row_of(rows, count, "blend", "region")); /* no event has one */
    struct rank_input inputs[RANK_INPUTS_MAX];
    assert_true(rank_inputs(world.rank, inputs, RANK_INPUTS_MAX) > 10);
    world_free(&world);
}

/* The mechanism itself: without the remedy the old counts stand in the way. */
static void a_change_is_seen_and_its_remedy_helps(void **unused)
{
    (void)unused;
    struct world with = world_new(), without = world_new();
    uint64_t alarms, remedies;
    live(&with, 0, CHANGE, true);
    assert_int_equal(with.remedies, 0); /* nothing had changed */
    live(&with, CHANGE, EVENTS, true);
    live(&without, 0, EVENTS, false);
    rank_alarm_counts(with.rank, &alarms, &remedies);
    assert_true(alarms >= 1 && remedies == with.remedies && remedies >= 1);
    assert_true(with.remedy_at[0] >= CHANGE && with.remedy_at[0] < CHANGE + 500);
    assert_true(with.actions & RANK_ACTION_AGE);
    double helped = (double)with.hits_after / (double)with.scored_after;
    double alone = (double)without.hits_after / (double)without.scored_after;
    print_message("first place after the change: %.3f, without the remedy %.3f\n", helped, alone);
    assert_true(helped > alone + 0.1);
    world_free(&with);
    world_free(&without);
}

static void a_remedy_rests_and_is_told(void **unused)
{
    (void)unused;
    struct world world = world_new();
    struct rank_alarm alarm[RANK_ALARMS_KEPT];
    uint32_t told = 0;
    live(&world, 0, EVENTS, true);
    for (uint64_t r = 1; r < world.remedies; r++) /* three kinds, each at most once in 2,000 */
        assert_true(r < 3 || world.remedy_at[r] - world.remedy_at[r - 3] >= 2000 * 7 / 8);
    uint32_t count = rank_alarms(world.rank, alarm, RANK_ALARMS_KEPT);
    for (uint32_t a = 0; a < count; a++) {
        assert_true(a == 0 || alarm[a].number < alarm[a - 1].number);
        assert_true(alarm[a].position >= 1 && alarm[a].excess >= 1.0f);
        told += alarm[a].actions != 0 && alarm[a].acted >= alarm[a].position;
    }
    assert_int_equal(told, world.remedies);
    world_free(&world);
}

static void however_often_it_changes_remedies_rest(void **unused)
{
    (void)unused;
    struct world world = world_new();
    uint64_t alarms, remedies;
    world.every = 700;
    live(&world, 0, EVENTS, true);
    rank_alarm_counts(world.rank, &alarms, &remedies);
    assert_true(remedies >= 2 && alarms > remedies);
    assert_true(world.actions & RANK_ACTION_SWITCH); /* after a single change aged counts suffice */
    world_free(&world);
}

static void equal_events_give_equal_health(void **unused)
{
    (void)unused;
    struct world a = world_new(), b = world_new();
    live(&a, 0, CHANGE + 800, true);
    live(&b, 0, CHANGE + 800, true);
    assert_true(a.remedies >= 1);
    struct base_hash128 ha = hash_of(&a), hb = hash_of(&b);
    assert_true(folding_hash_equal(ha, hb));
    world_free(&a);
    world_free(&b);
}

static void remedies_are_told_from_rubbish(void **unused)
{
    (void)unused;
    struct base_buf bytes;
    struct rank_remedy back, remedy = {.alarm = 7, .actions = 5, .before = 0.5, .after = 0.25};
    base_buf_init(&bytes, 0);
    rank_remedy_encode(&remedy, &bytes);
    assert_int_equal(rank_remedy_decode(base_buf_slice(&bytes), &back), FR_OK);
    assert_true(back.alarm == 7 && back.actions == 5 && back.before == 0.5 && back.after == 0.25);
    for (size_t cut = 0; cut < bytes.count; cut++)
        assert_int_equal(rank_remedy_decode(fr_slice_of((const char *)bytes.bytes, cut), &back),
                         FR_INVALID);
    bytes.bytes[0] = 9; /* a version that there is not */
    assert_int_equal(rank_remedy_decode(base_buf_slice(&bytes), &back), FR_INVALID);
    base_buf_release(&bytes);
    struct world world = world_new(); /* one that nobody asked for changes nothing */
    live(&world, 0, 200, true);
    struct base_hash128 before = hash_of(&world);
    rank_remedy_apply(world.rank, &remedy, 201);
    assert_true(folding_hash_equal(before, hash_of(&world)));
    world_free(&world);
}

/* ---- in the fold ---------------------------------------------------------------------------- */

static void fold_live(struct folding *folding, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n < to;) {
        for (uint32_t i = 0; i < 50 && n < to; i++, n++) {
            struct names names;
            struct schema_event event = event_of(n, n >= CHANGE, &names);
            base_buf_clear(&folding->payload);
            schema_event_encode(&event, &folding->payload);
            fold_batch_add(&folding->batch, SCHEMA_KIND_EVENT, base_buf_slice(&folding->payload));
        }
        assert_int_equal(folding_run(folding), FR_OK);
    }
}

static void the_journal_tells_and_a_replay_repeats(void **unused)
{
    (void)unused;
    struct os_sim *sim = os_sim_new(5, NULL);
    struct folding live = {0}, again = {0};
    struct fr_error error = {0};
    assert_int_equal(folding_open(&live, sim, 1u << 30, &error), FR_OK);
    fold_live(&live, 0, CHANGE + 1500);
    fold_drain(live.fold);
    uint64_t alarms, remedies, position;
    rank_alarm_counts(live.rank, &alarms, &remedies);
    assert_true(remedies >= 1);
    struct base_hash128 hash = fold_hash(live.fold, &position);
    assert_true(position > CHANGE + 1500); /* events, and the fold's own records */
    folding_kill(&live, false);            /* no snapshot: everything is folded again */
    assert_int_equal(folding_open(&again, sim, 1u << 30, &error), FR_OK);
    uint64_t alarms_again, remedies_again, position_again;
    struct base_hash128 hash_again = fold_hash(again.fold, &position_again);
    rank_alarm_counts(again.rank, &alarms_again, &remedies_again);
    assert_int_equal(position_again, position);
    assert_true(alarms_again == alarms && remedies_again == remedies);
    assert_true(folding_hash_equal(hash, hash_again));
    folding_close(&again);
    os_sim_free(sim);
}

static void alarms_without_actions_are_told_only(void **unused)
{
    (void)unused;
    struct os_sim *sim = os_sim_new(5, NULL);
    struct folding live;
    struct fr_error error = {0};
    assert_int_equal(folding_open_watching(&live, sim, &error), FR_OK);
    fold_live(&live, 0, CHANGE + 1500);
    fold_drain(live.fold);
    uint64_t alarms, remedies;
    rank_alarm_counts(live.rank, &alarms, &remedies);
    assert_true(alarms >= 1);
    assert_int_equal(remedies, 0);
    folding_close(&live);
    os_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_say_how_good_each_is),
        cmocka_unit_test(a_change_is_seen_and_its_remedy_helps),
        cmocka_unit_test(a_remedy_rests_and_is_told),
        cmocka_unit_test(however_often_it_changes_remedies_rest),
        cmocka_unit_test(equal_events_give_equal_health),
        cmocka_unit_test(remedies_are_told_from_rubbish),
        cmocka_unit_test(the_journal_tells_and_a_replay_repeats),
        cmocka_unit_test(alarms_without_actions_are_told_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
