# SPDX-License-Identifier: Apache-2.0
"""What the benches of recommendation quality share: data sets under FRESHET_DATA, unpacked once, and
`freshet eval`, which runs them through the code that serves."""
import json
import lzma
import os
import random
import subprocess
import sys

import harness as lib

CLICKS = ["--type", "click"]


def skip(reason):
    lib.say("skipped:", reason)
    lib.result(value=None, reason=reason)
    sys.exit(0)


def data(*path):
    whole = os.path.join(lib.DATA, *path)
    if not os.path.exists(whole):
        skip(f"{whole} is not there; FRESHET_DATA names the folder of data sets")
    return whole


def lines(*path):
    whole = data(*path)
    opener = lzma.open if whole.endswith(".xz") else open
    with opener(whole, "rt", encoding="latin-1") as source:
        yield from source


def cached(name, make):
    """A file under the benches' cache, written by make(out) when it is not there."""
    os.makedirs(lib.CACHE, exist_ok=True)
    path = os.path.join(lib.CACHE, name)
    if not os.path.exists(path):
        with open(path + ".part", "w", encoding="utf-8") as out:
            make(out)
        os.rename(path + ".part", path)
    return path


def evaluate(*words):
    """The result of `freshet eval WORDS --json`."""
    command = [lib.BINARY, "eval", *map(str, words), "--json"]
    lib.say("$", " ".join(command))
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out.splitlines()[-1])


def ml100k():
    """All ratings in time order as "user item time"; equal times keep the file's order."""
    def make(out):
        rows = [line.split("\t") for line in lines("movielens-100k", "u.data.xz")]
        rows.sort(key=lambda row: int(row[3]))
        out.writelines(f"{user}\t{item}\t{time.strip()}\n" for user, item, _, time in rows)
    return cached("ml100k-clicks.tsv", make)


def ml1m(seed=None):
    """Likewise; with a seed, events of one second come in an order drawn from it. Ratings whose time is
    unknown (292 in the copy at hand) are left out."""
    def make(out):
        rows = [line.split("\t")[:3] for line in lines("movielens-1m", "events.tsv.xz")][1:]
        rows = [row for row in rows if int(row[2]) > 0]
        draw = random.Random(seed)
        keys = {id(row): draw.random() if seed is not None else 0 for row in rows}
        rows.sort(key=lambda row: (int(row[2]), keys[id(row)]))
        out.writelines("\t".join(row) + "\n" for row in rows)
    return cached("ml1m-file-order.tsv" if seed is None else f"ml1m-seed-{seed}.tsv", make)


MOVIELENS = ["--columns", "user=1,item=2,time=3", "--separator", "tab", *CLICKS]


def globo():
    return cached("globo.tsv", lambda out: out.writelines(lines("globo", "clicks-first-1.5M.tsv.xz")))


def sequences(name):
    """One event a line. The files carry order but no times, so all events get the same: nothing decays
    (chosen on the validation items: NDCG@10 of Beauty .071 against .068 with a second between events)."""
    def make(out):
        for line in lines("sequences", name + ".txt.xz"):
            user, *items = line.split()
            out.writelines(f"{user}\t{item}\t1577836800\n" for item in items)
    return cached(name + "-events.tsv", make)


def say_metrics(title, result):
    lib.say(title, f"({result['scored']:,} scored)")
    for name, metrics in [("blend", result["metrics"]), *result["experts"].items()]:
        lib.say(f"  {name:14}", "  ".join(f"{key} {value:.4f}" for key, value in metrics.items()))


def best_expert(result, key):
    return max(metrics[key] for name, metrics in result["experts"].items() if name != "popular")


def leave_one_out(name):
    """Strict (nothing but the train part is learnt) and online (the validation item too). 256 candidates:
    chosen on the validation items (Beauty NDCG@10 .0721 against .0709 with the default of about 120)."""
    path, parts = sequences(name), {}
    for kind, words in (("strict", []), ("online", ["--learn-validation"])):
        result = evaluate("leave-one-out", path, *MOVIELENS, "--candidates", 256, *words)
        say_metrics(f"{name}, {kind}", result)
        for key in ("hr@10", "ndcg@10"):
            parts[f"{kind}_{key}"] = result["metrics"][key]
    lib.result(value=parts["strict_hr@10"], **parts)
