/* SPDX-License-Identifier: Apache-2.0
 *
 * world: see world.h.
 */
#include "world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REGIONS = 10, DEVICES = 3 };
static const double bias = -2.9, strength = 3.8, look = 0.25, fade_depth = 4.0;

_Noreturn void world_fail(const char *what, const char *detail)
{
    fprintf(stderr, "freshet-world: %s: %s\n", what, detail);
    exit(1);
}

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

double world_unit(uint64_t seed, uint64_t a, uint64_t b)
{
    return (double)(mix(mix(mix(seed) ^ a) ^ b) >> 11) * 0x1p-53;
}

double world_draw(struct world *world, uint32_t reader)
{
    return world_unit(world->options.seed ^ 0x7265616465720000u, reader,
                      world->reader[reader].draws++);
}

static void normalise(float *vector)
{
    double sum = 0;
    for (int t = 0; t < WORLD_TOPICS; t++)
        sum += (double)vector[t] * vector[t];
    for (int t = 0; t < WORLD_TOPICS; t++)
        vector[t] = (float)(vector[t] / sqrt(sum));
}

static uint32_t pick_topic(double u)
{
    /* topics are not equally common: weight 1 / (rank + 3) */
    double total = 0, sum = 0;
    for (int t = 0; t < WORLD_TOPICS; t++)
        total += 1.0 / (t + 3);
    for (uint32_t t = 0; t < WORLD_TOPICS; t++)
        if ((sum += 1.0 / (t + 3) / total) > u)
            return t;
    return WORLD_TOPICS - 1;
}

static void make_item(struct world *world, uint32_t i, double born_hour)
{
    struct world_item *item = &world->item[i];
    uint64_t seed = world->options.seed ^ 0x6974656d00000000u;
    *item = (struct world_item){.born_hour = born_hour};
    item->main_topic = pick_topic(world_unit(seed, i, 0));
    item->second_topic = pick_topic(world_unit(seed, i, 1));
    for (uint32_t t = 0; t < WORLD_TOPICS; t++)
        item->topic[t] = (float)(0.15 * world_unit(seed, i, 10 + t));
    item->topic[item->main_topic] += 1.0f;
    item->topic[item->second_topic] += (float)(0.6 * world_unit(seed, i, 2));
    normalise(item->topic);
    /* few hits, many fillers: the cube of a uniform draw */
    item->quality = (float)(3.2 * pow(world_unit(seed, i, 3), 3));
}

static void make_reader(struct world *world, uint32_t u)
{
    struct world_reader *reader = &world->reader[u];
    uint64_t seed = world->options.seed ^ 0x7461737465000000u;
    *reader = (struct world_reader){0};
    reader->region = (uint32_t)(world_unit(seed, u, 0) * REGIONS);
    reader->device = (uint32_t)(world_unit(seed, u, 1) * DEVICES);
    for (uint64_t k = 0; k < 3; k++)
        reader->taste[pick_topic(world_unit(seed, u, 2 + k))] += (float)(1.0 / (double)(k + 1));
    reader->taste[reader->region * 2 % WORLD_TOPICS] += 0.4f;
    normalise(reader->taste);
}

void world_init(struct world *world, const struct world_options *options)
{
    *world = (struct world){.options = *options};
    world->item_max =
        options->items_at_start + (uint32_t)(options->births_per_hour * options->hours) + 1;
    world->item = calloc(world->item_max, sizeof(*world->item));
    world->reader = calloc(options->readers, sizeof(*world->reader));
    if (!world->item || !world->reader)
        world_fail("no memory", "for a world of this size");
    for (uint32_t i = 0; i < world->item_max; i++) {
        double born = i < options->items_at_start
                          ? -options->fade_hours * 2 * world_unit(options->seed, i, 77)
                          : (i - options->items_at_start + 1) / options->births_per_hour;
        make_item(world, i, born);
    }
    for (uint32_t u = 0; u < options->readers; u++)
        make_reader(world, u);
    world->item_count = options->items_at_start;
}

void world_release(struct world *world)
{
    free(world->item);
    free(world->reader);
}

uint32_t world_advance(struct world *world, double hour)
{
    uint32_t before = world->item_count;
    world->hour = hour;
    while (world->item_count < world->item_max && world->item[world->item_count].born_hour <= hour)
        world->item_count++;
    return world->item_count - before;
}

/* Every `period` hours one topic of the taste is replaced; keyed by reader and period, so that all
 * arms see the same drift. */
static void drift(struct world *world, uint32_t u)
{
    struct world_reader *reader = &world->reader[u];
    double period =
        24 * 0.33 / (world->options.drift_per_day > 0 ? world->options.drift_per_day : 1e-9);
    while (reader->drifted_hour + period <= world->hour) {
        reader->drifted_hour += period;
        uint64_t step = (uint64_t)(reader->drifted_hour / period);
        uint32_t topic = pick_topic(world_unit(world->options.seed ^ 0x6472696674u, u, step));
        for (int t = 0; t < WORLD_TOPICS; t++)
            reader->taste[t] *= 0.7f;
        reader->taste[topic] += 0.7f;
        normalise(reader->taste);
    }
}

double world_interest(struct world *world, uint32_t u, uint32_t i)
{
    const struct world_item *item = &world->item[i];
    double match = 0, age = world->hour - item->born_hour;
    drift(world, u);
    for (int t = 0; t < WORLD_TOPICS; t++)
        match += (double)world->reader[u].taste[t] * item->topic[t];
    double fade = fade_depth * (1 - exp2(-(age > 0 ? age : 0) / world->options.fade_hours));
    return 1 / (1 + exp(-(bias + strength * match + item->quality - fade)));
}

int world_look(struct world *world, uint32_t reader, const struct world_slate *slate,
               uint32_t *out_looked)
{
    int clicked = -1;
    *out_looked = 0;
    for (uint32_t r = 0; r < slate->count; r++) {
        uint32_t item = slate->item[r];
        bool looks = world_draw(world, reader) < 1 / (1 + look * r);
        double chance = world_draw(world, reader); /* always drawn: arms stay aligned */
        if (!looks || clicked >= 0)
            continue;
        ++*out_looked;
        if (!slate->clicked_before[item] && chance < world_interest(world, reader, item))
            clicked = (int)r;
    }
    return clicked;
}
