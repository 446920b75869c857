/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch line beside the prequential one: at the start of each block new learners learn all
 * events before it, in order, and then answer for the block without learning. As a batch system
 * with a feature store would, a query knows the user's visits of the block, and leaves them out;
 * no count, weight or factor does. Because state is a fold, learners made anew equal those that
 * learnt online up to there: what differs is only what is learnt within the block.
 */
#include <stdlib.h>

#include "eval/eval_priv.h"

enum { NO_EVENT = 0 };

struct visits {
    size_t *last;     /* of a user in this block: index of kept + 1, or NO_EVENT */
    size_t *previous; /* of kept: the same user's before it in this block */
    bool *repeat;     /* of kept: that user had that item before */
};

struct visit {
    uint32_t user, item;
    size_t at;
};

static int by_pair(const void *a, const void *b)
{
    const struct visit *x = a, *y = b;
    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static enum fr_status mark_repeats(const struct eval *eval, bool *repeat)
{
    struct visit *all = malloc((eval->kept_count + 1) * sizeof(*all));
    if (!all)
        return FR_MEMORY;
    for (size_t i = 0; i < eval->kept_count; i++)
        all[i] = (struct visit){eval->kept[i].user, eval->kept[i].item, i};
    qsort(all, eval->kept_count, sizeof(*all), by_pair);
    for (size_t i = 1; i < eval->kept_count; i++)
        repeat[all[i].at] = all[i].user == all[i - 1].user && all[i].item == all[i - 1].item;
    free(all);
    return FR_OK;
}

static enum fr_status judge(struct eval *eval, const struct visits *visits, size_t at)
{
    const struct eval_kept *kept = &eval->kept[at];
    uint32_t recent[MODEL_HISTORY_MAX], count = 0;
    for (size_t i = visits->last[kept->user]; i != NO_EVENT && count < MODEL_HISTORY_MAX;
         i = visits->previous[i - 1]) {
        uint32_t item =
            state_item_find(eval->state, state_item_id(eval->names, eval->kept[i - 1].item));
        if (item)
            recent[count++] = item;
    }
    struct model_request request = {.user = state_user_find(eval->state,
                                                            state_user_id(eval->names, kept->user)),
                                    .recent = recent,
                                    .recent_count = count,
                                    .repeats = eval->options.repeats};
    struct rank_outcome outcome;
    double started = eval__cpu_now_us();
    rank_judge(eval->rank, &request,
               state_item_find(eval->state, state_item_id(eval->names, kept->item)), &outcome);
    eval->query_us += eval__cpu_now_us() - started;
    eval->queries++;
    return eval__scored_add(eval, &outcome);
}

static enum fr_status run_block(struct eval *eval, struct visits *visits, size_t from, size_t to)
{
    for (size_t i = 0; i < from; i++) {
        const struct schema_event event = eval__kept_event(eval, &eval->kept[i]);
        FR_TRY(eval__learn(eval, &event, false));
        visits->last[eval->kept[i].user] = NO_EVENT;
    }
    for (size_t i = from; i < to; i++) {
        if (i >= eval->options.skip && (!visits->repeat[i] || eval->options.repeats))
            FR_TRY(judge(eval, visits, i));
        visits->previous[i] = visits->last[eval->kept[i].user];
        visits->last[eval->kept[i].user] = i + 1;
    }
    return FR_OK;
}

enum fr_status eval__refit_finish(struct eval *eval, struct fr_error *error)
{
    uint32_t blocks = eval->options.blocks ? eval->options.blocks : 10;
    struct visits visits = {
        .last = calloc(state_user_count(eval->names) + 1u, sizeof(size_t)),
        .previous = calloc(eval->kept_count + 1, sizeof(size_t)),
        .repeat = calloc(eval->kept_count + 1, sizeof(bool)),
    };
    enum fr_status status = visits.last && visits.previous && visits.repeat ? FR_OK : FR_MEMORY;
    if (status == FR_OK)
        status = mark_repeats(eval, visits.repeat);
    uint64_t learnt = 0;
    for (uint32_t b = 0; b < blocks && status == FR_OK; b++) {
        learnt += eval->events;
        eval->events = 0; /* positions count from the start: what is drawn is keyed by them */
        status = eval__learners_open(eval, error);
        if (status == FR_OK)
            status = run_block(eval, &visits, eval->kept_count * b / blocks,
                               eval->kept_count * (b + 1) / blocks);
    }
    eval->events += learnt;
    free(visits.last);
    free(visits.previous);
    free(visits.repeat);
    return status;
}
