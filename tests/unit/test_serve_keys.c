/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/keys: tokens, scopes, expiry, rates, and a file that only ever changes whole (K1 - K3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "serve/keys.h"
#include "serve/serve.h"

static char folder[64], path[96];
static struct serve_keys *keys;
static const int64_t now_us = 1800000000000000;

static int fresh(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/freshet-keys-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/keys", folder);
    return serve_keys_open(os_real(), folder, 0, NULL, &keys) == FR_OK ? 0 : -1;
}

static int gone(void **state)
{
    char lock[128];
    (void)state;
    serve_keys_close(keys);
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(path);
    unlink(lock);
    return rmdir(folder);
}

static void make(uint32_t scopes, int64_t expires_us, double rate, char *token)
{
    struct serve_key_spec spec = {.scopes = scopes,
                                  .expires_us = expires_us,
                                  .rate_per_second = rate,
                                  .note = "a\tb\nc"};
    assert_int_equal(serve_keys_create(os_real(), folder, &spec, NULL, token), FR_OK);
    serve_keys_refresh(keys, NULL, NULL);
}

static enum serve_admission admit(const char *token, int64_t at_us, uint32_t *out_scopes)
{
    struct serve_identity who;
    uint32_t wait_ms;
    enum serve_admission admission =
        serve_keys_admit(keys, fr_slice_str(token), at_us, &who, &wait_ms);
    if (out_scopes)
        *out_scopes = who.scopes;
    return admission;
}

static void without_keys_all_is_open(void **state)
{
    uint32_t scopes;
    (void)state;
    assert_false(serve_keys_required(keys));
    assert_false(serve_keys_exist(os_real(), folder));
    assert_int_equal(admit("", now_us, &scopes), SERVE_ADMITTED);
    assert_int_equal(scopes, SERVE_READ | SERVE_INGEST | SERVE_WRITE | SERVE_ADMIN);
}

static void a_key_opens_what_it_says(void **state)
{
    char token[SERVE_TOKEN_BYTES], other[SERVE_TOKEN_BYTES];
    uint32_t scopes;
    (void)state;
    make(SERVE_READ | SERVE_INGEST, 0, 0, token);
    make(SERVE_ADMIN, 0, 0, other);
    assert_true(serve_keys_required(keys) && serve_keys_exist(os_real(), folder));
    assert_int_equal(admit(token, now_us, &scopes), SERVE_ADMITTED);
    assert_int_equal(scopes, SERVE_READ | SERVE_INGEST);
    assert_int_equal(admit(other, now_us, &scopes), SERVE_ADMITTED);
    assert_int_equal(scopes, SERVE_READ | SERVE_INGEST | SERVE_WRITE | SERVE_ADMIN);
    assert_int_equal(admit("", now_us, &scopes), SERVE_NO_KEY);
    assert_int_equal(scopes, 0);
}

static void every_changed_character_is_refused(void **state)
{
    char token[SERVE_TOKEN_BYTES];
    (void)state;
    make(SERVE_READ, 0, 0, token);
    for (size_t i = 0; token[i]; i++) {
        char kept = token[i];
        token[i] = kept == 'x' ? 'y' : 'x';
        assert_int_equal(admit(token, now_us, NULL), SERVE_WRONG_KEY);
        token[i] = kept;
    }
    token[strlen(token) - 1] = 0;
    assert_int_equal(admit(token, now_us, NULL), SERVE_WRONG_KEY);
}

static void the_secret_is_stored_nowhere(void **state)
{
    char token[SERVE_TOKEN_BYTES], text[4096];
    struct base_buf list;
    (void)state;
    make(SERVE_READ, 0, 0, token);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[bytes] = 0;
    assert_null(strstr(text, token + 12)); /* fk_ id _ secret */
    base_buf_init(&list, 0);
    assert_int_equal(serve_keys_list(os_real(), folder, true, &list, NULL), FR_OK);
    base_buf_put_u8(&list, 0);
    assert_null(strstr((char *)list.bytes, token + 12));
    assert_non_null(strstr((char *)list.bytes, "\"note\":\"a b c\""));
    base_buf_release(&list);
}

static void an_expired_key_is_told_apart(void **state)
{
    char token[SERVE_TOKEN_BYTES];
    (void)state;
    make(SERVE_READ, now_us, 0, token);
    assert_int_equal(admit(token, now_us - 1, NULL), SERVE_ADMITTED);
    assert_int_equal(admit(token, now_us, NULL), SERVE_EXPIRED_KEY);
}

static void revoking_the_last_key_does_not_open_the_door(void **state)
{
    char token[SERVE_TOKEN_BYTES], id[SERVE_KEY_ID_BYTES];
    struct fr_error error = {0};
    (void)state;
    make(SERVE_READ, 0, 0, token);
    memcpy(id, token + 3, 8);
    id[8] = 0;
    assert_int_equal(serve_keys_revoke(os_real(), folder, id, &error), FR_OK);
    assert_int_equal(serve_keys_revoke(os_real(), folder, id, &error), FR_NOT_FOUND);
    serve_keys_refresh(keys, NULL, NULL);
    assert_int_equal(admit(token, now_us, NULL), SERVE_WRONG_KEY);
    assert_int_equal(admit("", now_us, NULL), SERVE_NO_KEY); /* K3 */
}

static void a_rate_is_a_burst_and_then_even(void **state)
{
    char token[SERVE_TOKEN_BYTES];
    uint32_t at_once = 0, later = 0;
    (void)state;
    make(SERVE_READ, 0, 100, token);
    for (int i = 0; i < 500; i++)
        at_once += admit(token, now_us, NULL) == SERVE_ADMITTED;
    assert_int_equal(at_once, 100);
    for (int i = 0; i < 2000; i++) /* two seconds, a request a millisecond */
        later += admit(token, now_us + 1000 * (i + 1), NULL) == SERVE_ADMITTED;
    assert_true(later >= 199 && later <= 201);
    assert_int_equal(admit(token, now_us + 2000000, NULL), SERVE_TOO_MANY);
    serve_keys_refresh(keys, NULL, NULL); /* a reload forgets no rate */
    make(SERVE_READ, 0, 0, (char[SERVE_TOKEN_BYTES]){0});
    assert_int_equal(admit(token, now_us + 2000000, NULL), SERVE_TOO_MANY);
}

static void a_bad_file_changes_nothing(void **state)
{
    static const char *const bad[] = {
        "",
        "garbage\n",
        "freshet keys 2\n",
        "freshet keys 1\nabc\n",
        "freshet keys 1\nabcdefgh\t00\tread\t1\t0\t0\tx\n",
        "freshet keys "
        "1\nabcdefgh\t0000000000000000000000000000000000000000000000000000000000000000\t"
        "fly\t1\t0\t0\tx\n",
    };
    char token[SERVE_TOKEN_BYTES];
    (void)state;
    make(SERVE_READ, 0, 0, token);
    for (size_t i = 1; i < FR_COUNT_OF(bad); i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(bad[i], file);
        fclose(file);
        serve_keys_refresh(keys, NULL, NULL);
        assert_int_equal(admit(token, now_us, NULL), SERVE_ADMITTED); /* K2 */
    }
}

static void scopes_are_words(void **state)
{
    uint32_t scopes = 0;
    struct fr_error error = {0};
    (void)state;
    assert_int_equal(serve_scopes_parse("read,ingest", &error, &scopes), FR_OK);
    assert_int_equal(scopes, SERVE_READ | SERVE_INGEST);
    assert_int_equal(serve_scopes_parse("read,fly", &error, &scopes), FR_INVALID);
    assert_non_null(strstr(error.message, "fly"));
    struct serve_key_spec none = {0};
    char token[SERVE_TOKEN_BYTES];
    assert_int_equal(serve_keys_create(os_real(), folder, &none, &error, token), FR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_keys_all_is_open),
        TEST(a_key_opens_what_it_says),
        TEST(every_changed_character_is_refused),
        TEST(the_secret_is_stored_nowhere),
        TEST(an_expired_key_is_told_apart),
        TEST(revoking_the_last_key_does_not_open_the_door),
        TEST(a_rate_is_a_burst_and_then_even),
        TEST(a_bad_file_changes_nothing),
        TEST(scopes_are_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
