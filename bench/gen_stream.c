/* SPDX-License-Identifier: Apache-2.0
 *
 * gen_stream: a synthetic stream for the benchmarks of speed and memory (never of quality): CSV on
 * standard output, "time,user,item,type,device,region". Every user has at least events / users
 * events; items are drawn from the user's few topics, Zipf-like inside a topic; time runs forward
 * by the events' even share of `days`. The same arguments give the same bytes.
 *
 *   gen_stream EVENTS USERS ITEMS [DAYS] [SEED]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

enum { TOPICS = 200, TOPICS_OF_A_USER = 3, REGIONS = 27, START_S = 1700000000 };

static uint64_t draw(uint64_t seed, uint64_t id, uint64_t index, uint64_t below)
{
    return base_random_u64(seed, id, index) % below;
}

/* Rank 0 .. count - 1 with density about 1 / (rank + 1). */
static uint64_t draw_zipf(uint64_t seed, uint64_t id, uint64_t index, uint64_t count)
{
    double u = base_random_unit(seed, id, index);
    return (uint64_t)(pow((double)count + 1, u) - 1) % count;
}

static void print_event(uint64_t i, uint64_t events, uint64_t users, uint64_t items, uint64_t days,
                        uint64_t seed)
{
    static const char *const devices[] = {"phone", "desktop", "tablet", "tv"};
    uint64_t round = i / users;
    /* each round visits every user once, in an order of its own */
    uint64_t user = (i % users * 2654435761u + round * 97 + seed) % users;
    uint64_t topic = draw(seed, user, draw(seed + 1, i, 0, TOPICS_OF_A_USER), TOPICS);
    uint64_t item = draw_zipf(seed + 2, i, 0, items / TOPICS) * TOPICS + topic;
    uint64_t time_ms =
        START_S * 1000ull + (uint64_t)((double)i / (double)events * (double)days * 86400e3);
    printf("%llu,u%llu,i%llu,%s,%s,r%llu\n", (unsigned long long)time_ms, (unsigned long long)user,
           (unsigned long long)item, draw(seed + 3, i, 0, 20) ? "click" : "like",
           devices[draw(seed + 4, user, 0, 4)],
           (unsigned long long)draw(seed + 5, user, 0, REGIONS));
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: gen_stream EVENTS USERS ITEMS [DAYS] [SEED]\n");
        return 2;
    }
    uint64_t events = strtoull(argv[1], NULL, 10), users = strtoull(argv[2], NULL, 10);
    uint64_t items = strtoull(argv[3], NULL, 10);
    uint64_t days = argc > 4 ? strtoull(argv[4], NULL, 10) : 30;
    uint64_t seed = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
    if (users == 0 || items < TOPICS) {
        fprintf(stderr, "gen_stream: needs at least 1 user and %d items\n", TOPICS);
        return 2;
    }
    puts("time,user,item,type,device,region");
    for (uint64_t i = 0; i < events; i++)
        print_event(i, events, users, items, days, seed);
    return ferror(stdout) != 0;
}
