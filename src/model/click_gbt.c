/* SPDX-License-Identifier: Apache-2.0
 *
 * Click expert "gbt": boosted trees over the click examples' numbers (counters, ages, the first
 * stage's scores). Deferred, an artefact: libxgboost goes on boosting on a reservoir of examples with
 * one thread; its bytes are journalled, since a library's floats are not equal across machines, and
 * predicted from by trees.h everywhere alike.
 *
 * Tables: the reservoir (gbt.h); "click_gbt_artefact" and "click_gbt_old": bytes in rows of 8 KiB,
 * meta [0] how many bytes, [1] rows offered when the last job began, [2] jobs installed.
 * Thread: own for the fold thread; slots are the published copies, held by readers while they score.
 */
#include "model/clicks.h"
#include "model/gbt.h"
#include "model/ids.h"
#include "model/trees.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_BYTES = 8192,
    CHUNKS_MAX = 128,
    SLOTS = 4,
    PART = 16,
};
enum { META_BYTES, META_SEEN, META_JOBS };

struct slot {
    struct model_trees *trees;
    int32_t holders; /* atomic */
};

struct expert {
    struct model_gbt_options options;
    struct model_gbt *gbt;
    struct base_rows *artefact, *old;
    struct model_trees *own;
    struct slot slot[SLOTS];
    int32_t current;                    /* atomic; -1: nothing yet */
    float *features, *labels, *weights; /* frozen for the worker */
    uint32_t frozen;
    struct base_buf before, result; /* the worker's */
};

static void expert_close(void *self)
{
    struct expert *expert = self;
    model_gbt_free(expert->gbt);
    base_rows_free(expert->artefact);
    base_rows_free(expert->old);
    model_trees_free(expert->own);
    for (uint32_t i = 0; i < SLOTS; i++)
        model_trees_free(expert->slot[i].trees);
    free(expert->features);
    free(expert->labels);
    free(expert->weights);
    base_buf_release(&expert->before);
    base_buf_release(&expert->result);
}

static enum fr_status expert_open(void *self, const struct model_click_shape *shape,
                                  struct fr_error *error)
{
    struct expert *expert = self;
    struct base_rows_options table = {.name = "click_gbt_artefact",
                                      .row_bytes = CHUNK_BYTES,
                                      .count_max = CHUNKS_MAX + 1};
    model_gbt_click_options(&expert->options);
    expert->options.features = model_clicks_input_count(shape->clicks);
    expert->options.seed = shape->seed;
    expert->current = -1;
    base_buf_init(&expert->before, 0);
    base_buf_init(&expert->result, 0);
    const size_t rows = expert->options.rows;
    expert->features = calloc(rows * expert->options.features, sizeof(float));
    expert->labels = calloc(rows, sizeof(float));
    expert->weights = calloc(rows, sizeof(float));
    if (!expert->features || !expert->labels || !expert->weights)
        return base_fail(error, FR_MEMORY, "model", "no memory for the boosting expert");
    FR_TRY(base_rows_new(&table, error, &expert->artefact));
    table.name = "click_gbt_old";
    FR_TRY(base_rows_new(&table, error, &expert->old));
    return model_gbt_new(&expert->options, error, &expert->gbt);
}

static uint32_t expert_tables(void *self, struct base_rows *out[MODEL_CLICK_TABLES_MAX])
{
    struct expert *expert = self;
    out[0] = model_gbt_table(expert->gbt);
    out[1] = expert->artefact;
    out[2] = expert->old;
    return 3;
}

/* ---- bytes in rows ---------------------------------------------------------------------------- */

static void bytes_get(struct base_rows *rows, struct base_buf *out)
{
    size_t left = base_rows_meta(rows)[META_BYTES];
    base_buf_clear(out);
    for (uint32_t i = 1; left > 0; i++) {
        size_t part = FR_MIN(left, (size_t)CHUNK_BYTES);
        base_buf_put(out, base_rows_at(rows, i), part);
        left -= part;
    }
}

static void bytes_put(struct base_rows *rows, struct fr_slice bytes)
{
    size_t at = 0;
    for (uint32_t i = 1; at < bytes.bytes; i++) {
        size_t part = FR_MIN(bytes.bytes - at, (size_t)CHUNK_BYTES);
        FR_ASSERT(model_rows_reach(rows, i));
        uint8_t *row = base_rows_write(rows, i);
        memcpy(row, bytes.ptr + at, part);
        memset(row + part, 0, CHUNK_BYTES - part);
        at += part;
    }
    base_rows_meta(rows)[META_BYTES] = bytes.bytes;
}

/* ---- trees -------------------------------------------------------------------------------------- */

static enum fr_status parse(const struct expert *expert, struct fr_slice bytes,
                            struct fr_error *error, struct model_trees **out)
{
    struct model_trees *trees = NULL;
    if (bytes.bytes > (size_t)CHUNKS_MAX * CHUNK_BYTES)
        return base_fail(error, FR_INVALID, "model", "trees of %zu bytes, %zu at most", bytes.bytes,
                         (size_t)CHUNKS_MAX * CHUNK_BYTES);
    FR_TRY(model_trees_parse(bytes, error, &trees));
    uint32_t features = model_trees_feature_count(trees);
    if (features > expert->options.features) {
        model_trees_free(trees);
        return base_fail(error, FR_INVALID, "model", "the trees need %u inputs, there are %u",
                         features, expert->options.features);
    }
    *out = trees;
    return FR_OK;
}

/* Takes `trees` into a slot that nobody reads; drops it when all are held. */
static void publish(struct expert *expert, struct model_trees *trees)
{
    for (int32_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &expert->slot[i];
        /* sequentially consistent with a reader's count and look, as in mlp_view.c */
        if (i == __atomic_load_n(&expert->current, __ATOMIC_RELAXED) ||
            __atomic_load_n(&slot->holders, __ATOMIC_SEQ_CST) != 0)
            continue;
        model_trees_free(slot->trees);
        slot->trees = trees;
        __atomic_store_n(&expert->current, i, __ATOMIC_SEQ_CST);
        return;
    }
    model_trees_free(trees); /* readers go on with the older ones until the next job */
}

static struct slot *acquire(struct expert *expert)
{
    for (;;) {
        int32_t current = __atomic_load_n(&expert->current, __ATOMIC_SEQ_CST);
        if (current < 0)
            return NULL;
        struct slot *slot = &expert->slot[current];
        __atomic_add_fetch(&slot->holders, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&expert->current, __ATOMIC_SEQ_CST) == current)
            return slot;
        __atomic_sub_fetch(&slot->holders, 1, __ATOMIC_SEQ_CST);
    }
}

/* Parses what the table holds, for the fold thread and for readers. */
static enum fr_status adopt(struct expert *expert, struct fr_error *error)
{
    struct base_buf bytes;
    struct model_trees *own = NULL, *shared = NULL;
    enum fr_status status = FR_OK;
    base_buf_init(&bytes, 0);
    bytes_get(expert->artefact, &bytes);
    if (bytes.count) {
        status = parse(expert, base_buf_slice(&bytes), error, &own);
        if (status == FR_OK)
            status = parse(expert, base_buf_slice(&bytes), error, &shared);
    }
    base_buf_release(&bytes);
    FR_TRY(status);
    model_trees_free(expert->own);
    expert->own = own;
    if (shared)
        publish(expert, shared);
    return FR_OK;
}

static enum fr_status expert_rebuild(void *self, struct fr_error *error)
{
    struct expert *expert = self;
    if (base_rows_meta(expert->artefact)[META_BYTES] >
        (uint64_t)(base_rows_count(expert->artefact) - 1) * CHUNK_BYTES)
        return base_fail(error, FR_CORRUPT, "model", "table \"click_gbt_artefact\" is cut short");
    return adopt(expert, error);
}

static void predict(const struct expert *expert, const struct model_trees *trees,
                    const struct model_click_example *examples, uint32_t count, float *out)
{
    float rows[PART * MODEL_CLICK_INPUT_MAX];
    size_t width = expert->options.features;
    for (uint32_t at = 0; at < count; at += PART) {
        uint32_t part = FR_MIN(count - at, (uint32_t)PART);
        for (uint32_t i = 0; i < part; i++)
            memcpy(rows + i * width, examples[at + i].input, width * sizeof(float));
        model_trees_predict(trees, rows, width, part, out + at);
    }
}

static void expert_score(void *self, const struct model_click_example *examples, uint32_t count,
                         bool in_place, float *out_logit)
{
    struct expert *expert = self;
    struct slot *slot = in_place ? NULL : acquire(expert);
    const struct model_trees *trees = in_place ? expert->own : slot ? slot->trees : NULL;
    if (trees)
        predict(expert, trees, examples, count, out_logit);
    else
        memset(out_logit, 0, count * sizeof(float));
    if (slot)
        __atomic_sub_fetch(&slot->holders, 1, __ATOMIC_SEQ_CST);
}

/* ---- learning ------------------------------------------------------------------------------- */

static void expert_learn(void *self, const struct model_click_example *example)
{
    struct expert *expert = self;
    model_gbt_add(expert->gbt, example->input, example->row.label,
                  example->row.weight * example->rate);
}

static uint32_t expert_waiting(void *self)
{
    struct expert *expert = self;
    return (uint32_t)(model_gbt_seen(expert->gbt) -
                      FR_LOAD(base_rows_meta(expert->artefact)[META_SEEN]));
}

static bool expert_due(void *self, uint32_t clock_s)
{
    (void)clock_s; /* by count alone */
    return expert_waiting(self) >= MODEL_GBT_JOB_ROWS;
}

static void expert_start(void *self)
{
    struct expert *expert = self;
    FR_STORE(base_rows_meta(expert->artefact)[META_SEEN], model_gbt_seen(expert->gbt));
    model_gbt_copy(expert->gbt, expert->features, expert->labels, expert->weights);
    expert->frozen = model_gbt_row_count(expert->gbt);
    bytes_get(expert->artefact, &expert->before);
}

static enum fr_status expert_work(void *self, const struct model_pace *pace, struct fr_error *error)
{
    struct expert *expert = self;
    const struct model_gbt_data data = {expert->features, expert->labels, expert->weights,
                                        expert->frozen};
    FR_TRY(model_gbt_train(&expert->options, &data, base_buf_slice(&expert->before), error,
                           &expert->result));
    return !pace || pace->step(pace->context) ? FR_OK : FR_AGAIN;
}

static struct fr_slice expert_result(void *self)
{
    const struct expert *expert = self;
    return base_buf_slice(&expert->result);
}

static enum fr_status expert_check(void *self, struct fr_slice bytes, struct fr_error *error)
{
    struct model_trees *trees = NULL;
    enum fr_status status = parse(self, bytes, error, &trees);
    model_trees_free(trees);
    return status;
}

static enum fr_status expert_load(void *self, struct fr_slice bytes, struct fr_error *error)
{
    struct expert *expert = self;
    FR_TRY(expert_check(expert, bytes, error));
    bytes_put(expert->artefact, bytes);
    return adopt(expert, error);
}

static enum fr_status expert_install(void *self, struct fr_slice bytes, struct fr_error *error)
{
    struct expert *expert = self;
    uint64_t *meta = base_rows_meta(expert->artefact);
    FR_TRY(expert_load(self, bytes, error));
    FR_STORE(meta[META_JOBS], meta[META_JOBS] + 1);
    return FR_OK;
}

static const struct model_deferred deferred = {
    .artefact = true,
    .due = expert_due,
    .waiting = expert_waiting,
    .start = expert_start,
    .work = expert_work,
    .result = expert_result,
    .install = expert_install,
};

static void expert_keep(void *self)
{
    struct expert *expert = self;
    struct base_buf now;
    base_buf_init(&now, 0);
    bytes_get(expert->artefact, &now);
    bytes_put(expert->old, base_buf_slice(&now));
    base_buf_release(&now);
}

static void expert_swap(void *self)
{
    struct expert *expert = self;
    struct base_buf now, then;
    base_buf_init(&now, 0);
    base_buf_init(&then, 0);
    bytes_get(expert->artefact, &now);
    bytes_get(expert->old, &then);
    bytes_put(expert->old, base_buf_slice(&now));
    bytes_put(expert->artefact, base_buf_slice(&then));
    fr_ignore(adopt(expert, NULL), "both were parsed before they came into the tables");
    base_buf_release(&now);
    base_buf_release(&then);
}

static enum fr_status expert_save(void *self, struct base_buf *out)
{
    struct expert *expert = self;
    struct base_buf bytes;
    base_buf_init(&bytes, 0);
    bytes_get(expert->artefact, &bytes);
    base_buf_put_slice(out, base_buf_slice(&bytes));
    base_buf_release(&bytes);
    return out->overflowed ? FR_MEMORY : FR_OK;
}

static uint64_t expert_steps(void *self)
{
    struct expert *expert = self;
    return FR_LOAD(base_rows_meta(expert->artefact)[META_JOBS]);
}

const struct model_click_expert model_click_gbt = {
    .name = "gbt",
    .self_bytes = sizeof(struct expert),
    .open = expert_open,
    .close = expert_close,
    .tables = expert_tables,
    .rebuild = expert_rebuild,
    .score = expert_score,
    .learn = expert_learn,
    .deferred = &deferred,
    .keep = expert_keep,
    .swap = expert_swap,
    .check = expert_check,
    .load = expert_load,
    .save = expert_save,
    .steps = expert_steps,
};
