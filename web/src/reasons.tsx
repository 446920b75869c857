// SPDX-License-Identifier: Apache-2.0
// Why an item is in the list: one bar cut by the shares of its score, and each share as a sentence.
import { percent } from "./format";
import type { Reason } from "./types";

const families: Record<string, string> = {
    because_you_viewed: "tie",
    history: "tie",
    cooc: "tie",
    next: "session",
    earlier: "session",
    session: "session",
    similar: "alike",
    interests: "alike",
    content: "alike",
    category: "alike",
    trending: "trend",
    context: "trend",
    popular: "floor",
    popularity: "floor",
    new: "fresh",
    fresh: "fresh",
};

/** The colour family of a kind of reason, a generator or an expert; the words beside it say the same. */
export function family(kind: string): string {
    return families[kind] ?? "other";
}

/** Splits a sentence around the title it names, so that the title can be set apart. */
function Sentence({ reason }: { reason: Reason }) {
    const at = reason.title ? reason.text.indexOf(reason.title) : -1;
    if (!reason.title || at < 0) return <>{reason.text}</>;
    return (
        <>
            {reason.text.slice(0, at)}
            <em>{reason.title}</em>
            {reason.text.slice(at + reason.title.length)}
        </>
    );
}

export function Reasons({ reasons, cause }: { reasons: Reason[]; cause: string }) {
    const shown = reasons.slice(0, 3);
    const rest = reasons.slice(3).reduce((sum, r) => sum + r.share, 0);
    return (
        <div class="reasons">
            <div class="shares" aria-hidden="true">
                {reasons.map((r, i) => (
                    <i key={i} class={`share k-${family(r.kind)}`} style={{ flexGrow: Math.max(0, r.share) }} />
                ))}
            </div>
            <ul>
                {shown.map((r, i) => (
                    <li key={i} class={r.item === cause && cause !== "" ? "caused" : ""}>
                        <i class={`dot k-${family(r.kind)}`} aria-hidden="true" />
                        <span><Sentence reason={r} /></span>
                        <b>{percent(r.share)}</b>
                    </li>
                ))}
                {rest > 0.005 && (
                    <li class="rest">
                        <i class="dot" aria-hidden="true" />
                        <span>{reasons.length - 3} more</span>
                        <b>{percent(rest)}</b>
                    </li>
                )}
            </ul>
        </div>
    );
}
