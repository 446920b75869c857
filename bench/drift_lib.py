# SPDX-License-Identifier: Apache-2.0
"""What the benches of drift share: the streams, and the runs of bench/drift.c over them."""
import collections
import itertools
import os
import subprocess

import quality_lib as quality

LENGTH, WINDOW = 5000, 1000


def globo(count):
    """The first clicks of Globo.com, all within the part that settings are chosen on."""
    def make(out):
        rows = itertools.islice(quality.lines("globo", "clicks-first-1.5M.tsv.xz"), 1, count + 1)
        for row in rows:
            c = row.rstrip("\n").split("\t")
            out.write("\t".join([c[0], c[4], str(int(c[5]) / 1000), c[1], c[7], c[10], c[11]]) + "\n")
    return quality.cached(f"drift-globo-{count}.tsv", make)


def run(path, at, *words):
    """({(change, actions): [outcomes from LENGTH before to LENGTH after]}, (hits, scored), alarms)"""
    command = [os.path.join(quality.lib.BUILD, "bench", "drift"), path, "at=" + ",".join(map(str, at)),
               f"length={LENGTH}", *words]
    quality.lib.say("$", " ".join(command))
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    runs, alarms, whole = collections.defaultdict(list), [], None
    for line in out.splitlines():
        words = line.split()
        if words[0] == "#":
            alarms.append(line[2:])
        elif words[0] == "=":
            whole = int(words[1]), int(words[2])
        else:
            runs[words[1], words[2] == "1"].append(words[3])
    return runs, whole, alarms


def hit_rate(outcomes, begin, end):
    hits = sum(o.count("h", begin, end) for o in outcomes)
    return hits / max(1, hits + sum(o.count("m", begin, end) for o in outcomes))


def recovery(outcomes):
    """After how many events the next WINDOW are answered at 95 % of the hit rate before, all changes of a
    kind together; LENGTH when never."""
    before = hit_rate(outcomes, 0, LENGTH)
    for n in range(0, LENGTH - WINDOW + 1, 100):
        if hit_rate(outcomes, LENGTH + n, LENGTH + n + WINDOW) >= 0.95 * before:
            return n
    return LENGTH


def say(title, runs):
    for (change, actions), outcomes in runs.items():
        rates = [hit_rate(outcomes, LENGTH + n, LENGTH + n + 500) for n in range(0, LENGTH, 500)]
        quality.lib.say(f"{title}, {change}, actions {'on' if actions else 'off'}: before "
                        f"{hit_rate(outcomes, 0, LENGTH):.4f}; every 500 after",
                        " ".join(f"{rate:.3f}" for rate in rates), "; recovered after",
                        recovery(outcomes))
