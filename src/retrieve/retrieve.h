/* SPDX-License-Identifier: Apache-2.0
 *
 * retrieve: candidates. A table of generators, each with a quota and its own reason; what several
 * of them name is taken once and remembers all of them. See README.md.
 *
 * Thread: any; everything lies in the given arena.
 */
#ifndef RETRIEVE_RETRIEVE_H
#define RETRIEVE_RETRIEVE_H

#include "base/arena.h"
#include "base/base.h"
#include "model/model.h"
#include "state/state.h"

enum retrieve_generator {
    RETRIEVE_EXPERT,   /* what an expert itself names (model_expert.propose) */
    RETRIEVE_REPEAT,   /* the session's own items, where they may come back */
    RETRIEVE_POPULAR,  /* leaders of everyone, long term */
    RETRIEVE_TRENDING, /* leaders of everyone, last minutes */
    RETRIEVE_CONTEXT,  /* leaders of the region, device, country, referrer, ... */
    RETRIEVE_NEXT,     /* transitions of the session's items */
    RETRIEVE_HISTORY,  /* co-counts of the history */
    RETRIEVE_EARLIER,  /* the user's earlier sessions */
    RETRIEVE_CONTENT,  /* items like those of the history, brand-new ones included */
    RETRIEVE_FRESH,    /* newest of the catalogue */
    RETRIEVE_CATEGORY, /* leaders of the categories asked for */
    RETRIEVE_FRIENDS,  /* what followed people chose, and followed authors made */
    RETRIEVE_VECTORS,  /* nearest by learnt vectors, beside all of these (model_proposal.extra) */
    RETRIEVE_GENERATOR_COUNT
};
const char *retrieve_generator_name(enum retrieve_generator generator);

/* Policy's filter: false leaves the item out. Called once a candidate. */
typedef bool (*retrieve_accept_fn)(void *context, const struct state_item *item);

struct retrieve_options {
    uint32_t candidates_max;    /* 0 = 128 to 320, by the length of the history */
    const uint32_t *categories; /* category tokens asked for: more candidates from there */
    uint32_t category_count;
    retrieve_accept_fn accept; /* NULL: servable items only */
    void *accept_context;
    bool allow_unservable; /* accept decides alone (eval: files carry no catalogue) */
    const struct model_proposal *proposal; /* [proposal_count] of the experts */
    uint32_t proposal_count;
    bool in_place; /* only on the fold thread */
};

struct retrieve_candidates {
    uint32_t count;
    const uint32_t *item;
    const uint16_t *generators; /* bit g: generator g named it */
    uint32_t considered;        /* before filters and quotas */
};

/* R. Candidates for the query; also leaves the gather that ranking reads. FR_FULL: the arena
 * overflowed. */
FR_MUST_USE enum fr_status retrieve_run(const struct state *state, const struct model_query *query,
                                        const struct retrieve_options *options,
                                        struct base_arena *arena, struct model_gather **out_gather,
                                        struct retrieve_candidates *out_candidates);

#endif
