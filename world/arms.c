/* SPDX-License-Identifier: Apache-2.0
 *
 * The arms that need no server:
 *   random
 *   popular   clicks with a half-life of six hours; the last place for the newest item
 *   trending  the same with half an hour: the best half-life in this world, found with hindsight,
 *             and the strongest simple list that we know for it
 *   batch     popular times nearness to the reader's items (cosine of clicks and shared topics),
 *             all as of the last full hour: what a job that runs every hour serves; its form and
 *             half-life too are the best that were found
 *   oracle    true interest
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "arm.h"

enum { HISTORY_MAX = 20 };
enum { POPULAR_MINUTES = 360, TRENDING_MINUTES = 30, BATCH_MINUTES = 15 }; /* half-lives */

struct history {
    uint32_t item[HISTORY_MAX];
    uint32_t count; /* all, the newest HISTORY_MAX are kept as a ring */
};

struct counts {
    double half_life; /* of popular, hours */
    double *popular;  /* decayed clicks, as of popular_hour */
    double *popular_hour;
    uint32_t *clicks;   /* all */
    uint32_t *together; /* item_max x item_max: readers' recent pairs */
    float *similar;     /* the batch job's result */
    double *batch_popular;
    struct history *now, *at_refresh;
    double refreshed_hour;
    uint64_t draws;
};

static void *zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    if (!memory)
        world_fail("no memory", "for an arm");
    return memory;
}

static double popular_now(const struct counts *counts, uint32_t i, double hour)
{
    return counts->popular[i] * exp2((counts->popular_hour[i] - hour) / counts->half_life);
}

/* The last place goes to the newest item that is not in the slate: without it a list by clicks
 * never finds what is new. */
static void show_newest(const struct arm *arm, const struct arm_request *request, uint32_t *slate,
                        uint32_t filled)
{
    for (uint32_t i = arm->world->item_count; filled > 1 && i-- > 0;) {
        bool shown = request->clicked[i] != 0;
        for (uint32_t r = 0; r < filled && !shown; r++)
            shown = slate[r] == i;
        if (shown)
            continue;
        slate[filled - 1] = i;
        return;
    }
}

/* The best `count` of the born, unclicked items by score. */
static uint32_t best(const struct arm *arm, const struct arm_request *request, const double *score,
                     uint32_t *out)
{
    double kept[WORLD_SLATE_MAX];
    uint32_t filled = 0;
    for (uint32_t i = 0; i < arm->world->item_count; i++) {
        if (request->clicked[i] || (filled == request->count && score[i] <= kept[filled - 1]))
            continue;
        uint32_t at = filled < request->count ? filled++ : filled - 1;
        for (; at > 0 && kept[at - 1] < score[i]; at--) {
            kept[at] = kept[at - 1];
            out[at] = out[at - 1];
        }
        kept[at] = score[i];
        out[at] = i;
    }
    return filled;
}

static uint32_t random_slate(struct arm *arm, const struct arm_request *request, uint32_t *out)
{
    struct counts *counts = arm->self;
    double *score = zeroed(arm->world->item_count, sizeof(*score));
    for (uint32_t i = 0; i < arm->world->item_count; i++)
        score[i] = world_unit(arm->world->options.seed ^ 0x72616e646f6du, i, counts->draws);
    counts->draws++;
    uint32_t filled = best(arm, request, score, out);
    free(score);
    return filled;
}

static uint32_t popular_slate(struct arm *arm, const struct arm_request *request, uint32_t *out)
{
    struct counts *counts = arm->self;
    double *score = zeroed(arm->world->item_count, sizeof(*score));
    for (uint32_t i = 0; i < arm->world->item_count; i++)
        score[i] = popular_now(counts, i, arm->world->hour);
    uint32_t filled = best(arm, request, score, out);
    show_newest(arm, request, out, filled);
    free(score);
    return filled;
}

static uint32_t oracle_slate(struct arm *arm, const struct arm_request *request, uint32_t *out)
{
    double *score = zeroed(arm->world->item_count, sizeof(*score));
    for (uint32_t i = 0; i < arm->world->item_count; i++)
        score[i] = world_interest(arm->world, request->reader, i);
    uint32_t filled = best(arm, request, score, out);
    free(score);
    return filled;
}

static void refresh(struct arm *arm)
{
    struct counts *counts = arm->self;
    uint32_t n = arm->world->item_max;
    for (uint32_t i = 0; i < n; i++) {
        counts->batch_popular[i] = popular_now(counts, i, arm->world->hour);
        for (uint32_t j = 0; j < n; j++)
            counts->similar[(size_t)i * n + j] =
                (float)(counts->together[(size_t)i * n + j] /
                        sqrt((counts->clicks[i] + 5.0) * (counts->clicks[j] + 5.0)));
    }
    memcpy(counts->at_refresh, counts->now,
           arm->world->options.readers * sizeof(*counts->at_refresh));
    counts->refreshed_hour = arm->world->hour;
}

/* How near item i is to the reader's items: cosine of clicks, and shared topics. */
static double nearness(const struct arm *arm, const struct history *history, uint32_t i)
{
    const struct counts *counts = arm->self;
    const struct world_item *one = &arm->world->item[i];
    uint32_t known = history->count < HISTORY_MAX ? history->count : HISTORY_MAX;
    double near = 0;
    for (uint32_t h = 0; h < known; h++) {
        const struct world_item *other = &arm->world->item[history->item[h]];
        near += counts->similar[(size_t)history->item[h] * arm->world->item_max + i];
        near += one->main_topic == other->main_topic;
        near += .5 * (one->second_topic == other->main_topic);
        near += .5 * (one->main_topic == other->second_topic);
    }
    return near;
}

static uint32_t batch_slate(struct arm *arm, const struct arm_request *request, uint32_t *out)
{
    struct counts *counts = arm->self;
    uint32_t n = arm->world->item_max;
    if (arm->world->hour >= counts->refreshed_hour + 1)
        refresh(arm);
    const struct history *history = &counts->at_refresh[request->reader];
    double *score = zeroed(n, sizeof(*score));
    for (uint32_t i = 0; i < arm->world->item_count; i++)
        score[i] = counts->batch_popular[i] * (1 + nearness(arm, history, i));
    uint32_t filled = best(arm, request, score, out);
    show_newest(arm, request, out, filled);
    free(score);
    return filled;
}

static void count_click(struct arm *arm, const struct arm_request *request, const uint32_t *slate,
                        uint32_t looked, int clicked)
{
    struct counts *counts = arm->self;
    (void)looked;
    if (clicked < 0)
        return;
    uint32_t item = slate[clicked], n = arm->world->item_max;
    struct history *history = &counts->now[request->reader];
    counts->popular[item] = popular_now(counts, item, arm->world->hour) + 1;
    counts->popular_hour[item] = arm->world->hour;
    counts->clicks[item]++;
    uint32_t known = history->count < HISTORY_MAX ? history->count : HISTORY_MAX;
    for (uint32_t h = 0; counts->together && h < known; h++) {
        counts->together[(size_t)history->item[h] * n + item]++;
        counts->together[(size_t)item * n + history->item[h]]++;
    }
    history->item[history->count++ % HISTORY_MAX] = item;
}

static void counts_release(void *self)
{
    struct counts *counts = self;
    free(counts->popular);
    free(counts->popular_hour);
    free(counts->batch_popular);
    free(counts->clicks);
    free(counts->together);
    free(counts->similar);
    free(counts->now);
    free(counts->at_refresh);
    free(counts);
}

static const struct {
    struct arm_kind kind;
    int half_life_minutes;
} kinds[] = {
    {{"random", random_slate, count_click, NULL, counts_release}, POPULAR_MINUTES},
    {{"popular", popular_slate, count_click, NULL, counts_release}, POPULAR_MINUTES},
    {{"trending", popular_slate, count_click, NULL, counts_release}, TRENDING_MINUTES},
    {{"batch", batch_slate, count_click, NULL, counts_release}, BATCH_MINUTES},
    {{"oracle", oracle_slate, count_click, NULL, counts_release}, POPULAR_MINUTES},
};

struct arm *arm_new(const char *name, struct world *world)
{
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        if (strcmp(kinds[k].kind.name, name) != 0)
            continue;
        struct arm *arm = zeroed(1, sizeof(*arm));
        struct counts *counts = zeroed(1, sizeof(*counts));
        size_t n = world->item_max;
        counts->half_life = kinds[k].half_life_minutes / 60.0;
        counts->popular = zeroed(n, sizeof(double));
        counts->popular_hour = zeroed(n, sizeof(double));
        counts->batch_popular = zeroed(n, sizeof(double));
        counts->clicks = zeroed(n, sizeof(uint32_t));
        counts->now = zeroed(world->options.readers, sizeof(struct history));
        counts->at_refresh = zeroed(world->options.readers, sizeof(struct history));
        if (kinds[k].kind.slate == batch_slate) {
            counts->together = zeroed(n * n, sizeof(uint32_t));
            counts->similar = zeroed(n * n, sizeof(float));
        }
        *arm = (struct arm){.kind = &kinds[k].kind, .world = world, .self = counts};
        return arm;
    }
    return NULL;
}

void arm_free(struct arm *arm)
{
    if (!arm)
        return;
    arm->kind->release(arm->self);
    free(arm);
}
