/* SPDX-License-Identifier: Apache-2.0
 *
 * ridge_solve: one row of seq-ridge: gather G_NN and D_Nj, factor, publish.
 * Thread: the writer.
 */
#include "model/ridge_priv.h"

#include "simd/simd.h"

#include <string.h>

/* Right-looking LDL' over the lower triangle: element (i, j) is changed once for each k < j, in the
 * order of k, so that its value does not depend on the vector width. */
uint32_t model__ridge_ldl(float *a, uint32_t n, uint32_t stride, float *diag, float *x)
{
    uint32_t lifted = 0;
    void (*axpy)(float *y, float by, const float *from, size_t count) = simd_ops()->axpy;
    for (uint32_t k = 0; k < n; k++) {
        float d = a[(size_t)k * stride + k];
        if (!(d > 1e-3f)) {
            d = 1e-3f;
            lifted++;
        }
        diag[k] = d;
        float *column = x + n; /* scratch: column k below the diagonal */
        for (uint32_t i = k + 1; i < n; i++)
            column[i] = a[(size_t)i * stride + k];
        for (uint32_t i = k + 1; i < n; i++) {
            float l = column[i] / d, *row = a + (size_t)i * stride;
            row[k] = l;
            axpy(row + k + 1, -l, column + k + 1, i - k);
        }
    }
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = k + 1; i < n; i++)
            x[i] -= a[(size_t)i * stride + k] * x[k];
    for (uint32_t k = 0; k < n; k++)
        x[k] /= diag[k];
    for (uint32_t k = n; k-- > 0;) {
        const float *row = a + (size_t)k * stride;
        axpy(x, -x[k], row, k);
    }
    return lifted;
}

/* A heap of the best n by (key, lower id first); the root is the worst. */
static bool near_less(const struct model_ridge *ridge, uint32_t i, uint32_t k)
{
    if (ridge->near_key[i] < ridge->near_key[k])
        return true;
    return ridge->near_key[i] == ridge->near_key[k] && ridge->near[i] > ridge->near[k];
}

static void near_swap(struct model_ridge *ridge, uint32_t i, uint32_t k)
{
    float key = ridge->near_key[i];
    uint32_t item = ridge->near[i];
    ridge->near_key[i] = ridge->near_key[k];
    ridge->near[i] = ridge->near[k];
    ridge->near_key[k] = key;
    ridge->near[k] = item;
}

static void near_sift(struct model_ridge *ridge, uint32_t i, uint32_t n)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && near_less(ridge, child + 1, child))
            child++;
        if (!near_less(ridge, child, i))
            return;
        near_swap(ridge, i, child);
        i = child;
    }
}

static uint32_t near_add(struct model_ridge *ridge, uint32_t n, uint32_t item, float key)
{
    if (n < ridge->options.neighbours) {
        ridge->near[n] = item;
        ridge->near_key[n] = key;
        for (uint32_t i = n; i && near_less(ridge, i, (i - 1) / 2); i = (i - 1) / 2)
            near_swap(ridge, i, (i - 1) / 2);
        return n + 1;
    }
    if (key > ridge->near_key[0] || (key == ridge->near_key[0] && item < ridge->near[0])) {
        ridge->near_key[0] = key;
        ridge->near[0] = item;
        near_sift(ridge, 0, n);
    }
    return n;
}

/* N(j) by squared cosine without its constant 1 / G_jj, then in the order of ids. */
static uint32_t near_find(struct model_ridge *ridge, uint32_t j)
{
    uint32_t n = 0;
    for (uint32_t i = model__ridge_item(ridge, j)->chain; i;) {
        const struct model__ridge_pair *pair = model__ridge_pair(ridge, i);
        uint32_t other = model__ridge_other(pair, j);
        uint32_t users = model__ridge_item(ridge, other)->users;
        i = model__ridge_next(pair, j);
        if (pair->both && users)
            n = near_add(ridge, n, other, (float)pair->both * (float)pair->both / (float)users);
    }
    for (uint32_t i = 1; i < n; i++) { /* insertion by id: fixed order for the factorisation */
        uint32_t item = ridge->near[i], k = i;
        for (; k && ridge->near[k - 1] > item; k--)
            ridge->near[k] = ridge->near[k - 1];
        ridge->near[k] = item;
    }
    return n;
}

/* Row `at` of G_NN below the diagonal. The look-ups do not depend on each other, so their memory
 * latencies overlap: heads first, then pairs, then the comparison. */
static void gather_row(struct model_ridge *ridge, uint32_t at, float *row)
{
    uint32_t item = ridge->near[at], first[MODEL_RIDGE_NEIGHBOURS_MAX];
    for (uint32_t k = 0; k < at; k++)
        model__ridge_pair_prefetch(ridge, item, ridge->near[k]);
    for (uint32_t k = 0; k < at; k++) {
        first[k] = model__ridge_pair_first(ridge, item, ridge->near[k]);
        base_rows_prefetch(ridge->tables[RIDGE_PAIR], first[k]);
    }
    for (uint32_t k = 0; k < at; k++) { /* near is in the order of ids: near[k] < item */
        uint32_t p = model__ridge_pair_along(ridge, first[k], ridge->near[k], item);
        row[k] = p ? (float)model__ridge_pair(ridge, p)->both : 0.0f;
    }
}

static void gather(struct model_ridge *ridge, uint32_t j, uint32_t n)
{
    const struct model_ridge_options *options = &ridge->options;
    for (uint32_t k = 0; k < n; k++) {
        float *row = ridge->matrix + (size_t)k * options->neighbours;
        float users = (float)model__ridge_item(ridge, ridge->near[k])->users;
        gather_row(ridge, k, row);
        row[k] = users + options->lambda + options->diagonal * users;
        ridge->rhs[k] = model_ridge_directed(ridge, ridge->near[k], j);
    }
}

uint32_t model__ridge_row_solve(struct model_ridge *ridge, uint32_t j)
{
    uint32_t n = near_find(ridge, j);
    gather(ridge, j, n);
    uint64_t *meta = base_rows_meta(ridge->tables[RIDGE_ITEM]);
    meta[RIDGE_META_LIFTED] +=
        model__ridge_ldl(ridge->matrix, n, ridge->options.neighbours, ridge->diag, ridge->rhs);
    return n;
}
