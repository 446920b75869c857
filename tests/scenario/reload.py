#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGHUP reads the configuration again: what can change without a restart does, the rest is named in the log, a faulty
file changes nothing, and the audit says so."""
import os
import signal
import sys
import tempfile
import time

import api_lib as lib


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def until(condition):
    began = time.monotonic()
    while time.monotonic() < began + 20:
        if condition():
            return True
        time.sleep(0.02)
    return False


def hang_up(server, said):
    """Asks for a reload and waits for the log to say it another time."""
    def count():
        with open(server.log_path, encoding="utf-8") as log:
            return log.read().count(said)
    before = count()
    server.process.send_signal(signal.SIGHUP)
    return until(lambda: count() > before)


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "freshet.yaml")
        write(path, "repeats: skip\nrecommend-n-max: 50\n")
        with lib.Server("--config", path) as server:
            server.call("POST", "/v1/events", [{"user": "u", "item": f"i{k}", "type": "click"} for k in range(4)])
            seen = "/v1/recommend?user=u&n=20"
            lib.check("seen items are skipped", server.call("GET", seen)[1]["items"] == [])
            write(path, "repeats: allow\nrecommend-n-max: 30\nsession-gap: 10min\nport: 1\n")
            lib.check("what can change is told", hang_up(server, "changed: repeats, recommend-n-max"))
            log = open(server.log_path, encoding="utf-8").read()
            lib.check("what needs a restart is named", "needs a restart: session-gap" in log and "port" not in log.split("restart:")[1])
            lib.check("seen items come back", until(lambda: len(server.call("GET", seen)[1]["items"]) == 4))
            lib.check("the maximum is the new one", server.call("GET", "/v1/recommend?n=31")[0] == 400
                      and server.call("GET", "/v1/recommend?n=30")[0] == 200)
            acts = lambda: server.call("GET", "/v1/audit")[1]["acts"]
            lib.check("the audit comes to it", until(lambda: len(acts()) > 0))
            lib.check("the audit says what changed", acts()[0]["act"] == "settings_changed"
                      and acts()[0]["target"] == "repeats, recommend-n-max" and acts()[0]["actor"] == "configuration")
            write(path, "repeats: sometimes\nrecommend-n-max: 10\n")
            lib.check("a fault is told with its line", hang_up(server, "freshet.yaml:1"))
            lib.check("... and changes nothing", server.call("GET", "/v1/recommend?n=30")[0] == 200
                      and len(server.call("GET", seen)[1]["items"]) == 4)
            write(path, "repeats: skip\n")
            lib.check("an option that is gone has its default again", hang_up(server, "changed: repeats, recommend-n-max"))
            lib.check("... at once", until(lambda: server.call("GET", "/v1/recommend?n=100")[0] == 200))
            lib.check("the same file again changes nothing", hang_up(server, "changed: nothing"))
            server.stop()
            lib.check("it stops as ever", server.code == 0)
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
