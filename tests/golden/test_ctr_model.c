/* SPDX-License-Identifier: Apache-2.0
 *
 * The click model on made-up people with planted tastes: predicting without learning gives the bits
 * of the prediction made while learning; the same stream gives the same digest; it beats the base
 * rate and its own base; the explanation adds up; metrics are right on a small case by hand.
 */
#include "base/hash.h"
#include "base/rows.h"
#include "eval/ctr.h"
#include "model/bayes.h"
#include "model/ctr.h"
#include "simd/simd.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct model_ctr_kind kinds[] = {
    {"city", MODEL_CTR_USER, true, false},
    {"age", MODEL_CTR_USER, false, true},
    {"topic", MODEL_CTR_ITEM, true, false},
    {"hour", MODEL_CTR_CONTEXT, true, false},
};

struct world {
    struct model_ctr_facet facets[4];
    uint64_t at, count;
};

/* A user likes a topic or not (planted), items differ in quality, one city dislikes one topic. */
static bool next(void *context, struct model_ctr_row *out_row)
{
    struct world *world = context;
    if (world->at == world->count)
        return false;
    uint64_t i = world->at++, user = base_random_u64(1, i, 0) % 50;
    uint64_t item = base_random_u64(1, i, 1) % 80, topic = item % 5, city = user % 3;
    world->facets[0] = (struct model_ctr_facet){0, city, 0};
    world->facets[1] = (struct model_ctr_facet){1, 0, (float)base_random_unit(3, user, 0) - 0.5f};
    world->facets[2] = (struct model_ctr_facet){2, topic, 0};
    world->facets[3] = (struct model_ctr_facet){3, i / 7 % 24, 0};
    double taste = (base_random_u64(2, user, topic) & 1) ? 1.4 : -1.4;
    double truth = taste + 1.5 * (base_random_unit(4, item, 0) - 0.5) - (city == topic ? 1 : 0);
    bool label = base_random_unit(1, i, 2) < 1 / (1 + exp(-truth));
    *out_row = (struct model_ctr_row){.user = user + 1,
                                      .item = item + 1,
                                      .facets = world->facets,
                                      .facet_count = 4,
                                      .now_s = (uint32_t)(1000 + i * 40),
                                      .label = label ? 1.0f : 0.0f,
                                      .weight = 1.0f};
    return true;
}

static struct model_ctr *open_model(uint32_t admit_after)
{
    struct model_ctr_options options;
    struct model_ctr *ctr = NULL;
    model_ctr_defaults(&options);
    options.features.kinds = kinds;
    options.features.kind_count = FR_COUNT_OF(kinds);
    options.features.id_max = 1u << 14;
    options.features.main_max = 1u << 10;
    options.features.admit_after = admit_after;
    options.features.repeats = true;
    assert_int_equal(model_ctr_new(&options, NULL, &ctr), FR_OK);
    return ctr;
}

static struct base_hash128 digest_of(struct model_ctr *ctr)
{
    struct base_rows *tables[MODEL_CTR_TABLES_MAX];
    struct base_digest digest;
    base_digest_init(&digest);
    uint32_t count = model_ctr_tables(ctr, tables);
    for (uint32_t i = 0; i < count; i++)
        base_rows_digest(tables[i], &digest);
    return base_digest_end(&digest);
}

/* The digest after a stream in a child whose kernels are forced; stdout of the child is its pipe.
 */
static struct base_hash128 digest_under(const char *set)
{
    struct base_hash128 digest = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("FRESHET_SIMD", set, 1);
        struct model_ctr *ctr = open_model(1);
        struct world world = {.count = 1500};
        struct model_ctr_row row;
        struct model_ctr_answer answer;
        while (next(&world, &row))
            model_ctr_learn(ctr, &row, &answer);
        digest = digest_of(ctr);
        _exit(write(ends[1], &digest, sizeof(digest)) == (ssize_t)sizeof(digest) ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &digest, sizeof(digest)), sizeof(digest));
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return digest;
}

/* First of all: the choice of kernels is made once a process. */
static void every_set_of_kernels_gives_the_same_state(void **state)
{
    (void)state;
    struct base_hash128 want = digest_under("scalar");
    for (const char *const *name = simd_names(); *name; name++) {
        struct base_hash128 got = digest_under(*name);
        assert_memory_equal(&want, &got, sizeof(want));
    }
    print_message("state %016llx%016llx\n", (unsigned long long)want.hi,
                  (unsigned long long)want.lo);
}

static void serving_gives_the_bits_of_learning(void **state)
{
    (void)state;
    struct model_ctr *a = open_model(2), *b = open_model(2);
    struct world world = {.count = 4000};
    struct model_ctr_row row;
    while (next(&world, &row)) {
        struct model_ctr_answer served, learnt;
        model_ctr_score(a, &row, &served);
        model_ctr_learn(a, &row, &learnt);
        assert_memory_equal(&served, &learnt, sizeof(served));
        model_ctr_learn(b, &row, &learnt);
        assert_memory_equal(&served, &learnt, sizeof(served));
    }
    struct base_hash128 one = digest_of(a), two = digest_of(b);
    assert_memory_equal(&one, &two, sizeof(one));
    model_ctr_free(a);
    model_ctr_free(b);
}

static void planted_tastes_are_found(void **state)
{
    (void)state;
    struct model_ctr *ctr = open_model(1);
    struct world world = {.count = 12000};
    struct eval_ctr_options options = {.from = 6000};
    struct eval_ctr_result result;
    struct eval_ctr_stream stream = {.next = next, .context = &world};
    assert_int_equal(eval_ctr_run(&options, ctr, stream, &result), FR_OK);
    assert_int_equal(result.scored, 6000);
    assert_true(result.auc > 0.78); /* the truth itself: about .82 */
    assert_true(result.rig > 0.18);
    assert_true(result.ece < 0.03 && result.pcoc > 0.95 && result.pcoc < 1.05);
    model_ctr_free(ctr);
}

static void an_explanation_adds_up(void **state)
{
    (void)state;
    struct model_ctr *ctr = open_model(1);
    struct world world = {.count = 3000};
    struct model_ctr_row row;
    struct model_ctr_answer answer;
    while (next(&world, &row))
        model_ctr_learn(ctr, &row, &answer);
    struct model_ctr_part parts[128];
    uint32_t count = model_ctr_explain(ctr, &row, parts, 128, &answer);
    float sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(parts[i].name[0] != 0);
        assert_true(i == 0 || fabsf(parts[i].contribution) <= fabsf(parts[i - 1].contribution));
        sum += parts[i].contribution;
    }
    assert_true(fabsf(sum - answer.blend) < 1e-4f);
    assert_int_equal(model_ctr_explain(ctr, &row, parts, 3, &answer), 3);
    model_ctr_free(ctr);
}

static void metrics_by_hand(void **state)
{
    (void)state;
    const float p[] = {0.9f, 0.2f, 0.5f, 0.5f, 0.1f};
    const uint8_t label[] = {1, 0, 1, 0, 1};
    struct eval_ctr_result result;
    assert_int_equal(eval_ctr_score(p, label, 5, 0, &result), FR_OK);
    /* pairs: .9 beats both, .5 beats .2 and ties .5, .1 loses twice: 3.5 of 6 */
    assert_true(fabs(result.auc - 3.5 / 6) < 1e-9);
    double loss = -(log(0.9) + log(0.8) + 2 * log(0.5) + log(0.1)) / 5;
    assert_true(fabs(result.log_loss - loss) < 1e-6);
    assert_true(fabs(result.pcoc - 2.2 / 3) < 1e-6);
}

/* The recursive posterior against a batch Newton solution of the same penalised likelihood. */
static void bayes_finds_the_batch_solution(void **state)
{
    (void)state;
    struct model_bayes *bayes;
    struct model_bayes_options options = {.name = "b", .n = 3, .variance = 2.0f};
    assert_int_equal(model_bayes_new(&options, NULL, &bayes), FR_OK);
    enum { N = 4000 };
    static double x[N][3], y[N];
    for (int i = 0; i < N; i++) {
        float xs[3];
        x[i][0] = 1;
        x[i][1] = base_random_unit(1, (uint64_t)i, 0) * 2 - 1;
        x[i][2] = base_random_unit(1, (uint64_t)i, 1) * 2 - 1;
        double truth = 0.5 + 1.5 * x[i][1] - x[i][2];
        y[i] = base_random_unit(1, (uint64_t)i, 2) < 1 / (1 + exp(-truth));
        for (int k = 0; k < 3; k++)
            xs[k] = (float)x[i][k];
        model_bayes_learn(bayes, xs,
                          (struct model_bayes_target){.label = (float)y[i], .weight = 1});
    }
    double w[3] = {0};
    for (int round = 0; round < 2000; round++) { /* plain gradient ascent */
        double g[3];
        for (int k = 0; k < 3; k++)
            g[k] = -w[k] / 2.0;
        for (int i = 0; i < N; i++) {
            double p = 1 / (1 + exp(-(w[0] + w[1] * x[i][1] + w[2] * x[i][2])));
            for (int k = 0; k < 3; k++)
                g[k] += (y[i] - p) * x[i][k];
        }
        for (int k = 0; k < 3; k++)
            w[k] += g[k] * 1e-3;
    }
    const float *mine = model_bayes_weights(bayes);
    for (int k = 0; k < 3; k++)
        assert_true(fabs((double)mine[k] - w[k]) < 0.03);
    model_bayes_free(bayes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_of_kernels_gives_the_same_state),
        cmocka_unit_test(serving_gives_the_bits_of_learning),
        cmocka_unit_test(planted_tastes_are_found),
        cmocka_unit_test(an_explanation_adds_up),
        cmocka_unit_test(metrics_by_hand),
        cmocka_unit_test(bayes_finds_the_batch_solution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
