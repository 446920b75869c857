/* SPDX-License-Identifier: Apache-2.0
 *
 * serve: answers made again from their slates and the journal have the bytes that were sent, after
 * a restart and over positions in order; another clock, other settings or another position do not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "serve/serve_priv.h"
#include "tests/lib/folding.h"

enum { ANSWERS = 40, SLATE_BYTES_MAX = 65536, RECORD_ONE_IN = 2 };

static const char *const target[] = {
    "/v1/recommend?user=u1&n=20&explain=full",
    "/v1/recommend?user=u2&items=i3&items=i4&device=phone&offset=5",
    "/v1/recommend?user=u3&exclude=i1&repeats=allow&explain=none",
    "/v1/recommend?user=u4&n=3&context.mood=calm&counterfactual=true",
    "/v1/recommend?user=nobody&categories=c1&max_per_category=2",
};

struct kept {
    uint64_t id, position;
    char *answer;
    size_t answer_bytes;
    char slate[SLATE_BYTES_MAX];
    size_t slate_bytes;
};

static struct os_sim *sim;
static struct kept kept[ANSWERS];
static uint32_t found;

static struct serve *serve_open(struct folding *folding)
{
    static struct schema_types types;
    struct fr_error error = {0};
    struct serve *serve;
    schema_types_init(&types);
    struct serve_options options = {.os = os_sim_os(sim),
                                    .directory = "data",
                                    .state = folding->state,
                                    .rank = folding->rank,
                                    .fold = folding->fold,
                                    .types = &types,
                                    .version = "1.2.3",
                                    .record_one_in = RECORD_ONE_IN,
                                    .threads = 1};
    if (serve_start(&options, &error, &serve) != FR_OK)
        fail_msg("%s", error.message);
    return serve;
}

static void ask(struct serve *serve, const char *what, struct kept *out)
{
    static struct http_request request;
    struct base_buf buf;
    struct serve_decision *decision = serve->thread[0].decision;
    base_buf_init(&buf, 0);
    request = (struct http_request){.method = HTTP_GET,
                                    .method_name = FR_SLICE("GET"),
                                    .target = fr_slice_str(what)};
    request.out = buf;
    serve__handle(serve, &request);
    assert_int_equal(request.status, 200);
    out->id = decision->id;
    out->position = decision->position;
    assert_true(decision->still);
    out->answer_bytes = request.out.count;
    out->answer = malloc(request.out.count);
    memcpy(out->answer, request.out.bytes, request.out.count);
    base_buf_release(&request.out);
}

static bool look_at(void *context, const struct serve_stored *stored)
{
    (void)context;
    for (uint32_t i = 0; i < ANSWERS; i++) {
        if (kept[i].id != stored->id)
            continue;
        assert_true(stored->whole && stored->still);
        assert_int_equal(stored->position, kept[i].position);
        assert_true(stored->payload.bytes <= SLATE_BYTES_MAX);
        memcpy(kept[i].slate, stored->payload.ptr, stored->payload.bytes);
        kept[i].slate_bytes = stored->payload.bytes;
        found++;
    }
    return true;
}

/* Two runs of the program; answers between events, a snapshot at each stop. */
static int give(void **state)
{
    (void)state;
    sim = os_sim_new(1, NULL);
    uint64_t event = 0;
    for (uint32_t run = 0; run < 2; run++) {
        struct folding folding;
        struct fr_error error = {0};
        if (folding_open(&folding, sim, 700, &error) != FR_OK)
            return -1;
        if (run == 0)
            folding_add_items(&folding, 5);
        struct serve *serve = serve_open(&folding);
        for (uint32_t i = 0; i < ANSWERS / 2; i++) {
            for (uint32_t e = 0; e < 50; e++)
                folding_add_event(&folding, 5, event++);
            assert_int_equal(folding_run(&folding), FR_OK);
            os_sim_advance(sim, 1000000);
            ask(serve, target[i % FR_COUNT_OF(target)], &kept[run * ANSWERS / 2 + i]);
        }
        serve_stop(serve);
        folding_close(&folding);
    }
    struct fr_error error = {0};
    if (serve_slates_each(os_sim_os(sim), "data", look_at, NULL, &error) != FR_OK)
        fail_msg("%s", error.message);
    assert_int_equal(found, ANSWERS);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ANSWERS; i++)
        free(kept[i].answer);
    os_sim_free(sim);
    return 0;
}

struct looking {
    struct folding folding;
    struct serve_rebuild *rebuild;
};

static void looking_open(struct looking *looking, uint64_t position)
{
    struct fr_error error = {0};
    if (folding_open_until(&looking->folding, sim, position, &error) != FR_OK)
        fail_msg("%s", error.message);
    struct serve_options serve = {.os = os_sim_os(sim),
                                  .state = looking->folding.state,
                                  .rank = looking->folding.rank,
                                  .fold = looking->folding.fold};
    assert_int_equal(serve_rebuild_new(&serve, &error, &looking->rebuild), FR_OK);
}

static void looking_close(struct looking *looking)
{
    serve_rebuild_free(looking->rebuild);
    folding_close(&looking->folding);
}

static struct serve_rebuilt again(struct looking *looking, const struct kept *one)
{
    struct fr_error error = {0};
    struct serve_rebuilt rebuilt;
    if (serve_rebuild_answer(looking->rebuild, fr_slice_of(one->slate, one->slate_bytes), &error,
                             &rebuilt) != FR_OK)
        fail_msg("%s", error.message);
    return rebuilt;
}

static void all_come_back_byte_for_byte(void **state)
{
    struct looking looking;
    struct fr_error error = {0};
    (void)state;
    looking_open(&looking, kept[0].position);
    for (uint32_t i = 0; i < ANSWERS; i++) {
        assert_int_equal(fold_advance(looking.folding.fold, kept[i].position, &error), FR_OK);
        struct serve_rebuilt rebuilt = again(&looking, &kept[i]);
        assert_true(rebuilt.equal);
        assert_int_equal(rebuilt.answer.bytes, kept[i].answer_bytes);
        assert_memory_equal(rebuilt.answer.ptr, kept[i].answer, kept[i].answer_bytes);
        assert_true(fr_slice_equal(rebuilt.version, FR_SLICE("1.2.3")));
        assert_true(rebuilt.decision.bytes > 100 && rebuilt.decision.ptr[0] == '{');
    }
    assert_int_equal(fold_advance(looking.folding.fold, kept[0].position, &error), FR_INVALID);
    assert_int_equal(fold_advance(looking.folding.fold, UINT64_MAX, &error), FR_NOT_FOUND);
    looking_close(&looking);
}

/* A newer snapshot than the position, or none at all: the same state. */
static void from_any_snapshot(void **state)
{
    (void)state;
    for (uint32_t i = 3; i < ANSWERS; i += 17) {
        struct looking looking;
        looking_open(&looking, kept[i].position);
        assert_true(again(&looking, &kept[i]).equal);
        looking_close(&looking);
    }
}

static void another_moment_is_another_answer(void **state)
{
    struct looking looking;
    struct fr_error error = {0};
    struct kept changed = kept[5]; /* explain=full prints the clock */
    (void)state;
    looking_open(&looking, kept[5].position);
    assert_true(again(&looking, &kept[5]).equal);
    changed.slate[1 + 8 + 8] ^= 1; /* the clock's lowest bit */
    assert_false(again(&looking, &changed).equal);
    assert_int_equal(fold_advance(looking.folding.fold, kept[6].position, &error), FR_OK);
    assert_false(again(&looking, &kept[5]).equal);
    looking_close(&looking);
}

static void a_slate_that_is_not_whole_is_refused(void **state)
{
    struct serve_slate slate;
    (void)state;
    for (size_t bytes = 0; bytes < kept[1].slate_bytes; bytes++) {
        static struct serve_args args;
        enum fr_status status = serve_slate_decode(fr_slice_of(kept[1].slate, bytes), &slate);
        if (status == FR_OK)
            status = serve_slate_args(&slate, &args);
        assert_int_equal(status, FR_CORRUPT);
    }
    kept[1].slate[0] = 1;
    assert_int_equal(serve_slate_decode(fr_slice_of(kept[1].slate, kept[1].slate_bytes), &slate),
                     FR_UNSUPPORTED);
    assert_int_equal(slate.position, kept[1].position);
}

/* One by one, as GET /v1/requests/{id} looks for them after a restart. */
static void each_is_found_on_disk(void **state)
{
    struct serve_slate slate;
    struct serve_slate_place place;
    struct base_buf buf;
    uint32_t records = 0;
    (void)state;
    base_buf_init(&buf, 0);
    for (uint32_t i = 0; i < ANSWERS; i++) {
        assert_int_equal(serve_slates_find(os_sim_os(sim), "data", kept[i].id, &buf, &slate),
                         FR_OK);
        assert_true(slate.id == kept[i].id && slate.position == kept[i].position);
        struct fr_slice places = slate.places;
        for (uint32_t p = 0; p < slate.place_count; p++) {
            assert_true(serve_slate_place(&places, &place) && place.item.bytes > 0);
            assert_non_null(
                memmem(kept[i].answer, kept[i].answer_bytes, place.item.ptr, place.item.bytes));
        }
        assert_int_equal(places.bytes, 0);
        assert_int_equal(slate.record.bytes > 0, serve_slates_samples(slate.id, RECORD_ONE_IN));
        records += slate.record.bytes > 0;
        assert_true(!slate.record.bytes ||
                    memmem(slate.record.ptr, slate.record.bytes, "\"parts\":[{", 10) != NULL);
    }
    assert_true(records > ANSWERS / 5 && records < ANSWERS * 4 / 5);
    uint64_t never = kept[0].id + 1;
    assert_int_equal(serve_slates_find(os_sim_os(sim), "data", never, &buf, &slate), FR_NOT_FOUND);
    assert_int_equal(serve_slates_find(os_sim_os(sim), "data", 1, &buf, &slate), FR_NOT_FOUND);
    struct os *os = os_sim_os(sim);
    assert_int_equal(os->table->unlink(os, "data/slates/00000000.slates", NULL), FR_OK);
    assert_int_equal(serve_slates_find(os, "data", kept[0].id, &buf, &slate), FR_END);

    assert_int_equal(serve_slates_find(os, "data", kept[ANSWERS - 1].id, &buf, &slate), FR_OK);
    base_buf_release(&buf);
}

/* Last: it takes the journal's beginning away. */
static void what_retention_removed_is_refused(void **state)
{
    struct folding folding;
    struct fr_error error = {0};
    (void)state;
    for (uint32_t run = 0; run < 3; run++) {
        os_sim_advance(sim, 1000000);
        assert_int_equal(folding_open_retaining(&folding, sim, 700, 1, &error), FR_OK);
        for (uint32_t e = 0; e < 500; e++)
            folding_add_event(&folding, 5, 100000 + run * 500 + e);
        assert_int_equal(folding_run(&folding), FR_OK);
        assert_int_equal(fold_snapshot(folding.fold, &error), FR_OK);
        folding_close(&folding);
    }
    assert_int_not_equal(folding_open_until(&folding, sim, kept[0].position, &error), FR_OK);
    assert_non_null(strstr(error.message, "the journal begins at"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_come_back_byte_for_byte),
        cmocka_unit_test(from_any_snapshot),
        cmocka_unit_test(another_moment_is_another_answer),
        cmocka_unit_test(a_slate_that_is_not_whole_is_refused),
        cmocka_unit_test(each_is_found_on_disk),
        cmocka_unit_test(what_retention_removed_is_refused),
    };
    return cmocka_run_group_tests(tests, give, forget);
}
