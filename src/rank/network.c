/* SPDX-License-Identifier: Apache-2.0
 *
 * The network on the blend's residual: score = linear score + net(x, context).
 *
 *     context (CONTEXT) --\
 *     x / 4 (features) ----+--> 32 ReLU --> 32 ReLU --> 1
 *
 * It sees the BEST best candidates by the linear score; the others keep that (news with 320 candidates,
 * first 150,000 clicks: HR@10 .6882 with 192 and with all of them, .6844 with 128). Features that say
 * nothing of any candidate are left out of the first layer. Twice as many units in it, first 90,000 clicks:
 * HR@10 -.0005, MRR@10 -.0002, HR@20 +.0003, for some 4 us a query learnt.
 * The context enters the first layer only, once a query: it becomes that layer's bias. Loss: -ln
 * softmax of the whole score, with the rank-weighted step of blend.c; Adam 3e-4 (Kingma & Ba 2015)
 * after every BATCH queries. Gradients of candidates with p < .008 are kept with probability p/.008
 * and weight .008 (dropping them lets all scores drift up together: measured). The last layer
 * starts at zero, so the blend starts as the linear one.
 *
 * Parameters, moments and gradient sums live in one table of 16 KiB rows, which are adjacent in
 * memory. Serving threads read a published copy under a version, made every PUBLISH queries.
 *
 * Cost: features * 32 + 1,056 multiply-adds a candidate forward, twice that back for the few that
 * matter, one Adam pass over ~3,600 parameters every BATCH queries.
 * Thread: learning on the fold thread, forward from any.
 */
#include <string.h>

#include "model/pick.h"
#include "model/vec.h"
#include "rank/rank_priv.h"
#include "simd/simd.h"

enum { H1 = 32, H2 = 32, CONTEXT = 36, BATCH = 4, PUBLISH = 64, BEST = 192 };
enum { PART_WEIGHTS, PART_MEAN, PART_SQUARE, PART_GRADIENT, PART_COUNT };
enum { ROW_FLOATS = BASE_ROWS_BLOCK_BYTES / sizeof(float) };

static const float rate = 3e-4f, rare = 0.008f, input_scale = 0.25f;

/* Offsets of the layers in the parameter vector. */
struct layout {
    uint32_t in, context, w1, bias1, w2, bias2, w3, bias3, count, rows;
};

static struct layout layout_of(const struct rank *rank)
{
    struct layout l = {.in = rank->feature_count};
    l.w1 = CONTEXT * H1; /* the context's matrix comes first */
    l.bias1 = l.w1 + l.in * H1;
    l.w2 = l.bias1 + H1;
    l.bias2 = l.w2 + H1 * H2;
    l.w3 = l.bias2 + H2;
    l.bias3 = l.w3 + H2;
    l.count = (l.bias3 + 1 + 15) & ~15u;
    l.rows = (l.count + ROW_FLOATS - 1) / ROW_FLOATS;
    return l;
}

static void init_layer(struct rank *rank, float *w, uint32_t in, uint32_t out, uint64_t id)
{
    float range = __builtin_sqrtf(6.0f / (float)(int32_t)in) * 0.5f;
    for (uint32_t i = 0; i < in * out; i++)
        w[i] = ((float)base_random_unit(rank->options.seed, id, i) * 2.0f - 1.0f) * range;
}

/* The writer's pointer to a part, every row of it made writable. */
static float *part_write(struct rank *rank, const struct layout *l, uint32_t part)
{
    uint32_t first = 1 + part * l->rows;
    for (uint32_t r = 1; r < l->rows; r++)
        base_rows_write(rank->network, first + r);
    return base_rows_write(rank->network, first);
}

static const float *part_read(const struct rank *rank, const struct layout *l, uint32_t part)
{
    return base_rows_at(rank->network, 1 + part * l->rows);
}

struct network_head { /* first row of the table "network-view", then the weights */
    uint32_t version;
    uint32_t queries; /* learnt from */
    uint32_t steps;   /* of Adam */
    uint32_t spare;
};

static struct network_head *head_write(struct rank *rank)
{
    return base_rows_write(rank->network_view, 1);
}

/* The view's rows follow the head's row. */
static void publish(struct rank *rank, const struct layout *l)
{
    struct network_head *head = head_write(rank);
    for (uint32_t r = 0; r < l->rows; r++)
        base_rows_write(rank->network_view, 2 + r);
    base_row_change(&head->version);
    base_rows_put(base_rows_write(rank->network_view, 2), part_read(rank, l, PART_WEIGHTS),
                  l->count * sizeof(float));
    base_row_done(&head->version);
}

enum fr_status rank__network_new(struct rank *rank, struct fr_error *error)
{
    const struct layout l = layout_of(rank);
    struct base_rows_options options = {.name = "network",
                                        .row_bytes = BASE_ROWS_BLOCK_BYTES,
                                        .count_max = 1 + PART_COUNT * l.rows};
    FR_TRY(base_rows_new(&options, error, &rank->network));
    rank__table_add(rank, rank->network);
    options.name = "network-view";
    options.count_max = 2 + l.rows;
    FR_TRY(base_rows_new(&options, error, &rank->network_view));
    rank__table_add(rank, rank->network_view);
    for (uint32_t r = 1; r < 1 + PART_COUNT * l.rows; r++)
        FR_ASSERT(base_rows_add(rank->network) == r);
    for (uint32_t r = 1; r < 2 + l.rows; r++)
        FR_ASSERT(base_rows_add(rank->network_view) == r);
    float *w = part_write(rank, &l, PART_WEIGHTS);
    init_layer(rank, w, CONTEXT, H1, 101);
    init_layer(rank, w + l.w1, l.in, H1, 102);
    init_layer(rank, w + l.w2, H1, H2, 103);
    publish(rank, &l);
    return FR_OK;
}

enum fr_status rank__network_check(const struct rank *rank)
{
    const struct layout l = layout_of(rank);
    return base_rows_count(rank->network) == 1 + PART_COUNT * l.rows &&
                   base_rows_count(rank->network_view) == 2 + l.rows
               ? FR_OK
               : FR_CORRUPT;
}

/* ---- forward -------------------------------------------------------------------------------- */

static float log1_of(float x)
{
    float one[4] = {x, 0, 0, 0};
    vec_log1(one, 1.0f, one, 4);
    return one[0] * 0.25f;
}

/* What the network knows about the query beside the candidates. */
static void context_fill(const struct rank_scoring *scoring, float c[CONTEXT])
{
    const struct model_query *query = scoring->batch.query;
    memset(c, 0, CONTEXT * sizeof(float));
    c[0] = 1.0f;
    c[1 + FR_MIN(query->session_count, 3u)] = 1.0f;
    c[5] = log1_of((float)(int32_t)query->visit_count);
    c[6] = log1_of((float)(int32_t)query->session_count);
    for (uint32_t s = 0; s < MODEL_GATHER_SUMS; s++)
        c[7 + s] = log1_of(scoring->gather->norm[s]);
    for (uint32_t h = 0; h < STATE_HALF_COUNT; h++)
        c[19 + h] = log1_of(scoring->batch.total[h]) * 0.5f;
    c[24 + query->clock_s / 14400 % 6] = 1.0f; /* part of the day */
    uint32_t referrer = query->context[STATE_REFERRER], device = query->context[STATE_DEVICE];
    if (referrer)
        c[30 + base_mix64(referrer) % 3] = 1.0f;
    if (device)
        c[33 + base_mix64(device) % 3] = 1.0f;
}

static const float *weights_for(const struct rank *rank, const struct layout *l,
                                struct base_arena *arena, bool in_place)
{
    if (in_place)
        return part_read(rank, l, PART_WEIGHTS);
    const struct network_head *head = base_rows_at(rank->network_view, 1);
    float *copy = base_arena_alloc(arena, l->count * sizeof(float));
    for (int i = 0; copy && i < 8; i++) {
        uint32_t began = base_row_read_begin(&head->version);
        base_rows_copy(copy, base_rows_at(rank->network_view, 2), l->count * sizeof(float));
        if (base_row_read_ok(&head->version, began))
            return copy;
    }
    return NULL;
}

/* The BEST best by the linear score, in the candidates' order; of equal ones the first. */
static uint32_t best_find(const struct rank_scoring *scoring, uint32_t *index)
{
    uint32_t count = scoring->batch.count, kept = 0, above = 0;
    int32_t key[PICK_ROOM(MODEL_BATCH_MAX)], last = INT32_MIN;
    for (uint32_t i = 0; i < count; i++)
        key[i] = pick_key(scoring->score[i]);
    if (count > BEST)
        last = pick_kth(key, count, BEST, 0);
    for (uint32_t i = 0; i < count; i++)
        above += key[i] > last;
    uint32_t equal = FR_MIN(count, (uint32_t)BEST) - above;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ties = key[i] == last && equal > 0;
        index[kept] = i; /* one place more than BEST: written, then perhaps kept */
        equal -= ties;
        kept += ties | (key[i] > last);
    }
    return kept;
}

/* Features by candidate become rows of the features that speak, scaled, for the candidates that the
 * network sees. */
static void inputs_fill(const struct rank_scoring *scoring, float *to)
{
    const struct rank_activations *a = &scoring->activations;
    uint32_t stride = scoring->batch.stride, in = scoring->speaking_count, k = 0;
    for (; k + 4 <= in; k += 4) {
        const float *x[4];
        for (uint32_t j = 0; j < 4; j++)
            x[j] = scoring->x + scoring->speaking[k + j] * stride;
        for (uint32_t r = 0; r < a->count; r++) {
            uint32_t i = a->index[r];
            vec4 four = {x[0][i], x[1][i], x[2][i], x[3][i]};
            vec4_store(to + r * in + k, four * input_scale);
        }
    }
    for (; k < in; k++)
        for (uint32_t r = 0; r < a->count; r++)
            to[r * in + k] = scoring->x[scoring->speaking[k] * stride + a->index[r]] * input_scale;
}

/* The first layer's rows of the features that speak. */
static void rows_take(const struct rank_scoring *scoring, const float *all, float *to)
{
    for (uint32_t k = 0; k < scoring->speaking_count; k++)
        memcpy(to + k * H1, all + scoring->speaking[k] * H1, H1 * sizeof(float));
}

static void rows_give(const struct rank_scoring *scoring, const float *from, float *all)
{
    for (uint32_t k = 0; k < scoring->speaking_count; k++)
        memcpy(all + scoring->speaking[k] * H1, from + k * H1, H1 * sizeof(float));
}

/* Leaves the activations for learning; adds the centred output to the scores of the best. */
void rank__network_score(const struct rank *rank, struct rank_scoring *scoring)
{
    const struct layout l = layout_of(rank);
    struct base_arena *arena = scoring->batch.arena;
    const struct simd_ops *ops = simd_ops();
    const float *w = weights_for(rank, &l, arena, scoring->batch.in_place);
    struct rank_activations *a = &scoring->activations;
    a->context = base_arena_alloc(arena, CONTEXT * sizeof(float));
    a->index = base_arena_alloc(arena, (BEST + 1) * sizeof(uint32_t));
    uint32_t in = scoring->speaking_count; /* the others would add zeros */
    float *w1 = base_arena_alloc(arena, in * H1 * sizeof(float) + 64);
    a->x = base_arena_alloc(arena, (size_t)BEST * in * sizeof(float) + 64);
    a->h1 = base_arena_alloc(arena, (size_t)BEST * H1 * sizeof(float) + 64);
    a->h2 = base_arena_alloc(arena, (size_t)BEST * H2 * sizeof(float) + 64);
    a->out = base_arena_zalloc(arena, scoring->batch.stride * sizeof(float));
    if (!w || base_arena_overflowed(arena) || scoring->batch.count == 0)
        return;
    float bias1[H1], out[BEST], mean = 0.0f;
    a->count = best_find(scoring, a->index);
    context_fill(scoring, a->context);
    inputs_fill(scoring, a->x);
    rows_take(scoring, w + l.w1, w1);
    ops->dense(&(struct simd_dense){a->context, w, w + l.bias1, bias1, 1, CONTEXT, H1, false});
    ops->dense(&(struct simd_dense){a->x, w1, bias1, a->h1, a->count, in, H1, true});
    ops->dense(&(struct simd_dense){a->h1, w + l.w2, w + l.bias2, a->h2, a->count, H1, H2, true});
    for (uint32_t r = 0; r < a->count; r++) {
        out[r] = ops->dot(a->h2 + r * H2, w + l.w3, H2);
        mean += out[r];
    }
    mean /= (float)(int32_t)a->count;
    for (uint32_t r = 0; r < a->count; r++) {
        uint32_t i = a->index[r];
        a->out[i] = out[r] - mean;
        scoring->score[i] += a->out[i];
    }
    a->ready = true;
}

/* ---- learning ------------------------------------------------------------------------------- */

/* The rows whose gradient is followed back, with their gradient. */
struct chosen {
    uint32_t *row;
    float *dy;
    uint32_t count;
};

static void choose(const struct rank *rank, const struct rank_activations *a, const float *gradient,
                   uint64_t position, struct chosen *chosen)
{
    for (uint32_t r = 0; r < a->count; r++) {
        uint32_t i = a->index[r];
        float g = gradient[i];
        if (g >= 0.0f && g < rare) {
            if ((float)base_random_unit(rank->options.seed, position, i) * rare >= g)
                continue;
            g = rare;
        }
        chosen->row[chosen->count] = r;
        chosen->dy[chosen->count++] = g;
    }
}

static void take_rows(float *to, const float *from, const struct chosen *chosen, uint32_t width)
{
    for (uint32_t k = 0; k < chosen->count; k++)
        memcpy(to + k * width, from + chosen->row[k] * width, width * sizeof(float));
}

static void through_relu(float *d, const float *h, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 4) { /* layers are multiples of four wide */
        ivec4 on = vec4_load(h + i) > 0.0f;
        vec4_store(d + i, (vec4)((ivec4)vec4_load(d + i) & on));
    }
}

/* Adds the gradient of the chosen candidates to g. */
static void backward(const struct rank_scoring *scoring, const struct layout *l,
                     const struct chosen *chosen, const float *w, float *g)
{
    const struct simd_ops *ops = simd_ops();
    const struct rank_activations *a = &scoring->activations;
    struct base_arena *arena = scoring->batch.arena;
    const uint32_t count = chosen->count;
    const uint32_t in = scoring->speaking_count;
    const float *dy = chosen->dy;
    float *x = base_arena_alloc(arena, (size_t)count * in * sizeof(float) + 64);
    float *g1 = base_arena_alloc(arena, in * H1 * sizeof(float) + 64);
    float *h1 = base_arena_alloc(arena, (size_t)count * H1 * sizeof(float) + 64);
    float *h2 = base_arena_alloc(arena, (size_t)count * H2 * sizeof(float) + 64);
    float *d1 = base_arena_alloc(arena, (size_t)count * H1 * sizeof(float) + 64);
    float *d2 = base_arena_zalloc(arena, (size_t)count * H2 * sizeof(float) + 64);
    if (base_arena_overflowed(arena))
        return;
    take_rows(x, a->x, chosen, in);
    take_rows(h1, a->h1, chosen, H1);
    take_rows(h2, a->h2, chosen, H2);
    for (uint32_t k = 0; k < count; k++) {
        ops->axpy(g + l->w3, dy[k], h2 + k * H2, H2);
        ops->axpy(d2 + k * H2, dy[k], w + l->w3, H2);
    }
    through_relu(d2, h2, count * H2);
    ops->dense_grad(
        &(struct simd_dense_grad){h1, NULL, d2, g + l->w2, g + l->bias2, NULL, count, H1, H2});
    float across[H2 * H1];
    for (uint32_t i = 0; i < H1; i++)
        for (uint32_t o = 0; o < H2; o++)
            across[o * H1 + i] = w[l->w2 + i * H2 + o];
    ops->dense(&(struct simd_dense){d2, across, (float[H1]){0}, d1, count, H2, H1, false});
    through_relu(d1, h1, count * H1);
    float dbias1[H1] = {0};
    rows_take(scoring, g + l->w1, g1);
    ops->dense_grad(&(struct simd_dense_grad){x, NULL, d1, g1, dbias1, NULL, count, in, H1});
    rows_give(scoring, g1, g + l->w1);
    ops->axpy(g + l->bias1, 1.0f, dbias1, H1);
    ops->dense_grad(
        &(struct simd_dense_grad){a->context, w, dbias1, g, (float[H1]){0}, NULL, 1, CONTEXT, H1});
}

void rank__network_learn(struct rank *rank, const struct rank_scoring *scoring,
                         const float *gradient, uint64_t position)
{
    const struct layout l = layout_of(rank);
    struct base_arena *arena = scoring->batch.arena;
    struct chosen chosen = {
        .row = base_arena_alloc(arena, BEST * sizeof(uint32_t)),
        .dy = base_arena_alloc(arena, BEST * sizeof(float)),
    };
    if (!chosen.row || !chosen.dy || !scoring->activations.ready)
        return;
    choose(rank, &scoring->activations, gradient, position, &chosen);
    float *g = part_write(rank, &l, PART_GRADIENT);
    backward(scoring, &l, &chosen, part_read(rank, &l, PART_WEIGHTS), g);
    struct network_head *head = head_write(rank);
    FR_STORE(head->queries, head->queries + 1);
    if (head->queries % BATCH == 0) {
        struct simd_adam adam = {
            .w = part_write(rank, &l, PART_WEIGHTS),
            .m = part_write(rank, &l, PART_MEAN),
            .v = part_write(rank, &l, PART_SQUARE),
            .g = g,
            .n = l.count,
            .rate = rate,
            .beta1 = 0.9f,
            .beta2 = 0.999f,
            .epsilon = 1e-6f,
            .g_scale = 1.0f,
        };
        if (head->steps < 4000) { /* both moments start at zero: the correction of section 2 */
            float b1 = 1.0f, b2 = 1.0f;
            for (uint32_t s = 0; s <= head->steps; s++) {
                b1 *= 0.9f;
                b2 *= 0.999f;
            }
            adam.rate = rate * __builtin_sqrtf(1.0f - b2) / (1.0f - b1);
        }
        simd_ops()->adam(&adam);
        memset(g, 0, l.count * sizeof(float));
        FR_STORE(head->steps, head->steps + 1);
    }
    if (head->queries % PUBLISH == 0)
        publish(rank, &l);
}

void rank__network_forget(struct rank *rank)
{
    const struct layout l = layout_of(rank);
    for (uint32_t part = 0; part < PART_COUNT; part++)
        memset(part_write(rank, &l, part) + l.w3, 0, (l.bias3 + 1 - l.w3) * sizeof(float));
    publish(rank, &l);
}
