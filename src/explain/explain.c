/* SPDX-License-Identifier: Apache-2.0
 *
 * explain: reasons from a ranked result. See the door for the rules.
 *
 * Cost: a look-up of each item in the neighbour row of each visit, then one pass over the features of
 * each item. Features below share_min of the whole end in "other" undivided.
 */
#include "explain/explain.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name, *icon, *about;
} kind_row[EXPLAIN_KIND_COUNT] = {
    [EXPLAIN_BECAUSE] = {"because_you_viewed", "history",
                         "People who acted on that item acted on this one, too."},
    [EXPLAIN_NEXT] = {"next", "arrow", "Often the next choice after that item in a session."},
    [EXPLAIN_SIMILAR] = {"similar", "tag", "Categories, tags, author or words like that item's."},
    [EXPLAIN_INTERESTS] = {"interests", "heart", "Content like what this user chose before."},
    [EXPLAIN_TRENDING] = {"trending", "flame", "Chosen often in the last minutes or hours."},
    [EXPLAIN_CONTEXT] = {"context", "pin", "Chosen often in this region, on this device, ..."},
    [EXPLAIN_POPULAR] = {"popular", "star", "Chosen often over the long run."},
    [EXPLAIN_NEW] = {"new", "spark", "New in the catalogue."},
    [EXPLAIN_FRIENDS] = {"friends", "heart",
                         "Chosen by people this user follows, or made by such an author."},
    [EXPLAIN_PATTERN] = {"pattern", "wave", "Combinations that the blend has learnt to trust."},
    [EXPLAIN_OTHER] = {"other", "dots", "Parts too small to tell apart, added up."},
};

const char *explain_kind_name(enum explain_kind kind)
{
    return kind_row[kind].name;
}

const char *explain_kind_icon(enum explain_kind kind)
{
    return kind_row[kind].icon;
}

const char *explain_kind_about(enum explain_kind kind)
{
    return kind_row[kind].about;
}

enum { FEATURES_MAX = MODEL_FEATURES_MAX + 2 }; /* the network and the second stage */

/* ---- gathering -------------------------------------------------------------------------- */

struct gathering {
    const struct rank_result *result;
    float floor; /* smaller parts go to other */
    double other;
    struct explain_reasons *out;
    uint8_t at[EXPLAIN_KIND_COUNT][MODEL_HISTORY_MAX]; /* 1 + place of a visit's reason; 0: none */
};

/* With shares by visit; and without. */
static enum explain_kind kind_of(enum model_reason reason, bool with_item)
{
    switch (reason) {
    case MODEL_REASON_HISTORY:
        return with_item ? EXPLAIN_BECAUSE : EXPLAIN_INTERESTS;
    case MODEL_REASON_NEXT:
        return with_item ? EXPLAIN_NEXT : EXPLAIN_PATTERN;
    case MODEL_REASON_CONTENT:
        return with_item ? EXPLAIN_SIMILAR : EXPLAIN_INTERESTS;
    case MODEL_REASON_POPULAR:
        return EXPLAIN_POPULAR;
    case MODEL_REASON_TRENDING:
        return EXPLAIN_TRENDING;
    case MODEL_REASON_CONTEXT:
        return EXPLAIN_CONTEXT;
    case MODEL_REASON_NEW:
        return EXPLAIN_NEW;
    case MODEL_REASON_FRIENDS:
        return EXPLAIN_FRIENDS;
    default:
        return EXPLAIN_PATTERN;
    }
}

/* A reason more; false: there are too many, and what it brings goes to "other". */
static bool append(struct gathering *gathering, const struct explain_reason *what,
                   float contribution)
{
    struct explain_reasons *out = gathering->out;
    if (out->count == EXPLAIN_REASONS_MAX) {
        gathering->other += (double)contribution;
        return false;
    }
    out->reason[out->count] = *what;
    out->reason[out->count++].contribution = contribution;
    return true;
}

static void add(struct gathering *gathering, const struct explain_reason *what, float contribution)
{
    struct explain_reasons *out = gathering->out;
    for (uint32_t i = 0; i < out->count; i++) {
        struct explain_reason *reason = &out->reason[i];
        if (reason->kind == what->kind && reason->item == what->item &&
            reason->context == what->context && reason->context_field == what->context_field) {
            reason->contribution += contribution;
            return;
        }
    }
    (void)append(gathering, what, contribution);
}

static void add_plain(struct gathering *gathering, const struct rank_feature *feature,
                      float contribution)
{
    const struct model_query *query = gathering->result->query;
    struct explain_reason what = {.kind = kind_of(feature->reason, false), .context_field = -1};
    if (what.kind == EXPLAIN_CONTEXT && feature->context >= 0) {
        what.context_field = (int8_t)feature->context;
        what.context = query->context[feature->context];
    }
    add(gathering, &what, contribution);
}

static bool has_visits(enum model_reason reason)
{
    return reason == MODEL_REASON_HISTORY || reason == MODEL_REASON_NEXT ||
           reason == MODEL_REASON_CONTENT;
}

/* What each visit puts into the shared sums of one result, and the sums of that over the visits. */
struct parts {
    const float (*of)[RANK_SUMS];
    uint32_t count;
    float whole[RANK_SUMS];
};

static void parts_sum(struct parts *parts)
{
    memset(parts->whole, 0, sizeof parts->whole);
    for (uint32_t h = 0; h < parts->count; h++)
        for (uint32_t s = 0; s < RANK_SUMS; s++)
            parts->whole[s] += parts->of[h][s];
}

/* No item is visited twice, so a kind and a visit are one reason. */
static void add_visits(struct gathering *gathering, enum explain_kind kind, float contribution,
                       const struct parts *parts, int sum)
{
    uint8_t *at = gathering->at[kind];
    struct explain_reasons *out = gathering->out;
    for (uint32_t h = 0; h < parts->count; h++) {
        if (parts->of[h][sum] == 0)
            continue;
        float part = contribution * (parts->of[h][sum] / parts->whole[sum]);
        if (part == 0)
            continue;
        if (at[h]) {
            out->reason[at[h] - 1].contribution += part;
            continue;
        }
        struct explain_reason what = {.kind = kind,
                                      .item = gathering->result->query->history[h].item,
                                      .context_field = -1};
        if (append(gathering, &what, part))
            at[h] = (uint8_t)out->count;
    }
}

static void add_feature(struct gathering *gathering, uint32_t f, float contribution,
                        const struct parts *parts)
{
    const struct rank_feature *feature = &gathering->result->feature[f];
    if (contribution == 0)
        return;
    if (fabsf(contribution) < gathering->floor) {
        gathering->other += (double)contribution;
        return;
    }
    int sum = has_visits(feature->reason) ? rank_feature_sum(gathering->result, f) : -1;
    if (sum < 0 || parts->whole[sum] <= 0)
        add_plain(gathering, feature, contribution);
    else
        add_visits(gathering, kind_of(feature->reason, true), contribution, parts, sum);
}

/* ---- merging ---------------------------------------------------------------------------- */

/* What speaks for the item comes first, what counts against it after; each by size. */
static bool comes_before(const struct explain_reason *a, const struct explain_reason *b)
{
    bool for_a = a->contribution > 0.0f, for_b = b->contribution > 0.0f;
    return for_a != for_b ? for_a : fabsf(a->contribution) > fabsf(b->contribution);
}

static void sort_reasons(struct explain_reasons *reasons)
{
    for (uint32_t i = 1; i < reasons->count; i++) {
        struct explain_reason moving = reasons->reason[i];
        uint32_t at = i;
        while (at > 0 && comes_before(&moving, &reasons->reason[at - 1])) {
            reasons->reason[at] = reasons->reason[at - 1];
            at--;
        }
        reasons->reason[at] = moving;
    }
}

static double absolute_sum(const struct explain_reasons *reasons)
{
    double sum = 0;
    for (uint32_t i = 0; i < reasons->count; i++)
        sum += fabs((double)reasons->reason[i].contribution);
    return sum;
}

/* Keeps the first ones that are large enough, adds the rest to "other"; then shares (E2). */
static void merge(struct explain_reasons *reasons, double other,
                  const struct explain_options *options)
{
    uint32_t shown = options->shown_max ? options->shown_max : EXPLAIN_SHOWN_DEFAULT;
    double whole = absolute_sum(reasons) + fabs(other), least = (double)options->share_min * whole;
    uint32_t large = 0;
    for (uint32_t i = 0; i < reasons->count; i++) { /* most are not: only the rest is sorted */
        double part = (double)reasons->reason[i].contribution;
        if (fabs(part) >= least)
            reasons->reason[large++] = reasons->reason[i];
        else
            other += part;
    }
    reasons->count = large;
    sort_reasons(reasons);
    for (; reasons->count > shown; reasons->count--)
        other += (double)reasons->reason[reasons->count - 1].contribution;
    if (other != 0)
        reasons->reason[reasons->count++] = (struct explain_reason){.kind = EXPLAIN_OTHER,
                                                                    .context_field = -1,
                                                                    .contribution = (float)other};
    whole = absolute_sum(reasons);
    for (uint32_t i = 0; i < reasons->count; i++)
        reasons->reason[i].share = (float)(fabs((double)reasons->reason[i].contribution) / whole);
}

static void explain_one(const struct rank_result *result, uint32_t r,
                        const struct explain_options *options, const struct parts *parts,
                        struct explain_reasons *out)
{
    struct gathering gathering = {.result = result, .out = out};
    float contribution[FEATURES_MAX];
    double whole = 0;
    FR_ASSERT(result->feature_count <= FEATURES_MAX);
    out->count = 0;
    rank_contributions(result, r, contribution);
    for (uint32_t f = 0; f < result->feature_count; f++)
        whole += fabs((double)contribution[f]);
    gathering.floor = options->share_min * (float)whole;
    for (uint32_t f = 0; f < result->feature_count; f++)
        add_feature(&gathering, f, contribution[f], parts);
    merge(out, gathering.other, options);
}

enum fr_status explain_items(const struct rank_result *result,
                             const struct explain_options *options, struct base_arena *arena,
                             struct explain_reasons *out_reasons)
{
    struct rank_parts all;
    size_t mark = base_arena_mark(arena);
    FR_TRY(rank_history_parts(result, options->r, options->count, arena, &all));
    for (uint32_t i = 0; i < options->count; i++) {
        struct parts parts = {.of = all.part + (size_t)i * all.visits, .count = all.visits};
        parts_sum(&parts);
        explain_one(result, options->r[i], options, &parts, &out_reasons[i]);
    }
    base_arena_rewind(arena, mark);
    return FR_OK;
}

/* ---- sentences -------------------------------------------------------------------------- */

static void context_text(const struct explain_reason *reason, const struct state *state,
                         struct base_buf *out)
{
    static const char *const before[STATE_CONTEXT_COUNT] = {
        [STATE_DEVICE] = "Popular on ",
        [STATE_OS] = "Popular on ",
        [STATE_COUNTRY] = "Trending in ",
        [STATE_REGION] = "Trending in ",
        [STATE_CITY] = "Trending in ",
        [STATE_REFERRER] = "Popular with visitors from ",
        [STATE_LANGUAGE] = "Popular with readers of ",
    };
    struct fr_slice value = {0};
    if (reason->context)
        value = state_context_text(state, reason->context);
    if (reason->context_field < 0 || value.bytes == 0) {
        base_buf_put_str(out, "Popular in your situation");
        return;
    }
    const char *words = before[reason->context_field];
    base_buf_put_str(out, words ? words : "Popular where ");
    base_buf_put_slice(out, value);
}

void explain_text(const struct explain_reason *reason, const struct state *state,
                  struct fr_slice title, struct base_buf *out)
{
    static const char *const words[EXPLAIN_KIND_COUNT] = {
        [EXPLAIN_BECAUSE] = "Because you viewed ",
        [EXPLAIN_NEXT] = "Often chosen right after ",
        [EXPLAIN_SIMILAR] = "Similar to ",
        [EXPLAIN_INTERESTS] = "Matches what you chose before",
        [EXPLAIN_TRENDING] = "Trending now",
        [EXPLAIN_POPULAR] = "Popular with everyone",
        [EXPLAIN_NEW] = "New",
        [EXPLAIN_FRIENDS] = "From people you follow",
        [EXPLAIN_PATTERN] = "Fits a learnt pattern",
        [EXPLAIN_OTHER] = "Other signals",
    };
    static const char *const against[EXPLAIN_KIND_COUNT] = {
        [EXPLAIN_BECAUSE] = "Ranked lower because you viewed ",
        [EXPLAIN_NEXT] = "Ranked lower right after ",
        [EXPLAIN_SIMILAR] = "Ranked lower although similar to ",
        [EXPLAIN_INTERESTS] = "Ranked lower by what you chose before",
        [EXPLAIN_TRENDING] = "Ranked lower although trending now",
        [EXPLAIN_CONTEXT] = "Ranked lower although popular in your situation",
        [EXPLAIN_POPULAR] = "Ranked lower although popular with everyone",
        [EXPLAIN_NEW] = "Ranked lower although new",
        [EXPLAIN_FRIENDS] = "Ranked lower although from people you follow",
        [EXPLAIN_PATTERN] = "Ranked lower by a learnt pattern",
        [EXPLAIN_OTHER] = "Other signals against it",
    };
    if (reason->contribution < 0) { /* E4 */
        base_buf_put_str(out, against[reason->kind]);
        if (reason->item)
            base_buf_put_slice(out, title);
        return;
    }
    if (reason->kind == EXPLAIN_CONTEXT) {
        context_text(reason, state, out);
        return;
    }
    base_buf_put_str(out, words[reason->kind]);
    if (reason->item)
        base_buf_put_slice(out, title);
}
