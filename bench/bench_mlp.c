/* SPDX-License-Identifier: Apache-2.0
 *
 * The neural ranker by itself.
 *   bench_mlp                              speed: forward of 256 candidates, a learnt example
 *   bench_mlp follow WEIGHTS.npz DATA STEPS  the losses of STEPS Adam steps of 32 examples each,
 * from given weights, one a line; DATA: rows of 64 inputs and a label, float32, used round and
 * round. bench/peers/mlp_keras.py compares them with Keras's.
 */
#include "base/hash.h"
#include "model/mlp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { INPUTS = 64, BATCH = 32, CANDIDATES = 256, ROUNDS = 200 };

static struct model_mlp *open_mlp(void)
{
    struct model_mlp_options options;
    struct model_mlp *mlp;
    struct fr_error error;
    model_mlp_defaults(&options);
    options.dense = INPUTS;
    options.batch_count = BATCH;
    if (model_mlp_new(&options, &error, &mlp) != FR_OK) {
        fprintf(stderr, "bench_mlp: %s\n", error.message);
        exit(1);
    }
    return mlp;
}

static char *read_file(const char *path, size_t *out_bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    *out_bytes = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*out_bytes + 1);
    if (!bytes || fread(bytes, 1, *out_bytes, file) != *out_bytes)
        exit(1);
    fclose(file);
    return bytes;
}

static int follow(const char *weights, const char *data, uint64_t steps)
{
    size_t weight_bytes, data_bytes;
    char *npz = read_file(weights, &weight_bytes);
    float *rows = (float *)(void *)read_file(data, &data_bytes);
    size_t row_count = data_bytes / ((INPUTS + 1) * sizeof(float));
    struct model_mlp *mlp = open_mlp();
    struct fr_error error;
    if (model_mlp_import_npz(mlp, fr_slice_of(npz, weight_bytes), &error) != FR_OK) {
        fprintf(stderr, "bench_mlp: %s\n", error.message);
        return 1;
    }
    for (uint64_t i = 0; i < steps * BATCH; i++) {
        const float *row = rows + (i % row_count) * (INPUTS + 1);
        struct model_mlp_target target = {.label = row[INPUTS], .weight = 1};
        if (model_mlp_learn(mlp, (struct model_mlp_input){row, NULL, 1}, target))
            printf("%.9g\n", (double)model_mlp_last_loss(mlp));
    }
    free(npz);
    free(rows);
    model_mlp_free(mlp);
    return 0;
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int speed(void)
{
    struct model_mlp *mlp = open_mlp();
    static float x[CANDIDATES * INPUTS], logits[CANDIDATES];
    for (size_t i = 0; i < FR_COUNT_OF(x); i++)
        x[i] = (float)(base_random_unit(1, 0, i) - 0.5);
    struct model_mlp_view *view = model_mlp_acquire(mlp);
    double began = cpu_us();
    for (int i = 0; i < ROUNDS; i++)
        model_mlp_view_score(view, (struct model_mlp_input){x, NULL, CANDIDATES}, logits);
    double forward = (cpu_us() - began) / ROUNDS;
    model_mlp_drop(view);
    began = cpu_us();
    for (uint32_t i = 0; i < ROUNDS * CANDIDATES; i++)
        model_mlp_learn(mlp, (struct model_mlp_input){x + i % CANDIDATES * INPUTS, NULL, 1},
                        (struct model_mlp_target){.label = (float)(i & 1), .weight = 1});
    double learn = (cpu_us() - began) / (ROUNDS * CANDIDATES);
    printf("64-128-64-1: %d candidates forward %.1f CPU us; learning %.2f CPU us an example "
           "(batches of %d)\n",
           CANDIDATES, forward, learn, BATCH);
    model_mlp_free(mlp);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "follow") == 0)
        return follow(argv[2], argv[3], strtoull(argv[4], NULL, 10));
    return speed();
}
