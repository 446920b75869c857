/* SPDX-License-Identifier: Apache-2.0
 *
 * explain: why an item is in an answer, computed from the decision itself. The blend's score is a
 * sum of parts; each part belongs to a feature, and a part that comes from the history divides
 * exactly among the visits. Parts that people would call by one sentence ("because you viewed X")
 * are added up into one reason.
 *
 * Rules
 *   E1: contributions of an item's reasons sum to its score (float rounding, 1e-4 relative).
 *   E2: shares are |contribution| / sum of |contribution|; they sum to 1. Where no part is
 *       negative, a share is exactly contribution / score.
 *   E3: nothing is told that the score does not contain. Small parts go into "other", never away.
 *   E4: what counts against an item (a negative contribution) is told as such.
 *
 * Memory: the request's arena. Thread: any.
 */
#ifndef EXPLAIN_EXPLAIN_H
#define EXPLAIN_EXPLAIN_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "rank/rank.h"
#include "state/state.h"

enum explain_kind {
    EXPLAIN_BECAUSE,   /* because_you_viewed: an item of the history */
    EXPLAIN_NEXT,      /* next: often next after an item of the session */
    EXPLAIN_SIMILAR,   /* similar: content like an item of the history */
    EXPLAIN_INTERESTS, /* interests: content like the history as a whole */
    EXPLAIN_TRENDING,
    EXPLAIN_CONTEXT, /* context: trending in a region, on a device, ... */
    EXPLAIN_POPULAR,
    EXPLAIN_NEW,
    EXPLAIN_FRIENDS, /* friends: chosen by followed people, made by a followed author */
    EXPLAIN_PATTERN, /* pattern: learnt combinations */
    EXPLAIN_OTHER,   /* other: what is too small to tell apart */
    EXPLAIN_KIND_COUNT
};

enum {
    EXPLAIN_REASONS_MAX = 96,  /* before merging */
    EXPLAIN_SHOWN_DEFAULT = 4, /* after merging, "other" not counted */
};

struct explain_reason {
    enum explain_kind kind;
    uint32_t item;        /* BECAUSE, NEXT, SIMILAR: the item it speaks of; else 0 */
    uint32_t context;     /* CONTEXT: the value's id */
    int8_t context_field; /* CONTEXT: enum state_context_field, else -1 */
    float contribution;
    float share;
};

struct explain_options {
    const uint32_t *r;  /* the results to explain, none twice */
    uint32_t count;     /* at most RANK_PARTS_MAX */
    uint32_t shown_max; /* reasons besides "other"; 0 = EXPLAIN_SHOWN_DEFAULT */
    float share_min;    /* smaller ones are merged into "other" */
};

struct explain_reasons {
    uint32_t count;
    struct explain_reason reason[EXPLAIN_REASONS_MAX + 1];
};

/* out_reasons[i]: the reasons of result options->r[i], largest share first, "other" last. Uses the
 * arena for scratch and gives it back. FR_FULL: the arena is too small; out is then undefined. */
FR_MUST_USE enum fr_status explain_items(const struct rank_result *result,
                                         const struct explain_options *options,
                                         struct base_arena *arena,
                                         struct explain_reasons *out_reasons);

const char *explain_kind_name(enum explain_kind kind); /* "because_you_viewed" */
const char *explain_kind_icon(enum explain_kind kind); /* a cue for the eye: "history", "flame" */
const char *explain_kind_about(enum explain_kind kind);
/* The sentence, in English; `title` of reason->item. Appends plain text, not JSON. */
void explain_text(const struct explain_reason *reason, const struct state *state,
                  struct fr_slice title, struct base_buf *out);

#endif
