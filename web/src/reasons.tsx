// SPDX-License-Identifier: Apache-2.0
// Why an item is in the list: one bar cut by the shares of its score, and each share as a sentence.
import { percent } from "./format";
import type { Reason, Recommended } from "./types";

const families: Record<string, string> = {
    because_you_viewed: "tie",
    history: "tie",
    cooc: "tie",
    next: "session",
    earlier: "session",
    transition: "session",
    similar: "alike",
    interests: "alike",
    content: "alike",
    category: "alike",
    trending: "trend",
    context: "trend",
    popular: "floor",
    popularity: "floor",
    new: "fresh",
    friends: "tie",
    social: "tie",
    fresh: "fresh",
};

/** The colour family of a kind of reason, a generator or an expert; the words beside it say the same. */
export function family(kind: string): string {
    return families[kind] ?? "other";
}

export const SHOWN = 3;

/** The reason that weighs most for the title, not against it. */
export function mainReason(item: Recommended): Reason | undefined {
    return item.reasons.find((r) => r.contribution > 0);
}

const lowered = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

/** The sentence of a reason, the title it names set apart. */
function Sentence({ reason }: { reason: Reason }) {
    const text = reason.contribution < 0 ? `Against it: ${lowered(reason.text)}` : reason.text;
    const at = reason.title ? text.indexOf(reason.title) : -1;
    if (!reason.title || at < 0) return <>{text}</>;
    return (
        <>
            {text.slice(0, at)}
            <em>{reason.title}</em>
            {text.slice(at + reason.title.length)}
        </>
    );
}

/** What speaks for the title first, then what speaks against it; the API's order within each. */
export function ordered(reasons: Reason[]): Reason[] {
    return [...reasons.filter((r) => r.contribution >= 0), ...reasons.filter((r) => r.contribution < 0)];
}

export function Reasons({ reasons: given, cause }: { reasons: Reason[]; cause: string }) {
    const reasons = ordered(given);
    const hidden = reasons.slice(SHOWN);
    const rest = hidden.reduce((sum, r) => sum + r.share, 0);
    const against = hidden.filter((r) => r.contribution < 0).length;
    const kind = (r: Reason) => `k-${family(r.kind)}${r.contribution < 0 ? " minus" : ""}`;
    return (
        <div class="reasons">
            <div class="shares" aria-hidden="true">
                {reasons.map((r, i) => <i key={i} class={`share ${kind(r)}`} style={{ flexGrow: Math.max(0, r.share) }} />)}
            </div>
            <ul>
                {reasons.slice(0, SHOWN).map((r, i) => (
                    <li key={i} class={r.item === cause && cause !== "" ? "caused" : ""}>
                        <i class={`dot ${kind(r)}`} aria-hidden="true" />
                        <span><Sentence reason={r} /></span>
                        <b>{percent(r.share)}</b>
                    </li>
                ))}
                {rest > 0.005 && (
                    <li class="rest">
                        <i class="dot" aria-hidden="true" />
                        <span>{hidden.length} more{against > 0 && `, ${against} against it`}</span>
                        <b>{percent(rest)}</b>
                    </li>
                )}
            </ul>
        </div>
    );
}
