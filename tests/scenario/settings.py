#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The state is a function of journal and settings: after a change of what it depends on, what was made under the
old settings is folded anew, an answer of before is not made again under the new ones, and the audit says when."""
import json
import os
import shutil
import subprocess
import sys

import api_lib as lib

NEW = ("--history-max", "10")


def freshet(server, *words):
    done = subprocess.run([lib.BINARY, *words, "--data-dir", server.data], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def events(count):
    return [{"user": f"u{n % 20}", "item": f"i{n * n % 97}", "type": "click",
             "timestamp": 1700000000 + n * 5} for n in range(count)]


def ask(server):
    """Some may be overtaken by a record of the engine's own, such as a tick: those have no position."""
    return [server.call("GET", "/v1/recommend?user=u3&n=5")[1]["request_id"] for _ in range(5)]


def why(server, requests, *flags):
    out = freshet(server, "why", *requests, "--json", *flags)[1]
    return [json.loads(line) for line in out.splitlines()]


def some_equal(answers):
    return any(answer["equal"] for answer in answers)


def main():
    with lib.Server() as server:
        status, answer = server.call("POST", "/v1/events?ack=applied", events(1200))
        lib.check("events", status in (200, 202) and answer["accepted"] == 1200, str(answer)[:300])
        first = ask(server)
        server.stop()
        old = freshet(server, "hash")[1]
        lib.check("other settings, another state", freshet(server, "hash", *NEW)[1] != old)
        server.flags = NEW
        server.start()
        second = ask(server)
        _, acts = server.call("GET", "/v1/audit")
        told = [act["detail"] for act in acts["acts"] if act["act"] == "settings_changed"]
        lib.check("the audit tells the change", told == ["history-max=10"], str(acts)[:300])
        server.stop()
        with open(server.log_path, encoding="utf-8") as log:
            said = log.read()
        lib.check("the log says why all is folded anew", "made under other settings than these: history-max=10" in said, said[-600:])
        new = freshet(server, "hash", *NEW)[1]
        answers = why(server, first, *NEW)
        lib.check("answers of before are not made again under the new ones", not some_equal(answers) and
                  any("settings" in answer.get("refused", "") for answer in answers), str(answers)[:600])
        lib.check("one since is", some_equal(why(server, second, *NEW)))
        lib.check("and one of before under those of then", some_equal(why(server, first)))
        shutil.rmtree(os.path.join(server.data, "snapshot"))
        lib.check("snapshots make no difference", freshet(server, "hash", *NEW)[1] == new != old)
        server.start()
        server.stop()
        server.start()
        _, acts = server.call("GET", "/v1/audit")
        lib.check("nothing changed, nothing told", sum(act["act"] == "settings_changed" for act in acts["acts"]) == 1)
    return lib.end()


sys.exit(main())
