/* SPDX-License-Identifier: Apache-2.0
 *
 * report: see report.h.
 */
#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DRAWS = 1000, LIFE_CLICKS_MIN = 20 };

void report_tally_init(struct report_tally *tally, const char *name, uint32_t readers)
{
    *tally = (struct report_tally){.name = name,
                                   .reader_clicks = calloc(readers, sizeof(double)),
                                   .reader_looked = calloc(readers, sizeof(double))};
    if (!tally->reader_clicks || !tally->reader_looked)
        world_fail("no memory", "for the tally");
}

void report_tally_release(struct report_tally *tally)
{
    free(tally->reader_clicks);
    free(tally->reader_looked);
    free(tally->click);
}

void report_click_add(struct report_tally *tally, uint32_t item, double hour)
{
    if (tally->clicks == tally->click_max) {
        tally->click_max = tally->click_max ? tally->click_max * 2 : 4096;
        tally->click = realloc(tally->click, tally->click_max * sizeof(*tally->click));
        if (!tally->click)
            world_fail("no memory", "for the clicks");
    }
    tally->click[tally->clicks++] = (struct report_click){item, hour};
}

/* ---- intervals ----------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void interval(double *values, double *out_low, double *out_high)
{
    qsort(values, DRAWS, sizeof(*values), by_value);
    *out_low = values[DRAWS * 25 / 1000];
    *out_high = values[DRAWS * 975 / 1000 - 1];
}

/* CTR over the readers of one draw. */
static double drawn_ctr(const struct report_tally *tally, const struct world_options *options,
                        uint64_t draw)
{
    double clicks = 0, looked = 0;
    for (uint64_t k = 0; k < options->readers; k++) {
        double unit = world_unit(options->seed ^ 0x626f6f74u, draw, k);
        uint32_t reader = (uint32_t)(unit * options->readers);
        clicks += tally->reader_clicks[reader];
        looked += tally->reader_looked[reader];
    }
    return looked > 0 ? clicks / looked : 0;
}

void report_compare(struct report_tally *tallies, size_t count, size_t base,
                    const struct world_options *options)
{
    static double of_base[DRAWS], ctr[DRAWS], lift[DRAWS];
    const struct report_tally *other = &tallies[base];
    double base_ctr = (double)other->clicks / (double)other->looked;
    for (uint64_t d = 0; d < DRAWS; d++)
        of_base[d] = drawn_ctr(other, options, d);
    for (size_t i = 0; i < count; i++) {
        struct report_tally *tally = &tallies[i];
        for (uint64_t d = 0; d < DRAWS; d++) {
            ctr[d] = drawn_ctr(tally, options, d);
            lift[d] = ctr[d] / of_base[d] - 1;
        }
        tally->ctr = (double)tally->clicks / (double)tally->looked;
        tally->lift = tally->ctr / base_ctr - 1;
        interval(ctr, &tally->ctr_low, &tally->ctr_high);
        interval(lift, &tally->lift_low, &tally->lift_high);
    }
}

/* ---- marginals ----------------------------------------------------------------------------- */

struct marginal {
    const char *name;
    double here, globo;
};

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    return count ? values[count / 2] : NAN;
}

/* Hours from an item's first click to half of its clicks: the median over items born in the middle
 * part of the run that were clicked often enough to tell. */
static double median_life(const struct report_tally *tally, const struct world *world)
{
    double *life = calloc(world->item_max, sizeof(*life)), result;
    uint32_t *clicks = calloc(world->item_max, sizeof(*clicks));
    uint32_t *seen = calloc(world->item_max, sizeof(*seen));
    double *first = calloc(world->item_max, sizeof(*first));
    size_t lives = 0;
    if (!life || !clicks || !seen || !first)
        world_fail("no memory", "for the marginals");
    for (uint64_t c = 0; c < tally->clicks; c++)
        clicks[tally->click[c].item]++;
    for (uint64_t c = 0; c < tally->clicks; c++) {
        uint32_t i = tally->click[c].item;
        double born = world->item[i].born_hour;
        if (seen[i]++ == 0)
            first[i] = tally->click[c].hour;
        if (born > 0 && born < .6 * world->options.hours && clicks[i] >= LIFE_CLICKS_MIN &&
            seen[i] == clicks[i] / 2)
            life[lives++] = tally->click[c].hour - first[i];
    }
    result = median(life, lives);
    free(life);
    free(clicks);
    free(seen);
    free(first);
    return result;
}

static double share_at_hours(const struct report_tally *tally, double from, double to)
{
    uint64_t inside = 0;
    for (uint64_t c = 0; c < tally->clicks; c++) {
        double hour = fmod(tally->click[c].hour, 24);
        inside += hour >= from && hour < to;
    }
    return (double)inside / (double)tally->clicks;
}

enum { MARGINALS = 8 };

/* Globo.com: the first 1.5 million clicks; only sessions of two clicks and more were published. */
static void marginals(const struct report_tally *tally, const struct world *world,
                      struct marginal out[MARGINALS])
{
    uint64_t sessions = 0, clicks = 0, two = tally->sessions[2], three = tally->sessions[3];
    for (uint64_t n = 2; n < REPORT_LENGTHS; n++) {
        sessions += tally->sessions[n];
        clicks += n * tally->sessions[n];
    }
    double all = (double)sessions, active = 0, *of_reader;
    uint32_t readers = world->options.readers;
    of_reader = calloc(readers, sizeof(*of_reader));
    if (!of_reader)
        world_fail("no memory", "for the marginals");
    for (uint32_t u = 0; u < readers; u++)
        if (tally->reader_clicks[u] >= 2)
            of_reader[(size_t)active++] = tally->reader_clicks[u];
    const struct marginal found[MARGINALS] = {
        {"clicks a session", (double)clicks / all, 2.84},
        {"sessions of two clicks", (double)two / all, .603},
        {"sessions of three", (double)three / all, .212},
        {"sessions of more than eleven", 0, .0048},
        {"clicks a reader, median", median(of_reader, (size_t)active), 4},
        {"hours to half of an item's clicks", median_life(tally, world), 6.6},
        {"clicks from 5 to 8 h", share_at_hours(tally, 5, 8), .0162},
        {"clicks from 14 to 20 h", share_at_hours(tally, 14, 20), .4023},
    };
    for (int m = 0; m < MARGINALS; m++)
        out[m] = found[m];
    for (int n = 12; n < REPORT_LENGTHS; n++)
        out[3].here += (double)tally->sessions[n] / all;
    free(of_reader);
}

/* ---- printing ------------------------------------------------------------------------------- */

void report_print_text(const struct report_tally *tallies, size_t count, size_t base,
                       const struct world *world)
{
    struct marginal row[MARGINALS];
    printf("%u readers, %u items at the start and %u born, %.0f hours, seed %llu\n\n",
           world->options.readers, world->options.items_at_start,
           world->item_max - world->options.items_at_start - 1, world->options.hours,
           (unsigned long long)world->options.seed);
    printf("%-9s %7s  %-17s %8s  %-20s %8s %9s %8s\n", "arm", "CTR", "95 % interval", "", "over",
           "slates", "looked at", "clicks");
    for (size_t i = 0; i < count; i++) {
        const struct report_tally *t = &tallies[i];
        char over[48] = "";
        if (i != base)
            snprintf(over, sizeof(over), "(%+.1f .. %+.1f %%)", 100 * t->lift_low,
                     100 * t->lift_high);
        printf("%-9s %6.2f%%  %5.2f .. %5.2f %%   ", t->name, 100 * t->ctr, 100 * t->ctr_low,
               100 * t->ctr_high);
        if (i == base)
            printf("%8s  %-20s", "", "the measure");
        else
            printf("%+7.1f%%  %-20s", 100 * t->lift, over);
        printf(" %8llu %9llu %8llu\n", (unsigned long long)t->slates, (unsigned long long)t->looked,
               (unsigned long long)t->clicks);
    }
    printf("\nCTR: clicks for each place that was looked at. over: than the arm %s.\n\n",
           tallies[base].name);
    marginals(&tallies[base], world, row);
    printf("%-36s %8s %10s\n", "how people behave", "here", "Globo.com");
    for (int m = 0; m < MARGINALS; m++)
        printf("%-36s %8.3g %10.3g\n", row[m].name, row[m].here, row[m].globo);
}

void report_print_json(const struct report_tally *tallies, size_t count, size_t base,
                       const struct world *world)
{
    struct marginal row[MARGINALS];
    printf("{\"seed\":%llu,\"readers\":%u,\"hours\":%g,\"over\":\"%s\",\"arms\":{",
           (unsigned long long)world->options.seed, world->options.readers, world->options.hours,
           tallies[base].name);
    for (size_t i = 0; i < count; i++) {
        const struct report_tally *t = &tallies[i];
        printf("%s\"%s\":{\"ctr\":%.5f,\"ctr_low\":%.5f,\"ctr_high\":%.5f,\"lift\":%.4f,"
               "\"lift_low\":%.4f,\"lift_high\":%.4f,\"clicks\":%llu,\"looked\":%llu}",
               i ? "," : "", t->name, t->ctr, t->ctr_low, t->ctr_high, t->lift, t->lift_low,
               t->lift_high, (unsigned long long)t->clicks, (unsigned long long)t->looked);
    }
    printf("},\"marginals\":{");
    marginals(&tallies[base], world, row);
    for (int m = 0; m < MARGINALS; m++) {
        printf("%s\"%s\":{\"here\":", m ? "," : "", row[m].name);
        printf(isnan(row[m].here) ? "null" : "%.4f", row[m].here);
        printf(",\"globo\":%.4f}", row[m].globo);
    }
    printf("}}\n");
}
