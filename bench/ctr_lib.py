# SPDX-License-Identifier: Apache-2.0
"""What the benches of the click model share: data under FRESHET_DATA, the program, the peers.

The peers live in a virtual environment of their own (FRESHET_PEERS_PYTHON: its python; else one is made
under the benches' cache with pip, once)."""
import hashlib
import json
import lzma
import math
import os
import re
import resource
import subprocess
import sys
import zipfile

import harness as lib

PROGRAM = os.environ.get("FRESHET_BENCH_CTR", os.path.join(lib.BUILD, "bench", "bench_ctr"))
PEERS = os.path.join(lib.ROOT, "bench", "peers", "requirements.txt")


def skip(reason):
    lib.result(value=None, reason=reason)
    sys.exit(0)


def data(*path):
    whole = os.path.join(lib.DATA, *path)
    if not os.path.exists(whole):
        skip(f"{whole} is not there; FRESHET_DATA names the folder of data sets")
    return whole


def ml100k():
    """A folder with the plain files of MovieLens 100K."""
    folder = os.path.join(lib.CACHE, "ml100k")
    os.makedirs(folder, exist_ok=True)
    for name in ("u.user", "u.item"):
        with open(data("movielens-100k", name), "rb") as source:
            with open(os.path.join(folder, name), "wb") as to:
                to.write(source.read())
    with lzma.open(data("movielens-100k", "u.data.xz")) as source:
        with open(os.path.join(folder, "u.data"), "wb") as to:
            to.write(source.read())
    return folder


def frappe():
    path = os.path.join(lib.CACHE, "frappe.csv")
    os.makedirs(lib.CACHE, exist_ok=True)
    with zipfile.ZipFile(data("frappe", "Mobile_Frappe.zip")) as archive:
        with open(path, "wb") as to:
            to.write(archive.read("Mobile_Frappe/frappe/frappe.csv"))
    return path


def run(*words):
    """Metrics by part, CPU us an example, and the text printed."""
    text = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, check=True).stdout
    parts = {}
    for name, scored, loss, auc in re.findall(
            r"^(\S+) +(\d+) log loss ([\d.]+) AUC ([\d.]+)", text, re.M):
        parts[name] = {"logloss": float(loss), "auc": float(auc), "scored": int(scored)}
    return parts, float(re.search(r"([\d.]+) CPU us", text).group(1)), text


def export(kind, path, to):
    """The stream in Vowpal Wabbit's format; the first line (our kinds) goes to `to`.kinds too."""
    with open(to, "w") as out:
        subprocess.run([PROGRAM, kind, path, "export=1"], stdout=out, check=True)
    with open(to) as source, open(to + ".vw", "w") as out:
        source.readline()
        out.writelines(source)
    return to


def with_crosses(text, crossed):
    """The same lines under a first line that says which kinds are crossed (Vowpal Wabbit's -q)."""
    if crossed is None:
        return text
    with open(text) as source, open(text + ".crossed", "w") as out:
        kinds = [kind.split(":") for kind in source.readline().split()[2:]]
        out.write("# kinds " + " ".join(f"{name}:{side}:{int(name in crossed.split())}"
                                        for name, side, _ in kinds) + "\n")
        out.writelines(source)
    return text + ".crossed"


def peers_python():
    given = os.environ.get("FRESHET_PEERS_PYTHON")
    if given:
        return given
    home = os.path.join(lib.CACHE, "peers")
    python, ready = os.path.join(home, "bin", "python"), os.path.join(home, "ready")
    with open(PEERS, encoding="utf-8") as file:
        wanted = file.read()
    if not os.path.exists(ready) or open(ready, encoding="utf-8").read() != wanted:
        try:
            subprocess.run([sys.executable, "-m", "venv", home], check=True, stdout=sys.stderr)
            subprocess.run([python, "-m", "pip", "-q", "install", "-r", PEERS], check=True, stdout=sys.stderr)
        except subprocess.SubprocessError as error:
            skip(f"the peers cannot be installed: {error}")
        with open(ready, "w", encoding="utf-8") as file:
            file.write(wanted)
    return python


def peer(program, *words, python=None):
    """The JSON line of a program of bench/peers. With FRESHET_PEERS_RESUME set, one of the same program on the
    same files is taken from the benches' cache: an interrupted run goes on."""
    path = os.path.join(lib.ROOT, "bench", "peers", program)
    words = [str(word) for word in words]
    digest = hashlib.sha256(json.dumps([os.path.basename(word) for word in words]).encode())
    for file in (path, PEERS, *words):
        if os.path.isfile(file):
            with open(file, "rb") as source:
                digest.update(hashlib.file_digest(source, "sha256").digest())
    kept = os.path.join(lib.CACHE, "peers-" + digest.hexdigest()[:24] + ".json")
    if not os.environ.get("FRESHET_PEERS_RESUME") or not os.path.exists(kept):
        lib.say("$", program, *words)
        line = subprocess.run([python or peers_python(), path, *words], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.splitlines()[-1]
        os.makedirs(lib.CACHE, exist_ok=True)
        with open(kept, "w", encoding="utf-8") as file:
            file.write(line)
    with open(kept, encoding="utf-8") as file:
        return json.loads(file.read())


def cpu_of(words):
    """CPU seconds of a command, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def vw(*words):
    return [peers_python(), "-m", "vowpalwabbit", "--quiet", "--loss_function", "logistic", *words]


def score(labels, predictions):
    """Log loss and AUC (ties averaged), as eval/ctr counts them."""
    loss = 0.0
    for label, p in zip(labels, predictions):
        p = min(max(p, 1e-6), 1 - 1e-6)
        loss -= math.log(p if label else 1 - p)
    order = sorted(range(len(predictions)), key=predictions.__getitem__)
    ranks, positives, at = 0.0, sum(labels), 0
    while at < len(order):
        end = at
        while end < len(order) and predictions[order[end]] == predictions[order[at]]:
            end += 1
        ranks += sum(labels[i] for i in order[at:end]) * (at + 1 + end) / 2
        at = end
    auc = (ranks - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))
    return {"logloss": loss / len(labels), "auc": auc}


def labels_of(path):
    with open(path) as source:
        return [not line.startswith("-") for line in source]


def predictions_of(path):
    with open(path) as source:
        return [float(line.split()[0]) for line in source]


def table(rows):
    width = max(len(name) for name, *_ in rows)
    for name, metrics, cost in rows:
        cost = f"{cost:7.2f} CPU us an example" if cost is not None else ""
        print(f"{name:{width}}  log loss {metrics['logloss']:.4f}  AUC {metrics['auc']:.4f}  {cost}")


def result(**values):
    print(json.dumps(values), flush=True)
