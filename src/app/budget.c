/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory ceiling (memory-max), shared out over named parts.
 *
 * B1: the parts' maxima together stay under the ceiling, so that it holds under any stream of ids.
 * B2: shares depend on memory-max and the experts asked for alone: neither on the number of threads nor
 *     on what is there, or the same journal would fold to another state.
 *
 * First comes the process: code, stacks, answers under way, queues, bodies, blocks copied during a
 * snapshot, and a sixteenth for what nobody foresaw. The rest is for the tables, in 64ths by what
 * the design's own figures (10 M events, 1 M users, 100 k items in 2 GiB) make of them. A row is
 * counted with its index and with what the experts keep for it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "app/engine.h"
#include "rank/rank.h"
#include "serve/slates.h"

#define MIB ((uint64_t)1 << 20)
#define PROCESS_BYTES                                                                              \
    (31 * MIB + MIB / 2)              /* code, stacks, slates, what is learnt of no single row */
#define GRU_BYTES (2 * MIB + MIB / 4) /* its cell, ring and values of contexts */
#define BODIES_BYTES (16 * MIB)       /* one body of the default maximum must fit */
#define WAITING_BYTES_MAX (64 * MIB)

enum {
    SHARE_PAIRS = 12,
    SHARE_HISTORY = 13,
    SHARE_ITEMS = 11,
    SHARE_USERS = 8,
    SHARE_TEXT = 7,
    SHARE_DEDUPE = 10,
    SHARE_CONTEXTS = 1,
    SHARE_TOKENS = 1,
    SHARE_NEWCOMERS = 1,
    SHARES = 64,

    /* bytes a row, index and experts included */
    GRU_ITEM_BYTES = 1168, /* where that expert is asked for */
    ITEM_BYTES = 1704,
    USER_BYTES = 160,
    EVENT_BYTES =
        37, /* chunks of seven at 128 bytes, half of a user's last empty; 14 older at 64 */
    DEDUPE_BYTES = 50,
    CONTEXT_BYTES = 220,
    TOKEN_BYTES = 180,
    NEWCOMER_BYTES = 4,

    /* what the process takes beside its parts: code, libraries, stacks, allocator */
    PROCESS_FIXED_BYTES = 12 << 20,
    THREAD_BYTES = 1 << 20, /* a serving thread: stack and the touched part of its arena */
};

/* The first number of a file of the control group; 0: there is none, or no limit. */
static uint64_t limit_in(const char *path)
{
    uint64_t bytes = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%" SCNu64, &bytes) != 1)
        bytes = 0; /* "max" */
    fclose(file);
    return bytes;
}

uint64_t app_memory_max(const struct conf_options *conf)
{
    static const char *const files[] = {"/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    if (conf->memory_max != CONF_AUTO)
        return conf->memory_max;
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    for (uint32_t i = 0; i < FR_COUNT_OF(files); i++) {
        uint64_t limit = limit_in(files[i]);
        if (limit)
            total = FR_MIN(total, limit);
    }
    return FR_MAX(total / 2, 64 * MIB);
}

static uint64_t waiting_bytes(const struct conf_options *conf)
{
    return FR_MIN(app_memory_max(conf) / 16, WAITING_BYTES_MAX);
}

static uint64_t tables_bytes(const struct conf_options *conf)
{
    uint64_t total = app_memory_max(conf), waiting = waiting_bytes(conf);
    return total - total / 16 - PROCESS_BYTES - 2 * waiting - FR_MAX(waiting, BODIES_BYTES);
}

static uint64_t rows_of(uint64_t tables, uint64_t share, uint64_t row_bytes, uint64_t most)
{
    return FR_MIN(tables / SHARES * share / row_bytes, most);
}

void app_memory_share(const struct conf_options *conf, struct state_options *out)
{
    uint64_t tables = tables_bytes(conf);
    if (rank_names(conf->experts, "ridge"))
        tables = tables / 4 * 3; /* its tables take as much as the neighbour rows at most */
    uint64_t item_bytes = ITEM_BYTES;
    if (rank_names(conf->experts, "gru")) {
        tables -= GRU_BYTES;
        item_bytes += GRU_ITEM_BYTES;
    }
    uint64_t dedupe = rows_of(tables, SHARE_DEDUPE, DEDUPE_BYTES, UINT32_MAX);
    out->pair_bytes_max = tables / SHARES * SHARE_PAIRS / 9 * 8; /* a ninth: their leaders */
    out->event_count_max = rows_of(tables, SHARE_HISTORY, EVENT_BYTES, (uint64_t)1 << 31);
    out->item_count_max = (uint32_t)rows_of(tables, SHARE_ITEMS, item_bytes, 1 << 24);
    out->user_count_max = (uint32_t)rows_of(tables, SHARE_USERS, USER_BYTES, 1 << 26);
    out->text_bytes_max = tables / SHARES * SHARE_TEXT;
    out->dedupe_count_max = (uint32_t)FR_MIN(dedupe, out->dedupe_count_max);
    out->context_count_max = (uint32_t)rows_of(tables, SHARE_CONTEXTS, CONTEXT_BYTES, 1 << 18);
    out->token_count_max = (uint32_t)rows_of(tables, SHARE_TOKENS, TOKEN_BYTES, 1 << 20);
    out->newcomer_count_max = (uint32_t)rows_of(tables, SHARE_NEWCOMERS, NEWCOMER_BYTES, 1 << 22);
}

uint32_t app_memory_queue(const struct conf_options *conf)
{
    return (uint32_t)waiting_bytes(conf);
}

uint32_t app_memory_copied(const struct conf_options *conf)
{
    return (uint32_t)waiting_bytes(conf);
}

size_t app_memory_bodies(const struct conf_options *conf)
{
    return FR_MAX(conf->body_max, (size_t)waiting_bytes(conf));
}

static uint32_t learnt(const struct rank *rank, struct state_memory *out)
{
    uint32_t count = 0;
    struct base_rows *const *tables = rank_tables(rank, &count);
    for (uint32_t t = 0; t < count; t++) {
        uint32_t per_block = (uint32_t)(BASE_ROWS_BLOCK_BYTES / base_rows_row_bytes(tables[t]));
        uint64_t blocks = (base_rows_count_max(tables[t]) + per_block - 1) / per_block;
        out[t] = (struct state_memory){.name = base_rows_name(tables[t]),
                                       .rows = base_rows_count(tables[t]) - 1,
                                       .rows_max = base_rows_count_max(tables[t]) - 1,
                                       .use = base_rows_bytes(tables[t]),
                                       .budget = blocks * BASE_ROWS_BLOCK_BYTES};
    }
    return count;
}

uint32_t app_memory_parts(const struct app *app, const struct app_engine *engine,
                          struct state_memory out[APP_MEMORY_PARTS_MAX])
{
    const struct conf_options *conf = app->options;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t threads =
        conf->threads == CONF_AUTO ? (uint64_t)FR_MAX(cores, 1L) : (uint64_t)conf->threads;
    uint32_t n = state_memory(engine->state, out);
    n += learnt(engine->rank, out + n);
    n += rank_beside(engine->rank, out + n, APP_MEMORY_PARTS_MAX - n);
    out[n++] = (struct state_memory){.name = "queues", .budget = app_memory_queue(conf)};
    out[n++] = (struct state_memory){.name = "snapshot-copies", .budget = app_memory_copied(conf)};
    out[n++] = (struct state_memory){.name = "bodies", .budget = app_memory_bodies(conf)};
    out[n++] = (struct state_memory){.name = "slates", .budget = SERVE_SLATES_BUFFER_BYTES};
    out[n++] = (struct state_memory){.name = "threads", .budget = threads * THREAD_BYTES};
    out[n++] = (struct state_memory){.name = "process",
                                     .use = PROCESS_FIXED_BYTES,
                                     .budget = PROCESS_FIXED_BYTES};
    return n;
}
