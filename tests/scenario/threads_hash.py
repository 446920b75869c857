#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The state hash does not depend on the number of serving threads or on what is read meanwhile: with 1 and
with 2 threads, events go in beside a stream of readers; at the stop the state of the snapshot equals
that of folding the journal alone. Prints TAP."""
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build")), "freshet")


def serve(data, threads, log):
    process = subprocess.Popen([BINARY, "serve", "--data-dir", data, "--port", "0", "--threads", str(threads),
                                "--snapshot-records", "1000", "--json"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
    return process, json.loads(process.stdout.readline())["port"]


def call(conn, method, path, body=None):
    conn.request(method, path, json.dumps(body) if body is not None else None,
                 {"Content-Type": "application/json"} if body is not None else {})
    answer = conn.getresponse()
    return answer.status, json.loads(answer.read())


def read_until(port, halt, counts):
    conn, rng = http.client.HTTPConnection("127.0.0.1", port, timeout=30), random.Random(port)
    while not halt.is_set():
        status, _ = call(conn, "GET", f"/v1/recommend?user=u{rng.randrange(50)}&n=10")
        counts.append(status)


def write_events(port, seed, halt):
    conn, rng = http.client.HTTPConnection("127.0.0.1", port, timeout=30), random.Random(seed)
    for batch in range(60):
        events = [{"id": f"{seed}-{batch}-{n}", "user": f"u{rng.randrange(50)}", "item": f"i{rng.randrange(200)}",
                   "type": "click", "context": {"region": f"r{rng.randrange(4)}"}} for n in range(25)]
        while (got := call(conn, "POST", "/v1/events", events))[0] in (429, 503):
            halt.wait(.02)  # the readers want all that a slow machine has: asked to come again
        assert got[0] == 200 and got[1]["accepted"] == 25, got


def state_hash(data):
    out = subprocess.run([BINARY, "hash", "--data-dir", data, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)["hash"]


def main():
    folder = tempfile.mkdtemp(prefix="freshet-threads-")
    data, checks = os.path.join(folder, "data"), []
    with open(os.path.join(folder, "log"), "ab") as log:
        for threads in (1, 2):
            process, port = serve(data, threads, log)
            halt, counts = threading.Event(), []
            readers = [threading.Thread(target=read_until, args=(port, halt, counts)) for _ in range(3)]
            for reader in readers:
                reader.start()
            try:
                write_events(port, threads, halt)
            finally:
                halt.set()
            for reader in readers:
                reader.join()
            process.send_signal(signal.SIGTERM)
            checks.append((f"{threads} serving threads: a clean stop", process.wait(60) == 0))
            checks.append((f"{threads} serving threads: readers were answered",
                           counts.count(200) > 20 and set(counts) <= {200, 503}))
            kept = state_hash(data)
            shutil.move(os.path.join(data, "snapshot"), os.path.join(folder, "aside"))
            checks.append((f"{threads} serving threads: snapshot and journal give the same hash",
                           kept == state_hash(data)))
            shutil.move(os.path.join(folder, "aside"), os.path.join(data, "snapshot"))
    for number, (name, good) in enumerate(checks, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
    print(f"1..{len(checks)}")
    good = all(good for _, good in checks)
    if good:
        shutil.rmtree(folder)
    else:
        print(f"# kept: {folder}")
    sys.exit(0 if good else 1)


main()
