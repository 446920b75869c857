/* SPDX-License-Identifier: Apache-2.0
 *
 * journal: verify and salvage, two uses of one walk over everything readable.
 * Thread: any, beside a running writer.
 */
#include "journal/journal_priv.h"

#include <string.h>

/* ---- verify ------------------------------------------------------------------------------------
 */

struct verify {
    journal_fault_fn fault;
    void *context;
    uint64_t records;
};

static enum fr_status count_record(struct journal__walk *walk, const struct journal_record *record,
                                   struct fr_error *error)
{
    (void)record;
    (void)error;
    struct verify *verify = walk->context;
    verify->records++;
    return FR_OK;
}

static void hand_fault(struct journal__walk *walk, const char *segment, uint64_t offset,
                       const char *what)
{
    struct verify *verify = walk->context;
    if (verify->fault)
        verify->fault(verify->context, segment, offset, what);
}

enum fr_status journal_verify(struct os *os, const char *directory, journal_fault_fn fault,
                              void *context, struct journal_report *out_report,
                              struct fr_error *error)
{
    struct verify verify = {fault, context, 0};
    struct journal__walk walk = {.os = os,
                                 .directory = directory,
                                 .record = count_record,
                                 .fault = hand_fault,
                                 .context = &verify};
    FR_TRY(journal__walk_all(&walk, error));
    *out_report = (struct journal_report){.segments = walk.segments,
                                          .records = verify.records,
                                          .bytes = walk.bytes,
                                          .first = walk.first,
                                          .last = verify.records ? walk.next - 1 : 0,
                                          .torn_bytes = walk.torn_bytes,
                                          .faults = walk.faults};
    if (walk.faults == 0)
        return FR_OK;
    base_fail(error, FR_CORRUPT, "journal", "%llu faults in %s", (unsigned long long)walk.faults,
              directory);
    base_hint(error, "take what is readable into a new directory with `freshet salvage`");
    return FR_CORRUPT;
}

/* ---- salvage ------------------------------------------------------------------------------------
 */

enum { SALVAGE_GROUP_BYTES = 4 << 20 };

struct salvage {
    struct journal *to;
    journal_lost_fn lost;
    void *context;
    struct journal_salvage_report report;
    uint64_t expected;                 /* position in the old journal; 0: none read yet */
    char segment[JOURNAL__NAME_BYTES]; /* of the last fault */
    char what[128];
};

static void lose(struct salvage *salvage, uint64_t first, uint64_t last)
{
    salvage->report.lost_runs++;
    if (last != UINT64_MAX)
        salvage->report.lost_records += last - first + 1;
    if (salvage->lost)
        salvage->lost(salvage->context, first, last, salvage->segment, salvage->what);
}

static enum fr_status keep_record(struct journal__walk *walk, const struct journal_record *record,
                                  struct fr_error *error)
{
    struct salvage *salvage = walk->context;
    uint64_t position;
    if (salvage->expected && record->position > salvage->expected)
        lose(salvage, salvage->expected, record->position - 1);
    salvage->expected = record->position + 1;
    FR_TRY(journal_append(salvage->to, record->kind, record->received_us, record->payload, error,
                          &position));
    salvage->report.records++;
    return journal_staged_bytes(salvage->to) < SALVAGE_GROUP_BYTES
               ? FR_OK
               : journal_sync(salvage->to, error);
}

static void note_fault(struct journal__walk *walk, const char *segment, uint64_t offset,
                       const char *what)
{
    (void)offset;
    struct salvage *salvage = walk->context;
    strncpy(salvage->segment, segment, sizeof(salvage->segment) - 1);
    strncpy(salvage->what, what, sizeof(salvage->what) - 1);
}

/* What is missing after the last record. */
static void close_account(struct salvage *salvage, const struct journal__walk *walk)
{
    uint64_t expected = salvage->expected ? salvage->expected : 1;
    uint64_t promised = FR_MAX(walk->next, walk->promised);
    if (promised > expected)
        lose(salvage, expected, promised - 1);
    else if (walk->open_end)
        lose(salvage, expected, UINT64_MAX);
}

enum fr_status journal_salvage(struct os *os, const char *from, const char *to,
                               journal_lost_fn lost, void *context,
                               struct journal_salvage_report *out_report, struct fr_error *error)
{
    struct salvage salvage = {.lost = lost, .context = context};
    struct journal_options options = {.directory = to, .no_thread = true};
    FR_TRY(journal_open(os, &options, error, &salvage.to));
    enum fr_status status = FR_OK;
    if (journal_durable(salvage.to) > 0)
        status = base_fail(error, FR_EXISTS, "journal", "%s holds a journal already", to);
    struct journal__walk walk = {.os = os,
                                 .directory = from,
                                 .record = keep_record,
                                 .fault = note_fault,
                                 .context = &salvage};
    if (status == FR_OK)
        status = journal__walk_all(&walk, error);
    if (status == FR_OK)
        status = journal_sync(salvage.to, error);
    if (status == FR_OK) {
        close_account(&salvage, &walk);
        salvage.report.segments = walk.segments;
        salvage.report.bytes = walk.bytes;
        *out_report = salvage.report;
    }
    journal_close(salvage.to);
    return status;
}
