/* SPDX-License-Identifier: Apache-2.0
 *
 * serve/decision: the decision record of an answer (what each stage proposed, scored, moved and
 * why), and the ring that keeps the newest of them. One ring a serving thread; a request's id names
 * its thread, so that looking one up searches one ring.
 *
 * Bounds: SERVE_RING_BYTES and SERVE_RING_RECORDS a thread; the oldest make room.
 * Thread: put on the serving thread; get from any. Locks: one mutex a ring, a leaf, held for a
 * copy.
 */
#ifndef SERVE_DECISION_H
#define SERVE_DECISION_H

#include "base/base.h"
#include "base/buf.h"
#include "model/model.h"
#include "policy/policy.h"
#include "rank/rank.h"
#include "retrieve/retrieve.h"
#include "state/state.h"

enum serve_stage {
    SERVE_STAGE_CONTEXT,
    SERVE_STAGE_CANDIDATES,
    SERVE_STAGE_POLICY,
    SERVE_STAGE_EXPLAIN,
    SERVE_STAGE_COUNT
};
/* For people and for the record: "policy". */
const char *serve_stage_name(enum serve_stage stage);

enum { SERVE_RING_BYTES = 8 << 20, SERVE_RING_RECORDS = 4096 };
enum { SERVE_FEATURES_MAX = MODEL_FEATURES_MAX + 2 }; /* the network and the second stage */

/* How long an answer took: measured, so kept for making its bytes again. */
struct serve_timing {
    uint32_t took_us;
    uint32_t stage_ns[SERVE_STAGE_COUNT];
};

struct serve_place {
    uint32_t item, lives, result; /* lives: state_lives() then; another by now: it expired */
    float score, propensity;
    uint16_t generators;
    uint8_t move; /* enum policy_move */
};

struct serve_decision {
    uint64_t id, position;
    int64_t time_us;
    struct serve_timing timing;
    bool still;    /* the state stayed at `position` while it was read: can be made again */
    uint32_t user; /* 0: unknown to the state */
    uint32_t bucket, history_count, seen_count;
    uint32_t n, offset;
    uint32_t candidate_count;
    uint32_t generator_count[RETRIEVE_GENERATOR_COUNT]; /* candidates that each named */
    uint32_t kept_count[RETRIEVE_GENERATOR_COUNT];      /* ... that came into the answer */
    uint32_t rejected[POLICY_RULE_COUNT];
    uint32_t new_pool, new_placed;
    uint32_t feature_count, place_count;
    char degraded_reason[80]; /* empty: none */
    char user_id[SCHEMA_ID_BYTES_MAX + 1];
    struct serve_place place[POLICY_PLACES_MAX];
    float part[POLICY_PLACES_MAX][SERVE_FEATURES_MAX]; /* contributions, the first feature_count */
};

struct serve_decisions;
FR_MUST_USE enum fr_status serve_decisions_new(uint32_t threads,
                                               struct serve_decisions **out_decisions);
void serve_decisions_free(struct serve_decisions *decisions);
/* Copies it in; the oldest records make room. */
void serve_decisions_put(struct serve_decisions *decisions, uint32_t thread,
                         const struct serve_decision *decision);
/* FR_NOT_FOUND: never given, or no longer kept. */
FR_MUST_USE enum fr_status serve_decisions_get(struct serve_decisions *decisions, uint32_t thread,
                                               uint64_t id, struct serve_decision *out_decision);

/* The record as a JSON object. */
void serve_decision_print(const struct serve_decision *decision, const struct state *state,
                          const struct rank *rank, struct base_buf *out);

/* "generators": the names of the set bits. */
void serve__generators_print(uint16_t generators, struct base_buf *out);

#endif
