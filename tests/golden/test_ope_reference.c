/* SPDX-License-Identifier: Apache-2.0
 *
 * Off-policy estimates equal those of obp 0.5.7 (values and normal intervals, to 1e-7) on the Open
 * Bandit Dataset's small logs: the uniform policy from the log of Thompson sampling. obp's reward
 * model was given the same shrunk means. Needs FRESHET_DATA (open-bandit/); skips without.
 * tests/unit/test_eval_ope.c has what can be counted by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

struct expected {
    const char *name;
    double value, low, high;
};

static const struct log {
    const char *file;
    double ess_min, ess; /* the second log's ess is 2: it is asked for all the same */
    struct expected estimates[12];
} logs[] = {
    {"bts-all-all.csv.xz",
     50,
     340.378341,
     {
         {"IPS", 0.002359640, 0.000652468, 0.004066811},
         {"IPS clip 10", 0.002359640, 0.000652468, 0.004066811},
         {"IPS clip 100", 0.002359640, 0.000652468, 0.004066811},
         {"SNIPS", 0.002333714, 0.000645299, 0.004022129},
         {"SubGaussian IPS 0.1", 0.002058266, 0.000890439, 0.003226092},
         {"DM", 0.004320129, 0.004300528, 0.004339730},
         {"DR", 0.003309673, 0.001619876, 0.004999470},
         {"DR clip 10", 0.003912268, 0.002240107, 0.005584429},
         {"SNDR", 0.003320775, 0.001649542, 0.004992008},
         {"SwitchDR 10", 0.004370051, 0.002706242, 0.006033860},
         {"DRos 10", 0.004272281, 0.003624798, 0.004919765},
         {"DRos 100", 0.004075968, 0.002894382, 0.005257553},
     }},
    {"bts-men-men.csv.xz",
     50,
     655.709850,
     {
         {"IPS", 0.003008626, 0.001491741, 0.004525512},
         {"IPS clip 10", 0.003008626, 0.001491741, 0.004525512},
         {"IPS clip 100", 0.003008626, 0.001491741, 0.004525512},
         {"SNIPS", 0.003189423, 0.001581384, 0.004797463},
         {"SubGaussian IPS 0.1", 0.002800495, 0.001557734, 0.004043256},
         {"DM", 0.005042229, 0.005020362, 0.005064096},
         {"DR", 0.002749194, 0.001008099, 0.004490288},
         {"DR clip 10", 0.003773551, 0.002264244, 0.005282858},
         {"SNDR", 0.002611399, 0.000765675, 0.004457123},
         {"SwitchDR 10", 0.004423157, 0.002923638, 0.005922675},
         {"DRos 10", 0.004655724, 0.003860111, 0.005451338},
         {"DRos 100", 0.004312122, 0.002981555, 0.005642688},
     }},
    {"bts-women-women.csv.xz",
     1,
     2.077823,
     {
         {"IPS", 0.007437578, -0.000634262, 0.015509417},
         {"IPS clip 10", 0.004383669, 0.001272422, 0.007494916},
         {"IPS clip 100", 0.007437578, -0.000634262, 0.015509417},
         {"SNIPS", 0.002373046, -0.000202369, 0.004948461},
         {"SubGaussian IPS 0.1", 0.003577135, 0.001342654, 0.005811615},
         {"DM", 0.004063790, 0.004054542, 0.004073039},
         {"DR", 0.003034078, -0.009542380, 0.015610536},
         {"DR clip 10", 0.005586720, 0.002568521, 0.008604919},
         {"SNDR", 0.003735249, -0.000277543, 0.007748041},
         {"SwitchDR 10", 0.004067690, 0.002654957, 0.005480422},
         {"DRos 10", 0.004096960, 0.003367887, 0.004826034},
         {"DRos 100", 0.004608367, 0.003042167, 0.006174566},
     }},
};

/* cmocka compares as float. */
static void assert_near(double a, double b, double tolerance)
{
    assert_true(fabs(a - b) <= tolerance);
}

/* The number after "NAME":{..."key": in the text. */
static double number_of(const char *text, const char *name, const char *key)
{
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "\"%s\":", name);
    const char *at = strstr(text, wanted);
    assert_non_null(at);
    snprintf(wanted, sizeof(wanted), "\"%s\":", key);
    at = strcmp(name, key) == 0 ? at : strstr(at, wanted);
    assert_non_null(at);
    return strtod(at + strlen(wanted), NULL);
}

static void check(const char *folder, const struct log *log)
{
    char command[4096];
    static char text[16384];
    snprintf(command, sizeof(command), "'%s' eval bandit '%s/open-bandit/%s' --ess-min %g --json",
             FRESHET_BINARY_DIR "/freshet", folder, log->file, log->ess_min);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t bytes = fread(text, 1, sizeof(text) - 1, pipe);
    assert_int_equal(pclose(pipe), 0);
    text[bytes] = '\0';
    assert_near(number_of(text, "ess", "ess"), log->ess, 1e-3);
    for (size_t e = 0; e < FR_COUNT_OF(log->estimates); e++) {
        const struct expected *expected = &log->estimates[e];
        assert_near(number_of(text, expected->name, "value"), expected->value, 1e-7);
        assert_near(number_of(text, expected->name, "low"), expected->low, 1e-7);
        assert_near(number_of(text, expected->name, "high"), expected->high, 1e-7);
    }
}

static void equal_to_obp(void **unused)
{
    (void)unused;
    const char *folder = getenv("FRESHET_DATA");
    if (!folder) {
        print_message("skipped: FRESHET_DATA names the folder of data sets\n");
        skip();
    }
    for (size_t l = 0; l < FR_COUNT_OF(logs); l++)
        check(folder, &logs[l]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_to_obp)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
