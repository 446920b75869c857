/* SPDX-License-Identifier: Apache-2.0
 *
 * folding: a small engine (state, rank, fold without threads) on a simulated machine, and a stream
 * of seeded events for it. For tests of what the fold promises.
 */
#ifndef TESTS_FOLDING_H
#define TESTS_FOLDING_H

#include "fold/fold.h"
#include "os/sim.h"
#include "rank/rank.h"
#include "state/state.h"

struct folding {
    struct os_sim *sim;
    struct state *state;
    struct rank *rank;
    struct fold *fold;
    struct fold_batch batch;
    struct base_buf payload;
    uint64_t snapshot_records;
    int64_t retention_us, replay_us;
    uint32_t queue_bytes_max; /* 0: the default */
    const char *settings;     /* NULL: the defaults */
    bool no_remedies;
    bool bare;      /* small tables, and no rank: quick to open */
    bool tight;     /* tables that a few hundred ids fill, with rank */
    uint64_t until; /* read only, at that position; 0: the whole, to be written */
};

enum { FOLDING_USERS = 40, FOLDING_ITEMS = 120 };

/* Opens (recovers) on the machine. The status of fold_open(). */
enum fr_status folding_open(struct folding *folding, struct os_sim *sim, uint64_t snapshot_records,
                            struct fr_error *error);
/* The same with journal segments removed at that age. */
enum fr_status folding_open_retaining(struct folding *folding, struct os_sim *sim,
                                      uint64_t snapshot_records, int64_t retention_us,
                                      struct fr_error *error);
/* With a snapshot when what came after the last took so long to apply. */
enum fr_status folding_open_prompt(struct folding *folding, struct os_sim *sim, int64_t replay_us,
                                   struct fr_error *error);
/* The same with so much room for waiting batches. */
enum fr_status folding_open_bounded(struct folding *folding, struct os_sim *sim,
                                    uint32_t queue_bytes_max, struct fr_error *error);
/* The same with alarms of drift that ask for nothing. */
enum fr_status folding_open_watching(struct folding *folding, struct os_sim *sim,
                                     struct fr_error *error);
/* The same under settings (fold_options), with journal segments removed at that age. */
enum fr_status folding_open_settings(struct folding *folding, struct os_sim *sim,
                                     const char *settings, int64_t retention_us,
                                     struct fr_error *error);
/* The same without rank and with small tables, for those who open thousands. */
enum fr_status folding_open_bare(struct folding *folding, struct os_sim *sim,
                                 struct fr_error *error);
/* The same with tables that a few hundred ids fill. */
enum fr_status folding_open_tight(struct folding *folding, struct os_sim *sim,
                                  uint64_t snapshot_records, struct fr_error *error);
/* Read only, the state after exactly `until` records. */
enum fr_status folding_open_until(struct folding *folding, struct os_sim *sim, uint64_t until,
                                  struct fr_error *error);
/* Ordinary stop, with its snapshot. */
void folding_close(struct folding *folding);
/* Kills the process (power: cuts the power too); the fold is left as a dead process leaves it. */
void folding_kill(struct folding *folding, bool power);

/* Event `n` of the stream of `seed`: user, item, time, context drawn from (seed, n). Added to the
 * batch; its id is "e<n>". */
void folding_add_event(struct folding *folding, uint64_t seed, uint64_t n);
uint32_t folding_user_of(uint64_t seed, uint64_t n); /* u<that> */
uint32_t folding_item_of(uint64_t seed, uint64_t n); /* i<that>, distinct for a user's events */
/* The catalogue: FOLDING_ITEMS items with titles, categories, tags. */
void folding_add_items(struct folding *folding, uint64_t seed);
/* Runs the batch and empties it. */
enum fr_status folding_run(struct folding *folding);

/* A stream, and what is asked of its end. */
struct folding_stream {
    uint64_t seed, events;
    bool tight;                                       /* folding_open_tight() */
    int64_t received_us;                              /* of all records, whatever the batches */
    void (*first)(struct folding *folding);           /* fills the first batch; may be NULL */
    void (*add)(struct folding *folding, uint64_t n); /* event n */
    void (*check)(const struct folding *folding);     /* when all are folded */
};
/* How one run goes about a stream. */
struct folding_manner {
    uint64_t batch;            /* events a batch */
    uint64_t snapshot_records; /* automatic snapshots */
    uint64_t restart_every;    /* events between restarts; 0: none */
    bool kill;                 /* restarts are kills, every other one with the power */
};
/* The state's hash at the end of the stream on a machine of its own. */
struct base_hash128 folding_stream_hash(const struct folding_stream *stream,
                                        const struct folding_manner *manner);

bool folding_hash_equal(struct base_hash128 a, struct base_hash128 b);

#endif
