#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ids without end against --memory-max: the ceiling holds, and who was known stays known.

Known users read known items; then come ids that never return: users, items, sessions, contexts, all new in every
event. Resident memory (from /proc) stays under the ceiling; the histories of the known users are whole, they are
answered, and what they do next counts; new ids that come twice are admitted, those that come once are refused when
the tables are nearly full, and counted in /metrics and /v1/stats. Then come visitors who do return: the least useful
users make room for them, who have no past but their own.

FRESHET_FLOOD: how many events of new ids (default 100,000), FRESHET_FLOOD_VISITORS: how many visitors return (60,000).
Prints TAP and one line of figures."""
import concurrent.futures
import json
import os

import faults_lib as lib

FLOOD = int(os.environ.get("FRESHET_FLOOD", "100000"))
CEILING_MIB = int(os.environ.get("FRESHET_FLOOD_MIB", "64"))
VISITORS = int(os.environ.get("FRESHET_FLOOD_VISITORS", "60000"))
KNOWN_USERS, KNOWN_ITEMS, KNOWN_EVENTS, HISTORY, CHUNK, BATCH = 300, 120, 20, 100, 7, 2000


def text_of(events):
    return "\n".join(json.dumps(event) for event in events)


def post(server, body):
    status, answer = server.raw("POST", "/v1/events", body, "application/x-ndjson")
    assert status == 200 and not answer["rejected_count"], f"{status}: {answer}"


def flood_event(number):
    """As text: in the long form there are ten million."""
    return (f'{{"user":"flood-user-{number}","item":"flood-item-{number}","type":"click","session":"flood-session-{number}",'
            f'"context":{{"device":"device-{number}","region":"region-{number}","key-{number % 1000}":"v-{number}"}}}}')


class Known:
    """The known users: what they did, newest first, as the client remembers it. Each keeps to half of the items."""

    def __init__(self):
        self.count, self.visits = 0, {user: [] for user in range(KNOWN_USERS)}

    def next(self, many):
        events = []
        for number in range(self.count, self.count + many):
            user = number % KNOWN_USERS
            item = f"item-{(user * 7 + number // KNOWN_USERS % (KNOWN_ITEMS // 2) * 13) % KNOWN_ITEMS}"
            events.append({"id": f"known-{number}", "user": f"known-{user}", "item": item, "type": "click"})
            self.visits[user] = [item, *self.visits[user][:HISTORY]]
        self.count += many
        return events

    def wrong(self, server):
        """Users whose kept history is not what they did. A full one is whole chunks; the oldest goes when a new one begins."""
        wrong, least = 0, HISTORY // CHUNK * CHUNK - CHUNK + 1
        for user, visits in self.visits.items():
            status, body = server.call("GET", f"/v1/users/known-{user}/history?n={HISTORY}")
            kept = [row["id"] for row in body["items"]] if status == 200 else []
            wrong += len(kept) < min(len(visits), least) or kept != visits[:len(kept)]
        return wrong


def recommended(server):
    """Of every tenth known user: answers in full."""
    answers = [server.call("GET", f"/v1/recommend?user=known-{user}&n=10") for user in range(0, KNOWN_USERS, 10)]
    return sum(status == 200 and len(body["items"]) == 10 for status, body in answers)


def similar(server):
    """How many known items have known items alone as their nearest five."""
    count = 0
    for item in range(KNOWN_ITEMS):
        status, body = server.call("GET", f"/v1/items/item-{item}/similar?n=5")
        near = [row["id"] for row in body["items"]] if status == 200 else []
        count += len(near) == 5 and all(other.startswith("item-") for other in near)
    return count


def flood(server, known):
    """Posts the new ids, a tenth as many events of known users among them; the largest resident memory seen."""
    highest = 0
    with concurrent.futures.ThreadPoolExecutor(1) as poster:  # the next body is written while one is under way
        posted = poster.submit(lambda: None)
        for at in range(0, FLOOD, BATCH):
            body = "\n".join(map(flood_event, range(at, min(at + BATCH, FLOOD)))) + "\n" + text_of(known.next(BATCH // 10))
            posted.result()
            posted = poster.submit(post, server, body)
            highest = max(highest, server.rss_bytes())
        posted.result()
    return max(highest, server.rss_bytes())


def check_counted(server, memory):
    refused = memory["refused_users"] + memory["refused_items"]
    lib.check("ids that come once are refused when the tables are nearly full", refused > FLOOD / 4, str(refused))
    for table in ("items", "values"):
        lib.check(f"refused {table} are counted in /metrics",
                  server.metric(f'freshet_refused_ids_total{{table="{table}"}}') > 0)
    return refused


def check_admitted(server, known):
    known.visits[0] = ["item-new", *known.visits[0]]  # the first only announced it
    post(server, text_of({"user": "known-0", "item": "item-new", "type": "click", "id": f"new-{n}"} for n in range(2)))
    lib.check("what a known user does next counts, with a new item too", server.call(
        "GET", "/v1/users/known-0/history?n=1")[1]["items"][0]["id"] == "item-new")
    post(server, text_of({"user": "returning", "item": "item-1", "type": "click", "id": f"back-{n}"} for n in range(3)))
    lib.check("a new user who returns is admitted after all", server.call(
        "GET", "/v1/users/returning/history?n=5")[0] == 200)


def returning_visitors(server, known):
    """Visitors who come back, many times as many as there are rows: who came last are known by what they did, answered by
    it, and nobody has another's past. The known users act among them. The largest resident memory seen."""
    highest, each = 0, 3
    for first in range(0, VISITORS, BATCH // each):
        batch = range(first, min(first + BATCH // each, VISITORS))
        for turn in range(each):
            post(server, text_of([{"user": f"visitor-{n}", "item": f"item-{(n * 3 + turn) % KNOWN_ITEMS}", "type": "click"}
                                  for n in batch] + known.next(BATCH // 20)))
        highest = max(highest, server.rss_bytes())
    wrong = foreign = answered = 0
    for n in range(VISITORS - 200, VISITORS):
        status, body = server.call("GET", f"/v1/users/visitor-{n}/history?n=10")
        kept = [row["id"] for row in body["items"]] if status == 200 else []
        allowed = [f"item-{(n * 3 + turn) % KNOWN_ITEMS}" for turn in range(each)]
        wrong += len(kept) < each - 1  # the first visit may be the one that was not admitted
        foreign += any(item not in allowed for item in kept)
        status, body = server.call("GET", f"/v1/recommend?user=visitor-{n}&n=10")
        answered += status == 200 and any(reason.get("item") in allowed for item in body["items"]
                                          for reason in item.get("reasons", []))
    lib.check("visitors who return are known, after many times as many as there is room for", wrong == 0, f"{wrong} are not")
    lib.check("none of them has another's past", foreign == 0, f"{foreign} have")
    lib.check("they are answered by what they did", answered > 150, f"{answered} of 200")
    return highest


def check_expired(server):
    memory = server.call("GET", "/v1/stats")[1]["memory"]
    expired = memory["expired_users"]
    lib.check("the least useful users made room", expired > VISITORS / 4, str(expired))
    lib.check("and are counted in /metrics", server.metric('freshet_expired_rows_total{table="users"}') == expired)
    return expired


def main():
    folder, ceiling, known = lib.folder("memory-flood"), CEILING_MIB << 20, Known()
    data = os.path.join(folder, "data")
    flags = ("--memory-max", f"{CEILING_MIB}MiB", "--threads", "1", "--history-max", str(HISTORY))
    server = lib.Server(data, os.path.join(folder, "log"), *flags).start()
    for _ in range(KNOWN_USERS * KNOWN_EVENTS // BATCH):
        post(server, text_of(known.next(BATCH)))
    lib.check("the known users are known", known.wrong(server) == 0)
    full, near = recommended(server), similar(server)
    highest = flood(server, known)
    memory = server.call("GET", "/v1/stats")[1]["memory"]
    lib.check("resident memory stays under the ceiling", highest <= ceiling, f"{highest >> 20} of {CEILING_MIB} MiB")
    lib.check("so does the accounted state", memory["state_bytes"] <= ceiling, str(memory["state_bytes"]))
    wrong = known.wrong(server)
    lib.check("the known users' histories are whole, what they did meanwhile included", wrong == 0, f"{wrong} are not")
    after = recommended(server)
    lib.check("the known users are answered in full", full == after == KNOWN_USERS // 10, f"{full}, {after}")
    after = similar(server)
    lib.check("the known items' neighbours are whole", near == after == KNOWN_ITEMS, f"{near} before, {after} after")
    refused = check_counted(server, memory)
    check_admitted(server, known)
    highest = max(highest, returning_visitors(server, known))
    expired = check_expired(server)
    lib.check("resident memory is still under the ceiling", highest <= ceiling, f"{highest >> 20} of {CEILING_MIB} MiB")
    wrong = known.wrong(server)
    lib.check("the known users' histories are whole still", wrong == 0, f"{wrong} are not")
    after = recommended(server)
    lib.check("and they are answered in full", after == KNOWN_USERS // 10, str(after))
    lib.check("a clean stop ends with 0", server.stop() == 0)
    check_budget(data, flags, expired)
    print(json.dumps({"value": round(highest / ceiling, 3), "rss_bytes": highest, "ids": FLOOD, "refused": refused,
                      "expired": expired}))
    lib.end(folder)


def check_budget(data, ceiling, expired):
    code, out, said = lib.run("memory", "--data-dir", data, "--json", *ceiling)
    report = json.loads(out) if code == 0 else {"parts": []}
    lib.check("freshet memory: what the parts may take together is under the ceiling",
              code == 0 and 0 < report["budget_bytes"] <= report["memory_max"], out + said)
    missing = {"gone", "encoder-index", "audit", "dedupe", "pairs"} - {part["part"] for part in report["parts"]}
    lib.check("freshet memory: parts that are no tables are named too", not missing, str(missing))
    lib.check("freshet memory: so is who made room", report["made_room"]["users"]["expired"] == expired, str(report["made_room"]))
    tiny = data + "-tiny"
    lib.Server(tiny, os.path.join(os.path.dirname(data), "log")).start().stop()
    for mib in (64, 100, 200, 1024, 16384):
        out = lib.run("memory", "--data-dir", tiny, "--json", "--memory-max", f"{mib}MiB")[1]
        budget = json.loads(out).get("budget_bytes", 0)
        lib.check(f"freshet memory: so of {mib} MiB", 0 < budget <= mib << 20, f"{budget / 2**20:.1f} MiB")
    over = [part["part"] for part in report["parts"] if part["use_bytes"] > part["budget_bytes"] + (64 << 10)]
    lib.check("freshet memory: no part takes more than it may", code == 0 and not over, str(over))


if __name__ == "__main__":
    main()
