#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API from outside: events, items, users, recommendations and their reasons, health, problems, keys.
Every answer is checked against the schema that /openapi.json gives for it."""
import json
import os
import subprocess
import sys

import api_lib as lib

BINARY = lib.BINARY


def catalogue(server):
    items = [{"id": f"m{i}", "title": f"Movie {i}", "categories": ["Drama" if i % 2 else "Comedy"],
              "tags": [f"t{i % 5}"], "author": f"a{i % 7}"} for i in range(60)]
    status, body = server.call("POST", "/v1/items", items)
    lib.check("sixty items go in", status == 200 and body["accepted"] == 60 and body["rejected"] == [])
    lines = "".join(json.dumps({"user": f"u{u}", "item": f"m{(u * 7 + k * 3) % 50}", "type": "click", "session": f"s{u}"})
                    + "\n" for u in range(40) for k in range(12))
    status, body = server.call("POST", "/v1/events", lines.encode(), {"Content-Type": "application/x-ndjson"})
    lib.check("480 events go in as NDJSON", status == 200 and body["accepted"] == 480)


def events(server):
    status, body = server.call("POST", "/v1/events", {"user": "x", "item": "m1", "type": "click", "id": "e1"})
    lib.check("one event", status == 200 and body["accepted"] == 1 and body["applied_us"] >= body["durable_us"] > 0)
    status, body = server.call("POST", "/v1/events", {"user": "x", "item": "m1", "type": "click", "id": "e1"})
    lib.check("the same id again counts once", status == 200 and (body["accepted"], body["duplicates"]) == (0, 1))
    status, body = server.call("POST", "/v1/events", [
        {"user": "x", "item": "m2", "type": "click"}, {"user": "", "item": "m2", "type": "click"},
        {"user": "x", "item": "m2", "type": "klick"}, {"user": "x", "item": "m3", "type": "rating", "value": 6},
        {"user": "x", "item": "m4", "type": "like", "colour": 1}])
    lib.check("good ones of a mixed array go in", status == 200 and body["accepted"] == 1)
    lib.check("the others come back with index, path and rule",
              [r["index"] for r in body["rejected"]] == [1, 2, 3, 4] and body["rejected_count"] == 4
              and [r["path"] for r in body["rejected"]] == ["$.user", "$.type", "$.value", "$.colour"]
              and "click" in body["rejected"][1]["hint"])
    status, body = server.call("POST", "/v1/events", {"user": "x", "type": "click"})
    lib.check("nothing good is 422", status == 422 and body["code"] == "all_rejected" and body["rejected"][0]["path"] == "$.item")
    status, body = server.call("POST", "/v1/events", b'[{"user":"x","item":"m2","type":"click"},')
    lib.check("a malformed array is one 400", status == 400 and body["code"] == "malformed_body")
    status, body = server.call("POST", "/v1/events", b"")
    lib.check("an empty body is 400", status == 400)
    for ack, code in (("none", 202), ("durable", 200), ("applied", 200)):
        status, body = server.call("POST", f"/v1/events?ack={ack}", {"user": "y", "item": "m5", "type": "view"})
        lib.check(f"ack={ack}", status == code and body["accepted"] == 1 and body["ack"] == ack)
    status, body = server.call("POST", "/v1/events?ack=maybe", {"user": "y", "item": "m5", "type": "view"})
    lib.check("ack=maybe is refused", status == 400 and body["path"] == "ack")
    one = {"user": "z", "item": "m6", "type": "click"}
    server.call("POST", "/v1/events", one, {"Idempotency-Key": "k1"})
    status, body = server.call("POST", "/v1/events", one, {"Idempotency-Key": "k1"})
    lib.check("an Idempotency-Key counts once", status == 200 and body["duplicates"] == 1)
    status, body = server.call("POST", "/v1/events", [one] * 10001)
    lib.check("10,001 events are too many", status == 413)
    letters = [line for name in sorted(os.listdir(f"{server.data}/dead-letters"))
               for line in open(f"{server.data}/dead-letters/{name}")]
    lib.check("what was refused lies in the dead letters", len(letters) == 5 and "klick" in "".join(letters))


def recommend(server):
    status, body = server.call("GET", "/v1/recommend?user=u1&n=10")
    before = [item["id"] for item in body["items"]]
    lib.check("ten for a known user", status == 200 and len(before) == 10 and body["degraded_reason"] is None)
    lib.check("ranks count from one", [i["rank"] for i in body["items"]] == list(range(1, 11)))
    lib.check("titles come along", body["items"][0]["title"].startswith("Movie "))
    for item in body["items"]:
        total = sum(r["contribution"] for r in item["reasons"])
        if abs(total - item["score"]) > 1e-4 * max(1, abs(item["score"])):
            lib.check(f"contributions of {item['id']} sum to its score: {total} {item['score']}", False)
        if abs(sum(r["share"] for r in item["reasons"]) - 1) > 1e-4:
            lib.check(f"shares of {item['id']} sum to 1", False)
    lib.check("contributions sum to the score, shares to 1", True)
    lib.check("some reason names an item of the history",
              any(r["kind"] == "because_you_viewed" and r["title"] for i in body["items"] for r in i["reasons"]))
    seen = [row["id"] for row in server.call("GET", "/v1/users/u1/history?n=100")[1]["items"]]
    lib.check("nothing seen comes back", len(seen) == 12 and not set(seen) & set(before))
    server.call("POST", "/v1/events", {"user": "u1", "item": before[0], "type": "click", "request": body["request_id"]})
    after = server.call("GET", "/v1/recommend?user=u1&n=10")[1]
    lib.check("the next answer reflects the click", before[0] not in [i["id"] for i in after["items"]]
              and after["position"] > body["position"])
    server.call("POST", "/v1/events", {"user": "u1", "item": before[1], "type": "dislike"})
    status, again = server.call("GET", "/v1/recommend?user=u1&n=50&repeats=allow")
    ids = [i["id"] for i in again["items"]]
    lib.check("a disliked item stays away, repeats or not", before[1] not in ids)
    lib.check("repeats=allow brings seen ones back", bool(set(seen) & set(ids)))
    status, body = server.call("GET", f"/v1/recommend?user=u2&n=20&exclude=m1&exclude=m2&categories=Comedy")
    lib.check("exclusions and categories hold", body["items"] and all(
        i["categories"] == ["Comedy"] and i["id"] not in ("m1", "m2") for i in body["items"]))
    status, posted = server.call("POST", "/v1/recommend", {"user": "u2", "n": 20, "exclude": ["m1", "m2"], "categories": ["Comedy"],
                                                          "context": {"device": "phone"}})
    lib.check("a body asks the same", status == 200 and
              {i["id"] for i in posted["items"]} == {i["id"] for i in body["items"]})
    status, body = server.call("GET", "/v1/recommend?items=m1&items=m4&n=5")
    lib.check("a guest with recent items gets reasons from them", status == 200 and len(body["items"]) == 5 and any(
        r.get("item") in ("m1", "m4") for i in body["items"] for r in i["reasons"]) and body["user"] is None)
    lib.check("... and not the same items", not {"m1", "m4"} & {i["id"] for i in body["items"]})
    status, body = server.call("GET", "/v1/recommend?user=nobody&n=5")
    lib.check("a stranger is answered", status == 200 and len(body["items"]) == 5)
    status, body = server.call("GET", "/v1/recommend?user=u3&n=10&max_per_author=1")
    authors = [server.call("GET", f"/v1/items/{i['id']}")[1]["author"] for i in body["items"][:7]]
    lib.check("max_per_author spreads", len(set(authors)) == 7)
    one, two = (server.call("GET", f"/v1/recommend?user=u4&n=5&offset={o}")[1]["items"] for o in (5, 10))
    lib.check("pages do not overlap", not {i["id"] for i in one} & {i["id"] for i in two} and two[0]["rank"] == 11)
    status, body = server.call("GET", "/v1/recommend?user=u5&explain=none&n=3")
    lib.check("explain=none has no reasons", "reasons" not in body["items"][0])


def decisions(server):
    status, body = server.call("GET", "/v1/recommend?user=u6&n=6&explain=full")
    decision = body["decision"]
    for item, full in zip(body["items"], decision["items"]):
        if abs(sum(p["contribution"] for p in full["parts"]) - item["score"]) > 1e-3 * max(1, abs(item["score"])):
            lib.check(f"parts of {item['id']} sum to its score", False)
    lib.check("explain=full brings the record", len(decision["items"]) == 6 and decision["candidates"] >= 6)
    status, kept = server.call("GET", f"/v1/requests/{body['request_id']}")
    decision.pop("took_us"), kept.pop("took_us")
    kept["experts"], decision["experts"] = 0, 0  # weights are those of now
    lib.check("the record is kept by its request id", status == 200 and kept == decision)
    lib.check("an unknown id is 404", server.call("GET", "/v1/requests/r0000000000000")[0] == 404)
    lib.check("nonsense is 400", server.call("GET", "/v1/requests/nonsense")[0] == 400)


def catalogue_rules(server):
    hidden = server.call("GET", "/v1/recommend?user=u7&n=50")[1]["items"][0]["id"]
    status, _ = server.call("PATCH", f"/v1/items/{hidden}", {"hidden": True})
    lib.check("an item is hidden by a patch", status == 200 and server.call("GET", f"/v1/items/{hidden}")[1]["hidden"]
              and server.call("GET", f"/v1/items/{hidden}")[1]["title"].startswith("Movie"))
    lists = (f"/v1/recommend?user=u7&n=60", "/v1/trending?n=60", "/v1/items/m1/similar?n=60", f"/v1/items?query={hidden}&n=60",
             f"/v1/recommend?n=60")
    lib.check("hidden is in no answer", all(hidden not in [i["id"] for i in server.call("GET", p)[1]["items"]] for p in lists))
    server.call("PATCH", f"/v1/items/{hidden}", {"hidden": False})
    lib.check("shown again", hidden in [i["id"] for i in server.call("GET", "/v1/recommend?user=u7&n=60")[1]["items"]])
    server.call("PATCH", "/v1/items/m8", {"expires": "2020-01-01T00:00:00Z"})
    server.call("PUT", "/v1/items/later", {"title": "Later", "published": "2999-01-01T00:00:00Z"})
    ids = [i["id"] for i in server.call("GET", "/v1/recommend?user=u7&n=100")[1]["items"]]
    lib.check("expired and unpublished items are in no answer", "m8" not in ids and "later" not in ids)
    server.call("PUT", "/v1/items/fresh", {"title": "Brand new", "categories": ["Drama"]})
    ids = [i["id"] for i in server.call("GET", "/v1/recommend?user=u7&n=50")[1]["items"]]
    lib.check("a brand-new item can be recommended", "fresh" in ids)
    lib.check("delete", server.call("DELETE", "/v1/items/fresh")[0] == 200 and server.call("GET", "/v1/items/fresh")[0] == 404)
    ids = [i["id"] for i in server.call("GET", "/v1/recommend?user=u7&n=100")[1]["items"]]
    lib.check("deleted is in no answer", "fresh" not in ids)
    status, body = server.call("PUT", "/v1/items/bad", {"title": 5})
    lib.check("a bad item says why", status == 422 and body["rejected"][0]["path"] == "$.title")
    status, body = server.call("PUT", "/v1/items/one", {"id": "two", "title": "x"})
    lib.check("address and body must agree on the id", status in (400, 422))
    server.call("PUT", "/v1/items/sl%2Fash%20%C3%A9", {"title": "odd id"})
    lib.check("ids may hold anything, percent-encoded", server.call("GET", "/v1/items/sl%2Fash%20%C3%A9")[1]["id"] == "sl/ash é")


def users(server):
    lib.check("a user is put", server.call("PUT", "/v1/users/ann", {"attributes": {"plan": "free"}})[0] == 200)
    lib.check("and read", server.call("GET", "/v1/users/ann")[1]["attributes"] == {"plan": "free"})
    server.call("PATCH", "/v1/users/ann", {"attributes": {"plan": "paid"}})
    lib.check("and patched", server.call("GET", "/v1/users/ann")[1]["attributes"]["plan"] == "paid")
    server.call("POST", "/v1/users", [{"id": "bea"}, {"id": "cid", "follows": ["a1"]}])
    lib.check("and put in bulk", server.call("GET", "/v1/users/cid")[1]["follows"] == ["a1"])
    status, body = server.call("DELETE", "/v1/users/u1")
    lib.check("a deletion says what stays", status == 200 and "erased" in body["note"])
    status, history = server.call("GET", "/v1/users/u1/history")
    lib.check("history is gone", status == 404 or history["items"] == [])
    lib.check("profile is gone", server.call("GET", "/v1/users/u1")[0] == 404)
    lib.check("an unknown user is 404", server.call("GET", "/v1/users/nobody/history")[0] == 404)


def lists(server):
    status, body = server.call("GET", "/v1/items/m1/similar?n=5")
    lib.check("similar", status == 200 and len(body["items"]) == 5 and "m1" not in [i["id"] for i in body["items"]])
    lib.check("similar to nothing known", server.call("GET", "/v1/items/none/similar")[0] == 404)
    status, body = server.call("GET", "/v1/trending?n=5")
    scores = [i["score"] for i in body["items"]]
    lib.check("trending, most first", status == 200 and len(scores) == 5 and scores == sorted(scores, reverse=True))
    for k in range(5):
        server.call("POST", "/v1/events", {"user": f"r{k}", "item": "m9", "type": "click", "context": {"region": "Berlin"}})
    status, body = server.call("GET", "/v1/trending?region=Berlin&n=3")
    lib.check("trending of a region", body["of"] == "region" and [i["id"] for i in body["items"]] == ["m9"])
    status, body = server.call("GET", "/v1/trending?category=Comedy&n=3")
    lib.check("trending of a category", body["items"] and all(i["categories"] == ["Comedy"] for i in body["items"]))
    status, body = server.call("GET", "/v1/trending?region=Nowhere")
    lib.check("an unknown region has no trend", status == 200 and body["items"] == [])
    status, body = server.call("GET", "/v1/items?query=movie%2011&n=3")
    lib.check("search by title", [i["id"] for i in body["items"]] == ["m11"])


def operation(server):
    for path in ("/livez", "/readyz", "/v1/stats"):
        lib.check(path, server.call("GET", path)[0] == 200)
    status, text = server.call("GET", "/metrics")
    lib.check("metrics", status == 200 and "freshet_recommends_total" in text)
    if lib.have("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True)
        lib.check("promtool finds nothing", done.returncode == 0 and not done.stderr.strip() and not done.stdout.strip())
    status, headers, body = server.raw("GET", "/")
    etag = headers.get("ETag")
    lib.check("the page, without anything inline allowed", status == 200 and etag and b"<html" in body
              and "'unsafe" not in headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff")
    lib.check("known pages are not sent again", server.raw("GET", "/", headers={"If-None-Match": etag})[0] == 304)
    status, headers, body = server.raw("HEAD", "/v1/stats")
    lib.check("HEAD has the headers only", status == 200 and body == b"" and int(headers["Content-Length"]) > 10)


def problems(server):
    cases = [
        ("GET", "/v1/recomend", 404, "no_such_path"), ("PUT", "/v1/recommend", 405, "method_not_allowed"),
        ("GET", "/v1/recommend?n=0", 400, "bad_parameter"), ("GET", "/v1/recommend?n=1000000000", 400, "bad_parameter"),
        ("GET", "/v1/recommend?n=-1", 400, "bad_parameter"), ("GET", "/v1/recommend?usr=u1", 400, "unknown_parameter"),
        ("GET", "/v1/recommend?user=%zz", 400, "bad_escape"), ("GET", "/v1/recommend?user=%00", 400, "bad_text"),
        ("GET", "/v1/items/%ff", 400, "bad_text"), ("GET", "/v1/items?n=5", 400, "missing_parameter"),
        ("GET", "/v1/recommend?n=5&n=6", 400, "bad_parameter"), ("GET", "/v1/items/" + "x" * 300, 400, "bad_id"),
        ("TRACE", "/v1/stats", 405, "method_not_allowed"), ("GET", "/v1/recommend/", 404, "no_such_path"),
    ]
    for method, path, code, word in cases:
        status, body = server.call(method, path)
        lib.check(f"{method} {path[:40]} is {code} {word}", status == code and body["code"] == word and body["request_id"])
    status, headers, _ = server.raw("PUT", "/v1/recommend")
    lib.check("405 names the methods", headers["Allow"] == "GET, HEAD, POST")
    lib.check("a near path is hinted at", "/v1/recommend" in server.call("GET", "/v1/recomend")[1]["hint"])
    status, body = server.call("POST", "/v1/recommend", b'{"n": "5"}')
    lib.check("a text is no number", status == 400 and body["path"] == "n")
    status, body = server.call("POST", "/v1/recommend", b"{", {"Content-Type": "application/json"})
    lib.check("malformed JSON is told with its place", status == 400 and body["code"] == "malformed_json")
    lib.check("another content type is 415", server.call("POST", "/v1/recommend", b"a=b", {"Content-Type": "application/x-www-form-urlencoded"})[0] == 415)
    lib.check("an unknown encoding is 415", server.call("POST", "/v1/events", b"x", {"Content-Encoding": "br"})[0] == 415)
    lib.check("a body where none belongs is 400", server.call("GET", "/v1/stats", b"x")[0] == 400)
    lib.check("a foreign page is refused", server.call("POST", "/v1/events", {"user": "a", "item": "b", "type": "click"},
                                                       {"Origin": "http://evil.example"})[0] == 403)
    lib.check("a rebound name is refused", server.call("GET", "/v1/stats", None, {"Host": "evil.example"})[0] == 403)


def openapi(server):
    status, document = server.call("GET", "/openapi.json")
    lib.check("openapi.json", status == 200 and document["openapi"] == "3.1.0" and len(document["paths"]) >= 14)
    source = os.path.join(lib.ROOT, "docs", "openapi.json")
    lib.check("docs/openapi.json is that document", json.load(open(source)) == document)
    ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    lib.check("operation ids are unique", len(ids) == len(set(ids)))
    text = json.dumps(document)
    refs = {r.split('"')[0] for r in text.split("#/components/schemas/")[1:]}
    lib.check("every schema named is there", refs <= set(document["components"]["schemas"]))


def slates(server):
    rows = [row for row in lib.read_slates(server.data)]
    served = server.requests_recommended
    lib.check("every answer has its slate on disk", served <= {row["id"] for row in rows})
    lib.check("propensities are probabilities", all(0 <= p["propensity"] <= 1 for row in rows for p in row["places"]))


def restart(server):
    history = server.call("GET", "/v1/users/u9/history?n=100")[1]
    ready = server.call("GET", "/readyz")[1]["position"]
    answer = server.call("GET", "/v1/recommend?user=u9&n=5")[1]
    server.stop()
    lib.check("SIGTERM ends it with 0", server.code == 0)
    slates(server)
    server.start()
    lib.check("a restart keeps what was learnt", server.call("GET", "/v1/users/u9/history?n=100")[1] == history
              and server.call("GET", "/readyz")[1]["position"] >= ready)
    status, record = server.call("GET", f"/v1/requests/{answer['request_id']}")
    lib.check("after it an answer is found on disk", status == 200 and record["position"] == answer["position"]
              and [item["id"] for item in record["items"]] == [item["id"] for item in answer["items"]])
    lib.check("... and one never given is not", server.call("GET", "/v1/requests/r0000000000001")[0] == 404)


def main():
    with lib.Server() as server:
        for part in (catalogue, events, recommend, decisions, catalogue_rules, users, lists, operation, problems, openapi, restart):
            part(server)
        lib.check("no answer broke its schema", not server.schema_faults)
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
