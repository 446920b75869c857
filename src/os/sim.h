/* SPDX-License-Identifier: Apache-2.0
 *
 * os_sim: the simulated twin. One machine's disk, clock and randomness in memory, from one seed:
 * the same calls give the same bytes, the same faults and the same state after a crash.
 *
 * The disk keeps two contents of every file and directory: what the running process sees, and what
 * the medium is sure to hold. os_sim_crash() lets each 512-byte sector written since the last sync
 * fall back to any of its states since then, each file's size likewise, and each directory entry
 * changed since the last sync_dir stay or go (in order within a directory, or not, by the draw).
 *
 * Faults are asked for by the number of an operation. Operations are counted from 1 over the life
 * of the machine; every table call is one, but for close, clock and random.
 *
 * Thread: any (one mutex); the order of operations is then the scheduler's and no longer the
 * seed's.
 */
#ifndef OS_SIM_H
#define OS_SIM_H

#include "os/os.h"

struct os_sim;

struct os_sim_options {
    int64_t start_us;          /* wall clock at the start; 0 = 2026-01-01 */
    uint64_t disk_bytes_max;   /* full beyond; 0 = endless */
    uint32_t read_flip_one_in; /* one bit wrong in one read of so many; 0 = never */
};

/* NULL options: all defaults. */
struct os_sim *os_sim_new(uint64_t seed, const struct os_sim_options *options);
void os_sim_free(struct os_sim *sim); /* NULL is fine; files must be closed */
struct os *os_sim_os(struct os_sim *sim);
uint64_t os_sim_seed(const struct os_sim *sim);

/* Both clocks go on by `us`; they stand still otherwise. */
void os_sim_advance(struct os_sim *sim, int64_t us);
void os_sim_wall_jump(struct os_sim *sim, int64_t us); /* the wall clock only, also backwards */

uint64_t os_sim_operations(const struct os_sim *sim); /* done so far */

/* From operation `number` on the process is dead: that operation is done in part (a write, whole
 * sectors) or not at all, and it and all later ones give FR_IO, until os_sim_crash() or os_sim_kill(). 0: never. */
void os_sim_crash_at(struct os_sim *sim, uint64_t number);
bool os_sim_is_dead(const struct os_sim *sim);
/* It is dead from here on: what releases its memory reaches no file. */
void os_sim_halt(struct os_sim *sim);
/* Power is cut and comes back: un-synced state is lost or torn as above, locks and handles are gone
 * (a handle still open gives FR_IO and can be closed). Faults asked for are forgotten, but for the
 * size of the disk. */
void os_sim_crash(struct os_sim *sim);
/* The process is killed, the machine stays: everything written is kept, locks and handles go. */
void os_sim_kill(struct os_sim *sim);

/* Operation `number` fails with `status`, once. A failed sync leaves its writes un-synced for good:
 * seen until a crash, and then lost or torn, though later syncs say good (O3). */
void os_sim_fail_at(struct os_sim *sim, uint64_t number, enum fr_status status);
/* The next sync fails, once. */
void os_sim_fail_sync(struct os_sim *sim);
void os_sim_disk_limit(struct os_sim *sim, uint64_t bytes_max);
uint64_t os_sim_disk_bytes(const struct os_sim *sim);

/* Damages stored bytes: to[i] ^= mask for `bytes` bytes from `offset` on. FR_NOT_FOUND. */
FR_MUST_USE enum fr_status os_sim_damage(struct os_sim *sim, const char *path, uint64_t offset,
                                         size_t bytes, uint8_t mask);
/* A deterministic draw from the machine's own stream, for tests: 0 <= result < bound. */
uint64_t os_sim_draw(struct os_sim *sim, uint64_t bound);

#endif
