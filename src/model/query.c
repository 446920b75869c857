/* SPDX-License-Identifier: Apache-2.0
 *
 * The query: a user's view and a context, from ids. One function for serving and for learning, so
 * that what is learnt is what is served.
 * Thread: any.
 */
#include <string.h>

#include "model/model.h"

void model_request_of_event(const struct state_event *event, bool repeats, bool session_unit,
                            struct model_request *out_request)
{
    struct model_request request = {
        .user = event->user,
        .session_tag = event->session_tag,
        .clock_s = event->clock_s,
        .repeats = repeats,
        .session_unit = session_unit,
    };
    memcpy(request.context, event->context, sizeof(request.context));
    *out_request = request;
}

static uint32_t class_of(uint32_t count, uint32_t a, uint32_t b, uint32_t c)
{
    return count <= a ? 0 : count <= b ? 1 : count <= c ? 2 : 3;
}

/* 4 session positions x 4 history lengths x 4 groups of referrers. */
static uint32_t bucket_of(const struct model_query *query)
{
    uint32_t referrer = query->context[STATE_REFERRER];
    uint32_t group = referrer ? (uint32_t)(base_mix64(referrer) & 3) : 0;
    return class_of(query->session_count, 0, 1, 2) * 16 +
           class_of(query->visit_count, 1, 7, 31) * 4 + group;
}

struct building {
    struct model_recent *history;
    uint32_t *seen;
    uint32_t history_count, seen_count, clock_s;
};

static struct model_recent *in_history(const struct building *b, uint32_t item)
{
    for (uint32_t i = 0; i < b->history_count; i++)
        if (b->history[i].item == item)
            return &b->history[i];
    return NULL;
}

static void take(struct building *b, const struct model_recent *recent)
{
    struct model_recent *known = recent->signal > 0.0f ? in_history(b, recent->item) : NULL;
    if (known)
        known->times++;
    else if (recent->signal > 0.0f && b->history_count < MODEL_HISTORY_MAX)
        b->history[b->history_count++] = *recent;
}

static void take_visits(const struct model_request *request, const struct state_visit *visits,
                        uint32_t count, struct building *b, struct model_query *query)
{
    for (uint32_t v = 0; v < count; v++) {
        bool same = request->session_tag && visits[v].session_tag == request->session_tag;
        struct model_recent recent = {
            .item = visits[v].item,
            .age_s = b->clock_s - FR_MIN(visits[v].time_s, b->clock_s),
            .signal = visits[v].signal,
            .times = 1,
            .same_session = same,
        };
        query->session_count += same;
        take(b, &recent);
        bool never =
            visits[v].signal < 0.0f || (!request->repeats && (same || !request->session_unit));
        if (never && b->seen_count < MODEL_SEEN_MAX)
            b->seen[b->seen_count++] = visits[v].item;
    }
}

enum fr_status model_query_build(const struct state *state, const struct model_request *request,
                                 struct base_arena *arena, struct model_query *out_query)
{
    struct model_request asked = *request;
    uint32_t kept = FR_MIN(state_history_count(state, asked.user) + 8, (uint32_t)STATE_HISTORY_MAX);
    struct state_visit *visits = base_arena_alloc(arena, kept * sizeof(*visits));
    struct building b = {
        .history = base_arena_alloc(arena, MODEL_HISTORY_MAX * sizeof(struct model_recent)),
        .seen = base_arena_alloc(arena, MODEL_SEEN_MAX * sizeof(uint32_t)),
    };
    struct model_query query = {.user = asked.user, .last_age_s = UINT32_MAX};
    if (base_arena_overflowed(arena))
        return FR_FULL;
    query.clock_s = asked.clock_s ? asked.clock_s : (uint32_t)(state_clock_us(state) / 1000000);
    memcpy(query.context, asked.context, sizeof(query.context));
    b.clock_s = asked.visit_clock_s ? asked.visit_clock_s : query.clock_s;
    uint32_t count = state_history(state, asked.user, visits, kept);
    if (count > 0) {
        query.last_age_s = b.clock_s - FR_MIN(visits[0].time_s, b.clock_s);
        if (!asked.session_tag && query.last_age_s < state_session_gap_s(state))
            asked.session_tag = visits[0].session_tag;
    }
    for (uint32_t i = 0; i < asked.recent_count && i < MODEL_HISTORY_MAX; i++) {
        struct model_recent recent = {asked.recent[i], 0, 1.0f, 1, true};
        query.session_count++;
        take(&b, &recent);
        if (!asked.repeats && b.seen_count < MODEL_SEEN_MAX)
            b.seen[b.seen_count++] = asked.recent[i];
    }
    take_visits(&asked, visits, count, &b, &query);
    if (!asked.repeats && !asked.session_unit)
        b.seen_count += state_seen_older(state, asked.user, b.seen + b.seen_count,
                                         MODEL_SEEN_MAX - b.seen_count);
    query.session_tag = asked.session_tag;
    query.repeats = asked.repeats;
    query.history = b.history;
    query.history_count = b.history_count;
    query.seen = b.seen;
    query.seen_count = b.seen_count;
    query.visit_count = count + FR_MIN(asked.recent_count, (uint32_t)MODEL_HISTORY_MAX);
    query.bucket = bucket_of(&query);
    *out_query = query;
    return FR_OK;
}

enum fr_status model_query_without(const struct model_query *query, const bool *drop,
                                   struct base_arena *arena, struct model_query *out_query)
{
    struct model_query without = *query;
    struct model_recent *history =
        base_arena_alloc(arena, (query->history_count + 1) * sizeof(*history));
    uint32_t kept = 0, session = 0;
    if (!history)
        return FR_FULL;
    for (uint32_t h = 0; h < query->history_count; h++) {
        if (drop[h])
            session += query->history[h].same_session;
        else
            history[kept++] = query->history[h];
    }
    uint32_t dropped = query->history_count - kept;
    without.history = history;
    without.history_count = kept;
    without.session_count -= FR_MIN(session, query->session_count);
    without.visit_count -= FR_MIN(dropped, query->visit_count);
    if (query->history_count > 0 && drop[0])
        without.last_age_s = kept ? history[0].age_s : UINT32_MAX;
    without.bucket = bucket_of(&without);
    *out_query = without;
    return FR_OK;
}
