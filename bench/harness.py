# SPDX-License-Identifier: Apache-2.0
"""What the benches share: a server of their own, its processor time and metrics, cached data."""
import json
import os
import signal
import socket
import subprocess
import sys
import time
import http.client

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build"))
BINARY = os.path.join(BUILD, "freshet")
# Data sets (none is part of the project): FRESHET_DATA, else a folder beside the checkout. Children see it too.
DATA = os.environ.setdefault("FRESHET_DATA", os.path.normpath(os.path.join(ROOT, "..", "shared", "data")))
CACHE = os.environ.get("FRESHET_BENCH_CACHE", os.path.join(BUILD, "bench-data"))


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


class Server:
    """A `freshet serve` on a free loopback port; use as a context manager."""

    def __init__(self, data_dir, *flags, ready_seconds=300):
        self.data_dir, self.flags, self.ready_seconds = data_dir, flags, ready_seconds

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.port = free_port()
        self.log = open(os.path.join(CACHE, "server.log"), "ab")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--data-dir", self.data_dir, "--port", str(self.port), *self.flags],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.began = time.monotonic()
        while time.monotonic() < self.began + self.ready_seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"freshet serve ended with {self.process.returncode}, see {self.log.name}")
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    self.ready_seconds_taken = time.monotonic() - self.began
                    return
            except OSError:
                pass
            time.sleep(0.005)
        self.kill()
        raise RuntimeError("freshet serve did not become ready")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def request(self, method, path, body=None, connection=None, headers=None):
        """Status and parsed body; a connection of its own unless one is given."""
        conn = connection or self.connection()
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        conn.request(method, path, body, headers or ({"Content-Type": "application/json"} if body else {}))
        answer = conn.getresponse()
        raw = answer.read()
        if connection is None:
            conn.close()
        is_json = "json" in (answer.getheader("Content-Type") or "")
        return answer.status, json.loads(raw) if is_json and raw else raw

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS"):
                    return int(line.split()[1]) * 1024
        return 0

    def metrics(self):
        """Name with labels -> value."""
        out = {}
        for line in self.request("GET", "/metrics")[1].decode().splitlines():
            if line and line[0] != "#":
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out


def cached(name, make):
    """A directory or file under the cache, made once: make(path) fills path + '.part'."""
    os.makedirs(CACHE, exist_ok=True)
    path = os.path.join(CACHE, name)
    if not os.path.exists(path):
        part = path + ".part"
        subprocess.run(["rm", "-rf", part], check=True)
        make(part)
        os.rename(part, path)
    return path


def stream(events, users, items, days=30, seed=1):
    """A synthetic stream as a CSV file, made once."""
    def make(path):
        with open(path, "wb") as out:
            subprocess.run([os.path.join(BUILD, "bench", "gen_stream"), str(events), str(users),
                            str(items), str(days), str(seed)], stdout=out, check=True)
    return cached(f"stream-{events}-{users}-{items}-{days}-{seed}.csv", make)


def imported(events, users, items, *flags):
    """A data directory that holds that stream, made once. Copy it before changing it."""
    def make(path):
        source = stream(events, users, items)
        say(f"importing {events:,} events of {users:,} users and {items:,} items (once)")
        subprocess.run([BINARY, "import", source, "--data-dir", path, "--columns",
                        "time=time,user=user,item=item,type=type,device=device,region=region",
                        "--header", "--time-unit", "ms", "--json", *flags],
                       stdout=subprocess.DEVNULL, check=True)
    return cached(f"data-{events}-{users}-{items}", make)


def copied(data_dir, name):
    """A fresh copy of a data directory for a run that changes it."""
    path = os.path.join(CACHE, name)
    subprocess.run(["rm", "-rf", path], check=True)
    subprocess.run(["cp", "-r", "--reflink=auto", data_dir, path], check=True)
    return path


def load(server, *flags):
    """Runs bench/http_load against the server; its figures."""
    out = subprocess.run([os.path.join(BUILD, "bench", "http_load"), "--port", str(server.port), *map(str, flags)],
                         stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


def histogram_ms(before, after, family, q):
    """A quantile of a histogram between two scrapes, interpolated within its bucket, in milliseconds."""
    prefix = family + "_bucket{le=\""
    rows = sorted((float(name[len(prefix):-2].replace("+Inf", "inf")), after[name] - before.get(name, 0))
                  for name in after if name.startswith(prefix))
    total, low, below = rows[-1][1], 0.0, 0
    for bound, count in rows:
        if count >= q * total and count > below:
            high = bound if bound != float("inf") else low * 2
            return 1e3 * (low + (high - low) * (q * total - below) / (count - below))
        low, below = bound, count
    return float("nan")


def result(**values):
    """The last line of every bench."""
    print(json.dumps(values), flush=True)
