/* SPDX-License-Identifier: Apache-2.0
 *
 * Prequential figures: of the blend, of the popularity baseline and of each expert alone, over all
 * scored events and fading (alpha = .999 an event). Events that answer our own slates have a row of
 * their own.
 * Thread: written by the fold thread, read by any (each word whole; a set may be one event apart).
 */
#include <string.h>

#include "base/fmath.h"
#include "rank/rank_priv.h"

enum fr_status rank__figures_new(struct rank *rank, struct fr_error *error)
{
    struct base_rows_options options = {.name = "figures",
                                        .row_bytes = sizeof(struct figure_row),
                                        .count_max = FIGURE_ROWS};
    FR_TRY(base_rows_new(&options, error, &rank->figures));
    rank__table_add(rank, rank->figures);
    for (uint32_t i = 1; i < FIGURE_ROWS; i++)
        FR_ASSERT(base_rows_add(rank->figures) == i);
    return FR_OK;
}

void rank__figure_add(struct rank *rank, uint32_t index, float target_rank)
{
    struct figure_row *row = base_rows_write(rank->figures, index), next = *row;
    float hit = target_rank < 10.0f ? 1.0f : 0.0f;
    float mrr = hit / (target_rank + 1.0f);
    next.scored++;
    next.hit10 += target_rank < 10.0f;
    next.hit20 += target_rank < 20.0f;
    next.mrr10 += (double)mrr;
    next.ndcg10 += (double)(hit / base_log2f(target_rank + 2.0f));
    next.recent_hit10 = next.recent_hit10 * 0.999 + (double)hit;
    next.recent_mrr10 = next.recent_mrr10 * 0.999 + (double)mrr;
    next.recent_weight = next.recent_weight * 0.999 + 1.0;
    base_rows_put(row, &next, sizeof(next));
}

static void figure_read(const struct rank *rank, uint32_t index, const char *name,
                        struct rank_figure *out)
{
    struct figure_row row;
    base_rows_copy(&row, base_rows_at(rank->figures, index), sizeof(row));
    double n = row.scored ? (double)row.scored : 1.0;
    double recent = row.recent_weight > 0.0 ? row.recent_weight : 1.0;
    *out = (struct rank_figure){
        .name = name,
        .scored = row.scored,
        .hit10 = (double)row.hit10 / n,
        .hit20 = (double)row.hit20 / n,
        .mrr10 = row.mrr10 / n,
        .ndcg10 = row.ndcg10 / n,
        .recent_hit10 = row.recent_hit10 / recent,
        .recent_mrr10 = row.recent_mrr10 / recent,
    };
}

uint64_t rank__figure_scored(const struct rank *rank, uint32_t index)
{
    const struct figure_row *row = base_rows_at(rank->figures, index);
    return FR_LOAD(row->scored);
}

void rank_figure_caused(const struct rank *rank, struct rank_figure *out)
{
    figure_read(rank, FIGURE_CAUSED, "slates", out);
}

uint32_t rank_figures(const struct rank *rank, struct rank_figure *out, uint32_t count_max)
{
    uint32_t count = FR_MIN(rank->expert_count + 2, count_max);
    for (uint32_t i = 0; i < count; i++)
        figure_read(rank, FIGURE_BLEND + i,
                    i == 0   ? "blend"
                    : i == 1 ? "popular"
                             : rank->expert[i - 2]->name,
                    &out[i]);
    return count;
}
