/* SPDX-License-Identifier: Apache-2.0
 *
 * base_hash: published vectors of CRC-32C and SipHash; the stored hashes keep their values from
 * version to version; keyed random numbers are uniform and independent of each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* RFC 3720, B.4, and the check value of the CRC catalogue. */
static void test_crc32c_vectors(void **state)
{
    (void)state;
    uint8_t bytes[32];
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(base_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(base_crc32c(0, bytes, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(base_crc32c(0, bytes, 32), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(base_crc32c(0, bytes, 32), 0x113fdb5c);
    assert_int_equal(base_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(base_crc32c(0, NULL, 0), 0);
}

/* One bit at a time: the definition. */
static uint32_t crc_by_definition(uint32_t crc, const uint8_t *at, size_t count)
{
    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void test_crc32c_of_any_length_alignment_and_cut(void **state)
{
    (void)state;
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)base_random_u64(1, i, 0);
    for (size_t from = 0; from < 9; from++) {
        for (size_t count = 0; count < 150; count++) {
            uint32_t expected = crc_by_definition(0, bytes + from, count);
            assert_int_equal(base_crc32c(0, bytes + from, count), expected);
            uint32_t first = base_crc32c(0, bytes + from, count / 3);
            size_t rest = count - count / 3;
            assert_int_equal(base_crc32c(first, bytes + from + count / 3, rest), expected);
        }
    }
}

/* vectors_sip128 of the authors' reference code: key 00..0f, input 00, 01, 02, ... */
static void test_siphash128_vectors(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        uint8_t out[16];
    } vectors[] = {
        {0,
         {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02,
          0x93}},
        {1,
         {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc,
          0x45}},
        {15,
         {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3,
          0xd9}},
    };
    uint8_t key[16], input[16];
    for (uint8_t i = 0; i < 16; i++)
        key[i] = input[i] = i;
    for (size_t v = 0; v < FR_COUNT_OF(vectors); v++) {
        struct base_hash128 hash = base_siphash128(input, vectors[v].count, key);
        uint8_t out[16];
        for (int i = 0; i < 8; i++) {
            out[i] = (uint8_t)(hash.lo >> (8 * i));
            out[8 + i] = (uint8_t)(hash.hi >> (8 * i));
        }
        assert_memory_equal(out, vectors[v].out, 16);
    }
}

/* These are in stored data: a change of a value here breaks every journal and snapshot. */
static void test_stored_hashes_never_change(void **state)
{
    (void)state;
    assert_int_equal(base_hash64("", 0, 0), 0x81f1190f30a4f3afu);
    assert_int_equal(base_hash64("freshet", 7, 1), 0x3b0c6a32a4862311u);
    assert_int_equal(base_hash64("0123456789abcdef0123456789abcdef!", 33, 2), 0xf9debaa773a41eebu);
    assert_int_equal(base_mix64(1), 0x5692161d100b05e5u);
    assert_int_equal(base_random_u64(1, 2, 3), 0x6ab9810ca0799c3cu);
    struct base_digest digest;
    base_digest_init(&digest);
    base_digest_add(&digest, "abc", 3);
    base_digest_add(&digest, "", 0);
    assert_int_equal(base_digest_end(&digest).lo, 0xcca4a85516cc291fu);
    assert_int_equal(base_digest_end(&digest).hi, 0x063d56e74e8c037cu);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_hash64_has_no_collisions_among_small_inputs(void **state)
{
    (void)state;
    enum { COUNT = 60000 };
    static uint64_t hashes[COUNT];
    uint8_t bytes[40] = {0};
    for (uint32_t i = 0; i < COUNT; i++) {
        memcpy(bytes + i % 4, &i, sizeof(i));
        hashes[i] = base_hash64(bytes, 8 + i % 32, 0);
        memset(bytes, 0, sizeof(bytes));
    }
    /* the same bytes with other lengths, and zeros of every length, are other inputs */
    for (uint32_t i = 0; i < 40; i++)
        hashes[i] = base_hash64(bytes, i, 0);
    qsort(hashes, COUNT, sizeof(*hashes), compare);
    uint32_t equal = 0;
    for (uint32_t i = 1; i < COUNT; i++)
        equal += hashes[i] == hashes[i - 1];
    assert_int_equal(equal, 0);
}

/* Flipping any input bit flips each output bit about half of the time. */
static void test_hash64_avalanches(void **state)
{
    (void)state;
    enum { TRIALS = 400, BYTES = 24 };
    for (int bit = 0; bit < BYTES * 8; bit += 5) {
        uint32_t flips[64] = {0};
        for (uint64_t t = 0; t < TRIALS; t++) {
            uint64_t bytes[BYTES / 8];
            for (uint64_t i = 0; i < BYTES / 8; i++)
                bytes[i] = base_random_u64(9, t, i);
            uint64_t before = base_hash64(bytes, BYTES, 7);
            bytes[bit / 64] ^= (uint64_t)1 << (bit % 64);
            uint64_t changed = before ^ base_hash64(bytes, BYTES, 7);
            for (int out = 0; out < 64; out++)
                flips[out] += changed >> out & 1;
        }
        for (int out = 0; out < 64; out++) /* 6 standard deviations of a fair coin */
            assert_true(abs((int)flips[out] - TRIALS / 2) < 6 * 10);
    }
}

static void test_the_digest_depends_on_order_and_cuts(void **state)
{
    (void)state;
    struct base_digest one, two;
    base_digest_init(&one);
    base_digest_init(&two);
    base_digest_add(&one, "ab", 2);
    base_digest_add(&one, "c", 1);
    base_digest_add(&two, "c", 1);
    base_digest_add(&two, "ab", 2);
    assert_int_not_equal(base_digest_end(&one).lo, base_digest_end(&two).lo);
    base_digest_init(&two);
    base_digest_add(&two, "a", 1);
    base_digest_add(&two, "bc", 2);
    assert_int_not_equal(base_digest_end(&one).lo, base_digest_end(&two).lo);
}

/* Chi-square over 64 cells in each of the three arguments; 63 degrees of freedom, p = 1e-6 at 128.
 */
static void test_keyed_random_is_uniform_in_each_key(void **state)
{
    (void)state;
    enum { DRAWS = 64000, CELLS = 64 };
    for (int argument = 0; argument < 3; argument++) {
        uint32_t cells[CELLS] = {0};
        double sum = 0;
        for (uint64_t i = 0; i < DRAWS; i++) {
            uint64_t key[3] = {11, 12, 13};
            key[argument] = i;
            double u = base_random_unit(key[0], key[1], key[2]);
            assert_true(u >= 0 && u < 1);
            cells[(int)(u * CELLS)]++;
            sum += u;
        }
        double chi = 0, expected = (double)DRAWS / CELLS;
        for (int c = 0; c < CELLS; c++)
            chi += (cells[c] - expected) * (cells[c] - expected) / expected;
        assert_true(chi < 128);
        assert_true(fabs(sum / DRAWS - 0.5) < 0.01);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_vectors),
        cmocka_unit_test(test_crc32c_of_any_length_alignment_and_cut),
        cmocka_unit_test(test_siphash128_vectors),
        cmocka_unit_test(test_stored_hashes_never_change),
        cmocka_unit_test(test_hash64_has_no_collisions_among_small_inputs),
        cmocka_unit_test(test_hash64_avalanches),
        cmocka_unit_test(test_the_digest_depends_on_order_and_cuts),
        cmocka_unit_test(test_keyed_random_is_uniform_in_each_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
