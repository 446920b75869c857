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
 * Payload: u8 1 (version), u64 request id, u64 position, u64 time (us), string user, u8 degraded,
 * varint offset, varint places, then for each: string item, u32 score (float bits), u32 propensity
 * (float bits), u8 move (enum policy_move), varint generators (bits). string = varint length,
 * bytes. A torn last record is normal: a reader stops there. A start begins a new segment.
 *
 * Thread: put from any. Locks: one mutex, a leaf, held for a copy.
 */
#ifndef SERVE_SLATES_H
#define SERVE_SLATES_H

#include "base/base.h"
#include "os/os.h"
#include "serve/decision.h"

enum { SERVE_SLATES_BUFFER_BYTES = 8 << 20, SERVE_SLATES_SEGMENT_BYTES = 64 << 20 };

struct serve_slates;
FR_MUST_USE enum fr_status serve_slates_open(struct os *os, const char *directory,
                                             uint64_t bytes_max, struct fr_error *error,
                                             struct serve_slates **out_slates);
void serve_slates_close(struct serve_slates *slates); /* writes what waits */
/* `payload` was made by serve_slates_encode(). */
void serve_slates_put(struct serve_slates *slates, struct fr_slice payload);
void serve_slates_encode(const struct serve_decision *decision, const struct state *state,
                         struct base_buf *out);

#endif
