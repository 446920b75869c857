# SPDX-License-Identifier: Apache-2.0
"""Where `bench/quality` keeps what it measured.

A step's result is kept under the benches' cache by (code, data, command): code is the git trees of the
rooms that can change a judgement (the program's own hash when these have uncommitted changes), data the
contents of the files named. So an interrupted run goes on, and a run after a change of the API measures
nothing anew. docs/quality/results.json holds what docs/QUALITY.md is written from."""
import datetime
import fcntl
import functools
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile

import harness

ROOMS = ["base", "simd", "schema", "state", "model", "retrieve", "rank", "fold", "ingest", "eval", "app/eval.c"]
DOCS = os.environ.get("FRESHET_QUALITY_DOCS", os.path.join(harness.ROOT, "docs"))
RESULTS = os.path.join(DOCS, "quality", "results.json")
CACHE = os.path.join(harness.CACHE, "quality")
# What each command is run under, such as "nice -n 15".
WRAP = shlex.split(os.environ.get("FRESHET_QUALITY_WRAP", ""))
SECONDS_MAX = 4 * 3600


class Skipped(Exception):
    """Cannot be measured here; says why."""


def git(*words):
    return subprocess.run(["git", *words], cwd=harness.ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False).stdout.strip()


@functools.lru_cache(None)
def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(None)
def code_key(program, with_bench):
    rooms = ["src/" + room for room in ROOMS] + ["bench"] * with_bench
    if os.environ.get("FRESHET_BUILD") or git("status", "--porcelain", "--", *rooms):
        return digest_of(program)
    return " ".join(git("rev-parse", "HEAD:" + room) for room in rooms)


def run(words, program, with_bench):
    """The JSON object on the last line that `words` prints; cached."""
    words = [str(word) for word in words]
    files = [digest_of(word) for word in words[1:] if os.path.isfile(word)]
    data = "" if files else harness.DATA
    shown = [word.replace(harness.CACHE, "CACHE").replace(harness.DATA, "DATA") for word in words]
    key = hashlib.sha256(json.dumps([code_key(program, with_bench), files, data, os.path.basename(words[0]), shown[1:]]).encode()).hexdigest()
    kept = os.path.join(CACHE, key[:24] + ".json")
    if os.path.exists(kept):
        with open(kept, encoding="utf-8") as file:
            return json.load(file)
    harness.say("$", " ".join(shown))
    # off-policy estimates that are refused end with 1 and a JSON line all the same
    done = subprocess.run([*WRAP, *words], stdout=subprocess.PIPE, stderr=sys.stderr, text=True,
                          timeout=SECONDS_MAX, check=False)
    lines = done.stdout.strip().splitlines()
    try:
        result = json.loads(lines[-1]) if lines else None
    except ValueError:
        result = None
    if not isinstance(result, dict):
        raise Skipped(f"{os.path.basename(words[0])} ended with {done.returncode} and no JSON line")
    if result.get("value", 0) is None:
        raise Skipped(result.get("reason", "no value"))
    result["at"] = stamp()
    os.makedirs(CACHE, exist_ok=True)
    with open(kept + ".part", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.rename(kept + ".part", kept)
    return result


def stamp():
    return f"{datetime.date.today()} {git('rev-parse', '--short', 'HEAD') or '?'}"


def evaluate(*words):
    """`freshet eval WORDS --json`."""
    return run([harness.BINARY, "eval", *words, "--json"], harness.BINARY, False)


@functools.lru_cache(None)
def experts():
    """The names of the experts of this build, in their order; those measured last when it is not built."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("a,b,1600000000\na,c,1600000001\n")
        file.flush()
        try:
            out = subprocess.run([harness.BINARY, "eval", "prequential", file.name, "--columns",
                                  "user=1,item=2,time=3", "--json"], stdout=subprocess.PIPE, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            kept = [key.rsplit(" ", 1)[1] for key in load().get("P1", {}) if key.startswith("without: ")]
            return [name for name in kept if name != "network"]
    return [name for name in json.loads(out.splitlines()[-1])["experts"] if name != "popular"]


def script(name, *words):
    """A bench/run-NAME: its last line."""
    path = os.path.join(harness.ROOT, "bench", "run-" + name)
    if not os.path.exists(path):
        raise Skipped(f"bench/run-{name} is not there yet")
    return run([path, *words], harness.BINARY, True)


def offline(program, *words):
    """A program of bench/: kernels under the offline blend."""
    path = os.path.join(harness.BUILD, "bench", program)
    if not os.path.exists(path):
        raise Skipped(f"bench/{program} is not built")
    return run([path, *words], path, True)


def load():
    try:
        with open(RESULTS, encoding="utf-8") as file:
            return json.load(file)
    except OSError:
        return {}


def update(name, mine):
    """Puts a part's results in, whatever another run wrote meanwhile; gives all."""
    os.makedirs(os.path.dirname(RESULTS), exist_ok=True)
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        results = {**load(), name: mine}
        with open(RESULTS + ".part", "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1, sort_keys=True)
            file.write("\n")
        os.rename(RESULTS + ".part", RESULTS)
    return results
