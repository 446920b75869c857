/* SPDX-License-Identifier: Apache-2.0
 *
 * split: random splits without order. gowalla: LightGCN's split, Recall@20 = hits / |T| and nDCG@20
 * normalised by min(|T|, 20). ml100k: 75/25 of each user's ratings, nDCG@10. A tenth of the
 * training part is withheld to tune the blend's weights, then all of it is learnt.
 *
 *   split gowalla|ml100k-split [key=value ...]
 */
#include "base/fmath.h"
#include "base/hash.h"
#include "bench/lib/data.h"
#include "bench/lib/ials.h"
#include "bench/lib/offline.h"
#include "model/encoder.h"
#include "model/ridge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPERTS 5
enum { POP, GRAPH, RIDGE, ENCODER, IALS };
enum { CASES = 4 }; /* a user gives at most, for tuning */
static const char *const names[EXPERTS] = {"popular", "two-step graph", "ridge", "encoder", "ials"};

struct split {
    struct data_sequences all, test; /* `all`: the training part, whole */
    struct data_sequences part;      /* what is learnt now */
    struct data_sequences by_item;   /* users of each item, of `part` */
    struct model_ridge_options ridge_options;
    struct model_ridge *ridge;
    struct model_encoder_options encoder_options;
    struct model_encoder *encoder;
    struct ials_options ials_options;
    struct ials *ials;
    uint32_t epochs, items, stamp, cut, tune_users;
    uint32_t *seen, *all_items;
    float *features[EXPERTS], *blended, weights[EXPERTS], *source, *target;
    float source_exp, target_exp, user_exp;
    uint64_t key;
};

static void invert(struct split *split)
{
    struct data_sequences *part = &split->part, *by = &split->by_item;
    by->start = realloc(by->start, (split->items + 2u) * sizeof(*by->start));
    by->items = realloc(by->items, (part->start[part->user_count] + 1) * sizeof(*by->items));
    memset(by->start, 0, (split->items + 2u) * sizeof(*by->start));
    for (size_t i = 0; i < part->start[part->user_count]; i++)
        by->start[part->items[i] + 1]++;
    for (uint32_t j = 0; j <= split->items; j++)
        by->start[j + 1] += by->start[j];
    size_t *fill = malloc((split->items + 2u) * sizeof(*fill));
    memcpy(fill, by->start, (split->items + 2u) * sizeof(*fill));
    for (uint32_t user = 0; user < part->user_count; user++)
        for (size_t i = part->start[user]; i < part->start[user + 1]; i++)
            by->items[fill[part->items[i]]++] = user;
    free(fill);
}

static bool withheld(const struct split *split, size_t at)
{
    return base_random_u64(split->key, 11, at) % 10 == 0;
}

static void take_part(struct split *split, bool whole)
{
    struct data_sequences *all = &split->all, *part = &split->part;
    part->items = realloc(part->items, (all->start[all->user_count] + 1) * sizeof(*part->items));
    part->start = realloc(part->start, (all->user_count + 1u) * sizeof(*part->start));
    part->user_count = all->user_count;
    size_t n = 0;
    for (uint32_t user = 0; user < all->user_count; user++) {
        part->start[user] = n;
        for (size_t i = all->start[user]; i < all->start[user + 1]; i++)
            if (whole || !withheld(split, i))
                part->items[n++] = all->items[i];
    }
    part->start[all->user_count] = n;
}

/* `count` others of the user, drawn by key, into out. */
static uint32_t others(const struct split *split, uint32_t user, size_t at, uint64_t id,
                       uint32_t *out, uint32_t max)
{
    size_t from = split->part.start[user], size = split->part.start[user + 1] - from;
    uint32_t n = 0;
    size_t first = base_random_u64(split->key, id, at) % size;
    uint64_t stride = 1 + base_random_u64(split->key, id + 1, at) % FR_MAX(size - 1, (size_t)1);
    while (size > 1) { /* a stride that visits all */
        uint64_t a = stride, b = size;
        while (b) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            break;
        stride++;
    }
    for (size_t i = 0; i < size && n < max; i++) {
        size_t k = from + (first + i * stride) % size;
        if (k != at)
            out[n++] = split->part.items[k];
    }
    return n;
}

static void encoder_learn(struct split *split, uint32_t epoch)
{
    const struct data_sequences *part = &split->part;
    size_t total = part->start[part->user_count];
    uint32_t history[MODEL_ENCODER_HISTORY_MAX], *owner = malloc((total + 1) * sizeof(*owner));
    for (uint32_t user = 0; user < part->user_count; user++)
        for (size_t i = part->start[user]; i < part->start[user + 1]; i++)
            owner[i] = user;
    double began = offline_cpu(), loss = 0;
    size_t at = base_random_u64(split->key, 100, epoch) % total;
    for (size_t i = 0; i < total;
         i++) { /* a stride coprime with most totals; near enough a shuffle */
        at = (at + 611953u) % total;
        uint32_t n = others(split, owner[at], at, 1000u + 2u * epoch, history,
                            split->encoder_options.history);
        loss += (double)model_encoder_learn(split->encoder,
                                            &(struct model_encoder_user){.history = history,
                                                                         .count = n},
                                            part->items[at]);
    }
    free(owner);
    printf("encoder epoch %u: loss %.4f, %.1f s CPU\n", epoch, loss / (double)total,
           offline_cpu() - began);
    fflush(stdout);
}

static void learn(struct split *split)
{
    struct fr_error error;
    const struct data_sequences *part = &split->part;
    invert(split);
    model_ridge_free(split->ridge);
    model_encoder_free(split->encoder);
    if (model_ridge_new(&split->ridge_options, &error, &split->ridge) != FR_OK ||
        model_encoder_new(&split->encoder_options, &error, &split->encoder) != FR_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    double began = offline_cpu();
    for (uint32_t user = 0; user < part->user_count; user++) {
        uint32_t size = (uint32_t)(part->start[user + 1] - part->start[user]);
        for (uint32_t i = 0; i < size; i++) /* no order: the user's list up to i is the history */
            model_ridge_count(split->ridge, part->items[part->start[user] + i],
                              part->items + part->start[user], i);
    }
    double counted = offline_cpu();
    model_ridge_queue_all(split->ridge);
    model_ridge_solve(split->ridge, UINT32_MAX);
    struct model_ridge_stats stats;
    model_ridge_stats_get(split->ridge, &stats);
    printf("ridge: counted %.1f s, solved %.1f s CPU, %llu pairs, %llu refused, %.0f MB\n",
           counted - began, offline_cpu() - counted, (unsigned long long)stats.pairs,
           (unsigned long long)stats.pairs_refused, (double)stats.bytes / 1e6);
    for (uint32_t j = 1; j < split->items; j++) {
        float users = (float)(split->by_item.start[j + 1] - split->by_item.start[j]);
        split->source[j] = base_exp2f(-split->source_exp * base_log2f(FR_MAX(users, 1.0f)));
        split->target[j] = base_exp2f(-split->target_exp * base_log2f(FR_MAX(users, 1.0f)));
    }
    for (uint32_t epoch = 0; epoch < split->epochs; epoch++)
        encoder_learn(split, epoch);
    began = offline_cpu();
    ials_free(split->ials);
    split->ials = ials_fit(&split->ials_options, part, &split->by_item, split->items);
    printf("ials: %.1f s CPU\n", offline_cpu() - began);
}

static void score_graph(struct split *split, uint32_t user)
{
    const struct data_sequences *part = &split->part, *by = &split->by_item;
    float *scores = split->features[GRAPH];
    for (size_t i = part->start[user]; i < part->start[user + 1]; i++) {
        uint32_t item = part->items[i];
        for (size_t k = by->start[item]; k < by->start[item + 1]; k++) {
            uint32_t other = by->items[k];
            float size = (float)(part->start[other + 1] - part->start[other]);
            float w = split->source[item] * base_exp2f(-split->user_exp * base_log2f(size));
            for (size_t m = part->start[other]; other != user && m < part->start[other + 1]; m++)
                scores[part->items[m]] += w;
        }
    }
    for (uint32_t j = 1; j < split->items; j++)
        scores[j] *= split->target[j];
}

static void score(struct split *split, uint32_t user)
{
    const struct data_sequences *part = &split->part;
    split->stamp++;
    const uint32_t *own = part->items + part->start[user];
    uint32_t size = (uint32_t)(part->start[user + 1] - part->start[user]);
    for (uint32_t i = 0; i < size; i++)
        split->seen[own[i]] = split->stamp;
    for (int e = 0; e < EXPERTS; e++)
        memset(split->features[e], 0, split->items * sizeof(float));
    for (uint32_t j = 1; j < split->items; j++)
        split->features[POP][j] = (float)(split->by_item.start[j + 1] - split->by_item.start[j]);
    score_graph(split, user);
    static float ones[MODEL_RIDGE_QUERY_MAX];
    for (uint32_t i = 0; i < MODEL_RIDGE_QUERY_MAX; i++)
        ones[i] = 1;
    struct model_ridge_query query = {own, ones, size};
    model_ridge_query(split->ridge, &query, split->features[RIDGE], split->items);
    float vector[MODEL_ENCODER_DIMENSION_MAX];
    if (split->epochs &&
        model_encoder_vector(split->encoder,
                             &(struct model_encoder_user){.history = own, .count = size}, vector)) {
        model_encoder_scores(split->encoder, vector, split->all_items, split->items,
                             split->features[ENCODER]);
        for (uint32_t j = 1; j < split->items; j++)
            split->features[ENCODER][j] = base_expf(split->features[ENCODER][j]);
    }
    if (split->ials)
        ials_scores(split->ials, user, split->features[IALS]);
    for (int e = 0; e < EXPERTS; e++)
        offline_blend_feature(split->features[e], split->items, split->seen, split->stamp);
}

/* Cases of a user's withheld items, each with the others as no candidates. */
static void tune_user(struct split *split, uint32_t user, struct offline_blend *blend,
                      struct offline_metrics *metrics)
{
    const uint32_t *items = split->all.items;
    size_t from = split->all.start[user], many = split->all.start[user + 1] - from;
    uint64_t first = base_random_u64(split->key, 12, user);
    uint32_t cases = 0;
    for (size_t i = from; i < from + many; i++)
        if (withheld(split, i))
            split->seen[items[i]] = split->stamp;
    for (size_t n = 0; n < many && cases < CASES; n++) {
        size_t i = from + (first + n) % many;
        if (!withheld(split, i))
            continue;
        cases++;
        split->seen[items[i]] = 0;
        for (int e = 0; e < EXPERTS; e++)
            offline_metrics_add(&metrics[e], offline_rank(split->features[e], split->items,
                                                          split->seen, split->stamp, items[i]));
        offline_blend_case(blend, split->features, split->seen, split->stamp, items[i]);
        split->seen[items[i]] = split->stamp;
    }
}

static void tune(struct split *split)
{
    struct offline_blend *blend = offline_blend_new(EXPERTS, split->items);
    struct offline_metrics metrics[EXPERTS] = {0};
    uint32_t every = FR_MAX(split->all.user_count / split->tune_users, 1u);
    for (uint32_t user = 0; user < split->all.user_count; user += every) {
        if (split->part.start[user] == split->part.start[user + 1])
            continue;
        score(split, user);
        tune_user(split, user, blend, metrics);
    }
    for (int e = 0; e < EXPERTS; e++)
        offline_metrics_print(names[e], &metrics[e]);
    double value = offline_blend_tune(blend, split->weights);
    printf("weights");
    for (int e = 0; e < EXPERTS; e++)
        printf(" %s %.3f", names[e], (double)split->weights[e]);
    printf(", N@20 + HR@20 / 2 %.4f\n", value);
    fflush(stdout);
    offline_blend_free(blend);
}

struct ranked {
    double recall, ndcg, precision, count;
};

/* Targets' ranks among all candidates, then hits in the first `cut`. */
static void ranked_add(const struct split *split, const float *scores, uint32_t user,
                       struct ranked *ranked)
{
    size_t from = split->test.start[user], to = split->test.start[user + 1];
    double hits = 0, gain = 0, ideal = 0;
    for (size_t i = from; i < to; i++) {
        double rank =
            offline_rank(scores, split->items, split->seen, split->stamp, split->test.items[i]);
        if (rank < split->cut) {
            hits += 1;
            gain += 1.0 / log2(rank + 2.0);
        }
        if (i - from < split->cut)
            ideal += 1.0 / log2((double)(i - from) + 2.0);
    }
    ranked->recall += hits / (double)(to - from);
    ranked->precision += hits / split->cut;
    ranked->ndcg += gain / ideal;
    ranked->count += 1;
}

static void test(struct split *split, uint32_t every)
{
    struct ranked ranked[EXPERTS + 1] = {0};
    double began = offline_cpu();
    for (uint32_t user = 0; user < split->test.user_count; user += every) {
        if (split->test.start[user] == split->test.start[user + 1])
            continue;
        score(split, user);
        offline_blend_apply(split->weights, split->features, EXPERTS, split->items, split->blended);
        for (int e = 0; e <= EXPERTS; e++)
            ranked_add(split, e < EXPERTS ? split->features[e] : split->blended, user, &ranked[e]);
    }
    for (int e = 0; e <= EXPERTS; e++)
        printf("test %-16s R@%u %.4f  N@%u %.4f  P@%u %.4f  (%.0f users)\n",
               e < EXPERTS ? names[e] : "BLEND", split->cut, ranked[e].recall / ranked[e].count,
               split->cut, ranked[e].ndcg / ranked[e].count, split->cut,
               ranked[e].precision / ranked[e].count, ranked[e].count);
    printf("%.1f s CPU\n", offline_cpu() - began);
    printf("{\"r@%u\": %.5f, \"ndcg@%u\": %.5f, \"users\": %.0f}\n", split->cut,
           ranked[EXPERTS].recall / ranked[EXPERTS].count, split->cut,
           ranked[EXPERTS].ndcg / ranked[EXPERTS].count, ranked[EXPERTS].count);
}

static float argument(int argc, char **argv, const char *key, float fallback)
{
    size_t length = strlen(key);
    for (int i = 2; i < argc; i++)
        if (!strncmp(argv[i], key, length) && argv[i][length] == '=')
            return strtof(argv[i] + length + 1, NULL);
    return fallback;
}

static void configure(struct split *split, int argc, char **argv)
{
    bool gowalla = !strcmp(argv[1], "gowalla");
    split->cut = gowalla ? 20 : 10;
    struct model_ridge_options *o = &split->ridge_options;
    model_ridge_defaults(o);
    o->item_max = split->items;
    o->pair_max = 64u << 20;
    o->window = o->history_max = 1024;
    o->distance = 0;
    o->back = 1;
    o->growth = 1e9f;
    o->row_targets = 1023;
    o->neighbours = (uint32_t)argument(argc, argv, "neighbours", gowalla ? 200 : 256);
    o->lambda = argument(argc, argv, "lambda", gowalla ? 50 : 400);
    o->diagonal = argument(argc, argv, "diagonal", 0);
    o->popularity = argument(argc, argv, "popularity", 0);
    split->source_exp = argument(argc, argv, "source", 0.7f);
    split->target_exp = argument(argc, argv, "target", gowalla ? 0.2f : 0.4f);
    split->user_exp = argument(argc, argv, "user", 1);
    struct model_encoder_options *e = &split->encoder_options;
    model_encoder_defaults(e);
    e->item_max = split->items;
    e->recency = 1.0f;
    e->history = (uint32_t)argument(argc, argv, "encoder_history", 40);
    e->negatives = (uint32_t)argument(argc, argv, "negatives", 256);
    e->hidden = (uint32_t)argument(argc, argv, "hidden", 0);
    e->rate = argument(argc, argv, "rate", 0.1f);
    e->dimension = (uint32_t)argument(argc, argv, "dimension", 64);
    e->l2 = argument(argc, argv, "l2", 0);
    split->epochs = (uint32_t)argument(argc, argv, "epochs", 3);
    struct ials_options *a = &split->ials_options;
    a->dimension = (uint32_t)argument(argc, argv, "ials", 64);
    a->epochs = (uint32_t)argument(argc, argv, "ials_epochs", 10);
    a->alpha = argument(argc, argv, "alpha", gowalla ? 0.1f : 0.2f);
    a->lambda = argument(argc, argv, "ials_lambda", gowalla ? 0.005f : 0.02f);
    a->seed = 5;
    split->tune_users = (uint32_t)argument(argc, argv, "tune", 2000);
}

int main(int argc, char **argv)
{
    static struct split split;
    split.key = 1;
    if (argc < 2)
        return 2;
    split.key = (uint64_t)argument(argc, argv, "key", 1);
    if (data_split_load(argv[1], split.key, &split.all, &split.test) != FR_OK)
        return 0;
    FR_ASSERT(split.all.user_count == split.test.user_count);
    split.items = FR_MAX(split.all.item_max, split.test.item_max);
    configure(&split, argc, argv);
    split.seen = calloc(split.items, sizeof(uint32_t));
    split.all_items = calloc(split.items, sizeof(uint32_t));
    split.source = calloc(split.items, sizeof(float));
    split.target = calloc(split.items, sizeof(float));
    split.blended = calloc(split.items, sizeof(float));
    for (int e = 0; e < EXPERTS; e++)
        split.features[e] = calloc(split.items, sizeof(float));
    for (uint32_t j = 0; j < split.items; j++)
        split.all_items[j] = j;
    take_part(&split, false);
    learn(&split);
    tune(&split);
    if (argument(argc, argv, "notest", 0) != 0)
        return 0;
    take_part(&split, true);
    learn(&split);
    test(&split, (uint32_t)argument(argc, argv, "every", 1));
    return 0;
}
