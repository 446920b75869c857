/* SPDX-License-Identifier: Apache-2.0
 *
 * freshet memory: what each named part may take of --memory-max, and what it takes for a data
 * directory as it is now.
 */
#include "app/commands.h"
#include "app/engine.h"

struct table_sum {
    uint64_t use, budget;
};

static void print_size(uint64_t bytes, struct base_buf *out)
{
    base_buf_printf(out, " %11.2f", (double)bytes / (1 << 20));
}

static void print_part(const struct state_memory *part, bool json, bool first, struct base_buf *out)
{
    if (json) {
        base_buf_printf(out,
                        "%s{\"part\":\"%s\",\"rows\":%llu,\"rows_max\":%llu,\"use_bytes\":%llu,"
                        "\"budget_bytes\":%llu}",
                        first ? "" : ",", part->name, (unsigned long long)part->rows,
                        (unsigned long long)part->rows_max, (unsigned long long)part->use,
                        (unsigned long long)part->budget);
        return;
    }
    base_buf_printf(out, "%-16s", part->name);
    print_size(part->use, out);
    print_size(part->budget, out);
    if (part->rows_max)
        base_buf_printf(out, " %12llu %12llu", (unsigned long long)part->rows,
                        (unsigned long long)part->rows_max);
    base_buf_put_str(out, "\n");
}

/* What nearly full tables did about it: nobody new who came once, and the least useful rows gone. */
static void print_made_room(const struct state_stats *stats, bool json, struct base_buf *out)
{
    const struct {
        const char *name;
        uint64_t refused, expired;
    } kinds[] = {{"users", stats->refused_users, stats->expired_users},
                 {"items", stats->refused_items, stats->expired_items},
                 {"contexts", stats->refused_contexts, stats->expired_contexts},
                 {"tokens", 0, stats->expired_tokens}};
    if (!json)
        base_buf_printf(out, "%-16s %11s %11s\n", "ids", "expired", "refused");
    for (uint32_t k = 0; k < FR_COUNT_OF(kinds); k++) {
        unsigned long long expired = kinds[k].expired, refused = kinds[k].refused;
        if (json)
            base_buf_printf(out, "%s\"%s\":{\"expired\":%llu,\"refused\":%llu}",
                            k ? "," : ",\"made_room\":{", kinds[k].name, expired, refused);
        else
            base_buf_printf(out, "%-16s %11llu %11llu\n", kinds[k].name, expired, refused);
    }
    base_buf_put_str(out, json ? "}}\n" : "");
}

static void print_parts(const struct state_memory *parts, uint32_t count, uint64_t memory_max,
                        bool json, struct base_buf *out)
{
    struct table_sum sum = {0, 0};
    for (uint32_t i = 0; i < count; i++) {
        sum.use += parts[i].use;
        sum.budget += parts[i].budget;
    }
    if (json)
        base_buf_printf(out,
                        "{\"memory_max\":%llu,\"use_bytes\":%llu,\"budget_bytes\":%llu,\"parts\":[",
                        (unsigned long long)memory_max, (unsigned long long)sum.use,
                        (unsigned long long)sum.budget);
    else
        base_buf_printf(out, "%-16s %11s %11s %12s %12s\n", "part", "use, MiB", "budget, MiB",
                        "rows", "rows at most");
    for (uint32_t i = 0; i < count; i++)
        print_part(&parts[i], json, i == 0, out);
    if (json) {
        base_buf_put_str(out, "]");
        return;
    }
    base_buf_printf(out, "%-16s", "together");
    print_size(sum.use, out);
    print_size(sum.budget, out);
    base_buf_printf(out, "\nThe ceiling (memory-max) is %.2f MiB.\n",
                    (double)memory_max / (1 << 20));
}

static int app_memory(struct app *app, int argc, char **argv)
{
    (void)argv;
    if (argc > 0)
        return app_usage(app, "memory takes no arguments");
    struct app_engine engine;
    struct fr_error error = {0};
    struct app_engine_options options = {.read_only = true};
    if (app_engine_open(app, &options, &error, &engine) != FR_OK)
        return app_fail(app, &error);
    struct state_memory parts[APP_MEMORY_PARTS_MAX];
    uint32_t count = app_memory_parts(app, &engine, parts);
    struct base_buf out;
    base_buf_init(&out, 0);
    print_parts(parts, count, app_memory_max(app->options), app->json, &out);
    struct state_stats stats;
    state_stats_get(engine.state, &stats);
    print_made_room(&stats, app->json, &out);
    app_engine_close(&engine);
    return app_print(&out);
}

const struct app_command app_command_memory = {
    .name = "memory",
    .summary = "print what each table may take of the memory ceiling, and what it takes",
    .arguments = "",
    .text =
        "Recovers the data directory as a start does, without locking or changing it, and lists\n"
        "the named parts of the memory ceiling (--memory-max; by default half of the machine or "
        "of\n"
        "the control group): what each takes now and what it may take at most. A part at its most\n"
        "admits no id that comes once only, and its least useful rows expire; both are counted,\n"
        "here and as freshet_refused_ids_total and freshet_expired_rows_total.",
    .run = app_memory,
};
