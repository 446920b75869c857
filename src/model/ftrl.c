/* SPDX-License-Identifier: Apache-2.0
 *
 * ftrl: see the door. Owner: one table.
 */
#include "model/ftrl.h"

#include "model/ids.h"
#include "model/word.h"

#include <stdlib.h>

struct row {
    float z, n, w, unused;
};

struct model_ftrl {
    struct model_ftrl_options options;
    struct base_rows *rows;
    float alpha_inverse;
};

void model_ftrl_defaults(struct model_ftrl_options *out_options)
{
    *out_options = (struct model_ftrl_options){.name = "ftrl",
                                               .id_max = 1u << 20,
                                               .alpha = 0.2f,
                                               .beta = 1.0f,
                                               .l1 = 0.0f,
                                               .l2 = 3.0f};
}

enum fr_status model_ftrl_new(const struct model_ftrl_options *options, struct fr_error *error,
                              struct model_ftrl **out_ftrl)
{
    FR_ASSERT(options->alpha > 0 && options->beta >= 0 && options->l1 >= 0 && options->l2 >= 0);
    struct model_ftrl *ftrl = calloc(1, sizeof(*ftrl));
    if (!ftrl)
        return base_fail(error, FR_MEMORY, "model", "no memory for %s", options->name);
    ftrl->options = *options;
    ftrl->alpha_inverse = 1.0f / options->alpha;
    struct base_rows_options table = {.name = options->name,
                                      .row_bytes = sizeof(struct row),
                                      .count_max = options->id_max};
    enum fr_status status = base_rows_new(&table, error, &ftrl->rows);
    if (status != FR_OK) {
        free(ftrl);
        return status;
    }
    *out_ftrl = ftrl;
    return FR_OK;
}

void model_ftrl_free(struct model_ftrl *ftrl)
{
    if (!ftrl)
        return;
    base_rows_free(ftrl->rows);
    free(ftrl);
}

struct base_rows *model_ftrl_table(struct model_ftrl *ftrl)
{
    return ftrl->rows;
}

float model_ftrl_weight(const struct model_ftrl *ftrl, uint32_t id)
{
    if (id == 0 || id >= base_rows_count(ftrl->rows))
        return 0.0f;
    const struct row *row = base_rows_at(ftrl->rows, id);
    return model_word_load(&row->w);
}

float model_ftrl_score(const struct model_ftrl *ftrl, const struct model_sparse *features,
                       uint32_t count)
{
    float sum = 0.0f;
    for (uint32_t i = 0; i < count; i++)
        sum += model_ftrl_weight(ftrl, features[i].id) * features[i].value;
    return sum;
}

static void step_row(const struct model_ftrl *ftrl, struct row *row, float g)
{
    const struct model_ftrl_options *options = &ftrl->options;
    float n = row->n + g * g, root = __builtin_sqrtf(n);
    float sigma = (root - __builtin_sqrtf(row->n)) * ftrl->alpha_inverse;
    float z = row->z + (g - sigma * row->w);
    float shrunk = z > options->l1 ? z - options->l1 : z < -options->l1 ? z + options->l1 : 0.0f;
    row->z = z;
    row->n = n;
    model_word_store(&row->w,
                     -shrunk / ((options->beta + root) * ftrl->alpha_inverse + options->l2));
}

void model_ftrl_step(struct model_ftrl *ftrl, const struct model_sparse *features, uint32_t count,
                     float gradient)
{
    for (uint32_t i = 0; i < count; i++) {
        if (features[i].id != 0 && model_rows_reach(ftrl->rows, features[i].id))
            step_row(ftrl, base_rows_write(ftrl->rows, features[i].id),
                     gradient * features[i].value);
    }
}

void model_ftrl_reset(struct model_ftrl *ftrl, uint32_t id)
{
    if (id >= base_rows_count(ftrl->rows))
        return;
    struct row *row = base_rows_write(ftrl->rows, id);
    row->z = row->n = 0;
    model_word_store(&row->w, 0.0f);
}
