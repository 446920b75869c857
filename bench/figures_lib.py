# SPDX-License-Identifier: Apache-2.0
"""The table of figures: reading it, running a row's command, comparing, writing docs/FIGURES.md."""
import collections
import json
import os
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
COMMAND_SECONDS = 6 * 3600

Row = collections.namedtuple("Row", "name asked unit direction command key issue")


def rows():
    found, issue = [], 0
    with open(os.path.join(HERE, "FIGURES")) as table:
        for number, line in enumerate(table, 1):
            if line.startswith("# ----"):
                issue = int(line.rstrip(" )\n").split()[-1])
            if line.startswith("#") or not line.strip():
                continue
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) != 5 or cells[3] not in (">=", "<=", "="):
                raise ValueError(f"bench/FIGURES:{number}: name | asked | unit | direction | command")
            command, _, key = cells[4].rpartition(" ")
            found.append(Row(cells[0], float(cells[1]), cells[2], cells[3], command, key, issue))
    return found


def choose(all_rows, name):
    exact = [row for row in all_rows if row.name == name]
    return exact or [row for row in all_rows
                     if row.name.startswith(name + "-") and "@" not in row.name] or [
        row for row in all_rows if row.name.startswith(name + "-")]


class Runs:
    """Each command runs once, whatever number of rows read its line."""

    def __init__(self):
        self.done = {}

    def result(self, command):
        """(last JSON object or None, reason when None)"""
        if command not in self.done:
            self.done[command] = self.run(command)
        return self.done[command]

    @staticmethod
    def run(command):
        words = shlex.split(command)
        program = os.path.join(HERE, words[0])
        if not os.access(program, os.X_OK):
            return None, f"bench/{words[0]} does not exist yet"
        print(f"# bench/{command}", file=sys.stderr, flush=True)
        last = ""
        try:
            process = subprocess.Popen([program, *words[1:]], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, text=True, cwd=ROOT)
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                last = line.strip() or last
            code = process.wait(COMMAND_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            return None, str(error)
        try:
            values = json.loads(last)
        except ValueError:
            values = None
        if not isinstance(values, dict):
            return None, f"bench/{words[0]} ended with {code} and no JSON line"
        if "value" in values and values["value"] is None and "reason" in values:
            return None, values["reason"]
        return values, None


def holds(row, value):
    if row.direction == ">=":
        return value >= row.asked
    if row.direction == "<=":
        return value <= row.asked
    return value == row.asked


def measure(row, runs):
    values, reason = runs.result(row.command)
    value = values.get(row.key) if values else None
    if values and not isinstance(value, (int, float)):
        value = None
        reason = values.get("reason", f"bench/{row.command} gives no {row.key}")
    result = {"name": row.name, "value": value, "asked": row.asked,
              "holds": value is not None and holds(row, value)}
    if reason:
        result["reason"] = reason
    return result


def grouped(name, results):
    whole = {"name": name, "value": {r["name"]: r["value"] for r in results},
             "asked": {r["name"]: r["asked"] for r in results},
             "holds": all(r["holds"] for r in results)}
    reasons = sorted({r["reason"] for r in results if "reason" in r})
    if reasons:
        whole["reason"] = "; ".join(reasons)
    return whole


def json_line(result):
    return json.dumps(result)
