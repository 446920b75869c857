/* SPDX-License-Identifier: Apache-2.0
 *
 * A fixed amount of the two kinds of work, without sockets and other threads: events as JSON bodies
 * of 100, taken in and folded; then whole recommendation requests. Prints CPU time and counts of
 * each as JSON. run-speed runs it plainly, and once more under callgrind, which counts the
 * instructions inside measured_intake(), measured_fold() and measured_request() only, so that the
 * warming up is left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ingest/ingest.h"
#include "serve/serve_priv.h"

enum { USERS = 2000, ITEMS = 5000, BATCH = 100, REQUESTS_MAX = 100000, WHOLE = SERVE_STAGE_COUNT };

struct bench {
    struct state *state;
    struct rank *rank;
    struct fold *fold;
    struct serve *serve;
    struct ingest *ingest;
    struct schema_types types;
    struct fold_batch batch;
    struct base_buf body;
    struct http_request request;
    uint64_t next_event;
    float *took_us[SERVE_STAGE_COUNT + 1]; /* by stage, and the whole */
    double answer_bytes;
};

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_speed: %s failed\n", what);
    exit(1);
}

/* Half of the clicks go to a tenth of the items; a user's clicks come in short sessions. */
static void put_events(struct bench *bench)
{
    base_buf_clear(&bench->body);
    for (uint32_t e = 0; e < BATCH; e++) {
        uint64_t n = bench->next_event++, session = n / 4;
        uint64_t item =
            base_random_u64(1, n, 1) % (base_random_u64(1, n, 2) % 2 ? ITEMS / 10 : ITEMS);
        base_buf_printf(
            &bench->body,
            "{\"id\":\"e%08llu\",\"timestamp\":%llu,\"user\":\"u%u\",\"item\":\"i%u\","
            "\"type\":\"click\",\"context\":{\"device\":\"phone\",\"region\":\"r%u\"}}\n",
            (unsigned long long)n, 1767225600ULL + n * 3,
            (unsigned)(base_random_u64(1, session, 0) % USERS), (unsigned)item,
            (unsigned)(base_random_u64(1, session, 3) % 20));
    }
}

static void intake(struct bench *bench)
{
    struct ingest_body body = {.thing = INGEST_EVENTS,
                               .bytes = base_buf_slice(&bench->body),
                               .received_us = 1767225600000000};
    struct ingest_result result;
    struct fr_error error = {0};
    check(ingest_take_body(bench->ingest, &body, &bench->batch, &result, &error) == FR_OK &&
              bench->batch.count == BATCH,
          "taking events in");
}

static void fold(struct bench *bench)
{
    check(fold_run(bench->fold, &bench->batch, FOLD_ACK_APPLIED) == FR_OK, "folding");
}

/* What callgrind counts; warming up goes past them. */
__attribute__((noinline)) static void measured_intake(struct bench *bench)
{
    intake(bench);
}

__attribute__((noinline)) static void measured_fold(struct bench *bench)
{
    fold(bench);
}

__attribute__((noinline)) static void measured_request(struct bench *bench)
{
    serve__handle(bench->serve, &bench->request);
}

static void warm_batch(struct bench *bench)
{
    put_events(bench);
    intake(bench);
    fold(bench);
    fold_batch_clear(&bench->batch);
}

static void take_batch(struct bench *bench, double *intake_us, double *fold_us)
{
    put_events(bench);
    double began = cpu_us();
    measured_intake(bench);
    double taken = cpu_us();
    measured_fold(bench);
    *intake_us += taken - began;
    *fold_us += cpu_us() - taken;
    fold_batch_clear(&bench->batch);
}

static void request(struct bench *bench, uint32_t n, bool measured)
{
    char target[128];
    struct base_buf out = bench->request.out;
    const struct serve_decision *decision = bench->serve->thread[0].decision;
    snprintf(target, sizeof target, "/v1/recommend?user=u%u&n=20&device=phone&region=r%u",
             (unsigned)(base_random_u64(2, n, 0) % USERS), n % 20);
    bench->request = (struct http_request){.method = HTTP_GET,
                                           .method_name = FR_SLICE("GET"),
                                           .target = fr_slice_str(target)};
    bench->request.out = out;
    double began = cpu_us();
    if (measured)
        measured_request(bench);
    else
        serve__handle(bench->serve, &bench->request);
    double took = cpu_us() - began;
    check(bench->request.status == 200, "a request");
    for (uint32_t s = 0; s < SERVE_STAGE_COUNT; s++)
        bench->took_us[s][n] = (float)decision->timing.stage_ns[s] * 1e-3f;
    bench->took_us[WHOLE][n] = (float)took;
    bench->answer_bytes += (double)bench->request.out.count;
}

static void bench_open(struct bench *bench, const char *directory)
{
    struct fr_error error = {0};
    struct state_options state = {.pair_bytes_max = 256 << 20, .event_count_max = 1 << 20};
    schema_types_init(&bench->types);
    fold_batch_init(&bench->batch);
    base_buf_init(&bench->body, 0);
    base_buf_init(&bench->request.out, 0);
    check(state_new(&state, &error, &bench->state) == FR_OK, "state");
    struct rank_options rank = {.state = bench->state};
    check(rank_new(&rank, &error, &bench->rank) == FR_OK, "rank");
    struct fold_options fold = {.os = os_real(),
                                .directory = directory,
                                .state = bench->state,
                                .rank = bench->rank,
                                .sample_one_in = 4,
                                .by_hand = true};
    check(fold_open(&fold, &error, &bench->fold) == FR_OK, "fold");
    struct serve_options serve = {.os = os_real(),
                                  .directory = directory,
                                  .state = bench->state,
                                  .rank = bench->rank,
                                  .fold = bench->fold,
                                  .types = &bench->types,
                                  .threads = 1};
    check(serve_start(&serve, &error, &bench->serve) == FR_OK, "serve");
    struct ingest_options ingest = {.types = &bench->types};
    check(ingest_new(&ingest, &error, &bench->ingest) == FR_OK, "ingest");
}

static void bench_close(struct bench *bench)
{
    serve_stop(bench->serve);
    ingest_free(bench->ingest);
    fold_close(bench->fold);
    rank_free(bench->rank);
    state_free(bench->state);
    fold_batch_release(&bench->batch);
    base_buf_release(&bench->body);
    base_buf_release(&bench->request.out);
}

static int by_value(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Not the mean: what other programs take from a stage between two clocks is not the stage's. */
static double median(float *values, uint32_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return (double)values[count / 2];
}

int main(int argc, char **argv)
{
    static struct bench bench;
    if (argc != 5) {
        fprintf(stderr, "usage: bench_speed DIRECTORY WARM-BATCHES BATCHES REQUESTS\n");
        return 2;
    }
    uint32_t warm = (uint32_t)strtoul(argv[2], NULL, 10),
             batches = (uint32_t)strtoul(argv[3], NULL, 10);
    uint32_t requests = (uint32_t)strtoul(argv[4], NULL, 10);
    double intake_us = 0, fold_us = 0;
    struct fold_stats before, after;
    check(requests >= 20 && requests <= REQUESTS_MAX, "20 to 100,000 requests");
    for (uint32_t s = 0; s <= WHOLE; s++) {
        bench.took_us[s] = calloc(requests, sizeof *bench.took_us[s]);
        check(bench.took_us[s] != NULL, "memory");
    }
    bench_open(&bench, argv[1]);
    for (uint32_t b = 0; b < warm; b++)
        warm_batch(&bench);
    fold_stats_get(bench.fold, &before);
    for (uint32_t b = 0; b < batches; b++)
        take_batch(&bench, &intake_us, &fold_us);
    fold_stats_get(bench.fold, &after);
    for (uint32_t n = 0; n < 20; n++)
        request(&bench, n, false);
    bench.answer_bytes = 0;
    for (uint32_t n = 0; n < requests; n++)
        request(&bench, n, true);
    double events = (double)batches * BATCH, asked = (double)requests;
    printf(
        "{\"events\":%.0f,\"sampled\":%llu,\"requests\":%.0f,\"intake_us\":%.3f,\"fold_us\":%.3f,"
        "\"request_us\":%.3f,\"answer_bytes\":%.0f,\"stages_us\":[",
        events, (unsigned long long)(after.sampled - before.sampled), asked, intake_us / events,
        fold_us / events, median(bench.took_us[WHOLE], requests), bench.answer_bytes / asked);
    for (uint32_t s = 0; s < SERVE_STAGE_COUNT; s++)
        printf("%s%.2f", s ? "," : "", median(bench.took_us[s], requests));
    printf("]}\n");
    bench_close(&bench);
    for (uint32_t s = 0; s <= WHOLE; s++)
        free(bench.took_us[s]);
    return 0;
}
