/* SPDX-License-Identifier: Apache-2.0
 *
 * app notify: the service manager's protocol (sd_notify(3)): one datagram to the socket named by
 * NOTIFY_SOCKET, a path or, with a leading @, an abstract name. A library for these lines would be
 * a dependency more than it saves.
 */
#include "app/app.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void app_notify(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t bytes = name ? strlen(name) : 0;
    if (bytes == 0 || bytes >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, name, bytes);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return; /* the manager then stops us for silence: its timeout says so */
    socklen_t address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                          address_bytes);
    (void)sent; /* as above */
    close(fd);
}
