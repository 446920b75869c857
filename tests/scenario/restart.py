#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An upgrade under load refuses nobody: a manager (this script) holds the listening socket, process follows process
on the same data directory by SIGTERM and start, and clients with kept and with fresh connections see each of their
requests answered, none twice, none refused. Five restarts; fifty in the long form."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import api_lib as lib

RESTARTS = 50 if os.environ.get("FRESHET_FORM") == "long" else 5


class Manager:
    """What systemd does for a .socket unit: binds once, hands descriptor 3 to each process in turn."""

    def __init__(self):
        self.data = tempfile.mkdtemp(prefix="freshet-restart-")
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(1024)
        self.port = self.socket.getsockname()[1]
        self.codes = []

    def start(self):
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec 3<&{self.socket.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"", lib.BINARY, "serve",
             "--json", "--data-dir", self.data], pass_fds=[self.socket.fileno()], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        return json.loads(self.process.stdout.readline() or "{}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.codes.append(self.process.wait(60))


class Client(threading.Thread):
    def __init__(self, port, number, keeps, writes):
        super().__init__(daemon=True)
        self.port, self.number, self.keeps, self.writes = port, number, keeps, writes
        self.failed, self.done, self.accepted, self.is_over = [], 0, 0, False

    def ask(self, connection):
        if self.writes:
            body = json.dumps({"user": f"u{self.number}", "item": f"i{self.done % 50}", "type": "click",
                               "id": f"c{self.number}-{self.done}"})
            connection.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
        else:
            connection.request("GET", f"/v1/recommend?user=u{self.number}&n=5")
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            self.failed.append(f"{answer.status} {text[:100]}")
        elif self.writes:
            self.accepted += json.loads(text)["accepted"]
        self.done += 1
        return answer.getheader("Connection") == "close"

    def run(self):
        connection = None
        while not self.is_over:
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                told_to_close = self.ask(connection)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                told_to_close = True
            if told_to_close or not self.keeps:
                connection.close()
                connection = None
            time.sleep(0.002)


def main():
    manager = Manager()
    first = manager.start()
    lib.check("the inherited socket is served", first.get("port") == manager.port, str(first))
    clients = [Client(manager.port, i, keeps=i % 2 == 0, writes=i >= 4) for i in range(8)]
    idle = socket.create_connection(("127.0.0.1", manager.port))  # never says a word
    for client in clients:
        client.start()
    for _ in range(RESTARTS):
        seen = [client.done for client in clients]
        deadline = time.monotonic() + 60
        while any(c.done < n + 5 for c, n in zip(clients, seen)) and time.monotonic() < deadline:
            time.sleep(0.01)  # each was answered by this process
        manager.stop()
        manager.start()
    for client in clients:
        client.is_over = True
    for client in clients:
        client.join(60)
    idle.close()
    failed = [fault for client in clients for fault in client.failed]
    asked, accepted = sum(c.done for c in clients), sum(c.accepted for c in clients)
    lib.check(f"{asked} requests over {RESTARTS} restarts, none failed", not failed, f"{len(failed)}: {failed[:5]}")
    lib.check("all processes ended by themselves", set(manager.codes) == {0}, str(manager.codes))
    connection = http.client.HTTPConnection("127.0.0.1", manager.port, timeout=60)
    connection.request("GET", "/v1/stats")
    stats = json.loads(connection.getresponse().read())
    connection.close()
    manager.stop()
    restarted = manager.start()
    lib.check(f"{accepted} events acknowledged, as many in the journal",
              restarted.get("events") == accepted == sum(c.done for c in clients if c.writes), f"{restarted} {stats}")
    manager.stop()
    shutil.rmtree(manager.data, ignore_errors=True)
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
