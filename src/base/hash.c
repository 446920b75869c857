/* SPDX-License-Identifier: Apache-2.0
 *
 * base_hash: see the door. Sources: SipHash (Aumasson, Bernstein 2012), CRC-32C (polynomial
 * 0x1EDC6F41, reflected), splitmix64 (Steele, Lea, Flood 2014). Thread: any.
 */
#include "base/hash.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>

static uint64_t load_u64(const uint8_t *at)
{
    uint64_t word; /* one load: a loop over bytes is not merged into it at -O2 */
    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

static uint64_t fold_multiply(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t base_hash64(const void *bytes, size_t count, uint64_t seed)
{
    const uint8_t *at = bytes;
    uint64_t hash = seed ^ 0x2d358dccaa6c78a5u;
    size_t left = count;
    for (; left > 16; at += 16, left -= 16)
        hash = fold_multiply(load_u64(at) ^ 0x8bb84b93962eacc9u, load_u64(at + 8) ^ hash);
    uint8_t tail[16] = {0};
    if (left)
        memcpy(tail, at, left);
    hash = fold_multiply(load_u64(tail) ^ 0x8bb84b93962eacc9u, load_u64(tail + 8) ^ hash);
    return base_mix64(hash ^ fold_multiply(count ^ 0x4b33a62ed433d4a3u, 0x4d5a2da51de1aa47u));
}

struct base_hash128 base_siphash128(const void *bytes, size_t count, const uint8_t key[16])
{
    unsigned char out[crypto_shorthash_siphashx24_BYTES];
    crypto_shorthash_siphashx24(out, bytes, count, key);
    return (struct base_hash128){load_u64(out), load_u64(out + 8)};
}

static uint32_t crc_table[256];

__attribute__((constructor)) static void crc_table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
        crc_table[i] = crc;
    }
}

static uint32_t crc32c_table(uint32_t crc, const uint8_t *at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        crc = (crc >> 8) ^ crc_table[(crc ^ at[i]) & 0xff];
    return crc;
}

/* #if by Rule Zero: the processor's CRC instruction is the whole difference; the table version
 * above is its reference in the tests. */
#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_hardware(uint32_t crc, const uint8_t *at,
                                                                  size_t count)
{
    uint64_t wide = crc;
    for (; count >= 8; at += 8, count -= 8)
        wide = __builtin_ia32_crc32di(wide, load_u64(at));
    crc = (uint32_t)wide;
    for (; count > 0; at++, count--)
        crc = __builtin_ia32_crc32qi(crc, *at);
    return crc;
}

static bool crc32c_has_hardware(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc32c_hardware(uint32_t crc, const uint8_t *at, size_t count)
{
    return crc32c_table(crc, at, count);
}

static bool crc32c_has_hardware(void)
{
    return false;
}
#endif

uint32_t base_crc32c(uint32_t crc, const void *bytes, size_t count)
{
    if (count == 0)
        return crc;
    crc = crc32c_has_hardware() ? crc32c_hardware(~crc, bytes, count)
                                : crc32c_table(~crc, bytes, count);
    return ~crc;
}

void base_digest_init(struct base_digest *digest)
{
    *digest = (struct base_digest){.a = 0x243f6a8885a308d3u, .b = 0x13198a2e03707344u};
}

void base_digest_add(struct base_digest *digest, const void *bytes, size_t count)
{
    digest->a = base_hash64(bytes, count, digest->a);
    digest->b = base_mix64_pair(digest->b, digest->a + count);
    digest->count += count;
}

struct base_hash128 base_digest_end(const struct base_digest *digest)
{
    return (struct base_hash128){base_mix64_pair(digest->a, digest->count),
                                 base_mix64_pair(digest->b, digest->a)};
}

uint64_t base_random_u64(uint64_t seed, uint64_t id, uint64_t index)
{
    return base_mix64(base_mix64_pair(seed, id) ^ base_mix64(index * 0x9e3779b97f4a7c15u + 1));
}

double base_random_unit(uint64_t seed, uint64_t id, uint64_t index)
{
    return (double)(base_random_u64(seed, id, index) >> 11) * 0x1p-53;
}
