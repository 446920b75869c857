/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/slates: the answers given, on disk: their own segment stream, <data>/slates/, apart from
 * the journal, since they are many and large and no state depends on them. Off-policy estimates and
 * click-through rates are computed from them.
 *
 * An answer hands its slate over and goes on: one bounded buffer, emptied by a thread of its own
 * five times a second and synced once a second. What does not fit is lost and counted; a crash
 * loses at most the last second.
 *
 * Segment: "FRSLATE1", then records: u32 bytes, u32 CRC-32C of the payload, payload. Little-endian.
 * Payload: u8 3 (version), u64 request id, u64 position, u64 time (us), string user, u8 flags
 * (1 degraded, 2 still), varint offset, varint places, then for each: string item, u32 score (float
 * bits), u32 propensity (float bits), u8 move (enum policy_move), varint generators (bits). Then
 * what makes the answer again (S1): u32 took_us, u32 stage_ns x 4, u64 seed, u32 candidates_max,
 * u32 new_age_s, u32 category_cap, u32 author_cap, u32 new_share (float bits), u8 repeats, string
 * version of the program, u64 bytes of the answer, u64 x 2 their base_hash64() by the seeds 1 and 2,
 * string decision record (JSON; empty but for the sampled ones), varint arguments, then for each: u8 kind (enum serve_arg_kind, + 128 in a list), string name,
 * string value. string = varint length, bytes. A torn last record is normal: a reader stops there.
 * A start begins a new segment. Version 1 ended after the places; version 2 had no decision record.
 *
 * S1: an answer is a function of the state at its position, and of what its slate holds; `still`
 * says that the state was at that position from the answer's beginning to its end.
 *
 * Thread: put from any. Locks: one mutex, a leaf, held for a copy.
 */
#ifndef SERVE_SLATES_H
#define SERVE_SLATES_H

#include "base/base.h"
#include "base/hash.h"
#include "os/os.h"
#include "serve/decision.h"
#include "serve/param.h"

enum { SERVE_SLATES_BUFFER_BYTES = 8 << 20, SERVE_SLATES_SEGMENT_BYTES = 64 << 20 };

struct serve_slates;
FR_MUST_USE enum fr_status serve_slates_open(struct os *os, const char *directory,
                                             uint64_t bytes_max, struct fr_error *error,
                                             struct serve_slates **out_slates);
void serve_slates_close(struct serve_slates *slates); /* writes what waits */
/* `payload` was made by serve_slates_encode(). */
void serve_slates_put(struct serve_slates *slates, struct fr_slice payload);

/* The server's options that go into an answer. */
struct serve_settings {
    uint64_t seed;
    uint32_t candidates_max, new_age_s, category_cap, author_cap;
    float new_share;
    bool repeats;
};

/* What a slate holds besides its decision. */
struct serve_inputs {
    const struct serve_args *args;
    struct serve_settings settings;
    const char *version; /* of the program; may be NULL */
    struct fr_slice answer;
    struct fr_slice record; /* the decision record, when it is to be kept */
};
/* One in `one_in` of the answers, by a hash of the id: their whole decision records are kept. */
bool serve_slates_samples(uint64_t id, uint32_t one_in);
void serve_slates_encode(const struct serve_decision *decision, const struct serve_inputs *inputs,
                         const struct state *state, struct base_buf *out);

/* A slate read back; slices borrow from the payload. */
struct serve_slate {
    uint64_t id, position;
    int64_t time_us;
    struct fr_slice user;
    bool still, degraded;
    uint32_t offset, place_count;
    struct fr_slice places; /* encoded: serve_slate_place() */
    struct serve_timing timing;
    struct serve_settings settings;
    struct fr_slice version;
    struct fr_slice record; /* empty: not sampled */
    uint64_t answer_bytes;
    struct base_hash128 answer_hash;
    uint32_t arg_count;
    struct fr_slice args; /* encoded */
};
/* FR_CORRUPT; FR_UNSUPPORTED: an older or newer version (id, position and time are given). */
FR_MUST_USE enum fr_status serve_slate_decode(struct fr_slice payload, struct serve_slate *out);
/* The arguments, borrowing from the payload too. */
FR_MUST_USE enum fr_status serve_slate_args(const struct serve_slate *slate,
                                            struct serve_args *out_args);
struct serve_slate_place {
    struct fr_slice item;
    float score, propensity;
    uint8_t move;
    uint16_t generators;
};
/* Takes the next of the place_count places off `places`, a copy of slate->places. False: corrupt. */
bool serve_slate_place(struct fr_slice *places, struct serve_slate_place *out);
struct base_hash128 serve_slate_hash(struct fr_slice answer);

/* Looks one up in the segments on disk: reads one or two of them, some hundred milliseconds. `buf`
 * holds the payload then. FR_NOT_FOUND: there is none; FR_END: it is older than those kept, and some
 * have been removed. Thread: any but a serving one. */
FR_MUST_USE enum fr_status serve_slates_find(struct os *os, const char *directory, uint64_t id,
                                             struct base_buf *buf, struct serve_slate *out);

#endif
