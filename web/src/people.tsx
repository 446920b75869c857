// SPDX-License-Identifier: Apache-2.0
// Whose list it is: a known reader, any other id, or someone nobody has met.
import { useState } from "preact/hooks";
import { count, hash, nameOf } from "./format";
import { PersonIcon } from "./icons";
import type { Person } from "./types";

function Face({ id }: { id: string }) {
    const h = hash(id);
    return (
        <svg class="face" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
            <circle cx="10" cy="10" r="10" fill={`hsl(${h % 360} 32% 42%)`} />
            <path d={`M0 ${8 + (h >>> 4) % 8}q5-${3 + (h >>> 7) % 5} 10 0t10 0V20H0z`} fill={`hsl(${(h % 360) + 30} 40% 66%)`} clip-path="circle(10px at 10px 10px)" />
        </svg>
    );
}

interface Props {
    people: Person[];
    user: string;
    isNew: boolean;
    onPick: (user: string) => void;
    onNew: () => void;
}

export function People({ people, user, isNew, onPick, onNew }: Props) {
    const [typed, setTyped] = useState("");
    const isListed = people.some((p) => p.id === user);
    return (
        <section class="panel people" aria-labelledby="people-title">
            <h2 id="people-title">Who is choosing</h2>
            <button type="button" class={`fresh-start${isNew ? " on" : ""}`} aria-pressed={isNew} onClick={onNew}>
                <PersonIcon />
                {isNew ? "You, someone new" : "Be someone new"}
            </button>
            <ul class="names">
                {!isListed && !isNew && user !== "" && (
                    <li><button type="button" aria-current="true"><Face id={user} /><span>{nameOf(user)}</span></button></li>
                )}
                {people.map((p) => (
                    <li key={p.id}>
                        <button type="button" title={`last: ${p.last_title}`} aria-current={p.id === user ? "true" : undefined} onClick={() => onPick(p.id)}>
                            <Face id={p.id} />
                            <span>{nameOf(p.id)}</span>
                            <small>{count(p.events)}<span class="unseen"> events</span></small>
                        </button>
                    </li>
                ))}
            </ul>
            <form
                onSubmit={(e) => {
                    e.preventDefault();
                    const id = typed.trim();
                    if (id !== "") onPick(id);
                    setTyped("");
                }}
            >
                <label for="anyone">Any other user id</label>
                <div class="field">
                    <input id="anyone" value={typed} autocomplete="off" spellcheck={false} maxLength={256} onInput={(e) => setTyped(e.currentTarget.value)} />
                    <button type="submit">Go</button>
                </div>
            </form>
        </section>
    );
}
