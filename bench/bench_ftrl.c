/* SPDX-License-Identifier: Apache-2.0
 *
 * FTRL on examples as numbers, for tests/golden/ftrl_vw.py: reads lines "LABEL ID:VALUE ..." (label
 * 0 or 1, ids from 1), prints the probability predicted before each is learnt. bench_ftrl ALPHA
 * BETA L1 L2 < LINES
 */
#include "base/fmath.h"
#include "model/ftrl.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINE = 65536, FEATURES = 1024 };

int main(int argc, char **argv)
{
    static char line[LINE];
    static struct model_sparse features[FEATURES];
    if (argc != 5) {
        fputs("usage: bench_ftrl ALPHA BETA L1 L2 < LINES\n", stderr);
        return 2;
    }
    struct model_ftrl_options options = {.name = "ftrl",
                                         .id_max = 1u << 20,
                                         .alpha = strtof(argv[1], NULL),
                                         .beta = strtof(argv[2], NULL),
                                         .l1 = strtof(argv[3], NULL),
                                         .l2 = strtof(argv[4], NULL)};
    struct model_ftrl *ftrl;
    struct fr_error error;
    if (model_ftrl_new(&options, &error, &ftrl) != FR_OK) {
        fprintf(stderr, "bench_ftrl: %s\n", error.message);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin)) {
        char *at = line;
        float label = strtof(at, &at);
        uint32_t count = 0;
        while (count < FEATURES && *at == ' ') {
            features[count].id = (uint32_t)strtoul(at, &at, 10);
            features[count].value = *at == ':' ? strtof(at + 1, &at) : 1.0f;
            count++;
        }
        float p = base_sigmoidf(model_ftrl_score(ftrl, features, count));
        printf("%.9g\n", (double)p);
        model_ftrl_step(ftrl, features, count, p - label);
    }
    model_ftrl_free(ftrl);
    return 0;
}
