#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""freshet simulate: a small world. The arms stand in the order that they must, people behave as fitted, a seed plays
alike, nothing is left behind. Prints TAP."""
import json
import os
import subprocess
import sys

import api_lib as lib


def simulate(*flags):
    out = subprocess.run([lib.BINARY, "simulate", "--json", *flags], stdout=subprocess.PIPE, check=True, stdin=subprocess.DEVNULL)
    return json.loads(out.stdout)


def main():
    small = ("--readers=1200", "--hours=72")
    whole = simulate(*small)
    arms = whole["arms"]
    ctr = {name: arm["ctr"] for name, arm in arms.items()}
    lib.check("all arms played", sorted(arms) == ["batch", "engine", "oracle", "popular", "random", "trending"], str(arms))
    lib.check("random < popular < trending < oracle", ctr["random"] < ctr["popular"] < ctr["trending"] < ctr["oracle"], str(ctr))
    lib.check("random < engine < oracle", ctr["random"] < ctr["engine"] < ctr["oracle"], str(ctr))
    lib.check("the engine is above popular, its interval too", arms["engine"]["lift_low"] > 0, str(arms["engine"]))
    lib.check("intervals hold their figure", all(a["ctr_low"] <= a["ctr"] <= a["ctr_high"] for a in arms.values()))
    alike = ("--arms=oracle,popular,batch", *small)
    lib.check("a seed plays alike", simulate(*alike) == simulate(*alike))
    lib.check("another seed does not", simulate("--seed=2", *alike)["arms"] != simulate(*alike)["arms"])
    week = simulate("--arms=popular")["marginals"]
    near = {name: abs(m["here"] / m["globo"] - 1) for name, m in week.items()}
    for name, most in (("clicks a session", .1), ("sessions of two clicks", .1), ("sessions of three", .15),
                       ("hours to half of an item's clicks", .2), ("clicks from 14 to 20 h", .15)):
        lib.check(f"as at Globo.com: {name}", near[name] <= most, str(week[name]))
    left = [name for name in os.listdir(os.environ.get("TMPDIR", "/tmp")) if name.startswith("freshet-world-")]
    lib.check("nothing is left behind", "TMPDIR" not in os.environ or not left, str(left))
    bad = subprocess.run([lib.BINARY, "simulate", "--slate=51"], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    lib.check("a value out of range is refused", bad.returncode == 2 and b"--slate=51" in bad.stderr, str(bad))
    return lib.end()


sys.exit(main())
