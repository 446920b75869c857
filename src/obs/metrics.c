/* SPDX-License-Identifier: Apache-2.0
 *
 * obs metrics: the shards. Each thread that counts owns one shard and adds with a relaxed load and
 * store; threads beyond the last share it and add atomically. A dying thread gives its shard on,
 * values and all, so sums never go back. Gauges are one atomic word.
 *
 * Owner: everything here is static. Locks: `registry`, a leaf, at a thread's first count, at its
 * death, and when collectors change or run.
 */
#include "obs/obs_priv.h"

#include <pthread.h>
#include <string.h>

enum { SHARD_COUNT = 24 }; /* the last one is shared */

struct shard {
    uint64_t counters[OBS_COUNTER_COUNT];
    struct obs_histogram histograms[OBS_HISTOGRAM_COUNT];
};

static struct shard shards[SHARD_COUNT];
static bool shard_taken[SHARD_COUNT - 1];
static uint64_t gauges[OBS_GAUGE_COUNT]; /* bits of a double */
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t shard_key;
static pthread_once_t shard_key_once = PTHREAD_ONCE_INIT;
static _Thread_local struct shard *mine;

static struct {
    obs_collect_fn collect;
    void *context;
} collectors[OBS_COLLECTORS_MAX];
static uint32_t collector_count;

static void shard_give_up(void *shard)
{
    mine = &shards[SHARD_COUNT - 1];
    pthread_mutex_lock(&registry);
    shard_taken[(struct shard *)shard - shards] = false;
    pthread_mutex_unlock(&registry);
}

static void shard_key_make(void)
{
    FR_ASSERT(pthread_key_create(&shard_key, shard_give_up) == 0);
}

static struct shard *shard_take(void)
{
    pthread_once(&shard_key_once, shard_key_make);
    uint32_t i = 0;
    pthread_mutex_lock(&registry);
    while (i < SHARD_COUNT - 1 && shard_taken[i])
        i++;
    if (i < SHARD_COUNT - 1)
        shard_taken[i] = true;
    pthread_mutex_unlock(&registry);
    mine = &shards[i];
    if (i < SHARD_COUNT - 1)
        pthread_setspecific(shard_key, mine);
    return mine;
}

static inline struct shard *shard_mine(void)
{
    return mine ? mine : shard_take();
}

static inline void add(const struct shard *shard, uint64_t *word, uint64_t amount)
{
    if (shard == &shards[SHARD_COUNT - 1])
        __atomic_fetch_add(word, amount, __ATOMIC_RELAXED);
    else
        FR_STORE(*word, *word + amount);
}

void obs_counter_add(enum obs_counter counter, uint64_t amount)
{
    struct shard *shard = shard_mine();
    add(shard, &shard->counters[counter], amount);
}

uint64_t obs_counter_value(enum obs_counter counter)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SHARD_COUNT; i++)
        sum += FR_LOAD(shards[i].counters[counter]);
    return sum;
}

void obs_gauge_set(enum obs_gauge gauge, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    FR_STORE(gauges[gauge], bits);
}

double obs_gauge_value(enum obs_gauge gauge)
{
    uint64_t bits = FR_LOAD(gauges[gauge]);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

void obs_histogram_record(enum obs_histogram_id histogram, uint64_t value)
{
    struct shard *shard = shard_mine();
    struct obs_histogram *mine_of = &shard->histograms[histogram];
    add(shard, &mine_of->buckets[obs__bucket_of(value)], 1);
    add(shard, &mine_of->sum, value);
}

void obs__histogram_sum(enum obs_histogram_id histogram, struct obs_histogram *out_sum)
{
    *out_sum = (struct obs_histogram){0};
    for (uint32_t i = 0; i < SHARD_COUNT; i++)
        obs_hist_merge(out_sum, &shards[i].histograms[histogram]);
}

uint64_t obs_histogram_quantile(enum obs_histogram_id histogram, double q)
{
    struct obs_histogram sum;
    obs__histogram_sum(histogram, &sum);
    return obs_hist_quantile(&sum, q);
}

uint64_t obs_histogram_count(enum obs_histogram_id histogram)
{
    struct obs_histogram sum;
    obs__histogram_sum(histogram, &sum);
    return obs_hist_count(&sum);
}

enum fr_status obs_collector_add(obs_collect_fn collect, void *context)
{
    enum fr_status status = FR_FULL;
    pthread_mutex_lock(&registry);
    if (collector_count < OBS_COLLECTORS_MAX) {
        collectors[collector_count].collect = collect;
        collectors[collector_count++].context = context;
        status = FR_OK;
    }
    pthread_mutex_unlock(&registry);
    return status;
}

void obs_collector_remove(obs_collect_fn collect, void *context)
{
    pthread_mutex_lock(&registry);
    for (uint32_t i = 0; i < collector_count; i++) {
        if (collectors[i].collect != collect || collectors[i].context != context)
            continue;
        collectors[i] = collectors[--collector_count];
        break;
    }
    pthread_mutex_unlock(&registry);
}

void obs__collect_all(struct obs_collect *to)
{
    pthread_mutex_lock(&registry);
    for (uint32_t i = 0; i < collector_count; i++)
        collectors[i].collect(collectors[i].context, to);
    pthread_mutex_unlock(&registry);
}
