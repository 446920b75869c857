#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""quality_bench: `bench/quality` on made-up ratings in MovieLens 100K's format writes its document with figures
and a curve, says of what has no data that it was not measured, measures nothing again that it has measured, and
measures again when the data is another. Prints TAP."""
import lzma
import os
import random
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build"))
checks = []


def check(name, good):
    checks.append(good)
    print(f"{'ok' if good else 'not ok'} {len(checks)} - {name}", flush=True)


def ratings(path, seed):
    draw, at = random.Random(seed), 880000000
    with lzma.open(path, "wt") as out:
        for user in range(1, 61):
            first = draw.randrange(40)
            for step in range(20):
                at += draw.randrange(1, 60)
                out.write(f"{user}\t{(first + step) % 50 + 1}\t{draw.randrange(3, 6)}\t{at}\n")


def quality(folder, *names):
    done = subprocess.run([os.path.join(ROOT, "bench", "quality"), *names], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={
                              **os.environ, "FRESHET_BUILD": BUILD, "FRESHET_DATA": os.path.join(folder, "data"),
                              "FRESHET_BENCH_CACHE": os.path.join(folder, "cache"),
                              "FRESHET_QUALITY_DOCS": os.path.join(folder, "docs")})
    with open(os.path.join(folder, "docs", "QUALITY.md"), encoding="utf-8") as document:
        return done, document.read()


def section(text, name):
    return text.split(f"## {name}: ")[1].split("\n## ")[0]


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, "data", "movielens-100k"))
        data = os.path.join(folder, "data", "movielens-100k", "u.data.xz")
        ratings(data, 1)
        done, text = quality(folder, "P1", "G")
        rows = [line for line in section(text, "P1").splitlines() if line.startswith("| **Freshet** | engine, online")]
        check("the part has a row with figures", done.returncode == 0 and len(rows) == 1 and " 0." in rows[0])
        check("and a curve and the batch line", "quality/p1.svg" in text and "Online over batch" in text
              and os.path.getsize(os.path.join(folder, "docs", "quality", "p1.svg")) > 1000)
        check("every expert has been left out", section(text, "P1").count("engine, ablation") >= 7)
        check("a part without data says so", "not measured" in section(text, "G"))
        check("it told each command", done.stderr.count("\n$ ") + done.stderr.startswith("$ ") >= 8)
        again, same = quality(folder, "P1")
        check("a second run measures nothing", "$ " not in again.stderr and section(same, "P1") == section(text, "P1"))
        ratings(data, 2)
        for file in os.listdir(os.path.join(folder, "cache")):
            if file.endswith(".tsv"):
                os.remove(os.path.join(folder, "cache", file))
        other, _ = quality(folder, "P1")
        check("other data is measured", "$ " in other.stderr)
    print(f"1..{len(checks)}")
    return 0 if all(checks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
