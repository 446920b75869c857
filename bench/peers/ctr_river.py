#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""River on lines in Vowpal Wabbit's format, one pass, predict then learn. Called with the peers' python:
    ctr_river.py LINES MODEL FIRST -> one JSON line: log loss, AUC of the lines from FIRST on, CPU us a line
The time counts making the dictionary of features (crosses included), predicting and learning."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import ctr_lib  # noqa: E402

MODELS = {
    "ftrl": lambda linear, optim: linear.LogisticRegression(
        optim.FTRLProximal(alpha=0.1, beta=1.0, l1=0.0, l2=0.0), intercept_lr=0.0),
    "adagrad": lambda linear, optim: linear.LogisticRegression(optim.AdaGrad(0.1), intercept_lr=0.0),
    "sgd": lambda linear, optim: linear.LogisticRegression(optim.SGD(0.05), intercept_lr=0.01),
}


def features(line):
    by, out = {}, {"": 1.0}
    for part in line.split(" |")[1:]:
        by[part[0]] = words = [part[0] + word for word in part[1:].split()]
        for word in words:
            out[word] = 1.0
    for left, right in ("ia", "ie", "uf", "uh", "ue"):
        for a in by.get(left, ()):
            for b in by.get(right, ()):
                out[a + b] = 1.0
    return out


def main(path, name, first):
    from river import linear_model, optim
    model = MODELS[name](linear_model, optim)
    with open(path) as source:
        lines = source.read().splitlines()
    labels, predictions = [], []
    began = time.process_time()
    for line in lines:
        x, y = features(line), not line.startswith("-")
        predictions.append(model.predict_proba_one(x)[True])
        model.learn_one(x, y)
        labels.append(y)
    cost = (time.process_time() - began) / len(lines) * 1e6
    print(json.dumps({**ctr_lib.score(labels[first:], predictions[first:]), "cpu_us": cost}))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
