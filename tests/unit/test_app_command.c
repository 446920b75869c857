/* SPDX-License-Identifier: Apache-2.0
 *
 * app: what people and scripts see of the program: help, exit codes, faults, JSON; progress lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/app.h"

static char said[65536];

/* Runs the program through the shell and keeps both its streams; returns the exit code. */
static int freshet(const char *arguments)
{
    char line[1024];
    snprintf(line, sizeof(line), FRESHET_BINARY_DIR "/freshet %s 2>&1", arguments);
    FILE *out = popen(line, "r");
    assert_non_null(out);
    size_t count = fread(said, 1, sizeof(said) - 1, out);
    said[count] = '\0';
    return WEXITSTATUS(pclose(out));
}

static void test_help_lists_every_subcommand(void **state)
{
    (void)state;
    uint32_t count;
    const struct app_command *const *commands = app_commands(&count);
    assert_int_equal(freshet("--help"), APP_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_non_null(strstr(said, commands[i]->summary));
        assert_ptr_equal(app_command_find(commands[i]->name), commands[i]);
    }
    assert_int_equal(freshet(""), APP_USAGE);
    assert_non_null(strstr(said, "usage: freshet SUBCOMMAND"));
}

/* Each tells its usage, its flags, the exit codes and the options, with --help anywhere. */
static void test_every_subcommand_has_help(void **state)
{
    (void)state;
    uint32_t count;
    const struct app_command *const *commands = app_commands(&count);
    for (uint32_t i = 0; i < count; i++) {
        char line[128];
        snprintf(line, sizeof(line), "%s --no-such-flag --help", commands[i]->name);
        assert_int_equal(freshet(line), APP_OK);
        assert_memory_equal(said, "usage: freshet ", 15);
        for (uint32_t f = 0; f < commands[i]->flag_count; f++)
            assert_non_null(strstr(said, commands[i]->flags[f].text));
        for (int code = 0; code < APP_EXIT_COUNT; code++)
            assert_non_null(strstr(said, app_exit_text((enum app_exit)code)));
        assert_non_null(strstr(said, "--data-dir"));
    }
}

static void test_unknown_names_are_answered_with_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(freshet("chekc-config"), APP_USAGE);
    assert_non_null(
        strstr(said, "there is no subcommand chekc-config; did you mean check-config?"));
    assert_int_equal(freshet("check-config --prot=1 --log-levl=info"), APP_USAGE);
    assert_non_null(strstr(said, "--prot is not known; did you mean port?"));
    assert_non_null(strstr(said, "--log-levl is not known; did you mean log-level?"));
    assert_non_null(strstr(said, "2 faults in the configuration; nothing was done"));
}

static void test_faults_as_json(void **state)
{
    (void)state;
    assert_int_equal(freshet("check-config --json --port=x"), APP_USAGE);
    assert_string_equal(said, "{\"faults\":[\"flags: port must be a whole number from 0 to 65535 "
                              "(seen: x)\"]}\n");
    assert_int_equal(freshet("check-config --json stray"), APP_USAGE);
    assert_memory_equal(said, "{\"error\":{\"code\":\"usage\",", 25);
    assert_int_equal(freshet("version --json"), APP_OK);
    assert_memory_equal(said, "{\"version\":\"", 12);
}

/* Bound to the world it needs a key; only loopback addresses count as loopback. */
static void test_listening_to_the_world_needs_a_key(void **state)
{
    (void)state;
    assert_int_equal(freshet("check-config --listen 0.0.0.0"), APP_USAGE);
    assert_non_null(strstr(said, "or listen on 127.0.0.1"));
    assert_int_equal(freshet("check-config --listen 127.0.0.1.example.org"), APP_USAGE);
    char folder[] = "/tmp/freshet-keys-XXXXXX", command[128];
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof(command), "keys create --data-dir %s", folder);
    assert_int_equal(freshet(command), APP_OK);
    snprintf(command, sizeof(command), "check-config --listen 0.0.0.0 --data-dir %s", folder);
    assert_int_equal(freshet(command), APP_OK);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(freshet("check-config --listen 127.9.9.9"), APP_OK);
    assert_int_equal(freshet("check-config --listen ::1"), APP_OK);
}

static void test_a_full_disk_is_told(void **state)
{
    (void)state;
    assert_int_equal(freshet("version >/dev/full"), APP_FAILED);
}

static void test_event_types_of_the_file(void **state)
{
    (void)state;
    char path[] = "/tmp/test_app_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    dprintf(fd, "events:\n  save: {weight: 2}\n  view: {weight: 0.25}\n");
    close(fd);
    struct conf *conf = NULL;
    struct schema_types types;
    struct fr_error error;
    struct conf_input input = {.argc = 2, .argv = (char *[]){"--config", path}};
    assert_int_equal(conf_new(&conf), FR_OK);
    assert_int_equal(conf_load(conf, &input), FR_OK);
    assert_int_equal(app_event_types(conf, &types, &error), FR_OK);
    assert_int_equal(types.count, SCHEMA_BUILT_IN_COUNT + 1);
    assert_true(types.row[SCHEMA_VIEW].weight == 0.25f);
    assert_string_equal(types.row[SCHEMA_BUILT_IN_COUNT].name, "save");
    assert_true(types.row[SCHEMA_BUILT_IN_COUNT].weight == 2);
    conf_free(conf);
    unlink(path);
}

static void expect_line(struct app_progress progress, uint64_t done, const char *expected)
{
    struct base_buf line;
    base_buf_init(&line, 0);
    app_progress_line(&progress, done, progress.began_ns + 2000000000, &line);
    base_buf_put_u8(&line, 0);
    assert_string_equal((char *)line.bytes, expected);
    base_buf_release(&line);
}

static void test_progress_lines(void **state)
{
    (void)state;
    struct app_progress progress = {.what = "importing", .unit = "events", .total = 4000000};
    expect_line(progress, 1000000,
                "importing: 25 %, 1,000,000 of 4,000,000 events, 500,000/s, 6 s left");
    expect_line(progress, 0, "importing: 0 %, 0 of 4,000,000 events, 0/s");
    expect_line(progress, 4000000,
                "importing: 100 %, 4,000,000 of 4,000,000 events, 2,000,000/s, 0 s left");
    progress.total = 800000000; /* and more than was announced is not over 100 % */
    expect_line(progress, 1000000,
                "importing: 0 %, 1,000,000 of 800,000,000 events, 500,000/s, 26 min 38 s left");
    progress.total = 10;
    expect_line(progress, 20, "importing: 100 %, 20 of 20 events, 10/s, 0 s left");
    progress.total = 0;
    expect_line(progress, 1234, "importing: 1,234 events, 617/s");
    progress.total = 8;
    progress.terminal = true;
    expect_line(progress, 2,
                "importing [######------------------]  25 % 2 of 8 events, 1/s, 6 s left");
}

static void test_the_service_manager_hears_us(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char heard[64] = "", directory[] = "/tmp/test_app_XXXXXX";
    assert_non_null(mkdtemp(directory));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", directory);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    app_notify("READY=1");
    assert_int_equal(recv(fd, heard, sizeof(heard), MSG_DONTWAIT), 7);
    assert_string_equal(heard, "READY=1");
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    app_notify("READY=1");
    unsetenv("NOTIFY_SOCKET");
    app_notify("READY=1");
    assert_true(recv(fd, heard, sizeof(heard), MSG_DONTWAIT) < 0);
    close(fd);
    unlink(address.sun_path);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_lists_every_subcommand),
        cmocka_unit_test(test_every_subcommand_has_help),
        cmocka_unit_test(test_unknown_names_are_answered_with_the_nearest),
        cmocka_unit_test(test_faults_as_json),
        cmocka_unit_test(test_listening_to_the_world_needs_a_key),
        cmocka_unit_test(test_a_full_disk_is_told),
        cmocka_unit_test(test_event_types_of_the_file),
        cmocka_unit_test(test_progress_lines),
        cmocka_unit_test(test_the_service_manager_hears_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
