/* SPDX-License-Identifier: Apache-2.0
 *
 * arm: who fills the slates. Each arm plays the whole story in a world of its own (same seed), so
 * that no arm profits from another's clicks.
 */
#ifndef WORLD_ARM_H
#define WORLD_ARM_H

#include "world.h"

struct arm;

/* What every arm is given. clicked[i] says whether the reader has clicked item i before. */
struct arm_request {
    uint32_t reader;
    uint32_t session;
    uint32_t count;
    const uint8_t *clicked;
};

struct arm_kind {
    const char *name;
    /* Fills out[request->count] with distinct born items; gives how many. */
    uint32_t (*slate)(struct arm *arm, const struct arm_request *request, uint32_t *out);
    /* What was shown and looked at, and the place clicked (-1: none). */
    void (*feedback)(struct arm *arm, const struct arm_request *request, const uint32_t *slate,
                     uint32_t looked, int clicked);
    void (*born)(struct arm *arm, uint32_t first, uint32_t count); /* may be NULL */
    void (*release)(void *self);
};

struct arm {
    const struct arm_kind *kind;
    struct world *world;
    void *self;
};

/* The built-in ones: random, popular, batch, oracle. NULL when there is none of that name. */
struct arm *arm_new(const char *name, struct world *world);
/* The engine behind http://127.0.0.1:port. Simulated hour 0 is start_ms of Unix time. */
struct arm *arm_engine_new(struct world *world, uint16_t port, int64_t start_ms);
void arm_free(struct arm *arm);

#endif
