#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the operator sees: /metrics passes promtool, counts what happened, and names every family that
docs/METRICS.md names; log lines are JSON when asked; SIGTERM ends with 0."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build")), "freshet")
READY_SECONDS = 60
failed = False


def tap(ok, what):
    global failed
    failed |= not ok
    print(("ok - " if ok else "not ok - ") + what, flush=True)


def request(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def start(directory, log):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([BINARY, "serve", "--data-dir", directory, "--port", str(port),
                               "--log-format", "json"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=log)
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            if request(port, "GET", "/readyz")[0] == 200:
                return server, port
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"not ready; exit code {server.poll()}")


def sample(text, name):
    found = re.search(r"^" + re.escape(name) + r" (\S+)$", text, re.M)
    return float(found.group(1)) if found else None


def check_metrics(port):
    events = [{"user": f"u{i % 7}", "item": f"i{i % 11}", "type": "click"} for i in range(100)]
    status, _ = request(port, "POST", "/v1/events", json.dumps(events + [{"user": "u"}]))
    tap(status in (200, 207), f"77 events, 23 of them twice, and a bad one are answered with {status}")
    tap(request(port, "GET", "/v1/recommend?user=u1&n=5")[0] == 200, "a recommendation is given")
    status, text = request(port, "GET", "/metrics")
    tap(status == 200, "/metrics answers")
    if shutil.which("promtool"):
        lint = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                              capture_output=True, check=False)
        tap(lint.returncode == 0, "promtool has nothing to say: " + lint.stderr.strip()[:200])
    else:
        print("ok - promtool # SKIP not installed")
    for name, expected in (('freshet_events_total{outcome="accepted"}', 77),
                           ('freshet_events_total{outcome="duplicate"}', 23),
                           ('freshet_events_total{outcome="rejected"}', 1),
                           ("freshet_recommends_total", 1),
                           ('freshet_rows{of="users"}', 7),
                           ('freshet_rows{of="items"}', 11)):
        tap(sample(text, name) == expected, f"{name} is {expected} (seen: {sample(text, name)})")
    with open(os.path.join(ROOT, "docs", "METRICS.md")) as document:
        documented = set(re.findall(r"^\| `(\w+)`", document.read(), re.M))
    shown = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
    tap(shown == documented, f"documented and shown families are the same {shown ^ documented or ''}")


def main():
    with tempfile.TemporaryDirectory() as directory:
        log_path = os.path.join(directory, "log")
        with open(log_path, "wb") as log:
            server, port = start(os.path.join(directory, "data"), log)
            try:
                check_metrics(port)
                server.send_signal(signal.SIGTERM)
                tap(server.wait(60) == 0, "SIGTERM ends it with 0")
            finally:
                server.kill()
                server.wait()
        with open(log_path) as log:
            lines = log.read().splitlines()
        broken = [line for line in lines if not line.startswith("{") or "message" not in json.loads(line)]
        tap(not broken, f"every log line is a JSON object {broken[:1] or ''}")


main()
sys.exit(1 if failed else 0)
