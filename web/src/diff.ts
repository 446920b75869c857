// SPDX-License-Identifier: Apache-2.0
// What changed between two answers, so that the page can say it instead of leaving it to the eye.
import { plural } from "./format";
import type { Recommended } from "./types";

export interface Change {
    kind: "new" | "up" | "down" | "same";
    by: number;
}

export interface Diff {
    byItem: Map<string, Change>;
    added: number;
    up: number;
    down: number;
    gone: number;
}

/** `acted`: the item that was just acted on; it leaves by rule and counts for nothing. */
export function compare(before: Recommended[], after: Recommended[], acted: string): Diff {
    const old = before.filter((r) => r.id !== acted);
    const rank = new Map(old.map((r, i) => [r.id, i]));
    const diff: Diff = { byItem: new Map(), added: 0, up: 0, down: 0, gone: 0 };
    after.forEach((r, i) => {
        const from = rank.get(r.id);
        if (from === undefined) {
            diff.byItem.set(r.id, { kind: "new", by: 0 });
            diff.added++;
            return;
        }
        rank.delete(r.id);
        const kind = from > i ? "up" : from < i ? "down" : "same";
        diff.byItem.set(r.id, { kind, by: Math.abs(from - i) });
        if (kind === "up") diff.up++;
        if (kind === "down") diff.down++;
    });
    diff.gone = rank.size;
    return diff;
}

export function describe(diff: Diff): string {
    const parts: string[] = [];
    if (diff.added > 0) parts.push(plural(diff.added, "new title"));
    if (diff.up > 0) parts.push(`${diff.up} moved up`);
    if (diff.down > 0) parts.push(`${diff.down} moved down`);
    if (diff.gone > 0) parts.push(`${diff.gone} gave way`);
    return parts.length > 0 ? parts.join(", ") : "the order stayed";
}
