// SPDX-License-Identifier: Apache-2.0
// The decision record of one answer: what each stage proposed, scored, moved, and how long it took.
import { useEffect, useState } from "preact/hooks";
import * as api from "./api";
import { count, duration, percent, signed } from "./format";
import { family } from "./reasons";
import { Titles } from "./titles";
import type { Decision, Item, Recommended, Slate } from "./types";

const PARTS_SHOWN = 8;

const moveWords: Record<string, string> = {
    new_quota: "given a place as new",
    diversity: "moved up for variety",
    over_cap: "kept, though its kind was full",
};

function Bar({ name, kind, value, of, text }: { name: string; kind: string; value: number; of: number; text: string }) {
    const share = of > 0 ? Math.max(0.004, Math.min(1, Math.abs(value) / of)) : 0;
    return (
        <li class={`bar${value < 0 ? " minus" : ""}`}>
            <span>{name}</span>
            <b>{text}</b>
            <i class={`k-${family(kind)}`} style={{ transform: `scaleX(${share})` }} aria-hidden="true" />
        </li>
    );
}

function Timing({ decision, took }: { decision: Decision; took: number }) {
    return (
        <>
            <h3>Time in the server <b>{duration(took)}</b></h3>
            <div class="timing" aria-hidden="true">
                {decision.stages.map((s, i) => <i key={s.name} class={`s${i % 6}`} style={{ flexGrow: Math.max(s.us, 0.5) }} />)}
            </div>
            <ul class="legend">
                {decision.stages.map((s, i) => <li key={s.name}><i class={`s${i % 6}`} aria-hidden="true" />{s.name} <b>{duration(s.us)}</b></li>)}
            </ul>
        </>
    );
}

/** The heaviest parts of one score, feature by feature; the rest in one line. */
function Parts({ decision, item }: { decision: Decision; item: Recommended }) {
    const all = decision.items.find((i) => i.id === item.id)?.parts ?? [];
    const parts = [...all].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
    const top = Math.abs(parts[0]?.contribution ?? 0);
    const rest = parts.slice(PARTS_SHOWN);
    return (
        <>
            <h3><span>Score of <em>{item.title}</em></span> <b>{item.score.toFixed(2)}</b></h3>
            <ul class="bars">
                {parts.slice(0, PARTS_SHOWN).map((p) => (
                    <Bar key={`${p.expert} ${p.feature}`} name={`${p.expert}: ${p.feature}`} kind={p.expert} value={p.contribution} of={top} text={signed(p.contribution)} />
                ))}
            </ul>
            {rest.length > 0 && (
                <p class="ids">{rest.length} smaller parts, together {signed(rest.reduce((sum, p) => sum + p.contribution, 0))}</p>
            )}
        </>
    );
}

function Candidates({ decision }: { decision: Decision }) {
    const generators = decision.generators.filter((g) => g.proposed > 0);
    const most = Math.max(...generators.map((g) => g.proposed), 0);
    return (
        <>
            <h3>Candidates <b>{count(decision.candidates)}</b></h3>
            <ul class="bars">
                {generators.map((g) => <Bar key={g.name} name={g.name} kind={g.name} value={g.proposed} of={most} text={`${count(g.proposed)}, ${count(g.kept)} shown`} />)}
            </ul>
        </>
    );
}

function Experts({ decision }: { decision: Decision }) {
    const experts = decision.experts.filter((e) => e.contribution !== 0).sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
    const whole = experts.reduce((sum, e) => sum + Math.abs(e.contribution), 0);
    const top = Math.abs(experts[0]?.contribution ?? 0);
    return (
        <>
            <h3>What the scores rest on</h3>
            <ul class="bars">
                {experts.map((e) => <Bar key={e.name} name={e.name} kind={e.name} value={e.contribution} of={top} text={percent(Math.abs(e.contribution) / whole)} />)}
            </ul>
        </>
    );
}

function Policy({ decision, items }: { decision: Decision; items: Recommended[] }) {
    const titles = new Map(items.map((i) => [i.id, i.title]));
    const moves = decision.moves.filter((m) => titles.has(m.id));
    if (moves.length === 0 && decision.dropped.length === 0) return null;
    return (
        <>
            <h3>Policy</h3>
            <ul class="plain">
                {decision.dropped.map((d) => <li key={d.rule}>left out as {d.rule} <b>{count(d.count)}</b></li>)}
                {moves.slice(0, 6).map((m) => (
                    <li key={m.id}><span><em>{titles.get(m.id)}</em> {moveWords[m.rule] ?? m.rule}</span> <b>{m.from} → {m.to}</b></li>
                ))}
            </ul>
        </>
    );
}

function Similar({ to, onOpen }: { to: Item; onOpen: (item: Item) => void }) {
    const [items, setItems] = useState<Item[]>([]);
    useEffect(() => {
        let isOver = false;
        api.similar(to.id).then((s) => !isOver && setItems(s.items)).catch(() => !isOver && setItems([]));
        return () => {
            isOver = true;
        };
    }, [to.id]);
    if (items.length === 0) return null;
    return (
        <>
            <h3>Similar titles</h3>
            <Titles items={items} onOpen={onOpen} />
        </>
    );
}

interface Props {
    slate: Slate;
    explained: Recommended | undefined;
    onOpen: (item: Item) => void;
}

export function DecisionPanel({ slate, explained, onOpen }: Props) {
    const decision = slate.decision;
    return (
        <section class="panel decision" aria-labelledby="decision-title">
            <h2 id="decision-title">How this list came about</h2>
            <p class="ids">request <code>{slate.request_id}</code> at position {count(slate.position)}</p>
            {slate.degraded_reason && <p class="degraded">Fell back: {slate.degraded_reason}</p>}
            {decision && explained && <Parts decision={decision} item={explained} />}
            {explained && <Similar to={explained} onOpen={onOpen} />}
            {decision && (
                <>
                    <Candidates decision={decision} />
                    {!explained && <Experts decision={decision} />}
                    <Policy decision={decision} items={slate.items} />
                    <Timing decision={decision} took={slate.took_us} />
                    <details>
                        <summary>The record itself</summary>
                        <pre tabIndex={0}>{JSON.stringify(decision, null, 1)}</pre>
                    </details>
                </>
            )}
        </section>
    );
}
