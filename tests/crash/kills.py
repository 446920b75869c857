#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load: nothing acknowledged is lost, nothing is applied twice.

A client posts batches of events with ids, remembers which were acknowledged, and retries those that
got no answer after each restart, as real clients do. The server is killed at random moments, with
snapshots every few thousand records so that kills fall into them too. At the end every user's history
must hold each event exactly once, and the state hash must equal that of a fold of the journal alone.

FRESHET_KILLS: how often (default 30). FRESHET_SEED: the draws (printed). Prints TAP."""
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build")), "freshet")
KILLS = int(os.environ.get("FRESHET_KILLS", "30"))
SEED = int(os.environ.get("FRESHET_SEED", str(random.SystemRandom().randrange(1 << 31))))
USERS, BATCH, CLIENTS, USER_EVENTS_MAX = 1500, 50, 3, 1000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, data):
        self.data, self.port, self.log = data, free_port(), open(os.path.join(data, "..", "log"), "ab")

    def start(self):
        self.process = subprocess.Popen(
            [BINARY, "serve", "--data-dir", self.data, "--port", str(self.port), "--snapshot-records", "4000",
             "--segment-bytes", "1MiB", "--history-max", str(USER_EVENTS_MAX)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        for _ in range(6000):
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode} at its start")
            try:
                conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                conn.request("GET", "/readyz")
                if conn.getresponse().status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.01)
        raise RuntimeError("the server did not become ready")


class Client(threading.Thread):
    """Posts until told to stop; a batch without an answer is posted again, with the same ids."""

    def __init__(self, number, port):
        super().__init__(daemon=True)
        self.number, self.port, self.halt, self.acknowledged, self.doubtful = number, port, False, [], None
        self.rng, self.count, self.retries = random.Random(SEED * 31 + number), 0, 0

    def batch(self):
        events = []
        for _ in range(BATCH):
            self.count += 1
            events.append({"id": f"c{self.number}-{self.count}", "user": f"u{self.rng.randrange(USERS)}",
                           "item": f"i{self.number}-{self.count}", "type": "click"})
        return events

    def run(self):
        conn = None
        while not self.halt:
            if self.doubtful is None:
                self.doubtful = self.batch()
            try:
                conn = conn or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                conn.request("POST", "/v1/events?ack=" + self.rng.choice(["applied", "durable"]),
                             json.dumps(self.doubtful), {"Content-Type": "application/json"})
                answer = conn.getresponse()
                body = json.loads(answer.read())
                if answer.status == 200 and not body["rejected"]:
                    self.acknowledged += self.doubtful
                    self.doubtful = None
                else:
                    raise RuntimeError(f"status {answer.status}: {body}")
            except (OSError, http.client.HTTPException):
                conn = None
                self.retries += 1
                time.sleep(0.02)


def histories(port):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    seen = {}
    for user in range(USERS):
        conn.request("GET", f"/v1/users/u{user}/history?n={USER_EVENTS_MAX}")
        body = json.loads(conn.getresponse().read())
        for row in body.get("items", []):
            key = (f"u{user}", row["id"])
            seen[key] = seen.get(key, 0) + 1
    return seen


def state_hash(data):
    out = subprocess.run([BINARY, "hash", "--data-dir", data, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)["hash"]


def main():
    folder = tempfile.mkdtemp(prefix="freshet-kills-")
    data = os.path.join(folder, "data")
    os.mkdir(data)
    rng = random.Random(SEED)
    server = Server(data)
    server.start()
    clients = [Client(n, server.port) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.05, 0.5))
        server.process.kill()
        server.process.wait()
        server.start()
    time.sleep(0.3)
    for client in clients:
        client.halt = True
    for client in clients:
        client.join()
    seen = histories(server.port)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(60)
    acknowledged = {(e["user"], e["item"]) for c in clients for e in c.acknowledged}
    known = acknowledged | {(e["user"], e["item"]) for c in clients for e in c.doubtful or []}
    per_user = {}
    for user, _ in acknowledged:
        per_user[user] = per_user.get(user, 0) + 1
    assert max(per_user.values()) < USER_EVENTS_MAX, "profiles keep no more: raise USERS"
    lost = [key for key in acknowledged if key not in seen]
    doubled = [key for key, times in seen.items() if times > 1]
    invented = [key for key in seen if key not in known]
    with_snapshot = state_hash(data)
    shutil.rmtree(os.path.join(data, "snapshot"))
    without = state_hash(data)
    print(f"# seed {SEED}: {KILLS} kills, {len(acknowledged):,} events acknowledged, "
          f"{sum(c.retries for c in clients)} retries; lost {len(lost)}, doubled {len(doubled)}")
    checks = [("no acknowledged event is lost", not lost and len(acknowledged) > KILLS * BATCH),
              ("no event is applied twice", not doubled), ("no event is invented", not invented),
              ("a clean stop ends with 0", server.process.returncode == 0),
              ("snapshot and journal alone give the same state hash", with_snapshot == without)]
    for number, (name, good) in enumerate(checks, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
    print(f"1..{len(checks)}")
    print(json.dumps({"kills": KILLS, "lost": len(lost), "doubled": len(doubled), "acknowledged": len(acknowledged)}))
    good = all(good for _, good in checks)
    if good:
        shutil.rmtree(folder)
    else:
        print(f"# data and log are kept in {folder}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
