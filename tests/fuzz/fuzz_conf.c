/* SPDX-License-Identifier: Apache-2.0
 *
 * Any configuration file gives options within their ranges or faults, never a crash; what was
 * accepted prints to text that is accepted again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/conf_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static char path[] = "/tmp/fuzz_conf_XXXXXX";

static void remove_path(void)
{
    unlink(path);
}

static void check_loaded(const struct conf *conf)
{
    uint32_t option_count;
    const struct conf__option *options = conf__options(&option_count);
    struct base_buf text;
    base_buf_init(&text, 0);
    conf_print_json(conf, &text);
    conf_print_fold(conf, &text);
    FR_ASSERT(!text.overflowed);
    for (uint32_t i = 0; i < option_count; i++) {
        struct conf *again = NULL;
        char reason[CONF__REASON_BYTES];
        base_buf_clear(&text);
        conf__value_print(&options[i], conf_options(conf), &text);
        base_buf_put_u8(&text, 0);
        FR_ASSERT(conf_new(&again) == FR_OK);
        FR_ASSERT(*text.bytes == 0 ||
                  conf__value_set(again, &options[i], &again->options, (char *)text.bytes, reason));
        conf_free(again);
    }
    base_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static FILE *file;
    if (!file) {
        int fd = mkstemp(path);
        file = fd < 0 ? NULL : fdopen(fd, "r+b");
        FR_ASSERT(file != NULL);
        atexit(remove_path);
    }
    rewind(file);
    FR_ASSERT(fwrite(bytes, 1, count, file) == count && fflush(file) == 0);
    FR_ASSERT(ftruncate(fileno(file), (off_t)count) == 0);
    struct conf *conf = NULL;
    char *argv[] = {"--config", path};
    struct conf_input input = {.argc = 2, .argv = argv};
    FR_ASSERT(conf_new(&conf) == FR_OK);
    if (conf_load(conf, &input) == FR_OK)
        check_loaded(conf);
    conf_free(conf);
    return 0;
}
