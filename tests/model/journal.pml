/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol of journal, offsets, dedupe and snapshot, for spin: every interleaving of a writer, a
 * disk that writes back when it likes, clients that retry, a source that delivers again from the
 * offset it is told, full disks, failing syncs, kills and power cuts.
 *
 * A slot is a place for one group of one record in a segment. It has two sectors, `a` and `b`, each
 * as the process sees it (mem) and as it is on the medium (med). A sector holds 0 (zeros) or an event's
 * id: 1 and 2 come from clients, 3 and 4 from the source, in this order.
 *
 * Invariants, by the numbers of src/journal/journal_priv.h:
 *   J1   recovery never finds a whole group after one that is not
 *   J2   a group in flight is, after a crash, whole or has a sector of zeros: never a false alarm
 *   J7   what was acknowledged is found; what was refused leaves no trace
 *   J8   nothing is acknowledged after a failed sync
 *   J10  what recovery has shown once is never lost later
 * and, of what reaches the state (E for effect):
 *   E1   no event is applied twice, whatever is delivered twice (dedupe window, offsets)
 *   E2   the source's offset is the number of its events applied (offset in the same record)
 *   E3   snapshot + rest of the journal = the whole journal; no snapshot is ahead of it (F1, F4 of
 *        src/fold/README.md)
 *
 * Each of BREAK_J1, _J2, _J7, _J8, _J10, _DEDUPE, _OFFSET, _SNAPSHOT removes one mechanism; run.sh shows
 * that the model then fails, so that the assertions are known to see something.
 */
#define SLOTS 4

byte mem_a[SLOTS], mem_b[SLOTS], med_a[SLOTS], med_b[SLOTS];
bool dirty_a[SLOTS], dirty_b[SLOTS];

/* the running process */
mtype = { DOWN, SETTLING, IDLE, HALF, WRITTEN, UNDOING, SYNCED, FAILED };
mtype phase = DOWN;
byte durable;        /* slots that count */
byte current;        /* event in flight */
byte applied_to;     /* slots folded */
byte count[5];       /* times applied, by id */
bool seen[5];        /* dedupe window */
byte offset;         /* next of the source */

/* what outlives it */
bool acked[5];
byte shown;          /* the most that any process has counted as durable */
byte snap_to, snap_offset;
byte snap_count[5];
bool snap_seen[5];

/* how much may still go wrong */
byte cuts = 2, kills = 1, sync_failures = 1, no_space = 1;

byte i, n;           /* scratch: 0 between steps, or the same states count many times */

inline write_sector_a(slot, value) { mem_a[slot] = value; dirty_a[slot] = true }
inline write_sector_b(slot, value) { mem_b[slot] = value; dirty_b[slot] = true }

inline flush_all() {
    i = 0;
    do
    :: i < SLOTS ->
        if :: dirty_a[i] -> med_a[i] = mem_a[i]; dirty_a[i] = false :: else fi;
        if :: dirty_b[i] -> med_b[i] = mem_b[i]; dirty_b[i] = false :: else fi;
        i++
    :: else -> break
    od
}

inline forget_process() {
    current = 0; durable = 0; applied_to = 0; offset = 0;
    i = 1;
    do :: i < 5 -> count[i] = 0; seen[i] = false; i++ :: else -> break od;
    i = 0
}

inline load_snapshot() {
    applied_to = snap_to; offset = snap_offset;
    i = 1;
    do :: i < 5 -> count[i] = snap_count[i]; seen[i] = snap_seen[i]; i++ :: else -> break od;
    i = 0
}

/* Folds slots applied_to .. durable - 1. */
inline fold_on() {
    do
    :: applied_to < durable ->
        i = mem_a[applied_to];
        if
#ifndef BREAK_DEDUPE
        :: i <= 2 && seen[i] -> skip
#endif
#ifndef BREAK_OFFSET
        :: i > 2 && i - 3 < offset -> skip      /* delivered again: already counted */
#endif
        :: else ->
            count[i]++;
            seen[i] = true;
            if :: i > 2 -> offset++ :: else fi
        fi;
        applied_to++
    :: else -> break
    od;
    i = 0
}

inline check_state() {
    assert(count[1] <= 1 && count[2] <= 1 && count[3] <= 1 && count[4] <= 1);  /* E1 */
    assert(offset == count[3] + count[4] && count[3] >= count[4]);             /* E2 */
    n = 1;
    do
    :: n < 5 ->                                         /* E3: it is what the journal says */
        i = 0;
        do
        :: i < durable && mem_a[i] != n -> i++
        :: else -> break
        od;
        assert(count[n] == (i < durable -> 1 : 0));
        n++
    :: else -> break
    od;
    i = 0; n = 0
}

/* recover.c: whole groups, then the judgement of what follows. */
inline find_end() {
    n = 0;
    do
    :: n < SLOTS && mem_a[n] != 0 && mem_a[n] == mem_b[n] -> n++
    :: else -> break
    od;
    i = n;
    do
    :: i < SLOTS ->
        assert(!(i > n && mem_a[i] != 0 && mem_a[i] == mem_b[i]));                       /* J1 */
        assert(!(i == n && mem_a[i] != 0 && mem_b[i] != 0 && mem_a[i] != mem_b[i]));     /* J2 */
        i++
    :: else -> break
    od
}

inline check_acked() {
    i = 1;
    do
    :: i <= 2 ->
        assert(!acked[i] || count[i] == 1);                                    /* J7, J8 */
        i++
    :: else -> break
    od;
    i = 0
}

active proctype machine() {
    do
    /* ---- start: find the end, zero what is torn, write the last group once more ------------- */
    :: phase == DOWN -> atomic {
        forget_process();
        find_end();
        if
        :: n < SLOTS && (mem_a[n] != 0 || mem_b[n] != 0) ->
#ifndef BREAK_J2
            write_sector_a(n, 0); write_sector_b(n, 0)
#else
            skip
#endif
        :: else
        fi;
#ifndef BREAK_J10
        if :: n > 0 -> dirty_a[n - 1] = true; dirty_b[n - 1] = true :: else fi;
#endif
        durable = n;
        i = 0; n = 0;
        phase = SETTLING
      }
    :: phase == SETTLING -> atomic {
#ifndef BREAK_J10
        flush_all();
#endif
        assert(durable >= shown);                                              /* J10 */
        shown = durable;
        assert(snap_to <= durable);                                            /* E3 */
        if :: load_snapshot() :: skip fi;       /* a good snapshot, or from the start */
        fold_on();
        check_state();
        check_acked();
        phase = IDLE
      }

    /* ---- an event comes ----------------------------------------------------------------------- */
    :: phase == IDLE && durable < SLOTS -> atomic {
        if
        :: !acked[1] -> current = 1
        :: !acked[2] -> current = 2
        :: offset < 2 -> current = 3 + offset
        :: offset > 0 -> current = 2 + offset        /* the source delivers one again */
        fi;
        write_sector_a(durable, current);
        phase = HALF
      }
    :: phase == HALF -> atomic { write_sector_b(durable, current); phase = WRITTEN }
    :: phase == HALF && no_space > 0 -> atomic { no_space--; phase = UNDOING }
    :: phase == UNDOING -> atomic {
#ifndef BREAK_J7
        write_sector_a(durable, 0); write_sector_b(durable, 0);
        flush_all();
#endif
        current = 0;
        phase = IDLE
      }

    /* ---- sync, apply, acknowledge ---------------------------------------------------------------- */
#ifdef BREAK_J1
    :: phase == WRITTEN && durable + 1 < SLOTS -> atomic {
        write_sector_a(durable + 1, 1); write_sector_b(durable + 1, 1); phase = WRITTEN
      }
#endif
    :: phase == WRITTEN -> atomic { flush_all(); phase = SYNCED }
    :: phase == WRITTEN && sync_failures > 0 -> atomic {
        sync_failures--;
        dirty_a[durable] = false; dirty_b[durable] = false;   /* the pages are clean now, and lost */
#ifdef BREAK_J8
        phase = WRITTEN                                        /* try again: it will say good */
#else
        phase = FAILED
#endif
      }
    :: phase == SYNCED -> atomic {
        durable++;
        shown = durable;
        fold_on();
        check_state();
        if :: current <= 2 -> acked[current] = true :: else fi;
        current = 0;
        phase = IDLE
      }

    /* ---- snapshot: a copy of the state, written aside, synced, renamed ----------------------------- */
#ifdef BREAK_SNAPSHOT
    :: (phase == IDLE || phase == WRITTEN) -> atomic {
        snap_to = durable + (phase == WRITTEN -> 1 : 0);
#else
    :: phase == IDLE && snap_to < durable -> atomic {
        snap_to = durable;
#endif
        snap_offset = offset;
        i = 1;
        do :: i < 5 -> snap_count[i] = count[i]; snap_seen[i] = seen[i]; i++ :: else -> break od;
        i = 0
      }

    /* ---- the disk writes back when it likes -------------------------------------------------------- */
    :: durable < SLOTS && dirty_a[durable] -> atomic {
        med_a[durable] = mem_a[durable]; dirty_a[durable] = false
      }
    :: durable < SLOTS && dirty_b[durable] -> atomic {
        med_b[durable] = mem_b[durable]; dirty_b[durable] = false
      }

    /* ---- the end of a process ------------------------------------------------------------------------ */
    :: cuts > 0 -> atomic {                                     /* power: the medium is what is left */
        cuts--;
        i = 0;
        do
        :: i < SLOTS ->
            /* what is still dirty may reach the medium or not */
            if :: dirty_a[i] -> med_a[i] = mem_a[i] :: skip fi;
            if :: dirty_b[i] -> med_b[i] = mem_b[i] :: skip fi;
            mem_a[i] = med_a[i]; mem_b[i] = med_b[i];
            dirty_a[i] = false; dirty_b[i] = false;
            i++
        :: else -> break
        od;
        i = 0;
        phase = DOWN
      }
    :: kills > 0 -> atomic { kills--; phase = DOWN }            /* the page cache stays */
    :: phase == FAILED -> phase = DOWN                          /* it exits, and is started again */
    :: phase == IDLE && durable == SLOTS && cuts == 0 && kills == 0 -> break
    od
}
