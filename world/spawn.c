/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn: see spawn.h.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

enum { FOLDERS_OPEN_MAX = 16 };

/* In the child: becomes the engine, or ends. */
static _Noreturn void become(const struct spawn *spawn, const char *program, int out)
{
    char data[600], log_path[600], beside[4096];
    snprintf(data, sizeof(data), "%s/data", spawn->folder);
    snprintf(log_path, sizeof(log_path), "%s/log", spawn->folder);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* it does not outlive us */
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    /* A week in half a minute: the load that this makes is none that a site of this size has, so the
     * sampling of events must not follow it. */
    char *words[] = {"freshet",  "serve", "--json",     "--port", "0",
                     "--sample", "1",     "--data-dir", data,     NULL};
    ssize_t bytes = readlink("/proc/self/exe", beside, sizeof(beside) - 64);
    if (bytes > 0 && !strchr(program, '/')) {
        beside[bytes] = '\0';
        snprintf(strrchr(beside, '/') + 1, 64, "%.60s", program);
        execv(beside, words);
    }
    execvp(program, words);
    _exit(127);
}

void spawn_start(struct spawn *spawn, const char *program)
{
    const char *temporary = getenv("TMPDIR");
    int ends[2];
    char line[4096] = "";
    snprintf(spawn->folder, sizeof(spawn->folder), "%.400s/freshet-world-XXXXXX",
             temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(spawn->folder) || pipe2(ends, O_CLOEXEC) != 0)
        world_fail("no room for an engine", strerror(errno));
    spawn->process = fork();
    if (spawn->process < 0)
        world_fail("no process for an engine", strerror(errno));
    if (spawn->process == 0)
        become(spawn, program, ends[1]);
    close(ends[1]);
    FILE *out = fdopen(ends[0], "r");
    const char *port = out && fgets(line, sizeof(line), out) ? strstr(line, "\"port\":") : NULL;
    if (out)
        fclose(out);
    if (!port) {
        spawn_stop(spawn);
        world_fail("the engine did not start", program);
    }
    spawn->port = (uint16_t)strtoul(port + 7, NULL, 10);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status;
    (void)kind;
    (void)at;
    return remove(path);
}

void spawn_stop(struct spawn *spawn)
{
    kill(spawn->process, SIGTERM);
    waitpid(spawn->process, NULL, 0);
    nftw(spawn->folder, remove_one, FOLDERS_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
}
