/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_batch: records on their way in, as u8 kind, varint length, payload, repeated.
 * Thread: the batch's owner.
 */
#include "fold/fold.h"

void fold_batch_init(struct fold_batch *batch)
{
    *batch = (struct fold_batch){0};
    base_buf_init(&batch->bytes, 0);
}

void fold_batch_release(struct fold_batch *batch)
{
    if (batch)
        base_buf_release(&batch->bytes);
}

void fold_batch_clear(struct fold_batch *batch)
{
    struct base_buf bytes = batch->bytes;
    base_buf_clear(&bytes);
    *batch = (struct fold_batch){.bytes = bytes};
}

void fold_batch_add(struct fold_batch *batch, uint8_t kind, struct fr_slice payload)
{
    base_buf_put_u8(&batch->bytes, kind);
    base_buf_put_string(&batch->bytes, payload);
    batch->count++;
}
