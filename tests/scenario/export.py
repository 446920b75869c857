#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""export: the whole journal, taken into an empty directory, gives the same state hash and exports to the same
lines; events, items and users come out as JSON and CSV, one user's too. Prints TAP."""
import json
import os
import random
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build")), "freshet")
checks = []


def freshet(*words, code=0):
    done = subprocess.run([BINARY, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == code, (words, done.returncode, done.stderr.decode())
    return done.stdout.decode()


def check(name, good):
    checks.append(good)
    print(f"{'ok' if good else 'not ok'} {len(checks)} - {name}")


def write_sample(folder):
    draw, items, events = random.Random(3), os.path.join(folder, "items.ndjson"), os.path.join(folder, "events.csv")
    with open(items, "w") as out:
        for i in range(60):
            out.write(json.dumps({"id": f"i{i}", "title": f"A \"{i}\", quoted", "categories": [f"c{i % 5}"]}) + "\n")
    with open(events, "w") as out:
        out.write("time,user,item,type,device\n")
        for n in range(3000):
            out.write(f"{1700000000 + n * 11},u{draw.randrange(40)},i{draw.randrange(60)},click,phone\n")
    return items, events


def main():
    with tempfile.TemporaryDirectory(prefix="freshet-export-") as folder:
        one, two, lines = (os.path.join(folder, name) for name in ("one", "two", "lines"))
        freshet("import", *write_sample(folder), "--data-dir", one)
        whole = freshet("export", "--data-dir", one)
        with open(lines, "w") as out:
            out.write(whole)
        freshet("import", lines, "--data-dir", two)
        check("the same state hash", freshet("hash", "--data-dir", one) == freshet("hash", "--data-dir", two))
        check("the same lines again", freshet("export", "--data-dir", two) == whole)
        freshet("import", lines, "--data-dir", two, code=1)
        check("a directory that is not empty is refused", True)
        events = [json.loads(line) for line in freshet("export", "--data-dir", one, "--what", "events").splitlines()]
        check("every event", len(events) == 3000 and events[0]["user"].startswith("u"))
        mine = freshet("export", "--data-dir", one, "--what", "events", "--user", "u7").splitlines()
        check("one user's events", len(mine) == sum(e["user"] == "u7" for e in events) > 0)
        table = freshet("export", "--data-dir", one, "--what", "items", "--form", "csv")
        check("items as CSV, quotes doubled", "A \"\"3\"\", quoted" in table and len(table.splitlines()) == 61)
        users = [json.loads(line)["id"] for line in freshet("export", "--data-dir", one, "--what", "users").splitlines()]
        check("users", sorted(users) == sorted({e["user"] for e in events}))
        freshet("export", "--data-dir", one, "--what", "everything", code=2)
        check("an unknown part is a fault of usage", True)
    print(f"1..{len(checks)}")
    sys.exit(0 if all(checks) else 1)


main()
