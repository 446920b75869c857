// SPDX-License-Identifier: Apache-2.0
// What this person did, newest first. Pointing at or focusing one shows which of the recommended
// titles stand on it; taking it back tells the engine that it was not wanted.
import { Cover } from "./cover";
import { ago } from "./format";
import { CloseIcon } from "./icons";
import type { Past } from "./types";

const LIKED = 2; // the signal of a like; many stars and purchases reach it too

function word(signal: number): string {
    if (signal < 0) return "disliked";
    return signal >= LIKED ? "liked" : "opened";
}

interface Props {
    past: Past[];
    driven: Map<string, number>;
    cause: string;
    onPoint: (item: string) => void;
    onTakeBack: (item: Past) => void;
}

export function Strip({ past, driven, cause, onPoint, onTakeBack }: Props) {
    if (past.length === 0) {
        return <p class="strip-empty">Nothing opened yet.</p>;
    }
    return (
        <ol class="strip" aria-label="What this person did, newest first">
            {past.map((p) => {
                const n = driven.get(p.id) ?? 0;
                const isDisliked = p.signal < 0;
                return (
                    <li key={p.id} class={`${p.id === cause ? "cause" : ""}${isDisliked ? " disliked" : ""}`}>
                        <button
                            type="button"
                            class="past"
                            aria-pressed={p.id === cause}
                            onClick={() => onPoint(p.id === cause ? "" : p.id)}
                        >
                            <Cover item={p} />
                            {n > 0 && <span class="n">{n}<span class="unseen"> of these name it: </span></span>}
                            <span class="t">{p.title}</span>
                            <small>{word(p.signal)} {ago(p.timestamp)}</small>
                        </button>
                        {!isDisliked && (
                            <button type="button" class="back" aria-label={`Take back: ${p.title}`} title="Take back (counts as a dislike)" onClick={() => onTakeBack(p)}>
                                <CloseIcon />
                            </button>
                        )}
                    </li>
                );
            })}
        </ol>
    );
}
