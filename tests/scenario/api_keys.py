#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Access: every scope against every route, revoking, expiry, rates, and the refusal to be open to the world."""
import json
import subprocess
import sys
import time

import api_lib as lib

SCOPES = ("read", "ingest", "write", "admin")


def keys(data, *words):
    done = subprocess.run([lib.BINARY, "keys", *words, "--data-dir", data, "--json"], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None


def until(wanted, call):
    """Calls until it gives what is wanted; how long that took. At most ten seconds."""
    began = time.monotonic()
    while time.monotonic() < began + 10:
        if call() == wanted:
            return time.monotonic() - began
        time.sleep(0.02)
    return None


def closed_to_the_world(data):
    done = subprocess.run([lib.BINARY, "serve", "--data-dir", data, "--listen", "0.0.0.0", "--port", str(lib.free_port())],
                          capture_output=True, text=True, timeout=60)
    lib.check("bound elsewhere it refuses to start without a key", done.returncode != 0 and "API key" in done.stderr
              and "freshet keys create" in done.stderr)


def matrix(server, tokens):
    example = {"{id}": "x1"}
    wrong = 0
    for pattern, operations in sorted(server.document["paths"].items()):
        path = pattern.replace("{id}", example["{id}"])
        for method, operation in sorted(operations.items()):
            needed = operation.get("x-freshet-scope")
            for scope in (None, *SCOPES):
                headers = {"Authorization": f"Bearer {tokens[scope]}"} if scope else {}
                status = server.raw(method.upper(), path, b"{}" if "requestBody" in operation else None, headers)[0]
                expected = needed is None or scope in (needed, "admin")
                granted = status not in (401, 403)
                if expected != granted:
                    wrong += 1
                    lib.check(f"{method} {pattern} with {scope}: {status}", False)
    lib.check("every scope opens its routes and no others", wrong == 0)


def acts(server, admin):
    return server.call("GET", "/v1/audit?n=100", headers=admin)[1].get("acts", [])


def audit(server, admin, tokens, revoked):
    """What was done above, by whom; and what is done while no server runs."""
    write = {"X-API-Key": tokens["write"]}
    server.call("POST", "/v1/users", {"id": "gone"}, headers=write)
    lib.check("a user is deleted", server.call("DELETE", "/v1/users/gone", headers=write)[0] == 200)
    rows = acts(server, admin)
    made = {row["target"] for row in rows if row["act"] == "key_created" and row["actor"] == "command line"}
    lib.check("the audit names every key made", {token.split("_")[1] for token in tokens.values()} <= made)
    lib.check("... and revoked", [row["target"] for row in rows if row["act"] == "key_revoked"] == [revoked])
    lib.check("... and who deleted a user", any(row["act"] == "user_deleted" and row["target"] == "gone"
                                               and row["actor"] == tokens["write"].split("_")[1] for row in rows))
    lib.check("newest first, by pages", [row["number"] for row in rows] == list(range(len(rows), 0, -1)) and
              server.call("GET", f"/v1/audit?n=2&before={len(rows)}", headers=admin)[1]["acts"] == rows[1:3])
    server.stop()
    late = keys(server.data, "create", "--scopes", "read")[1]["token"].split("_")[1]
    exported = subprocess.run([lib.BINARY, "export", "--what", "audit", "--data-dir", server.data], capture_output=True, text=True)
    lines = [json.loads(line) for line in exported.stdout.splitlines()]
    server.start()
    lib.check("a key made while no server runs is in it, too", acts(server, admin)[0]["target"] == late)
    lib.check("export gives the same acts", [line["target"] for line in lines] == [row["target"] for row in acts(server, admin)][::-1])


def main():
    with lib.Server() as server:
        closed_to_the_world(server.data + "/other")
        lib.check("without keys the loopback address is open", server.call("GET", "/v1/stats")[0] == 200)
        tokens = {}
        for scope in SCOPES:
            code, made = keys(server.data, "create", "--scopes", scope, "--note", f"for {scope}")
            tokens[scope] = made["token"] if code == 0 else ""
        lib.check("four keys are made", all(tokens.values()))
        taken = until(401, lambda: server.call("GET", "/v1/stats")[0])
        lib.check("from the first key on a key is needed, within a second", taken is not None and taken < 1.5, str(taken))
        admin = {"X-API-Key": tokens["admin"]}
        lib.check("the last key made is known", until(200, lambda: server.raw("GET", "/v1/stats", headers=admin)[0]) is not None)
        lib.check("health stays open", server.call("GET", "/livez")[0] == 200 and server.call("GET", "/readyz")[0] == 200)
        matrix(server, tokens)
        read = {"X-API-Key": tokens["read"]}
        lib.check("X-API-Key does as well", server.call("GET", "/v1/stats", headers=read)[0] == 200)
        for name, token in (("cut", tokens["read"][:-1]), ("changed", tokens["read"][:-1] + ("A" if tokens["read"][-1] != "A" else "B")),
                            ("swapped", tokens["read"][:12] + tokens["admin"][12:]), ("nonsense", "nonsense"), ("empty", "")):
            lib.check(f"a {name} token is 401", server.call("GET", "/v1/stats", headers={"X-API-Key": token})[0] == 401)
        status, headers, _ = server.raw("GET", "/v1/stats")
        lib.check("401 says how", headers["WWW-Authenticate"] == "Bearer")
        lib.check("no secret lies in the data directory", tokens["read"].split("_", 2)[2] not in open(f"{server.data}/keys").read())
        identity = tokens["read"].split("_")[1]
        lib.check("the list shows ids and notes only", any(k["id"] == identity and k["note"] == "for read" for k in keys(server.data, "list")[1]))
        lib.check("revoke", keys(server.data, "revoke", identity)[0] == 0 and keys(server.data, "revoke", identity)[0] != 0)
        taken = until(401, lambda: server.call("GET", "/v1/stats", headers=read)[0])
        lib.check("a revoked key is dead within a second", taken is not None and taken < 1.5, str(taken))
        code, made = keys(server.data, "create", "--scopes", "read", "--expires", "2020-01-01T00:00:00Z")
        past = {"X-API-Key": made["token"]}
        lib.check("an expired key is 401", until("expired_key", lambda: server.call("GET", "/v1/stats", headers=past)[1]["code"]) is not None)
        code, made = keys(server.data, "create", "--scopes", "read", "--rate", "5")
        slow = {"X-API-Key": made["token"]}
        until(200, lambda: server.call("GET", "/v1/stats", headers=slow)[0])
        answers = [server.raw("GET", "/v1/stats", headers=slow) for _ in range(60)]
        limited = [a for a in answers if a[0] == 429]
        lib.check("a rate holds, and says when to come again", len(limited) >= 30 and limited[-1][1]["Retry-After"].isdigit(),
                  str(len(limited)))
        audit(server, admin, tokens, identity)
        with open(f"{server.data}/keys", "a") as file:
            file.write("garbage\n")
        read_again = until(True, lambda: "cannot be understood" in open(server.log_path).read())
        lib.check("a keys file that cannot be read changes nothing", read_again is not None and server.call("GET", "/v1/stats", headers=admin)[0] == 200)
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
