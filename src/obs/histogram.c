/* SPDX-License-Identifier: Apache-2.0
 *
 * obs histograms: log-linear buckets after HdrHistogram. A value v < 32 has a bucket of its own; a
 * larger one with highest bit e falls into one of 16 buckets of width 2^(e-4). One shift and one
 * add find the bucket. Thread: the owner of each histogram; readers of shards load word by word.
 */
#include "obs/obs_priv.h"

#include <math.h>

enum { SUB_COUNT = 1 << OBS_SUB_BITS };

uint32_t obs__bucket_of(uint64_t value)
{
    if (value >= (uint64_t)1 << OBS_EXPONENT_MAX)
        return OBS_BUCKET_COUNT - 1;
    if (value < SUB_COUNT)
        return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - OBS_SUB_BITS;
    return (shift << OBS_SUB_BITS) + (uint32_t)(value >> shift);
}

uint64_t obs__bucket_low(uint32_t bucket)
{
    if (bucket < 2 * SUB_COUNT)
        return bucket;
    uint32_t shift = (bucket >> OBS_SUB_BITS) - 1;
    return (uint64_t)(bucket - (shift << OBS_SUB_BITS)) << shift;
}

void obs_hist_record(struct obs_histogram *histogram, uint64_t value)
{
    histogram->buckets[obs__bucket_of(value)]++;
    histogram->sum += value;
}

void obs_hist_merge(struct obs_histogram *into, const struct obs_histogram *from)
{
    for (uint32_t i = 0; i < OBS_BUCKET_COUNT; i++)
        into->buckets[i] += FR_LOAD(from->buckets[i]);
    into->sum += FR_LOAD(from->sum);
}

uint64_t obs_hist_count(const struct obs_histogram *histogram)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < OBS_BUCKET_COUNT; i++)
        count += histogram->buckets[i];
    return count;
}

uint64_t obs_hist_quantile(const struct obs_histogram *histogram, double q)
{
    uint64_t count = obs_hist_count(histogram), below = 0;
    if (count == 0)
        return 0;
    double rank = ceil(FR_MIN(FR_MAX(q, 0.0), 1.0) * (double)count);
    uint64_t wanted = FR_MAX((uint64_t)rank, (uint64_t)1);
    uint32_t bucket = 0;
    for (; bucket < OBS_BUCKET_COUNT - 1; bucket++) {
        below += histogram->buckets[bucket];
        if (below >= wanted)
            break;
    }
    /* the middle of the bucket: at most 1/32 of the value away */
    uint64_t low = obs__bucket_low(bucket);
    uint64_t width = bucket < 2 * SUB_COUNT ? 1 : (uint64_t)1 << ((bucket >> OBS_SUB_BITS) - 1);
    return low + width / 2;
}
