#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The document against the server: PyPI's schemathesis makes requests from /openapi.json, valid and invalid ones, from a
printed seed; no answer may be a 5xx, outside its schema, of a media type or status that the document does not give.
It is installed into a folder of its own, kept between runs under the build folder; skipped when it cannot be had.
FRESHET_SEED repeats a run."""
import os
import random
import re
import subprocess
import sys

import api_lib as lib

VERSION = "schemathesis==4.*"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = "200" if os.environ.get("FRESHET_FORM") == "long" else "12"


def installed():
    """The program; None when it cannot be had."""
    folder = os.path.join(lib.BUILD, "schemathesis")
    program = os.path.join(folder, "bin", "schemathesis")
    if lib.have("schemathesis"):
        return "schemathesis"
    try:
        if not os.path.exists(program):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, stdout=subprocess.DEVNULL, timeout=120)
            subprocess.run([os.path.join(folder, "bin", "pip"), "install", "-q", VERSION], check=True, timeout=300,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return program
    except (subprocess.SubprocessError, OSError):
        return None


def main():
    program = installed()
    if program is None:
        print("1..0 # SKIP PyPI's schemathesis cannot be had here")
        return 77
    seed = os.environ.get("FRESHET_SEED") or str(random.randrange(1 << 31))
    print(f"# FRESHET_SEED={seed}")
    with lib.Server() as server:
        server.call("PUT", "/v1/items/a", {"title": "One", "categories": ["x"]})
        server.call("POST", "/v1/events", {"user": "a", "item": "a", "type": "click"})
        done = subprocess.run([program, "run", f"http://127.0.0.1:{server.port}/openapi.json", "--checks", CHECKS, "--seed", seed,
                               "--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing", "--no-color", "--request-timeout", "30",
                               "--continue-on-failure"], cwd=server.data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        lib.check("and it still answers", server.call("GET", "/livez")[0] == 200)
    print(re.sub(r"(?m)^", "# ", done.stdout[-6000:]))
    lib.check("no 5xx and no answer outside the document", done.returncode == 0, f"code {done.returncode}")
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
