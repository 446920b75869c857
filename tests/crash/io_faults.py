#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""System calls that fail under the real process, injected by tests/lib/preload_faults.c.

A failed fdatasync of the journal: nothing more is acknowledged, the process ends non-zero, a restart recovers
every acknowledged event. One of a snapshot: only the snapshot is given up. Interrupted and short transfers:
invisible. ENOSPC: 507, then on. No descriptors left: accepting neither spins nor stays away. Prints TAP."""
import errno
import os
import socket
import threading
import time

import faults_lib as lib

SMALL = ("--segment-bytes", "1MiB")


def start(scene, *flags):
    folder = os.path.join(scene, "scene")
    os.makedirs(folder)
    faults = lib.Faults(folder)
    data = os.path.join(folder, "data")
    os.mkdir(data)
    server = lib.Server(data, os.path.join(folder, "log"), *SMALL, *flags, faults=faults).start()
    return server, lib.Client(server), faults


def restart(client):
    """The same directory without faults."""
    before = client.server
    client.server = lib.Server(before.data, before.log, *SMALL).start()


def check_whole(client, when):
    faults = client.count_of_faults()
    lib.check(f"{when}: nothing acknowledged is lost, nothing doubled or invented",
              faults == (0, 0, 0) and client.acknowledged, f"lost, doubled, invented: {faults}")


def failed_sync(scene):
    server, client, faults = start(scene)
    lib.check("events are taken", all(client.post()[0] == 200 for _ in range(10)))
    faults.set("fdatasync", errno.EIO, left=1, word="/journal/")
    status, body = client.post()
    lib.check("a failed sync: its events are not acknowledged", status in (0, 503), f"{status}: {body}")
    lib.check("the sync did fail", faults.failed("fdatasync") == 1)
    after = [client.post()[0] for _ in range(5)]
    lib.check("nor any after it, though the disk would take them", not set(after) - {0, 503}, str(after))
    code = lib.until(lambda: server.process.poll(), 20)
    lib.check("the process ends by itself, with 1", code == 1, str(code))
    restart(client)
    check_whole(client, "after the restart")
    lib.check("events are taken again, the doubtful ones first", client.post()[0] == 200 and client.post()[0] == 200)
    check_whole(client, "with the doubtful ones sent again")
    lib.check("a clean stop ends with 0", client.server.stop() == 0)


def failed_snapshot_sync(scene):
    server, client, faults = start(scene, "--snapshot-records", "1000")
    faults.set("fdatasync", errno.EIO, word="/snapshot/")
    statuses = [client.post()[0] for _ in range(40)]
    lib.check("a snapshot whose sync fails: events go on", set(statuses) == {200}, str(set(statuses)))
    lib.check("the snapshot's sync did fail", lib.until(lambda: faults.failed("fdatasync")))
    lib.check("no snapshot counts as written", not [n for n in os.listdir(os.path.join(server.data, "snapshot"))
                                                    if n.endswith(".snap")])
    server.kill()
    restart(client)
    check_whole(client, "without a snapshot")
    client.server.stop()


def troubled_transfers(scene):
    """Every second write, read and sync is interrupted; every other transfer is short."""
    for name, number in (("interrupted", errno.EINTR), ("short", lib.SHORT)):
        server, client, faults = start(os.path.join(scene, name), "--snapshot-records", "1000")
        for call in ("pwrite", "pread", "fdatasync", "fsync", "open", "accept"):
            if number == errno.EINTR or call in ("pwrite", "pread"):
                faults.set(call, number, every=2)
        statuses = [client.post()[0] for _ in range(40)]
        lib.check(f"{name} calls are not seen", set(statuses) == {200}, str(set(statuses)))
        lib.check(f"{name} calls did happen", faults.failed("pwrite") > 10, str(faults.failed("pwrite")))
        server.kill()
        server.start()  # recovers under the same trouble
        lib.check(f"{name} reads did happen", faults.failed("pread") > 0, str(faults.failed("pread")))
        check_whole(client, f"recovered under {name} calls")
        lib.check(f"{name}: a clean stop ends with 0", server.stop() == 0)
        lib.check(f"{name}: verify finds no damage", lib.run("verify", "--data-dir", server.data)[0] == 0)


def no_space(scene):
    server, client, faults = start(scene)
    client.post()
    faults.set("pwrite", errno.ENOSPC, word="/journal/")
    lib.check("ENOSPC, also of what is to undo it: not acknowledged", client.post()[0] in (0, 503, 507))
    server.kill()
    restart(client)
    check_whole(client, "after ENOSPC at every write")
    client.server.kill()
    client.server = server
    faults.set("pwrite")
    server.start()
    faults.set("pwrite", errno.ENOSPC, left=1, word="/journal/")
    status, body = client.post()
    lib.check("one ENOSPC is a 507 with a hint", status == 507 and body.get("hint"), f"{status}: {body}")
    lib.check("and the next post is taken", client.post()[0] == 200)
    check_whole(client, "after one ENOSPC")
    server.kill()


def no_descriptors(scene):
    """Accepting is refused for lack of descriptors while connections wait."""
    server, client, faults = start(scene)
    client.padding = 200
    client.post()
    faults.set("accept", errno.EMFILE)
    waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    lib.until(lambda: faults.failed("accept") > 0)
    before, began, refused = server.cpu_seconds(), time.monotonic(), faults.failed("accept")
    lib.until(lambda: faults.failed("accept") >= refused + 6)
    cpu, seconds, refused = server.cpu_seconds() - before, time.monotonic() - began, faults.failed("accept") - refused
    lib.check("without descriptors accepting does not spin", refused <= 8 * seconds + 2 and cpu <= 0.2 * seconds + 0.05,
              f"{refused} tries and {cpu:.2f} s of processor time in {seconds:.1f} s")
    faults.set("accept")
    lib.check("what waited is accepted as soon as there are some", client.post()[0] == 200)
    for connection in waiting:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        connection.settimeout(10)
        answer = connection.recv(64)
        connection.close()
        if not answer.startswith(b"HTTP/1.1 200"):
            break
    lib.check("the waiting connections are answered", answer.startswith(b"HTTP/1.1 200"), str(answer))
    faults.set("open", errno.EMFILE, word="/journal/")
    statuses = [client.post()[0] for _ in range(10)]
    lib.check("the open segment needs no new descriptor", set(statuses) == {200}, str(statuses))
    statuses = [client.post()[0] for _ in range(150)]
    lib.check("where a segment cannot be opened, events are refused or taken, never lost silently",
              not set(statuses) - {0, 200, 503, 507}, str(set(statuses)))
    refused_opens = faults.failed("open")
    faults.set("open")
    alive = lib.until(lambda: server.process.poll() is not None or client.post()[0] == 200, 10)
    print(f"# answers without descriptors for a segment: {sorted(set(statuses))}; refused opens: {refused_opens}")
    lib.check("a segment was wanted meanwhile", refused_opens > 0)
    lib.check("and it goes on, or has ended for a restart", alive)
    if server.process.poll() is None:
        server.kill()
    restart(client)
    check_whole(client, "after a lack of descriptors")
    client.server.stop()


def slow_disk(scene):
    """Each sync of the journal takes 300 ms: answers to readers do not wait for it."""
    server, client, faults = start(scene)
    client.post()
    faults.set("fdatasync", 0, word="/journal/", after_us=300000)
    poster = threading.Thread(target=lambda: [client.post() for _ in range(5)])
    poster.start()
    statuses, between = [], 0
    while poster.is_alive():
        syncs = faults.failed("fdatasync")
        statuses.append(server.call("GET", "/v1/recommend?user=u1&n=5")[0])
        between += faults.failed("fdatasync") == syncs
    poster.join()
    lib.check("a slow disk: readers are answered during the syncs", set(statuses) == {200} and between > 10,
              f"{set(statuses)}, {between} answers within a sync")
    faults.set("fdatasync")
    check_whole(client, "after a slow disk")
    server.stop()


def main():
    if not os.path.exists(lib.PRELOAD):
        lib.skip(f"{lib.PRELOAD} is not built (a build with sanitizers has none)")
    folder = lib.folder("io-faults")
    for scene in lib.scenes(failed_sync, failed_snapshot_sync, troubled_transfers, no_space, no_descriptors, slow_disk):
        print(f"# {scene.__name__}", flush=True)
        scene(os.path.join(folder, scene.__name__))
    lib.end(folder)


if __name__ == "__main__":
    main()
