/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn: an engine of our own for one run: `freshet serve` on a free port with an empty data
 * directory, both gone at the end.
 */
#ifndef WORLD_SPAWN_H
#define WORLD_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

struct spawn {
    char folder[512];
    pid_t process;
    uint16_t port;
};

/* Starts `program` (a path, or a name to be found beside this program or in PATH) and waits until
 * it says its port. Ends the program when there is none. */
void spawn_start(struct spawn *spawn, const char *program);
/* Stops it and removes its folder. */
void spawn_stop(struct spawn *spawn);

#endif
