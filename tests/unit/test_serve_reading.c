/* SPDX-License-Identifier: Apache-2.0
 *
 * serve: an answer that was read while rows were used again is made anew, from the start; one that can never be
 * read in peace is refused; what changes something runs once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "serve/serve_priv.h"

static struct state *state;
static struct schema_types types;
static uint64_t position;
static void *job;           /* what the handler leaves to another thread */
static uint32_t runs, told; /* of the handler; of what is done after it */
static uint32_t disturbed;  /* in how many of its first runs rows are used again */

static void act(uint32_t visitor)
{
    char user[32];
    snprintf(user, sizeof(user), "visitor-%u", visitor);
    const struct schema_event event = {.user = fr_slice_str(user),
                                       .item = FR_SLICE("item"),
                                       .time_us = 1600000000000000 + (int64_t)position,
                                       .type = SCHEMA_CLICK};
    struct state_event out;
    if (state_resolve(state, &event, &types, ++position, event.time_us, &out) == FR_OK)
        state_apply(state, &out);
    struct state_expired expired;
    state_expire_step(state, STATE_KIND_USER, &expired);
}

static void use_rows_again(void)
{
    static uint32_t visitor;
    uint64_t began = state_reading_begin(state);
    while (state_reading_ok(state, began)) {
        act(visitor);
        act(visitor++);
    }
}

static void answer(struct serve_call *call)
{
    if (runs++ < disturbed)
        use_rows_again();
    call->http->job = job;
    serve__json(call, 200);
    base_buf_printf(call->out, "{\"run\":%u}", runs);
    assert_non_null(base_arena_alloc(call->arena, 3000)); /* twice would not fit */
}

static void done(struct serve_call *call)
{
    (void)call;
    told++;
}

/* The whole answer; `runs` tells how often the handler ran. */
static const char *ask(bool reads, uint32_t disturb)
{
    static struct serve serve;
    static struct http_request http;
    static struct base_arena arena;
    const struct serve_route route = {.handle = answer, .done = done, .reads = reads};
    base_arena_release(&arena);
    assert_int_equal(base_arena_init(&arena, 4096), FR_OK);
    serve.options.state = state;
    base_buf_clear(&http.out);
    struct serve_call call = {.serve = &serve,
                              .http = &http,
                              .route = &route,
                              .arena = &arena,
                              .out = &http.out};
    runs = told = 0;
    disturbed = disturb;
    serve__answer(&call);
    base_buf_put_u8(&http.out, 0);
    return (const char *)http.out.bytes;
}

static void an_answer_is_made_anew(void **unused)
{
    (void)unused;
    assert_string_equal(ask(true, 0), "{\"run\":1}");
    assert_string_equal(ask(true, 1), "{\"run\":2}");
    assert_string_equal(ask(true, 5), "{\"run\":6}");
    assert_int_equal(told, 1);
}

static void but_not_for_ever(void **unused)
{
    (void)unused;
    assert_non_null(strstr(ask(true, UINT32_MAX), "\"code\":\"busy\""));
    assert_int_equal(runs, SERVE__READINGS_MAX);
    assert_int_equal(told, 0);
}

static void what_changes_something_runs_once(void **unused)
{
    (void)unused;
    assert_string_equal(ask(false, UINT32_MAX), "{\"run\":1}");
}

static void nor_what_is_suspended(void **unused)
{
    (void)unused;
    job = &job;
    assert_string_equal(ask(true, UINT32_MAX), "{\"run\":1}");
    job = NULL;
}

int main(void)
{
    const struct state_options options = {.user_count_max = 50,
                                          .item_count_max = 50,
                                          .context_count_max = 50,
                                          .token_count_max = 50,
                                          .text_bytes_max = 1 << 18,
                                          .event_count_max = 4000,
                                          .pair_bytes_max = 1 << 20,
                                          .dedupe_count_max = 100};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_made_anew),
        cmocka_unit_test(but_not_for_ever),
        cmocka_unit_test(what_changes_something_runs_once),
        cmocka_unit_test(nor_what_is_suspended),
    };
    schema_types_init(&types);
    if (state_new(&options, NULL, &state) != FR_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    state_free(state);
    return failed;
}
