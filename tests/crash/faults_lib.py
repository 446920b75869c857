# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: a server with faults on command, a client that remembers what was acknowledged,
TAP lines."""
import errno
import http.client
import json
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build"))
BINARY = os.path.join(BUILD, "freshet")
PRELOAD = os.path.join(BUILD, "tests", "lib", "preload_faults.so")
SHORT, FOREVER = 10000, 0xffffffff
SKIPPED = 77
READY_SECONDS = 60
HISTORY_MAX = 200  # events a user's profile keeps, by default

checks, failures = 0, 0


def check(name, good, detail=""):
    global checks, failures
    checks += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {checks} - {name}" + (f" ({detail})" if detail and not good else ""), flush=True)
    return good


def end(folder=None):
    """Prints the plan and leaves; the folder goes with a good run."""
    print(f"1..{checks}")
    if folder and not failures:
        shutil.rmtree(folder, ignore_errors=True)
    elif folder:
        print(f"# data and logs are kept in {folder}")
    sys.exit(1 if failures else 0)


def skip(why):
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(SKIPPED)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds=30):
    """Waits for the condition; the last of what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.02)


class Faults:
    """The control file of tests/lib/preload_faults.c."""
    CALLS = ("fdatasync", "fsync", "pwrite", "pread", "open", "accept")
    ROW = struct.Struct("<8I64s")

    def __init__(self, folder):
        self.path = os.path.join(folder, "faults")
        with open(self.path, "wb") as out:
            out.write(bytes(self.ROW.size * len(self.CALLS)))
        with open(self.path, "r+b") as back:
            self.map = mmap.mmap(back.fileno(), 0)

    def set(self, call, number=0, every=1, left=FOREVER, word="", after_us=0):
        """Lets `call` fail with errno `number` (SHORT: half a transfer); 0 takes the fault away."""
        at = self.CALLS.index(call) * self.ROW.size
        self.map[at:at + 4] = bytes(4)  # disarmed while the row is written
        row = self.ROW.pack(0, every, left, 0, 0, after_us, 0, 0, word.encode())
        self.map[at + 4:at + self.ROW.size] = row[4:]
        self.map[at:at + 4] = struct.pack("<I", number)

    def failed(self, call):
        return self.ROW.unpack_from(self.map, self.CALLS.index(call) * self.ROW.size)[4]

    def environment(self):
        return {"LD_PRELOAD": PRELOAD, "FRESHET_FAULTS": self.path}


class Server:
    def __init__(self, data, log, *flags, faults=None):
        self.data, self.log, self.flags, self.faults, self.port = data, log, flags, faults, free_port()

    def spawn(self):
        extra = self.faults.environment() if self.faults else {}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve", "--data-dir", self.data, "--port", str(self.port), *self.flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **extra})

    def start(self):
        self.spawn()
        if not until(lambda: self.process.poll() is not None or self.ready(), READY_SECONDS):
            raise RuntimeError("the server did not become ready")
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with {self.process.returncode} at its start, see {self.log}")
        return self

    def ready(self):
        try:
            return self.call("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def call(self, method, path, body=None):
        return self.raw(method, path, None if body is None else json.dumps(body), "application/json")

    def raw(self, method, path, body, content_type, timeout=60):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            conn.request(method, path, body, {"Content-Type": content_type} if body is not None else {})
            answer = conn.getresponse()
            raw = answer.read()
        finally:
            conn.close()
        return answer.status, json.loads(raw) if "json" in answer.getheader("Content-Type", "") else raw

    def metric(self, name):
        for line in self.call("GET", "/metrics")[1].decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def stop(self):
        """A clean stop; gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Client:
    """Posts batches with ids and remembers which were acknowledged."""

    def __init__(self, server, users=100, batch=50, padding=0):
        self.server, self.users, self.size, self.padding = server, users, batch, padding
        self.count, self.acknowledged, self.waiting = 0, [], None

    def post(self, ack="applied"):
        """Status and body; 0 when the connection broke. What was not acknowledged is posted again next time."""
        if self.waiting is None:
            self.waiting = []
            for _ in range(self.size):
                self.count += 1
                self.waiting.append({"id": f"e{self.count}", "user": f"u{self.count % self.users}",
                                     "item": f"i{self.count}" + "x" * self.padding, "type": "click"})
        try:
            status, body = self.server.call("POST", "/v1/events?ack=" + ack, self.waiting)
        except (OSError, http.client.HTTPException) as error:
            return 0, error
        if status == 200:
            self.acknowledged += self.waiting
            self.waiting = None
        return status, body

    def count_of_faults(self):
        """Of the acknowledged events: (lost, doubled, invented)."""
        seen = {}
        for user in range(self.users):
            body = self.server.call("GET", f"/v1/users/u{user}/history?n=4000")[1]
            assert len(body.get("items", [])) < HISTORY_MAX, "more users, or the profile forgets"
            for row in body.get("items", []):
                key = (f"u{user}", row["id"])
                seen[key] = seen.get(key, 0) + 1
        known = {(e["user"], e["item"]) for e in self.acknowledged}
        maybe = known | {(e["user"], e["item"]) for e in self.waiting or []}
        return (sum(key not in seen for key in known), sum(n > 1 for n in seen.values()),
                sum(key not in maybe for key in seen))


def scenes(*all_of_them):
    """Those named on the command line; all when none is."""
    return [scene for scene in all_of_them if not sys.argv[1:] or scene.__name__ in sys.argv[1:]]


def run(*arguments, env=None):
    """Runs freshet; exit code, output, error output."""
    done = subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, timeout=120, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def state_hash(data):
    code, out, _ = run("hash", "--data-dir", data, "--json")
    return json.loads(out)["hash"] if code == 0 else None


def folder(name):
    return tempfile.mkdtemp(prefix=f"freshet-{name}-")
