/* SPDX-License-Identifier: Apache-2.0
 *
 * obs, inside the room: bucket arithmetic shared by histograms and the Prometheus printer.
 */
#ifndef OBS_OBS_PRIV_H
#define OBS_OBS_PRIV_H

#include "obs/obs.h"

/* The bucket of a value, and the smallest value of a bucket: low(of(v)) <= v < low(of(v) + 1). */
uint32_t obs__bucket_of(uint64_t value);
uint64_t obs__bucket_low(uint32_t bucket);

/* The sums over all shards, for the printer. */
void obs__histogram_sum(enum obs_histogram_id histogram, struct obs_histogram *out_sum);

/* Runs the collectors in turn. */
void obs__collect_all(struct obs_collect *to);

#endif
