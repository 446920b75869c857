#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gorse on the end of P1: lines "user item time" in time order.
    p1_gorse.py BINARY LINES LAST MODE -> one JSON line
MODE: "ready", lists of item-to-item and matrix factorisation, ranked by its factorisation machine, computed
beforehand; "request", item-to-item from the newest history, computed when asked.
BINARY: gorse-in-one, built from its sources (`go build ./cmd/gorse-in-one`; measured with v0.5.11). It loads
all but the last LAST events into SQLite over HTTP, is started again, which makes it compute every list, and
then each of the last events is asked for (n = 20) before it is posted. No list is computed anew meanwhile:
its cycle is an hour. Loopback only; CPU time is the process's own."""
import http.client
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

CONFIG = """
[database]
cache_store = "sqlite://{home}/cache.db"
data_store = "sqlite://{home}/data.db"
[master]
host = "127.0.0.1"
port = {rpc}
http_host = "127.0.0.1"
http_port = {port}
n_jobs = 1
[recommend]
cache_size = 100
[recommend.data_source]
positive_feedback_types = ["click"]
read_feedback_types = ["read"]
[[recommend.non-personalized]]
name = "popular"
score = "count(feedback)"
[[recommend.item-to-item]]
name = "neighbors"
type = "users"
[recommend.collaborative]
type = "mf"
fit_epoch = 30
optimize_period = "0"
[recommend.ranker]
{ranker}
[recommend.fallback]
recommenders = ["item-to-item/neighbors", "non-personalized/popular"]
"""
RANKERS = {
    "ready": 'type = "fm"\nfit_epoch = 30\noptimize_period = "0"\n'
             'recommenders = ["item-to-item/neighbors", "collaborative"]',
    "request": 'type = "none"\nrecommenders = ["item-to-item/neighbors"]',
}
BATCH, READY_SECONDS, IDLE_SECONDS, REFRESH_SECONDS = 1000, 60, 30, 420


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Gorse:
    def __init__(self, binary, home, mode):
        self.binary, self.home, self.ranker = binary, home, RANKERS[mode]
        os.mkdir(os.path.join(home, "models"))

    def start(self):
        self.port = free_port()
        config = os.path.join(self.home, "config.toml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(CONFIG.format(home=self.home, port=self.port, rpc=free_port(),
                                    ranker=self.ranker))
        with open(os.path.join(self.home, "log"), "ab") as log:
            self.process = subprocess.Popen([self.binary, "-c", config, "--cache-path",
                                             os.path.join(self.home, "models")], stdout=log, stderr=log)
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            try:
                if self.ask("GET", "/api/health/ready")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError("gorse did not become ready, see " + os.path.join(self.home, "log"))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ask(self, method, path, body=None, connection=None):
        made = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        made.request(method, path, json.dumps(body) if body is not None else None,
                     {"Content-Type": "application/json"})
        answer = made.getresponse()
        raw = answer.read()
        if not connection:
            made.close()
        return answer.status, raw

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))

    def wait_until_idle(self):
        """Until it has used less than a tenth of a processor for IDLE_SECONDS."""
        began, quiet, before = time.monotonic(), 0, self.cpu()
        while quiet < IDLE_SECONDS and time.monotonic() < began + REFRESH_SECONDS:
            time.sleep(1)
            now = self.cpu()
            quiet = quiet + 1 if now - before < 0.1 else 0
            before = now


def feedback(event):
    user, item, at = event
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(at)))
    return {"FeedbackType": "click", "UserId": user, "ItemId": item, "Timestamp": moment, "Value": 1}


def judge(gorse, events):
    hits10 = hits20 = gain = 0
    asking = 0.0
    connection = http.client.HTTPConnection("127.0.0.1", gorse.port, timeout=60)
    began = gorse.cpu()
    for event in events:
        before = gorse.cpu()
        status, raw = gorse.ask("GET", f"/api/recommend/{event[0]}?n=20", connection=connection)
        asking += gorse.cpu() - before
        found = json.loads(raw) if status == 200 else []
        found = [entry["Id"] if isinstance(entry, dict) else entry for entry in found or []]
        if event[1] in found:
            place = found.index(event[1])
            hits20 += 1
            hits10 += place < 10
            gain += 1 / math.log2(place + 2) if place < 10 else 0
        gorse.ask("POST", "/api/feedback", [feedback(event)], connection=connection)
    n = len(events)
    whole = gorse.cpu() - began
    return {"hr@10": hits10 / n, "hr@20": hits20 / n, "ndcg@10": gain / n, "scored": n,
            "cpu_us_query": asking / n * 1e6, "cpu_us_query_and_event": whole / n * 1e6}


def main(binary, path, last, mode):
    with open(path, encoding="utf-8") as source:
        events = [line.split()[:3] for line in source]
    with tempfile.TemporaryDirectory(prefix="freshet-gorse-") as home:
        gorse = Gorse(binary, home, mode)
        try:
            gorse.start()
            before = gorse.cpu()
            for at in range(0, len(events) - last, BATCH):
                status, raw = gorse.ask("POST", "/api/feedback",
                                        [feedback(event) for event in events[at:min(at + BATCH, len(events) - last)]])
                if status != 200:
                    raise RuntimeError(f"gorse refused a batch: {status} {raw[:200]}")
            loading = gorse.cpu() - before
            gorse.stop()
            gorse.start()
            gorse.wait_until_idle()
            refresh = gorse.cpu()
            result = judge(gorse, events[-last:])
            result.update(cpu_us_load=loading / (len(events) - last) * 1e6, cpu_s_refresh=refresh,
                          rss_mb=gorse.rss_mb())
            print(json.dumps(result))
        finally:
            gorse.stop()


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
