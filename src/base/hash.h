/* SPDX-License-Identifier: Apache-2.0
 *
 * base_hash: the hashes of the house, all stable across machines and versions (they are in stored
 * data). None but siphash resists an attacker who chooses the input; ids that come from outside
 * are hashed with siphash keyed per data directory where a table could be flooded.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/base.h"

struct base_hash128 {
    uint64_t lo;
    uint64_t hi;
};

/* 64-bit hash of bytes (own mix after wyhash's multiply-fold idea), seeded. */
uint64_t base_hash64(const void *bytes, size_t count, uint64_t seed);
static inline uint64_t base_hash64_slice(struct fr_slice text, uint64_t seed)
{
    return base_hash64(text.ptr, text.bytes, seed);
}
/* Bijective mix of one word (splitmix64's finaliser, Steele et al. 2014). */
static inline uint64_t base_mix64(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
static inline uint64_t base_mix64_pair(uint64_t a, uint64_t b)
{
    return base_mix64(a ^ base_mix64(b + 0x9e3779b97f4a7c15u));
}

/* 128-bit SipHash-2-4 under a 16-byte key: dedupe keys of events. */
struct base_hash128 base_siphash128(const void *bytes, size_t count, const uint8_t key[16]);

/* CRC-32C (Castagnoli), continuing from `crc` (0 at first); hardware where there is any. */
uint32_t base_crc32c(uint32_t crc, const void *bytes, size_t count);

/* An order-dependent running digest of state: update, then end. 2 x 64 bits, not cryptographic. */
struct base_digest {
    uint64_t a, b, count;
};
void base_digest_init(struct base_digest *digest);
void base_digest_add(struct base_digest *digest, const void *bytes, size_t count);
struct base_hash128 base_digest_end(const struct base_digest *digest);

/* Counter-based randomness: the draw depends on (seed, id, index) only, never on a running state
 * (two rounds of splitmix64's mix over the key words). */
uint64_t base_random_u64(uint64_t seed, uint64_t id, uint64_t index);
double base_random_unit(uint64_t seed, uint64_t id, uint64_t index); /* [0, 1) */

#endif
