/* SPDX-License-Identifier: Apache-2.0
 *
 * world: readers, items and their latent tastes, from one seed. Knows nothing of any recommender,
 * and shares no code with the engine, so that it cannot flatter it.
 *
 * Model. An item has a topic mixture, a quality and a birth; its pull fades with age (half-life
 * `fade_hours`). A reader has a taste over topics that drifts; interest of reader u in item i is
 *     logit = bias + strength * cos(taste_u, topics_i) + quality_i - fade(age_i)
 * A slate is looked through from the top: place r is looked at with probability 1 / (1 + look * r)
 * (position bias), and an item that is looked at is clicked with probability sigmoid(logit), never
 * twice by the same reader. When readers come and how long they stay: sessions.c.
 */
#ifndef WORLD_WORLD_H
#define WORLD_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORLD_TOPICS = 24, WORLD_SLATE_MAX = 50 };

struct world_options {
    uint64_t seed;
    uint32_t readers; /* each comes 2.26 times on average */
    uint32_t items_at_start;
    double births_per_hour;
    double hours;
    double fade_hours;    /* half of an item's pull of the new is gone after so long */
    double drift_per_day; /* share of a taste replaced a day */
};

struct world_item {
    float topic[WORLD_TOPICS]; /* unit length */
    float quality;
    double born_hour;
    uint32_t main_topic, second_topic;
};

struct world_reader {
    float taste[WORLD_TOPICS]; /* unit length */
    double drifted_hour;
    uint64_t draws;
    uint32_t region; /* 0 .. 9; leans to some topics */
    uint32_t device; /* 0 .. 2 */
};

struct world {
    struct world_options options;
    struct world_item *item;
    struct world_reader *reader;
    uint32_t item_count, item_max; /* born up to `hour`; all that will be */
    double hour;
};

void world_init(struct world *world, const struct world_options *options);
void world_release(struct world *world);
/* Moves the clock; items are born up to it. Gives the number of new ones. */
uint32_t world_advance(struct world *world, double hour);
/* Probability that the reader clicks the item once looked at. Drifts the reader's taste to now. */
double world_interest(struct world *world, uint32_t reader, uint32_t item);
/* Looks through the slate; gives the place clicked, or -1. *out_looked = places looked at. */
struct world_slate {
    const uint32_t *item;
    uint32_t count;
    const uint8_t *clicked_before; /* by item */
};
int world_look(struct world *world, uint32_t reader, const struct world_slate *slate,
               uint32_t *out_looked);
/* A draw of the reader's own stream: [0, 1). The same world plays the same way for every arm as
 * long as the same things happen. */
double world_draw(struct world *world, uint32_t reader);
double world_unit(uint64_t seed, uint64_t a, uint64_t b); /* keyed draw, [0, 1) */

/* ---- sessions ---------------------------------------------------------------------------- */

struct world_visit {
    double hour;
    uint32_t reader, session;
};

/* All visits in the order of time; free() it. The same for every arm. */
struct world_visit *world_visits(const struct world_options *options, size_t *out_count);
/* The staying power of a session: how likely another click is after a click, (0, 1), for a list
 * that never fails to please. */
double world_staying(const struct world_options *options, uint32_t session);

/* Tells what is wrong and ends the program. */
_Noreturn void world_fail(const char *what, const char *detail);

#endif
