/* SPDX-License-Identifier: Apache-2.0
 *
 * ids: from 64-bit feature keys to dense row numbers of the learners' tables, with admission by
 * frequency, expiry, and a ceiling that holds under any stream of new keys.
 *
 * A set-associative table: the key's low bits choose a set of 8 ways, its high 32 bits are the tag
 * kept in the way (two keys of one set and tag share a row: about 2^-29 a pair). A key is counted
 * from its first sight and gets an id at its `admit_after`-th; ids are handed out in order, so the
 * learners' tables grow with use. When a set is full, the new key takes the way of the stalest key
 * that still waits for admission; else of the stalest key not seen for `expire_s`, whose id becomes
 * its own when it is admitted; else it is refused (counted).
 *
 * Row: 8 ways of { u64 tag << 32 | id, u32 seen_s, u32 count }, 128 bytes.
 * Thread: model_ids_find() any; the rest the writer.
 *   ID1: an id belongs to at most one way.
 */
#ifndef MODEL_IDS_H
#define MODEL_IDS_H

#include "base/base.h"
#include "base/rows.h"

struct model_ids;

struct model_ids_options {
    const char *name;     /* of the table; static */
    uint32_t id_max;      /* ids are 1 .. id_max - 1 */
    uint32_t admit_after; /* occurrences before a key gets an id; 1 = at once */
    uint32_t expire_s;    /* a key unseen for so long may be replaced */
};

FR_MUST_USE enum fr_status model_ids_new(const struct model_ids_options *options,
                                         struct fr_error *error, struct model_ids **out_ids);
void model_ids_free(struct model_ids *ids);
/* The table, to be saved and hashed. */
struct base_rows *model_ids_table(struct model_ids *ids);

/* Asks for the key's set ahead of its use. */
void model_ids_prefetch(const struct model_ids *ids, uint64_t key);
/* The key's id, or 0. */
uint32_t model_ids_find(const struct model_ids *ids, uint64_t key);
/* Counts the key. Its id, or 0 when it is not admitted (yet). *out_fresh: the id was handed out by
 * this very call, new or taken from an expired key: the learners reset its rows. */
uint32_t model_ids_intern(struct model_ids *ids, uint64_t key, uint32_t now_s, bool *out_fresh);

struct model_ids_stats {
    uint32_t used;              /* ids handed out */
    uint64_t replaced, refused; /* expired keys replaced; keys turned away by a full set or table */
};
void model_ids_stats_get(const struct model_ids *ids, struct model_ids_stats *out_stats);

/* A learner's table by id: makes sure that row `id` exists; false when the table is full. Writer.
 */
bool model_rows_reach(struct base_rows *rows, uint32_t id);

#endif
