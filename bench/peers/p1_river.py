#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""river's recommender on P1: lines "user item time" in time order. Called with the peers' python:
    p1_river.py LINES EVERY -> one JSON line
reco.BiasedMF learns each event as 1 and two random items as 0; every EVERY-th event from the 101st on is
predicted first, among all items seen so far that the user has not, because ranking them in Python takes
milliseconds. Settings are river's usual ones, not tuned."""
import json
import math
import random
import resource
import sys
import time

FIRST, NEGATIVES = 100, 2


def main(path, every):
    from river import optim, reco
    model = reco.BiasedMF(n_factors=16, bias_optimizer=optim.SGD(0.05), latent_optimizer=optim.SGD(0.05),
                          l2_bias=0.0, l2_latent=0.0, seed=1)
    draw, seen, items, known = random.Random(1), {}, [], set()
    learning = asking = 0.0
    hits10 = hits20 = gain = scored = learnt = 0
    with open(path, encoding="utf-8") as source:
        rows = [line.split()[:2] for line in source]
    for at, (user, item) in enumerate(rows):
        mine = seen.setdefault(user, set())
        began = time.process_time()
        if at >= FIRST and at % every == 0:
            candidates = known - mine
            scores = {other: model.predict_one(user=user, item=other) for other in candidates}
            scored += 1
            if item in scores:
                target = scores[item]
                place = sum(s > target for s in scores.values()) + (sum(s == target for s in scores.values()) - 1) / 2
                hits10 += place < 10
                hits20 += place < 20
                gain += 1 / math.log2(place + 2) if place < 10 else 0
            asking += time.process_time() - began
            began = time.process_time()
        model.learn_one(user=user, item=item, y=1.0)
        for _ in range(NEGATIVES if items else 0):
            other = draw.choice(items)
            if other not in mine:
                model.learn_one(user=user, item=other, y=0.0)
        learning += time.process_time() - began
        learnt += 1
        mine.add(item)
        if item not in known:
            known.add(item)
            items.append(item)
    print(json.dumps({"hr@10": hits10 / scored, "hr@20": hits20 / scored, "ndcg@10": gain / scored, "scored": scored,
                      "cpu_us_event": learning / learnt * 1e6, "cpu_us_query": asking / scored * 1e6,
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


main(sys.argv[1], int(sys.argv[2]))
