#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hnswlib and faiss on the vectors that `bench_ann ... dump=1` wrote to a folder. Called with the peers' python:
    ann.py FOLDER -> one JSON line: {"rows": [{"system", "query_us", "insert_us", "recall"}]}
One thread, CPU time, the best of three rounds; all queries in one call, so that Python's own time is left out (and
faiss multiplies whole matrices)."""
import json
import os
import sys
import time

import faiss
import hnswlib
import numpy

BEST, ROUNDS = 100, 3


def floats(path):
    count, dimension = numpy.fromfile(path, dtype="uint32", count=2)
    return numpy.fromfile(path, dtype="float32", offset=8).reshape(count, dimension)


class Measure:
    def __init__(self, folder):
        self.vectors = floats(os.path.join(folder, "vectors.f32"))
        self.queries = floats(os.path.join(folder, "queries.f32"))
        truth = numpy.fromfile(os.path.join(folder, "truth.u32"), dtype="uint32")
        self.truth = truth.reshape(len(self.queries), BEST)
        self.rows = []

    def built(self, make):
        """An index and the CPU microseconds a vector it took."""
        began = time.process_time()
        return make(), (time.process_time() - began) * 1e6 / len(self.vectors)

    def search(self, system, insert_us, ask):
        least = float("inf")
        for _ in range(ROUNDS):
            began = time.process_time()
            found = ask(self.queries)
            least = min(least, time.process_time() - began)
        hits = sum(len(numpy.intersect1d(a, b)) for a, b in zip(found, self.truth))
        self.rows.append({"system": system, "query_us": round(least * 1e6 / len(self.queries), 1),
                          "insert_us": round(insert_us, 1), "recall": round(hits / self.truth.size, 4)})


def run_hnswlib(measure):
    def make():
        index = hnswlib.Index(space="ip", dim=measure.vectors.shape[1])
        index.init_index(max_elements=len(measure.vectors), M=16, ef_construction=200)
        index.set_num_threads(1)
        index.add_items(measure.vectors, numpy.arange(len(measure.vectors)))
        return index
    index, us = measure.built(make)
    for ef in (100, 150, 300, 600):
        index.set_ef(ef)
        measure.search(f"hnswlib M=16 ef={ef}", us, lambda q: index.knn_query(q, BEST, num_threads=1)[0])


def run_faiss(measure):
    faiss.omp_set_num_threads(1)
    vectors = measure.vectors

    def made(text):
        def make():
            index = faiss.index_factory(vectors.shape[1], text, faiss.METRIC_INNER_PRODUCT)
            index.train(vectors)
            index.add(vectors)
            return index
        return measure.built(make)
    for text in ("Flat", "SQ8"):
        index, us = made(text)
        measure.search(f"faiss {text}", us, lambda q: index.search(q, BEST)[1])
    index, us = made("IVF256,SQ8")
    for index.nprobe in (4, 16, 64):
        measure.search(f"faiss IVF256,SQ8 probes={index.nprobe}", us, lambda q: index.search(q, BEST)[1])


def main(folder):
    measure = Measure(folder)
    run_hnswlib(measure)
    run_faiss(measure)
    print(json.dumps({"rows": measure.rows}))
    return 0


sys.exit(main(*sys.argv[1:]))
