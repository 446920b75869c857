/* SPDX-License-Identifier: Apache-2.0
 *
 * The split protocol: the train part is learnt, then each user of the test part is answered once
 * and the whole list judged against the set T of their test items that are not in their train part:
 *     recall@K = hits / |T|   (given as HR@K)
 *     NDCG@K   = sum over hits of 1 / log2(rank + 2), over the same for min(K, |T|) ideal hits
 *     MRR@K    = 1 / (rank of the first hit + 1)
 * Users without such an item are left out, as in the published tables.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/eval_priv.h"

enum { SPLIT_CANDIDATES = MODEL_BATCH_MAX, TARGETS_MAX = 4096 };

static void judge_list(struct eval *eval, const struct rank_result *list, const uint32_t *targets,
                       uint32_t target_count)
{
    struct eval_metrics *sum = &eval->split;
    sum->scored++;
    for (uint32_t k = 0; k < eval->k_count; k++) {
        double hits = 0, dcg = 0, ideal = 0, first = 0;
        for (uint32_t r = 0; r < list->count && r < eval->k[k]; r++)
            for (uint32_t t = 0; t < target_count; t++)
                if (targets[t] == list->item[r]) {
                    hits += 1;
                    dcg += 1.0 / log2((double)r + 2.0);
                    first = first > 0 ? first : 1.0 / ((double)r + 1.0);
                }
        for (uint32_t r = 0; r < target_count && r < eval->k[k]; r++)
            ideal += 1.0 / log2((double)r + 2.0);
        sum->hr[k] += hits / (double)target_count;
        sum->ndcg[k] += dcg / ideal;
        sum->mrr[k] += first;
    }
}

static bool holds(const uint32_t *items, uint32_t count, uint32_t item)
{
    for (uint32_t i = 0; i < count; i++)
        if (items[i] == item)
            return true;
    return false;
}

/* `events` are one user's test events. An item that training never saw can only be missed. */
static enum fr_status judge_user(struct eval *eval, struct base_arena *arena,
                                 const struct eval_kept *const *events, uint32_t count)
{
    struct model_request request = {.user = state_user_find(eval->state,
                                                            state_user_id(eval->names,
                                                                          events[0]->user)),
                                    .repeats = eval->options.repeats};
    const struct rank_query_options options = {.retrieve.candidates_max = SPLIT_CANDIDATES};
    struct model_query query;
    struct rank_result list;
    uint32_t targets[TARGETS_MAX], target_count = 0;
    base_arena_clear(arena);
    FR_TRY(model_query_build(eval->state, &request, arena, &query));
    FR_TRY(rank_query(eval->rank, &query, &options, arena, &list));
    for (uint32_t e = 0; e < count && target_count < TARGETS_MAX; e++) {
        uint32_t item = state_item_find(eval->state, state_item_id(eval->names, events[e]->item));
        if (item == 0)
            item = UINT32_MAX - e;
        if (!holds(targets, target_count, item) && !holds(query.seen, query.seen_count, item))
            targets[target_count++] = item;
    }
    eval->queries++;
    if (target_count > 0)
        judge_list(eval, &list, targets, target_count);
    return FR_OK;
}

static int by_user(const void *a, const void *b)
{
    const struct eval_kept *x = *(const struct eval_kept *const *)a;
    const struct eval_kept *y = *(const struct eval_kept *const *)b;
    return x->user != y->user ? (x->user < y->user ? -1 : 1) : (x < y ? -1 : x > y);
}

enum fr_status eval__split_finish(struct eval *eval)
{
    const struct eval_kept **order = calloc(eval->kept_count + 1, sizeof(*order));
    struct base_arena arena;
    enum fr_status status = order ? base_arena_init(&arena, 2 * RANK_ARENA_BYTES) : FR_MEMORY;
    if (status != FR_OK) {
        free(order);
        return status;
    }
    for (size_t i = 0; i < eval->kept_count; i++)
        order[i] = &eval->kept[i];
    qsort(order, eval->kept_count, sizeof(*order), by_user);
    for (size_t i = 0, to; i < eval->kept_count && status == FR_OK; i = to) {
        for (to = i + 1; to < eval->kept_count && order[to]->user == order[i]->user; to++)
            ;
        status = judge_user(eval, &arena, order + i, (uint32_t)(to - i));
    }
    for (uint32_t k = 0; k < eval->k_count && eval->split.scored; k++) {
        eval->split.hr[k] /= (double)eval->split.scored;
        eval->split.ndcg[k] /= (double)eval->split.scored;
        eval->split.mrr[k] /= (double)eval->split.scored;
    }
    eval->scored = eval->split.scored;
    base_arena_release(&arena);
    free(order);
    return status;
}
