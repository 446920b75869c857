/* SPDX-License-Identifier: Apache-2.0
 *
 * report: what an arm's play came to, and how it is printed.
 */
#ifndef WORLD_REPORT_H
#define WORLD_REPORT_H

#include "world.h"

enum { REPORT_LENGTHS = 48 };

struct report_click {
    uint32_t item;
    double hour;
};

struct report_tally {
    const char *name;
    uint64_t slates, looked, clicks;
    double *reader_clicks, *reader_looked; /* by reader */
    uint64_t sessions[REPORT_LENGTHS];     /* by number of clicks */
    struct report_click *click;            /* all, in the order of time */
    size_t click_max;
    double ctr, ctr_low, ctr_high; /* filled by report_compare() */
    double lift, lift_low, lift_high;
};

void report_tally_init(struct report_tally *tally, const char *name, uint32_t readers);
void report_tally_release(struct report_tally *tally);
void report_click_add(struct report_tally *tally, uint32_t item, double hour);

/* Fills in CTR and lift over tallies[base] with their 95 % intervals: percentiles of a bootstrap in
 * which readers are drawn, the same ones for every arm (paired, since the same readers play). */
void report_compare(struct report_tally *tallies, size_t count, size_t base,
                    const struct world_options *options);
/* `base` as above: its marginals stand for the world's. */
void report_print_text(const struct report_tally *tallies, size_t count, size_t base,
                       const struct world *world);
void report_print_json(const struct report_tally *tallies, size_t count, size_t base,
                       const struct world *world);

#endif
