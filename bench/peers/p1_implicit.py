#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""implicit on P1: lines "user item time" in time order. Called with the peers' python:
    p1_implicit.py LINES MODEL REFIT -> one JSON line
Every event from the 101st on is predicted, then joins the history; the model is fitted anew from all
before every REFIT events (it has no other way to learn), on one thread. Queries use the user's newest
history, the events since the last fit included, and leave it out; a user without any known item gets the
popular list. cpu_us_event: fitting, matrices included, over all events; cpu_us_query: asking."""
import json
import math
import os
import resource
import sys
import time
import warnings

warnings.simplefilter("ignore")  # of a format it converts itself
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

FIRST, LENGTH = 100, 20


def models():
    from implicit.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
    return {
        "tfidf": lambda: TFIDFRecommender(K=200, num_threads=1),
        "cosine": lambda: CosineRecommender(K=200, num_threads=1),
        "bm25": lambda: BM25Recommender(K=200, num_threads=1),
        "als": lambda: AlternatingLeastSquares(factors=32, regularization=0.05, alpha=10, iterations=10,
                                               num_threads=1, random_state=1),
    }


class Stream:
    def __init__(self, path):
        users, items = {}, {}
        with open(path, encoding="utf-8") as source:
            rows = [line.split()[:2] for line in source]
        self.events = [(users.setdefault(u, len(users)), items.setdefault(i, len(items))) for u, i in rows]
        self.user_count, self.item_count = len(users), len(items)


def matrix(histories, item_count):
    import numpy as np
    from scipy.sparse import csr_matrix
    counts = np.fromiter((len(history) for history in histories), dtype=np.int32, count=len(histories))
    indices = np.fromiter((item for history in histories for item in history), dtype=np.int32)
    return csr_matrix((np.ones(len(indices), dtype=np.float32), indices,
                       np.concatenate(([0], np.cumsum(counts)))), shape=(len(histories), item_count))


def main(path, name, refit):
    import numpy as np
    from scipy.sparse import csr_matrix
    make = models()[name]
    stream = Stream(path)
    histories = [[] for _ in range(stream.user_count)]
    popular = np.zeros(stream.item_count)
    fitting = asking = 0.0
    hits10 = hits20 = gain = scored = 0
    model = None
    for at, (user, item) in enumerate(stream.events):
        if at >= FIRST:
            began = time.process_time()
            if model is None or at % refit == 0:
                model = make()
                model.fit(matrix(histories, stream.item_count), show_progress=False)
                fitting += time.process_time() - began
                began = time.process_time()
            history = np.array(histories[user], dtype=np.int32)
            if len(history):
                row = csr_matrix((np.ones(len(history), dtype=np.float32), np.sort(history),
                                  [0, len(history)]), shape=(1, stream.item_count))
                extra = {"recalculate_user": True} if name == "als" else {}
                found, _ = model.recommend(0, row, N=LENGTH, filter_already_liked_items=True, **extra)
            else:
                found = np.argsort(-popular, kind="stable")[:LENGTH]
            asking += time.process_time() - began
            place = np.flatnonzero(found == item)
            scored += 1
            if len(place):
                hits20 += 1
                if place[0] < 10:
                    hits10 += 1
                    gain += 1 / math.log2(place[0] + 2)
        histories[user].append(item)
        popular[item] += 1
    print(json.dumps({
        "hr@10": hits10 / scored, "hr@20": hits20 / scored, "ndcg@10": gain / scored, "scored": scored,
        "cpu_us_event": fitting / len(stream.events) * 1e6, "cpu_us_query": asking / scored * 1e6,
        "fits": len(range(0, len(stream.events), refit)),
        "cpu_ms_fit": fitting / max(1, len(stream.events) // refit) * 1e3,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
