/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread folds while others ask: answers stay well formed (known, unseen items, finite scores
 * in order, parts that sum), documents are whole, and the fold's result does not depend on being
 * watched. Built with ThreadSanitizer it shows that no word is shared unguarded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "rank/rank.h"
#include "state/figures.h"

enum { START_S = 1600000000, EVENTS = 3000, USERS = 60, ITEMS = 400, READERS = 2 };
/* Answers of a reader: at least, even when all was folded before it began; at most, or on few processors
 * readers would take most of the time. */
enum { ANSWERS_MIN = 10, ANSWERS_MAX = 600 };

struct world {
    struct state *state;
    struct rank *rank;
    bool done;           /* atomic */
    const char *failure; /* atomic; the first fault that a reader saw */
};

static void put_item(struct world *world, uint32_t i, uint32_t version)
{
    char id[16], title[64];
    snprintf(id, sizeof(id), "i%u", i);
    snprintf(title, sizeof(title), "Title %u of %u in %u words", i, version, version);
    const struct schema_item item = {.id = fr_slice_str(id),
                                     .title = fr_slice_str(title),
                                     .author = fr_slice_str(title),
                                     .categories = {i % 2 ? FR_SLICE("odd") : FR_SLICE("even")},
                                     .category_count = 1,
                                     .present = 0xffff};
    struct base_buf bytes;
    base_buf_init(&bytes, 0);
    schema_item_encode(&item, &bytes);
    fr_ignore(state_apply_item(world->state, base_buf_slice(&bytes), 1), "tables are large enough");
    base_buf_release(&bytes);
}

static void fold(struct world *world)
{
    struct schema_types types;
    schema_types_init(&types);
    char user[16], item[16], region[16];
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint64_t draw = base_random_u64(3, i, 0);
        uint32_t u = (uint32_t)(draw % USERS), x = (uint32_t)(draw >> 20) % ITEMS;
        snprintf(user, sizeof(user), "u%u", u);
        snprintf(item, sizeof(item), "i%u", (x * x / ITEMS + u) % ITEMS);
        snprintf(region, sizeof(region), "r%u", u % 5);
        const struct schema_event event = {.user = fr_slice_str(user),
                                           .item = fr_slice_str(item),
                                           .time_us = (int64_t)(START_S + i * 7) * 1000000,
                                           .type = SCHEMA_CLICK,
                                           .context = {.region = fr_slice_str(region)}};
        struct state_event out;
        if (i % 10 == 0)
            put_item(world, x, i);
        if (i % 997 == 0)
            state_apply_user_delete(world->state, fr_slice_str(user));
        if (state_resolve(world->state, &event, &types, i + 1, event.time_us, &out) != FR_OK)
            continue;
        if (rank_is_sampled(world->rank, i + 1, 2))
            rank_learn(world->rank, &out, true, NULL);
        state_apply(world->state, &out);
        rank_apply(world->rank, &out);
    }
}

static void fault(struct world *world, const char *what)
{
    const char *none = NULL;
    __atomic_compare_exchange_n(&world->failure, &none, what, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

static void check_answer(struct world *world, const struct rank_result *result)
{
    for (uint32_t r = 0; r < result->count; r++) {
        float sum = 0.0f;
        if (result->item[r] == 0 || result->item[r] >= state_item_count(world->state))
            fault(world, "an answer names an item that does not exist");
        if (!isfinite(result->score[r]) || (r > 0 && result->score[r] > result->score[r - 1]))
            fault(world, "scores are not finite and in order");
        for (uint32_t f = 0; r < 5 && f < result->feature_count; f++)
            sum += rank_contribution(result, r, f);
        if (r < 5 && fabsf(sum - result->score[r]) > 0.02f)
            fault(world, "parts do not sum to the score");
        for (uint32_t s = 0; r < 20 && s < result->query->seen_count; s++)
            if (result->query->seen[s] == result->item[r])
                fault(world, "a seen item came back");
    }
}

static bool is_done(const struct world *world)
{
    return __atomic_load_n(&world->done, __ATOMIC_ACQUIRE); /* pairs with run() */
}

static void *ask(void *context)
{
    struct world *world = context;
    struct base_arena arena;
    if (base_arena_init(&arena, RANK_ARENA_BYTES) != FR_OK)
        return NULL;
    char id[16];
    for (uint32_t i = 0; i < ANSWERS_MIN || (i < ANSWERS_MAX && !is_done(world)); i++) {
        base_arena_clear(&arena);
        snprintf(id, sizeof(id), "u%u", i % USERS);
        struct model_request request = {.user = state_user_find(world->state, fr_slice_str(id))};
        request.context[STATE_REGION] =
            state_context_find(world->state, STATE_REGION, FR_SLICE("r2"));
        const struct rank_query_options options = {0};
        struct model_query query;
        struct rank_result result;
        struct rank_figure figures[16];
        if (model_query_build(world->state, &request, &arena, &query) != FR_OK ||
            rank_query(world->rank, &query, &options, &arena, &result) != FR_OK)
            fault(world, "the arena was too small");
        else
            check_answer(world, &result);
        struct schema_item document;
        uint32_t count = state_item_count(world->state);
        enum fr_status status =
            state_item_document(world->state, count ? i % count : 0, &arena, &document);
        if (status == FR_OK &&
            (document.title.bytes < 6 || memcmp(document.title.ptr, "Title ", 6)))
            fault(world, "a document is torn");
        struct state_stats stats;
        state_stats_get(world->state, &stats);
        rank_figures(world->rank, figures, 16);
    }
    base_arena_release(&arena);
    return NULL;
}

static struct base_hash128 run(uint32_t readers)
{
    struct world world = {0};
    pthread_t threads[READERS];
    struct base_digest digest;
    uint32_t count;
    assert_int_equal(state_new(NULL, NULL, &world.state), FR_OK);
    const struct rank_options options = {.state = world.state, .experts = "all,gru"};
    assert_int_equal(rank_new(&options, NULL, &world.rank), FR_OK);
    for (uint32_t t = 0; t < readers; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, ask, &world), 0);
    fold(&world);
    __atomic_store_n(&world.done, true, __ATOMIC_RELEASE);
    for (uint32_t t = 0; t < readers; t++)
        pthread_join(threads[t], NULL);
    if (world.failure)
        fail_msg("%s", world.failure);
    base_digest_init(&digest);
    struct base_rows *const *tables = state_tables(world.state, &count);
    for (uint32_t t = 0; t < count; t++)
        base_rows_digest(tables[t], &digest);
    tables = rank_tables(world.rank, &count);
    for (uint32_t t = 0; t < count; t++)
        base_rows_digest(tables[t], &digest);
    rank_free(world.rank);
    state_free(world.state);
    return base_digest_end(&digest);
}

static void test_asking_while_folding(void **unused)
{
    (void)unused;
    struct base_hash128 watched = run(READERS), alone = run(0);
    assert_memory_equal(&watched, &alone, sizeof(alone));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asking_while_folding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
