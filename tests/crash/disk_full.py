#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up under the real process, while it takes in events and while it writes a snapshot.

The data directory lies on a small tmpfs. Full: events are refused with 507 and a hint, recommendations go on;
after space is freed ingestion resumes by itself within five seconds; nothing acknowledged is lost or doubled.
Needs a mount namespace (root, or user namespaces); skipped, and said so, where the kernel grants none. Prints TAP."""
import ctypes
import os
import subprocess
import sys
import time

import faults_lib as lib

RESUMES_SECONDS = 5
SNAPSHOT_POSTS, FULL_POSTS = 21, 80  # of 50 events; a snapshot is due every 1,000


def enter_namespace():
    """Runs this script again in a mount namespace of its own, so that the mount goes with it."""
    if os.environ.get("FRESHET_IN_NAMESPACE"):
        return
    flags = "-m" if os.geteuid() == 0 else "-Urm"
    if subprocess.run(["unshare", flags, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        lib.skip("no mount namespace to be had here: the full disk is not tested")
    os.execvpe("unshare", ["unshare", flags, sys.executable, os.path.abspath(__file__), *sys.argv[1:]],
               {**os.environ, "FRESHET_IN_NAMESPACE": "1"})


def mount(path, size):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None)  # MS_REC | MS_PRIVATE
    if libc.mount(b"tmpfs", path.encode(), b"tmpfs", 0, f"size={size}".encode()) != 0:
        lib.skip(f"mount is refused here ({os.strerror(ctypes.get_errno())}): the full disk is not tested")


class Ballast:
    """A file beside the data directory that takes what space there is, but for `leave` bytes."""

    def __init__(self, disk):
        self.disk, self.path = disk, os.path.join(disk, "ballast")

    def fill(self, leave):
        free = os.statvfs(self.disk)
        bytes_more = free.f_bavail * free.f_bsize - leave
        with open(self.path, "wb") as out:
            os.posix_fallocate(out.fileno(), 0, max(bytes_more, 4096))

    def drop(self):
        os.unlink(self.path)


def recommends(server, times=20):
    return [server.call("GET", f"/v1/recommend?user=u{i}&n=5")[0] for i in range(times)]


def fill_up(client):
    """Posts until the disk is full: the last answer."""
    for _ in range(4000):
        status, body = client.post()
        if status != 200:
            return status, body
    return 200, {}


def check_full(client, server):
    status, body = fill_up(client)
    lib.check("a full disk refuses events with 507", status == 507, f"{status}: {body}")
    lib.check("and says what to do", status == 507 and "free space" in body.get("hint", ""), str(body))
    lib.check("recommendations go on", set(recommends(server)) == {200})
    again = [client.post()[0] for _ in range(10)]
    lib.check("further events are refused alike, and the process lives",
              set(again) == {507} and server.process.poll() is None, str(again))
    lib.check("recommendations still go on", set(recommends(server)) == {200})


def check_resumes(client):
    began = time.monotonic()
    status = lib.until(lambda: client.post()[0] == 200, RESUMES_SECONDS + 5)
    taken = time.monotonic() - began
    lib.check("ingestion resumes by itself within 5 s of free space", status and taken <= RESUMES_SECONDS,
              f"{taken:.1f} s")
    lib.check("and goes on", all(client.post()[0] == 200 for _ in range(20)))


def check_whole(client, server, data, log):
    lost, doubled, invented = client.count_of_faults()
    lib.check("nothing acknowledged is lost, nothing doubled or invented", (lost, doubled, invented) == (0, 0, 0),
              f"{lost} lost, {doubled} doubled, {invented} invented")
    server.kill()
    server = lib.Server(data, log, "--segment-bytes", "1MiB").start()
    client.server = server
    lost, doubled, invented = client.count_of_faults()
    lib.check("nor after kill -9 and a restart", (lost, doubled, invented) == (0, 0, 0),
              f"{lost} lost, {doubled} doubled, {invented} invented")
    lib.check("verify finds no damage", lib.run("verify", "--data-dir", data)[0] == 0)
    lib.check("a clean stop ends with 0", server.stop() == 0)


def events_fill_the_disk(disk, data, log, segment_bytes="1MiB"):
    """No space for the next segment."""
    ballast = Ballast(disk)
    server = lib.Server(data, log, "--segment-bytes", segment_bytes, "--snapshot-records", "1000000000").start()
    client = lib.Client(server, users=600, padding=200)
    lib.check("events are taken while there is space", client.post()[0] == 200)
    ballast.fill(300 << 10)
    check_full(client, server)
    server.kill()
    server.start()
    lib.check("killed and started on the full disk: it answers", set(recommends(server)) == {200})
    ballast.drop()
    check_resumes(client)
    check_whole(client, server, data, log)


def events_fill_one_segment(disk, data, log):
    """No space within the segment, which is larger than the disk: the half-written group is taken back."""
    events_fill_the_disk(disk, data, log, "64MiB")


def snapshots_fill_the_disk(disk, data, log):
    """Space for events, none for a snapshot: the snapshot is given up and its half removed, events go on; with space
    again the next one is whole. While a snapshot is written that will not fit, the journal may want space in vain:
    507 for that moment, and the same batch goes in when it comes again."""
    ballast = Ballast(disk)
    server = lib.Server(data, log, "--segment-bytes", "8MiB", "--snapshot-records", "1000").start()
    client = lib.Client(server, padding=200)
    lib.check("a first snapshot", all(client.post()[0] == 200 for _ in range(SNAPSHOT_POSTS)) and lib.until(lambda: names(data)))
    before = names(data)
    room = os.path.getsize(os.path.join(data, "snapshot", before[0])) // 2
    print(f"# a snapshot takes {2 * room >> 10} KiB; left free: {room >> 10} KiB")
    ballast.fill(room)
    taken = [lib.until(lambda: client.post()[0] == 200, 10) for _ in range(FULL_POSTS)]
    lib.check("a snapshot without room leaves events alone", all(taken), f"{taken.count(False)} of {len(taken)} refused for good")
    lib.check("recommendations go on meanwhile", set(recommends(server)) == {200})
    lib.check("the snapshots from before are still there", set(before) <= set(names(data)), f"{before} {names(data)}")
    failed, most = server.metric('freshet_snapshots_total{outcome="failed"}'), FULL_POSTS * 50 // 1000 + 1
    lib.check("one that failed is counted, and tried again a stretch later, not at once", 0 < failed <= most, f"{failed}, {most}")
    lib.check("nothing half-written is left", lib.until(lambda: not names(data, ".tmp"), 10), str(names(data, ".tmp")))
    ballast.drop()
    lib.check("with space again the next snapshot is whole",
              lib.until(lambda: client.post()[0] == 200 and set(names(data)) - set(before), 30))
    check_whole(client, server, data, log)
    hash_with = lib.state_hash(data)
    for name in names(data):
        os.unlink(os.path.join(data, "snapshot", name))
    lib.check("snapshot and journal alone give the same state hash", hash_with and hash_with == lib.state_hash(data))


def names(data, tail=".snap"):
    return [name for name in os.listdir(os.path.join(data, "snapshot")) if name.endswith(tail)]


def main():
    enter_namespace()
    folder = lib.folder("disk-full")
    for scene in lib.scenes(events_fill_the_disk, events_fill_one_segment, snapshots_fill_the_disk):
        disk = os.path.join(folder, scene.__name__)
        os.mkdir(disk)
        mount(disk, "48m")
        data = os.path.join(disk, "data")
        os.mkdir(data)
        print(f"# {scene.__name__}", flush=True)
        scene(disk, data, os.path.join(folder, "log"))
    lib.end(folder)


if __name__ == "__main__":
    main()
