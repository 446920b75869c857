#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Data directories that are not as they should be: serve says what is wrong, on what and what to do, with the exit
code of the table, and never serves a wrong answer; verify agrees; salvage gets the rest.

A wrong owner is tried as the user nobody, where this runs as root. Prints TAP."""
import os
import pwd
import re
import shutil
import signal
import struct
import subprocess
import threading

import faults_lib as lib

FAILED, DAMAGED, BUSY = 1, 3, 4
SECTOR, HEADER_COPY_AT = 512, 2048
SECONDS = 60


class Scene:
    """Copies of one good directory of several segments and two snapshots."""

    def __init__(self, folder):
        self.folder, self.good, self.count = folder, os.path.join(folder, "good"), 0
        os.mkdir(self.good)
        server = lib.Server(self.good, os.path.join(folder, "log"), "--segment-bytes", "1MiB",
                            "--snapshot-records", "5000").start()
        self.client = lib.Client(server, users=150, padding=200)
        while self.client.count < 12000:
            assert self.client.post()[0] == 200
        server.kill()
        self.hash = lib.state_hash(self.good)

    def copy(self):
        self.count += 1
        path = os.path.join(self.folder, f"copy-{self.count}")
        shutil.copytree(self.good, path)
        return path

    def segments(self, data):
        journal = os.path.join(data, "journal")
        return sorted(os.path.join(journal, name) for name in os.listdir(journal) if re.match(r"[0-9a-f]{16}\.seg", name))

    def snapshots(self, data):
        folder = os.path.join(data, "snapshot")
        return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".snap"))


def serve(data, *flags, user=None):
    """Starts a server that is expected to refuse: exit code (None: it served, and was stopped), what it said."""
    command = [lib.BINARY, "serve", "--data-dir", data, "--port", str(lib.free_port()), *flags]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               user=user)
    lines, limit = [], threading.Timer(SECONDS, process.kill)
    limit.start()
    for line in process.stdout:
        lines.append(line.decode())
        if " serves http" in lines[-1]:
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)
            limit.cancel()
            return None, "".join(lines)
    limit.cancel()
    return process.wait(SECONDS), "".join(lines)


def check_refused(name, data, code, *words, **options):
    seen, said = serve(data, **options)
    lib.check(f"{name}: exit code {code}", seen == code, f"{seen}: {said}")
    missing = [word for word in words if not re.search(word, said)]
    lib.check(f"{name}: says what and where", not missing, f"without {missing}: {said}")


def check_verify(name, data, code, *words):
    seen, out, err = lib.run("verify", "--data-dir", data)
    missing = [word for word in words if not re.search(word, out + err)]
    lib.check(f"{name}: verify agrees", seen == code and not missing, f"{seen}, without {missing}: {out}{err}")


def flip(path, offset, bit=1):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bit]))


# ---- rights, owners, other writers ------------------------------------------------------------------

def rights(scene):
    if os.geteuid() != 0:
        print("# SKIPPED: foreign owners, for this does not run as root")
        return
    nobody = pwd.getpwnam("nobody").pw_uid
    for path in (scene.folder,):
        os.chmod(path, 0o755)
    readable = scene.copy()
    subprocess.run(["chmod", "-R", "a+rX", readable], check=True)
    check_refused("a directory of another owner", readable, FAILED, readable, "owner and mode", user=nobody)
    closed = scene.copy()
    os.chmod(closed, 0o700)
    check_refused("a directory that may not be entered", closed, FAILED, closed, "owner and mode", user=nobody)
    one = scene.copy()
    subprocess.run(["chown", "-R", "nobody", one], check=True)
    os.chown(scene.segments(one)[-1], 0, 0)
    os.chmod(scene.segments(one)[-1], 0o600)
    check_refused("one segment of another owner", one, FAILED, scene.segments(one)[-1], "owner and mode", user=nobody)


def read_only(scene):
    data = scene.copy()
    inside = ("mount --bind {0} {0} && mount -o remount,bind,ro {0} && exec {1} serve --data-dir {0} --port {2}"
              .format(data, lib.BINARY, lib.free_port()))
    flags = "-m" if os.geteuid() == 0 else "-Urm"
    if subprocess.run(["unshare", flags, "sh", "-c", f"mount --bind {data} {data}"], stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        print("# SKIPPED: read-only file system, for mount is refused here")
        return
    done = subprocess.run(["unshare", flags, "sh", "-c", inside], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=SECONDS, check=False)
    said = done.stdout.decode()
    lib.check("a read-only file system: exit code 1", done.returncode == FAILED, said)
    lib.check("a read-only file system: says what to do", data in said and "read-only" in said, said)


def second_writer(scene):
    data = scene.copy()
    server = lib.Server(data, os.path.join(scene.folder, "log")).start()
    check_refused("a second writer", data, BUSY, "another process", data)
    code, _, said = lib.run("import", os.devnull, "--data-dir", data, "--columns", "user=user,item=item")
    lib.check("a second writer: import too", code in (2, BUSY), f"{code}: {said}")
    lib.check("the first goes on", server.call("GET", "/readyz")[0] == 200)
    hash_beside = lib.state_hash(data)
    lib.check("hash reads beside the writer", hash_beside == scene.hash, f"{hash_beside}")
    server.kill()
    code, said = serve(data)
    lib.check("a killed writer leaves no lock", code is None, f"{code}: {said}")


# ---- things in place of files -----------------------------------------------------------------------

def other_things(scene):
    for name in ("first", "newest"):
        for what in ("FIFO", "symlink", "directory"):
            data = scene.copy()
            path = scene.segments(data)[0 if name == "first" else -1]
            shutil.move(path, path + "-moved")
            if what == "FIFO":
                os.mkfifo(path)
            elif what == "symlink":
                os.symlink(path + "-moved", path)
            else:
                os.mkdir(path)
            seen, said = serve(data)
            lib.check(f"a {what} in place of the {name} segment is refused, or what it holds is whole",
                      seen in (FAILED, DAMAGED) or (what == "symlink" and lib.state_hash(data) == scene.hash),
                      f"{seen}: {said}")
            if seen is not None:
                lib.check(f"a {what} in place of the {name} segment: named", os.path.basename(path) in said, said)


# ---- versions ---------------------------------------------------------------------------------------

def crc32c(data):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
        table.append(byte)
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def newer_versions(scene):
    """The header's version is raised and its checksum made right again, in both copies of it."""
    data = scene.copy()
    path = scene.segments(data)[-1]
    with open(path, "r+b") as file:
        head = bytearray(file.read(SECTOR))
        head[8:12] = struct.pack("<I", 99)
        head[SECTOR - 4:] = struct.pack("<I", crc32c(bytes(head[:SECTOR - 4])))
        for at in (0, HEADER_COPY_AT):
            file.seek(at)
            file.write(head)
    check_refused("a segment of a newer version", data, FAILED, r"newer version", os.path.basename(path))
    data = scene.copy()
    for path in scene.snapshots(data):
        with open(path, "r+b") as file:
            file.seek(8)
            file.write(struct.pack("<I", 99))
    code, said = serve(data)
    lib.check("snapshots of a newer version are passed over, and said so", code is None and "version 99" in said,
              f"{code}: {said}")
    lib.check("and the state is that of the journal", lib.state_hash(data) == scene.hash)


# ---- damage -----------------------------------------------------------------------------------------

def without_snapshots(scene):
    data = scene.copy()
    shutil.rmtree(os.path.join(data, "snapshot"))
    return data


def damaged_segments(scene):
    size = os.path.getsize(scene.segments(scene.good)[1])
    for name, offset in (("its head", 12), ("its first group", 100), ("its middle", size // 2)):
        data = without_snapshots(scene)
        path = scene.segments(data)[1]
        flip(path, offset)
        words = (os.path.basename(path), "freshet salvage")
        check_refused(f"a bit flipped in {name}", data, DAMAGED, *words, r"byte \d+|offset \d+")
        check_verify(f"a bit flipped in {name}", data, DAMAGED, os.path.basename(path), r"byte \d+")
    check_salvage(scene, data)
    data = without_snapshots(scene)
    path = scene.segments(data)[1]
    os.truncate(path, size // 2)
    check_refused("a segment cut in half", data, DAMAGED, os.path.basename(path), "freshet salvage")
    check_verify("a segment cut in half", data, DAMAGED, os.path.basename(path))
    data = without_snapshots(scene)
    os.unlink(scene.segments(data)[1])
    check_refused("a missing segment", data, DAMAGED, r"\.seg", "freshet salvage")
    check_verify("a missing segment", data, DAMAGED)


def check_salvage(scene, data):
    to = os.path.join(scene.folder, f"salvaged-{scene.count}")
    code, out, said = lib.run("salvage", to, "--data-dir", data, "--json")
    lib.check("salvage copies what is readable", code == 0, f"{code}: {out}{said}")
    lib.check("and lists what is not", '"lost":[{' in out, out)
    server = lib.Server(to, os.path.join(scene.folder, "log")).start()
    scene.client.server = server
    lost, doubled, invented = scene.client.count_of_faults()
    events = len(scene.client.acknowledged)
    lib.check("the salvaged directory serves what was saved, nothing else",
              0 < lost < events / 2 and (doubled, invented) == (0, 0),
              f"{lost} of {events} lost, {doubled} doubled, {invented} invented")
    lib.check("and takes events", server.call("POST", "/v1/events", [{"user": "u", "item": "i", "type": "click"}])[0] == 200)
    lib.check("a clean stop ends with 0", server.stop() == 0)


def damaged_snapshots(scene):
    for name, offsets in (("newest", (-1,)), ("both", (-1, -2))):
        for where in (3, 0.02, 0.5, 0.99):
            data = scene.copy()
            for index in offsets:
                path = scene.snapshots(data)[index]
                flip(path, where if where == 3 else int(os.path.getsize(path) * where), 16)
            code, out, said = lib.run("hash", "--data-dir", data, "--json")
            lib.check(f"a bit flipped in the {name} snapshot{'s' if name == 'both' else ''}, at {where}: passed over, the state is right",
                      code == 0 and scene.hash in out and "older" in said, f"{code}: {out}{said}")
    data = scene.copy()
    os.truncate(scene.snapshots(data)[-1], 1000)
    code, said = serve(data)
    lib.check("a cut snapshot is passed over, and said so", code is None and "older" in said, f"{code}: {said}")


def main():
    folder = lib.folder("bad-directories")
    scene = Scene(folder)
    print(f"# {len(scene.segments(scene.good))} segments, {len(scene.snapshots(scene.good))} snapshots", flush=True)
    for part in lib.scenes(rights, read_only, second_writer, other_things, newer_versions, damaged_segments,
                           damaged_snapshots):
        print(f"# {part.__name__}", flush=True)
        part(scene)
    lib.end(folder)


if __name__ == "__main__":
    main()
