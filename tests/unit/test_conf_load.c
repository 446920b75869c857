/* SPDX-License-Identifier: Apache-2.0
 *
 * conf: precedence, every kind of fault with its place, all at once; values in and out; documents
 * that name every option.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/conf_priv.h"

static char path[] = "/tmp/test_conf_XXXXXX";

static void write_file(const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    fclose(file);
}

/* Loads with up to eight flags; a NULL file leaves --config away. */
static struct conf *load(const char *file, char **environment, char *flags[])
{
    static const struct conf_flag own[] = {{"json", NULL, "t"}, {"columns", "MAP", "t"}};
    static char config_flag[64];
    char *argv[10];
    int argc = 0;
    struct conf *conf = NULL;
    assert_int_equal(conf_new(&conf), FR_OK);
    if (file) {
        write_file(file, strlen(file));
        snprintf(config_flag, sizeof(config_flag), "--config=%s", path);
        argv[argc++] = config_flag;
    }
    for (int i = 0; flags && flags[i]; i++)
        argv[argc++] = flags[i];
    struct conf_input input = {argc, argv, environment, own, FR_COUNT_OF(own)};
    enum fr_status status = conf_load(conf, &input);
    assert_int_equal(status, conf_fault_count(conf) ? FR_INVALID : FR_OK);
    return conf;
}

/* One of the faults ends with this text (the path of the file differs). */
static void expect_fault(const struct conf *conf, const char *end)
{
    for (uint32_t i = 0; i < conf_fault_count(conf); i++) {
        const char *fault = conf_fault(conf, i);
        if (strlen(fault) >= strlen(end) && strcmp(fault + strlen(fault) - strlen(end), end) == 0)
            return;
    }
    for (uint32_t i = 0; i < conf_fault_count(conf); i++)
        print_error("there is: %s\n", conf_fault(conf, i));
    fail_msg("no fault: ...%s", end);
}

static void one_fault(const char *file, char *flags[], const char *end)
{
    struct conf *conf = load(file, NULL, flags);
    expect_fault(conf, end);
    assert_int_equal(conf_fault_count(conf), 1);
    conf_free(conf);
}

static void test_defaults_need_no_file(void **state)
{
    (void)state;
    struct conf *conf = load(NULL, NULL, NULL);
    const struct conf_options *options = conf_options(conf);
    assert_int_equal(conf_fault_count(conf), 0);
    assert_int_equal(options->port, 8080);
    assert_int_equal(options->threads, CONF_AUTO);
    assert_int_equal(options->session_gap, 30 * 60 * 1000000LL);
    assert_string_equal(options->listen, "127.0.0.1");
    assert_true(options->rate_limit == 0);
    conf_free(conf);
    conf_free(NULL);
}

static void test_flags_win_over_environment_over_file(void **state)
{
    (void)state;
    char *environment[] = {"FRESHET_PORT=2", "FRESHET_LOG_LEVEL=warn", "PATH=/bin", NULL};
    struct conf *conf = load("port: 1\nlog-level: debug\nbatch-max: 3\n", environment,
                             (char *[]){"--port", "4", NULL});
    const struct conf_options *options = conf_options(conf);
    assert_int_equal(conf_fault_count(conf), 0);
    assert_int_equal(options->port, 4);
    assert_int_equal(options->log_level, 2);
    assert_int_equal(options->batch_max, 3);
    struct base_buf out;
    base_buf_init(&out, 0);
    conf_print_json(conf, &out);
    base_buf_put_u8(&out, 0);
    assert_non_null(strstr((char *)out.bytes, "\"port\":{\"value\":\"4\",\"from\":\"flags\"}"));
    assert_non_null(strstr((char *)out.bytes, ":3:12\"}")); /* batch-max: line and column */
    base_buf_release(&out);
    conf_free(conf);
}

/* A value that is overruled must be right all the same. */
static void test_an_overruled_fault_is_told(void **state)
{
    (void)state;
    one_fault("port: x\n", (char *[]){"--port=4", NULL},
              ":1:7: port must be a whole number from 0 to 65535 (seen: x)");
}

static void test_flags_arguments_and_switches(void **state)
{
    (void)state;
    struct conf *conf =
        load(NULL, NULL, (char *[]){"a", "--json", "-", "--columns", "u=1", "--", "--port", NULL});
    uint32_t count;
    char **arguments = conf_arguments(conf, &count);
    assert_int_equal(count, 3);
    assert_string_equal(arguments[0], "a");
    assert_string_equal(arguments[1], "-");
    assert_string_equal(arguments[2], "--port");
    assert_string_equal(conf_flag_value(conf, "json"), "");
    assert_string_equal(conf_flag_value(conf, "columns"), "u=1");
    assert_null(conf_flag_value(conf, "help"));
    conf_free(conf);
}

static void test_faults_of_flags(void **state)
{
    (void)state;
    struct conf *conf = load(NULL, NULL,
                             (char *[]){"--prot=1", "--port", "1", "--port=2", "--json=3", "-x",
                                        "--columns", NULL});
    expect_fault(conf, "flags: --prot is not known; did you mean port?");
    expect_fault(conf, "flags: --port is given twice (again as 2)");
    expect_fault(conf, "flags: --json takes no value (seen: 3)");
    expect_fault(conf, "flags: -x is not known; flags are written --name");
    expect_fault(conf, "flags: --columns needs MAP");
    assert_int_equal(conf_fault_count(conf), 5);
    conf_free(conf);
    one_fault(NULL, (char *[]){"--port", NULL}, "flags: --port needs a value");
}

static void test_faults_of_the_environment(void **state)
{
    (void)state;
    char *environment[] = {"FRESHET_PORT=tcp://10.0.0.1:8080", "FRESHET_DATA=/x",
                           "FRESHET_LOG_LEVL=debug", "FRESHET_THREADS=many", NULL};
    struct conf *conf = load(NULL, environment, NULL);
    expect_fault(conf, "environment: FRESHET_LOG_LEVL is not known; did you mean log-level?");
    expect_fault(conf, "environment: threads must be a whole number from 1 to 64, or auto "
                       "(seen: many)");
    assert_int_equal(conf_fault_count(conf), 2);
    assert_int_equal(conf_options(conf)->port, 8080);
    conf_free(conf);
}

static void test_faults_of_values_have_line_and_column(void **state)
{
    (void)state;
    struct conf *conf = load("# a comment\n"
                             "port: 99999\n"
                             "prot: 80\n"
                             "segment-bytes: 64\n"
                             "session-gap: 10m\n"
                             "log-level: loud\n"
                             "port: 81\n"
                             "threads:\n"
                             "listen: {a: b}\n"
                             "config: x\n"
                             "new-item-quota: -0.1\n"
                             "batch-max: 1.5\n"
                             "experts: a,,b\n",
                             NULL, NULL);
    expect_fault(conf, ":2:7: port must be a whole number from 0 to 65535 (seen: 99999)");
    expect_fault(conf, ":3:1: prot is not known; did you mean port?");
    expect_fault(conf, ":4:16: segment-bytes must be a size with its unit (64MiB, 10GB), from "
                       "1MiB to 4GiB (seen: 64)");
    expect_fault(conf, ":5:14: session-gap must be a duration with its unit (us, ms, s, min, h, "
                       "d), from 1s to 1d (seen: 10m)");
    expect_fault(conf, ":6:12: log-level must be debug, info, warn or error (seen: loud)");
    expect_fault(conf, ":7:1: port is given twice");
    expect_fault(conf, ":8:1: threads has no value");
    expect_fault(conf, ":9:1: listen has no plain value");
    expect_fault(conf, ":10:1: config cannot be set in a file");
    expect_fault(conf, ":11:17: new-item-quota must be a number from 0 to 1 (seen: -0.1)");
    expect_fault(conf, ":12:12: batch-max must be a whole number from 1 to 1000000 (seen: 1.5)");
    expect_fault(conf, ":13:10: experts must be a list of names (a,b) (seen: a,,b)");
    assert_int_equal(conf_fault_count(conf), 12);
    conf_free(conf);
}

static void test_faults_of_whole_files(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t count;
        const char *fault;
    } files[] = {
        {"", 0, ": cannot be read: it is empty (leave --config away for the defaults)"},
        {"\0\1\2", 3, ": cannot be read: it is not a UTF-8 text file"},
        {"\xff\xfe\x80port: 1\n", 11, ": cannot be read: it is not a UTF-8 text file"},
        {"port: \xed\xa0\x80\n", 10, ": cannot be read: it is not a UTF-8 text file"},
        {"- a\n- b\n", 8, ": must be a mapping of options, one `name: value` a line"},
        {"port = 80\n[x]\n", 14, ": must be a mapping of options, one `name: value` a line"},
        {"port: 1\n---\nport: 2\n", 20, ": holds a second document (---); only one is read"},
        {"port: \"80\n", 10, ":1:8: not YAML: double-quoted scalar without closing quote"},
        {"repeats: *x\n", 12, ":1:1: repeats has no plain value"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(files); i++) {
        struct conf *conf = load("", NULL, NULL);
        conf_free(conf);
        write_file(files[i].bytes, files[i].count);
        assert_int_equal(conf_new(&conf), FR_OK);
        char *argv[] = {"--config", path};
        struct conf_input input = {.argc = 2, .argv = argv};
        assert_int_equal(conf_load(conf, &input), FR_INVALID);
        expect_fault(conf, files[i].fault);
        conf_free(conf);
    }
    one_fault(NULL, (char *[]){"--config=/nowhere/x", NULL},
              "/nowhere/x: cannot be read: No such file or directory");
    one_fault(NULL, (char *[]){"--config=/", NULL}, "/: cannot be read: Is a directory");
}

static void test_a_file_of_comments_is_the_defaults(void **state)
{
    (void)state;
    struct base_buf sample;
    base_buf_init(&sample, 0);
    conf_document_sample(&sample);
    base_buf_put_u8(&sample, 0);
    struct conf *conf = load((char *)sample.bytes, NULL, NULL);
    assert_int_equal(conf_fault_count(conf), 0);
    conf_free(conf);
    /* and each line uncommented is a valid value */
    for (char *c = (char *)sample.bytes; *c; c++)
        if (c[0] == '#' && c[1] != ' ' && (c == (char *)sample.bytes || c[-1] == '\n'))
            *c = ' ';
    char *yaml = (char *)sample.bytes;
    conf = load(yaml, NULL, NULL);
    for (uint32_t i = 0; i < conf_fault_count(conf); i++)
        print_error("%s\n", conf_fault(conf, i));
    assert_int_equal(conf_fault_count(conf), 0);
    conf_free(conf);
    base_buf_release(&sample);
}

static void test_event_types(void **state)
{
    (void)state;
    struct conf *conf = load("events:\n"
                             "  save: {weight: 2}\n"
                             "  listen: {weight: 1.5, rule: seconds, low: 10, high: 120}\n",
                             NULL, NULL);
    uint32_t count;
    const struct conf_event *events = conf_events(conf, &count);
    assert_int_equal(conf_fault_count(conf), 0);
    assert_int_equal(count, 2);
    assert_string_equal(events[0].name, "save");
    assert_true(events[0].weight == 2 && events[0].given == CONF_EVENT_HAS_weight);
    assert_int_equal(events[1].rule, 1);
    assert_true(events[1].low == 10 && events[1].high == 120 && events[1].line == 3);
    conf_free(conf);
    conf = load("events:\n"
                "  save: {weight: 2, wieght: 3}\n"
                "  view: {weight: abc}\n"
                "  Bad: {weight: 1}\n"
                "  x: {rule: secs, low: 3, high: 2}\n"
                "  y: 3\n"
                "  y: {weight: 1}\n",
                NULL, NULL);
    expect_fault(conf, ":2:21: events: save: wieght is not known; did you mean weight?");
    expect_fault(conf, ":3:18: events: view: weight must be a number from -100 to 100 (seen: abc)");
    expect_fault(conf, ":4:3: events: a name is 1 to 31 of a-z, 0-9 and _ (seen: Bad)");
    expect_fault(conf, ":5:13: events: x: rule must be none, seconds, depth, stars, price or any "
                       "(seen: secs)");
    expect_fault(conf, ":5:3: events: x: low must be below high (seen: 3 and 2)");
    expect_fault(conf, ":6:3: events: y must be a mapping such as {weight: 2}");
    expect_fault(conf, ":7:3: y is given twice");
    assert_int_equal(conf_fault_count(conf), 7);
    conf_free(conf);
}

static void test_lists(void **state)
{
    (void)state;
    struct conf *conf = load("experts: [cooc, popular]\n", NULL, NULL);
    assert_string_equal(conf_options(conf)->experts, "cooc,popular");
    conf_free(conf);
    assert_true(conf_list_holds("all", "x"));
    assert_true(conf_list_holds("a,bc", "bc"));
    assert_false(conf_list_holds("a,bc", "b"));
    assert_false(conf_list_holds("", ""));
}

/* Every value that can be printed can be read again. */
static void test_values_read_back(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"segment-bytes", "1500kB"}, {"segment-bytes", "1.5GiB"},     {"idle-timeout", "90s"},
        {"idle-timeout", "0.5h"},    {"idle-timeout", "10500us"},     {"threads", "auto"},
        {"threads", "64"},           {"new-item-quota", "0.3333333"}, {"memory-max", "1TiB"},
    };
    for (size_t i = 0; i < FR_COUNT_OF(texts); i++) {
        char line[128];
        struct base_buf printed;
        uint32_t count;
        const struct conf__option *options = conf__options(&count);
        int at = conf__find(options, count, texts[i][0]);
        snprintf(line, sizeof(line), "%s: %s\n", texts[i][0], texts[i][1]);
        struct conf *conf = load(line, NULL, NULL);
        assert_int_equal(conf_fault_count(conf), 0);
        base_buf_init(&printed, 0);
        conf__value_print(&options[at], conf_options(conf), &printed);
        base_buf_put_u8(&printed, 0);
        snprintf(line, sizeof(line), "%s: %s\n", texts[i][0], (char *)printed.bytes);
        struct conf *again = load(line, NULL, NULL);
        assert_int_equal(conf_fault_count(again), 0);
        assert_memory_equal((const char *)conf_options(conf) + options[at].offset,
                            (const char *)conf_options(again) + options[at].offset, 8);
        base_buf_release(&printed);
        conf_free(conf);
        conf_free(again);
    }
    one_fault("idle-timeout: 1.5h\n", NULL,
              ":1:15: idle-timeout must be a duration with its unit (us, ms, s, min, h, d), from "
              "10ms to 1h (seen: 1.5h)");
}

struct changes {
    uint32_t count, reloadable;
};

static void count_change(void *context, const char *option, bool reloadable)
{
    struct changes *changes = context;
    assert_non_null(option);
    changes->count++;
    changes->reloadable += reloadable;
}

static void test_compare_tells_what_changed(void **state)
{
    (void)state;
    struct conf *now = load("port: 1\nlog-level: info\n", NULL, NULL);
    struct conf *next = load("port: 2\nlog-level: debug\n", NULL, NULL);
    struct changes changes = {0};
    conf_compare(now, next, count_change, &changes);
    assert_int_equal(changes.count, 2);
    assert_int_equal(changes.reloadable, 1);
    conf_fault_add(next, "port", "is taken");
    expect_fault(next, ":1:7: port: is taken");
    conf_free(now);
    conf_free(next);
}

static void test_documents_name_every_option(void **state)
{
    (void)state;
    static void (*const documents[])(
        struct base_buf *) = {conf_document_help, conf_document_markdown, conf_document_man};
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    for (size_t d = 0; d < FR_COUNT_OF(documents); d++) {
        struct base_buf out;
        base_buf_init(&out, 0);
        documents[d](&out);
        base_buf_put_u8(&out, 0);
        for (uint32_t i = 0; i < count; i++)
            assert_non_null(strstr((char *)out.bytes, options[i].text + 1));
        base_buf_release(&out);
    }
}

static void test_a_hundred_faults_are_enough(void **state)
{
    (void)state;
    struct base_buf file;
    base_buf_init(&file, 0);
    for (int i = 0; i < 1000; i++)
        base_buf_printf(&file, "nonsense-%d: 1\n", i);
    base_buf_put_u8(&file, 0);
    struct conf *conf = load((char *)file.bytes, NULL, NULL);
    assert_int_equal(conf_fault_count(conf), CONF__FAULTS_MAX);
    conf_free(conf);
    base_buf_release(&file);
}

static int make_path(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_need_no_file),
        cmocka_unit_test(test_flags_win_over_environment_over_file),
        cmocka_unit_test(test_an_overruled_fault_is_told),
        cmocka_unit_test(test_flags_arguments_and_switches),
        cmocka_unit_test(test_faults_of_flags),
        cmocka_unit_test(test_faults_of_the_environment),
        cmocka_unit_test(test_faults_of_values_have_line_and_column),
        cmocka_unit_test(test_faults_of_whole_files),
        cmocka_unit_test(test_a_file_of_comments_is_the_defaults),
        cmocka_unit_test(test_event_types),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_values_read_back),
        cmocka_unit_test(test_compare_tells_what_changed),
        cmocka_unit_test(test_documents_name_every_option),
        cmocka_unit_test(test_a_hundred_faults_are_enough),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
