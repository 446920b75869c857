/* SPDX-License-Identifier: Apache-2.0
 *
 * eval/clicks: files of labelled events through the click model (model/ctr.h), every example
 * predicted before it is learnt.
 *
 * An example is an event with a value; its label is value >= `positive`. Facets come from what is
 * known without the label: the event's context, hour and weekday (when the files have times), the
 * item's categories, tags, author, language, attributes and year of publication, the user's
 * attributes. An attribute whose values are all numbers, at least twelve different ones, becomes
 * ten classes of equally many entries and a standardised number; classes are made from the
 * catalogue alone. Items and users may be given before or after the events.
 *
 * Thread: one at a time. Cost: all examples are kept, about 40 bytes each and 16 a facet.
 */
#ifndef EVAL_CLICKS_H
#define EVAL_CLICKS_H

#include "eval/ctr.h"
#include "schema/schema.h"

struct eval_clicks_options {
    double positive; /* the least value of a positive example */
    uint64_t skip;   /* examples at the start that are not scored */
    bool clock;      /* times are real: hour and weekday are facets */
    bool repeats;    /* the cross of user and item */
    bool gbt; /* boosted trees beside: over the model's dense features and its parts' scores */
};

enum { EVAL_CLICKS_PARTS = 6 };
struct eval_clicks_result {
    uint64_t examples, unlabelled; /* unlabelled: events without a value, left out */
    struct eval_ctr_result model;
    struct eval_ctr_result parts[EVAL_CLICKS_PARTS]; /* each part alone, of the same examples */
    const char *part_names[EVAL_CLICKS_PARTS];
    uint32_t part_count;
    uint32_t kind_count;
    double cpu_us_per_example, rss_mb;
};

struct eval_clicks;
FR_MUST_USE enum fr_status eval_clicks_new(const struct eval_clicks_options *options,
                                           struct eval_clicks **out_clicks);
void eval_clicks_free(struct eval_clicks *clicks);
/* FR_MEMORY; FR_FULL: more kinds of facets than MODEL_CTR_KINDS_MAX. Borrowed. */
FR_MUST_USE enum fr_status eval_clicks_item(struct eval_clicks *clicks,
                                            const struct schema_item *item);
FR_MUST_USE enum fr_status eval_clicks_user(struct eval_clicks *clicks,
                                            const struct schema_user *user);
/* test: predicted only, and then only such are scored; after all others. */
FR_MUST_USE enum fr_status eval_clicks_event(struct eval_clicks *clicks,
                                             const struct schema_event *event, bool test);
/* Once. FR_INVALID: no labelled event, or all labels alike. */
FR_MUST_USE enum fr_status eval_clicks_finish(struct eval_clicks *clicks, struct fr_error *error,
                                              struct eval_clicks_result *out_result);
void eval_clicks_table(const struct eval_clicks_result *result, struct base_buf *out);
void eval_clicks_json(const struct eval_clicks_result *result, struct base_buf *out);

#endif
