#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""FTRL-proximal against Vowpal Wabbit's (PyPI vowpalwabbit): identical features, the predictions before
each example within 1e-4. (river's FTRLProximal refreshes a weight one step late, so it cannot serve.)

    tests/golden/ftrl_vw.py [BENCH_FTRL]   exit 0 equal, 1 not, 77 when vowpalwabbit is not installed
"""
import importlib.util
import os
import random
import subprocess
import sys
import tempfile

LIMIT, EXAMPLES = 1e-4, 20000
SETTINGS = [(0.1, 1.0, 0.0, 0.0), (0.2, 1.0, 0.0, 3.0), (0.05, 0.5, 0.3, 0.1)]


def examples():
    draw = random.Random(5)
    weights = [draw.gauss(0, 1) for _ in range(400)]
    for _ in range(EXAMPLES):
        ids = draw.sample(range(1, 400), draw.randint(3, 12))
        values = [round(draw.uniform(0.2, 1.5), 3) for _ in ids]
        logit = sum(weights[i] * x for i, x in zip(ids, values))
        yield int(draw.random() < 1 / (1 + 2.718281828 ** -logit)), list(zip(ids, values))


def vw(folder, alpha, beta, l1, l2):
    lines, out = os.path.join(folder, "vw"), os.path.join(folder, "out")
    with open(lines, "w") as to:
        for label, features in examples():
            to.write(f"{1 if label else -1} | " + " ".join(f"{i}:{x}" for i, x in features) + "\n")
    subprocess.run([sys.executable, "-m", "vowpalwabbit", "--quiet", "--noconstant", "-b", "18", "--ftrl",
                    "--loss_function", "logistic", "--link", "logistic", "--ftrl_alpha", str(alpha),
                    "--ftrl_beta", str(beta), "--l1", str(l1), "--l2", str(l2), "-d", lines, "-p", out],
                   check=True)
    with open(out) as source:
        return [float(line) for line in source]


def ours(program, *settings):
    text = "".join(f"{label} " + " ".join(f"{i}:{x}" for i, x in features) + "\n"
                   for label, features in examples())
    done = subprocess.run([program, *map(str, settings)], input=text, check=True, stdout=subprocess.PIPE,
                          text=True)
    return [float(line) for line in done.stdout.split()]


def main(program):
    if importlib.util.find_spec("vowpalwabbit") is None:
        print("SKIPPED: vowpalwabbit is not installed; pip install vowpalwabbit in a virtual environment")
        return 77
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for settings in SETTINGS:
            a, b = ours(program, *settings), vw(folder, *settings)
            worst = max(abs(x - y) for x, y in zip(a, b))
            good = len(a) == len(b) == EXAMPLES and worst <= LIMIT
            bad += not good
            print(f"{'ok' if good else 'not ok'} alpha, beta, l1, l2 {settings}: {len(b)} predictions, "
                  f"largest difference {worst:.2e} (limit {LIMIT:.0e})")
    return 1 if bad else 0


if __name__ == "__main__":
    BUILD = os.environ.get("FRESHET_BUILD", "build")
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(BUILD, "bench", "bench_ftrl")))
