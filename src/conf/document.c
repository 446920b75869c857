/* SPDX-License-Identifier: Apache-2.0
 *
 * conf documents: what people read about the options, from the same table that parses them.
 */
#include "conf/conf_priv.h"

#include <ctype.h>
#include <string.h>

typedef void (*section_fn)(struct base_buf *out, const char *title);
typedef void (*option_fn)(struct base_buf *out, const struct conf__option *option);

static void each_option(struct base_buf *out, section_fn section, option_fn option)
{
    uint32_t count;
    const struct conf__option *options = conf__options(&count);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || options[i].section != options[i - 1].section)
            section(out, conf__section_title(options[i].section));
        option(out, &options[i]);
    }
}

static void put_default(struct base_buf *out, const struct conf__option *option)
{
    base_buf_put_str(out, *option->value ? option->value : "none");
}

static void help_section(struct base_buf *out, const char *title)
{
    base_buf_printf(out, "%s:\n", title);
}

static void help_option(struct base_buf *out, const struct conf__option *option)
{
    char name[CONF__NAME_BYTES];
    base_buf_printf(out, "  --%-18s %s [", conf__name(option, name), option->text);
    put_default(out, option);
    base_buf_put_str(out, "]\n");
}

void conf_document_help(struct base_buf *out)
{
    each_option(out, help_section, help_option);
}

static void markdown_section(struct base_buf *out, const char *title)
{
    base_buf_printf(out,
                    "\n## %s\n\n| option | must be | default | changes | meaning |\n"
                    "|---|---|---|---|---|\n",
                    title);
}

/* A pipe would end the cell. */
static void put_cell(struct base_buf *out, struct fr_slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.ptr[i] == '|')
            base_buf_put_u8(out, '\\');
        base_buf_put_u8(out, (uint8_t)text.ptr[i]);
    }
}

static const char *when(const struct conf__option *option)
{
    if (option->flags & CONF_RELOAD)
        return "at a reload";
    return option->flags & CONF_FOLD ? "at a start that folds all anew" : "at a start";
}

static void markdown_option(struct base_buf *out, const struct conf__option *option)
{
    char name[CONF__NAME_BYTES];
    struct base_buf must;
    base_buf_init(&must, 0);
    conf__value_describe(option, &must);
    base_buf_printf(out, "| `%s` | ", conf__name(option, name));
    put_cell(out, base_buf_slice(&must));
    base_buf_put_str(out, *option->value ? " | `" : " | ");
    put_default(out, option);
    base_buf_printf(out, "%s | %s | %s |\n", *option->value ? "`" : "", when(option), option->text);
    base_buf_release(&must);
}

void conf_document_markdown(struct base_buf *out)
{
    base_buf_put_str(
        out,
        "# Configuration\n\n"
        "Generated from `src/conf/options.def` by `make docs`; do not edit.\n\n"
        "Nothing needs to be configured: every option has a default. An option is given as a flag\n"
        "(`--data-dir=/srv/freshet` or `--data-dir /srv/freshet`), in the environment\n"
        "(`FRESHET_DATA_DIR=/srv/freshet`) or in a YAML file (`data-dir: /srv/freshet`) named by\n"
        "`--config`. Flags win over the environment, the environment over the file, the file over\n"
        "the default. Booleans are switched by `--name` and `--no-name`. `freshet check-config`\n"
        "prints every value and where it came from, or all faults at once with file, line and\n"
        "column.\n");
    each_option(out, markdown_section, markdown_option);
    base_buf_put_str(out,
                     "\n## Event types\n\n"
                     "`events:` in the file declares event types, or changes built-in ones:\n\n"
                     "```yaml\nevents:\n  save: {weight: 2}\n"
                     "  listen: {weight: 1, rule: seconds, low: 10, high: 120}\n"
                     "  view: {weight: 0.5}\n```\n\n"
                     "| field | must be | meaning |\n|---|---|---|\n");
    uint32_t count;
    const struct conf__option *fields = conf__event_fields(&count);
    for (uint32_t i = 0; i < count; i++) {
        struct base_buf must;
        base_buf_init(&must, 0);
        conf__value_describe(&fields[i], &must);
        base_buf_printf(out, "| `%s` | ", fields[i].id);
        put_cell(out, base_buf_slice(&must));
        base_buf_printf(out, " | %s |\n", fields[i].text);
        base_buf_release(&must);
    }
}

static void sample_section(struct base_buf *out, const char *title)
{
    base_buf_printf(out, "\n# ---- %s\n", title);
}

static void sample_option(struct base_buf *out, const struct conf__option *option)
{
    char name[CONF__NAME_BYTES];
    if (option->flags & CONF_NOT_IN_FILE)
        return;
    base_buf_printf(out, "# %s\n#   must be ", option->text);
    conf__value_describe(option, out);
    base_buf_printf(out, "\n#%s: %s\n", conf__name(option, name),
                    *option->value ? option->value : "\"\"");
}

void conf_document_sample(struct base_buf *out)
{
    base_buf_put_str(out,
                     "# Freshet's options, all at their defaults. Generated by `make docs`.\n"
                     "# Uncomment what you change; `freshet check-config --config FILE` checks "
                     "it.\n");
    each_option(out, sample_section, sample_option);
}

static void man_section(struct base_buf *out, const char *title)
{
    base_buf_printf(out, ".SS %s\n", title);
}

static void man_option(struct base_buf *out, const struct conf__option *option)
{
    base_buf_put_str(out, ".TP\n.B \\-\\-");
    for (const char *c = option->id; *c; c++)
        base_buf_put_str(out, *c == '_' ? "\\-" : (char[2]){*c, '\0'});
    base_buf_printf(out, "\n%c%s. Must be ", toupper((unsigned char)option->text[0]),
                    option->text + 1);
    conf__value_describe(option, out);
    base_buf_put_str(out, ". Default: ");
    put_default(out, option);
    base_buf_put_str(out, ".\n");
}

void conf_document_man(struct base_buf *out)
{
    each_option(out, man_section, man_option);
}
