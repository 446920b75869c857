#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""freshet models against a running server and against a data directory at rest: list, show, promote,
rollback, reset-layer, rate, save, import; what does not fit is refused; roles are in the answers at once
and outlive a restart; snapshot and journal give the same hash. Prints TAP."""
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build")), "freshet")
CHECKS = []


def check(name, good, more=""):
    CHECKS.append(good)
    print(f"{'ok' if good else 'not ok'} {len(CHECKS)} - {name}{'' if good else ' # ' + str(more)}", flush=True)


class Server:
    def __init__(self, data, log):
        self.process = subprocess.Popen([BINARY, "serve", "--data-dir", data, "--port", "0", "--sample", "1",
                                         "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                        text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def call(self, method, path, body=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        conn.request(method, path, body if isinstance(body, bytes) or body is None else json.dumps(body),
                     {"Content-Type": "application/json"} if body is not None else {})
        answer = conn.getresponse()
        out = answer.status, json.loads(answer.read())
        conn.close()
        return out

    def model(self, name):
        return self.call("GET", f"/v1/models/{name}")[1]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def events(seed, count):
    rng = random.Random(seed)
    for n in range(0, count, 50):
        batch = []
        for i in range(50):
            user = rng.randrange(120)
            batch.append({"id": f"{seed}-{n}-{i}", "user": f"u{user}", "item": f"i{user % 6 * 80 + rng.randrange(80)}",
                          "type": "click", "timestamp": 1767225600 + (n + i) * 5,
                          "context": {"device": "phone" if user % 2 else "desktop"}})
        yield batch


def cli(data, *arguments):
    ran = subprocess.run([BINARY, "models", *arguments, "--data-dir", data], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def state_hash(data):
    out = subprocess.run([BINARY, "hash", "--data-dir", data, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)["hash"]


def while_it_runs(data, folder, server):
    url = f"--url=http://127.0.0.1:{server.port}"
    for batch in events(1, 2500):
        assert server.call("POST", "/v1/events", batch)[0] == 200
    for _ in range(600):  # a condition, not a wait: the worker publishes by a record
        mlp = server.model("mlp")
        if mlp["published_position"]:
            break
        server.call("POST", "/v1/events", [{"user": "u1", "item": "i1", "type": "view"}])
        time.sleep(0.05)
    check("the network has published a job", mlp["published_position"] > 0 and mlp["steps"] > 0, mlp)
    names = [m["name"] for m in server.call("GET", "/v1/models")[1]["models"]]
    check("first and second stage are listed", {"cooc", "popularity", "ctr", "mlp", "gbt"} <= set(names), names)
    check("the second stage begins in the shadow", mlp["role"] == "shadow" and mlp["weight"] >= 0)
    code, text = cli(data, "list")
    check("the command lists beside a server", code == 0 and "mlp" in text and "shadow" in text, text)
    code, text = cli(data, "promote", "mlp", url)
    check("promote", code == 0 and server.model("mlp")["role"] == "live", text)
    answer = server.call("GET", "/v1/recommend?user=u3&n=5&explain=full")[1]
    check("a live one is in the answer", "clicks" in json.dumps(answer), answer)
    began = time.monotonic()
    code, text = cli(data, "rollback", "mlp", url)
    check("rollback", code == 0 and server.model("mlp")["role"] == "shadow", text)
    print(f"# rolled back in {time.monotonic() - began:.3f} s, the command's start included")
    answer = server.call("GET", "/v1/recommend?user=u3&n=5&explain=full")[1]
    check("and out of it again", "clicks" not in json.dumps(answer))
    version = server.model("mlp")["version"]
    status, body = server.call("POST", "/v1/models/mlp/reset-layer?layer=1")
    check("reset-layer", status == 200 and server.model("mlp")["version"] > version, body)
    check("a layer that is not there", server.call("POST", "/v1/models/mlp/reset-layer?layer=9")[0] == 422)
    check("rate", server.call("POST", "/v1/models/ctr/rate?percent=200")[0] == 200)
    check("an unknown model", server.call("POST", "/v1/models/nobody/promote")[0] == 404
          and cli(data, "show", "nobody")[0] == 1)
    check("an unknown act", server.call("POST", "/v1/models/mlp/sing")[0] == 404)
    check("not of this model", server.call("POST", "/v1/models/cooc/reset-layer")[0] == 409)
    status, body = server.call("PUT", "/v1/models/mlp/parameters", b"FRSHMLP1 but short")
    check("bad bytes are refused with what and where", status == 422 and "byte" in body["detail"], body)


def at_rest(data, folder):
    path = os.path.join(folder, "mlp.bin")
    code, text = cli(data, "save", "mlp", path)
    check("save", code == 0 and os.path.getsize(path) > 10000, text)
    saved = open(path, "rb").read()
    code, text = cli(data, "promote", "ctr")
    check("an act on a directory at rest", code == 0, text)
    code, text = cli(data, "import", "mlp", path)
    check("import", code == 0, text)
    open(path, "wb").write(saved[:44] + b"\x00\x00\xc0\x7f" + saved[48:])
    code, text = cli(data, "import", "mlp", path)
    check("a number that is not finite is refused", code == 1 and "finite" in text and "byte 44" in text, text)
    version = json.loads(cli(data, "show", "mlp", "--json")[1])["models"]
    version = next(m["version"] for m in version if m["name"] == "mlp")
    code, text = cli(data, "refit", "mlp", "--json")
    told = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    after = json.loads(cli(data, "show", "mlp", "--json")[1])["models"]
    after = next(m["version"] for m in after if m["name"] == "mlp")
    check("a refit compares with the live one, and takes its place only when better",
          code == 0 and told[0]["held_out"] > 100 and (after > version) == told[0]["better"] == (told[0]["z"] > 2), text)
    print(f"# {told}")
    check("what the journal alone taught needs none", cli(data, "refit", "ctr")[0] == 1)
    kept = state_hash(data)
    shutil.rmtree(os.path.join(data, "snapshot"))
    check("snapshot and journal give the same hash", kept == state_hash(data))


def small_site(folder, log):
    """The weekly refit of a site with little to learn from ends well and says why it did nothing."""
    data = os.path.join(folder, "small")
    server = Server(data, log)
    for batch in events(2, 100):
        assert server.call("POST", "/v1/events?ack=applied", batch)[0] == 200
    server.stop()
    code, text = cli(data, "refit", "mlp")
    check("too few examples: nothing changed, and no failure",
          code == 0 and "not enough examples yet" in text and "of 1000; nothing changed" in text, text)
    told = json.loads(cli(data, "refit", "mlp", "--json")[1])
    check("the same for programs", told["held_out"] == 0 and not told["better"] and told["examples"] < 1000, told)


def main():
    folder = tempfile.mkdtemp(prefix="freshet-models-")
    data = os.path.join(folder, "data")
    with open(os.path.join(folder, "log"), "ab") as log:
        server = Server(data, log)
        try:
            while_it_runs(data, folder, server)
        finally:
            check("a clean stop", server.stop() == 0)
        at_rest(data, folder)
        server = Server(data, log)
        try:
            check("roles outlive a restart", server.model("ctr")["role"] == "live", server.model("ctr"))
        finally:
            server.stop()
        small_site(folder, log)
    print(f"1..{len(CHECKS)}")
    shutil.rmtree(folder)
    sys.exit(0 if all(CHECKS) else 1)


main()
