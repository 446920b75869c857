# SPDX-License-Identifier: Apache-2.0
"""Writes docs/QUALITY.md and docs/quality/*.svg from results.json and the table of parts."""
import os
import textwrap

import quality_store as store
import quality_svg

DOCUMENT = os.path.join(store.DOCS, "QUALITY.md")
FOLDER = os.path.join(store.DOCS, "quality")
KINDS = {"online": "engine, online", "strict": "engine, strict", "batch": "engine, batch",
         "offline": "bench code", "without": "engine, ablation", "log": "estimate"}
HEAD = """# Quality

How good the recommendations are, protocol by protocol, beside published figures. Written by `make quality`
(`bench/quality NAME...` for single parts); what each row runs is in `bench/quality_parts.py`.

**What the rows are.** *engine, online*: `freshet eval`, the very fold and ranking code of `freshet serve`, every
event predicted and then learnt. *engine, strict*: the same, but nothing after the training part is learnt, as
papers do. *engine, batch*: the engine's learners made anew from all events before each tenth of the stream and
frozen within it. *engine, ablation*: without one part. *bench code*: no engine at all; the kernels of
`src/model` over a blend that `bench/lib/offline.h` fits on validation cases. It shows what the kernels can give
when everything is fitted in one go; a running Freshet does not do that. Published rows are the sources' own figures.

**Rules.** All items are ranked, no sampled negatives. The rank of the target is the number of items scored higher
plus half of the ties; an unknown item is a miss; an unknown user gets an answer and counts. Settings were chosen
on validation items or on the part before the scored one. *asked* is what the project asked of itself. The
data sets are not part of the project (`FRESHET_DATA` names their folder).

"""


def wrap(text):
    return textwrap.fill(text, 116, break_long_words=False, break_on_hyphens=False)


def digits(value, metric):
    if value is None:
        return ""
    if metric in ("ess", "value"):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"
    return f"{value:.4f}" if metric not in ("truth", "ips", "snips", "dm", "dr") else f"{value:.5f}"


def name_of(metric):
    names = {"r@20": "Recall@20", "p@20": "P@20", "logloss": "log loss", "auc": "AUC", "ess": "effective sample",
             "value": "value", "truth": "truth"}
    return names.get(metric, metric.upper())


def table(part, results):
    out = ["| | what | " + " | ".join(map(name_of, part.metrics)) + " | measured |",
           "|---|---|" + "---|" * len(part.metrics) + "---|"]
    for row in part.rows:
        result = results.get(f"{row.kind}: {row.label}", {"values": {}})
        cells = [digits(result["values"].get(metric), metric) for metric in part.metrics]
        if result.get("refused"):
            cells = [cell or "refused" for cell in cells]
        remark = result.get("at") or "not measured: " + result.get("reason", "not run yet")
        bold = "**" if row.label.startswith("Freshet") and row.kind in ("online", "strict") else ""
        out.append(f"| {bold}{row.label}{bold} | {KINDS[row.kind]} | " + " | ".join(cells) + f" | {remark} |")
    for label, values, source in part.published:
        out.append(f"| {label} | {source} | " + " | ".join(
            digits(value, metric) for value, metric in zip(values, part.metrics)) + " | |")
    if part.asked:
        out.append("| *asked* | | " + " | ".join(
            f"*{'≤' if metric in part.lower else '≥'} {value:g}*" if value is not None else ""
            for value, metric in zip(part.asked, part.metrics)) + " | |")
    return "\n".join(out) + "\n"


def batch_line(part, results):
    """Online over batch, blocks 2 to the end: before the first tenth a batch has learnt nothing."""
    rows = {row.kind: results.get(f"{row.kind}: {row.label}", {}) for row in reversed(part.rows)
            if row.label == part.curve or row.kind == "batch"}
    if not rows.get("batch", {}).get("blocks") or not rows.get("online", {}).get("curves"):
        return ""
    batch = [block["hr@10"] for block in rows["batch"]["blocks"]]
    fine = [block["hr@10"] for block in rows["online"]["blocks"]]
    many = len(fine) // len(batch)
    online = [sum(fine[b * many:(b + 1) * many]) / many for b in range(len(batch))]
    whole = sum(online[1:]) / sum(batch[1:])
    text = ", ".join(f"{a / b:.1%}" for a, b in zip(online[1:], batch[1:]))
    return "\n" + wrap(f"Online over batch, HR@10 of tenths 2 to {len(batch)}: **{whole:.1%}** (asked: at least 98 %); by tenth "
            f"{text}. State is a fold of the journal, so learners made anew at a tenth's start equal the online "
            "ones there; the lead is what is learnt within the tenth.") + "\n"


def curve(part, results):
    if not part.curve:
        return ""
    result = results.get(f"online: {part.curve}", {})
    if not result.get("curves") or not result.get("blocks"):
        return ""
    blocks, scored = result["blocks"], result["scored"]

    def points(values):
        return [((at + 0.5) * scored / len(values), value) for at, value in enumerate(values)]

    lines = [("Freshet", points([block["hr@10"] for block in blocks]))]
    for name, values in sorted(result["curves"].items(), key=lambda item: -sum(item[1])):
        if sum(values) > 0.05 * sum(block["hr@10"] for block in blocks):
            lines.append((name, points(values)))
    file = part.name.lower() + ".svg"
    with open(os.path.join(FOLDER, file), "w", encoding="utf-8") as out:
        out.write(quality_svg.chart(f"{part.title}: HR@10 as it learns", "events scored", "HR@10", lines[:8]))
    return f"\n![Learning curve: HR@10 of the blend and of each expert alone](quality/{file})\n"


def costs(parts, results):
    out = ["## Time and memory", "",
           "CPU µs on the machine of the run, one thread, beside other work: read them as upper bounds.", "",
           "| | event learnt (counted) | query (candidates, features, ranking; learning in prequential runs) | RSS |",
           "|---|---|---|---|"]
    for part in parts:
        for row in part.rows:
            result = results.get(part.name, {}).get(f"{row.kind}: {row.label}", {})
            if row.pick and row.kind == "online" or row.kind in ("without", "offline", "log") or \
                    "cpu_us_per_query" not in result:
                continue
            out.append(f"| {part.title}: {KINDS[row.kind]}{', ' + row.label if row.label != 'Freshet' else ''} | "
                       f"{result['cpu_us_per_event']:.1f} µs | {result['cpu_us_per_query']:.0f} µs | "
                       f"{result['rss_mb']:.0f} MB |")
    return "\n".join(out) + "\n"


def write(parts, results):
    os.makedirs(FOLDER, exist_ok=True)
    with open(DOCUMENT + ".part", "w", encoding="utf-8") as out:
        out.write(HEAD)
        for part in parts:
            mine = results.get(part.name, {})
            out.write(f"## {part.name}: {part.title}\n\n{wrap(part.text)}\n\n{table(part, mine)}")
            out.write(batch_line(part, mine) + curve(part, mine) + "\n")
        out.write(costs(parts, results))
    os.replace(DOCUMENT + ".part", DOCUMENT)
