/* SPDX-License-Identifier: Apache-2.0
 *
 * app inherit: a listening socket from the service manager (sd_listen_fds(3)): LISTEN_PID says whom it
 * is for, LISTEN_FDS how many there are, from descriptor 3 on. The manager keeps the socket while one
 * process follows another, so that connections of the time between wait in its queue and none is
 * refused. The address is the socket's own: whether it is loopback decides whether keys are needed.
 */
#include "app/app.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

int app_inherited_listener(char out_address[APP_ADDRESS_BYTES])
{
    const char *whom = getenv("LISTEN_PID"), *many = getenv("LISTEN_FDS");
    struct sockaddr_storage bound;
    socklen_t bytes = sizeof(bound);
    bool ours =
        whom && many && strtol(whom, NULL, 10) == (long)getpid() && strtol(many, NULL, 10) >= 1;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!ours || getsockname(FIRST_FD, (struct sockaddr *)&bound, &bytes) != 0)
        return 0;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&bound;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&bound;
    const void *address = bound.ss_family == AF_INET    ? (const void *)&v4->sin_addr
                          : bound.ss_family == AF_INET6 ? (const void *)&v6->sin6_addr
                                                        : NULL;
    if (!address || !inet_ntop(bound.ss_family, address, out_address, APP_ADDRESS_BYTES))
        return 0;
    return FIRST_FD;
}
