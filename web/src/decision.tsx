// SPDX-License-Identifier: Apache-2.0
// The decision record of one answer: what each stage proposed, scored, moved, and how long it took.
import { useEffect, useState } from "preact/hooks";
import * as api from "./api";
import { count, duration, percent } from "./format";
import { family } from "./reasons";
import { Titles } from "./titles";
import type { Decision, Item, Recommended, Slate } from "./types";

function Bar({ name, kind, value, of, text }: { name: string; kind?: string; value: number; of: number; text: string }) {
    return (
        <li class="bar">
            <span>{name}</span>
            <b>{text}</b>
            <i class={`k-${family(kind ?? name)}`} style={{ transform: `scaleX(${of > 0 ? Math.max(0.004, Math.min(1, Math.abs(value) / of)) : 0})` }} aria-hidden="true" />
        </li>
    );
}

function Timing({ decision, took }: { decision: Decision; took: number }) {
    const stages = decision.stages ?? [];
    if (stages.length === 0) return null;
    return (
        <>
            <h3>Time in the server <b>{duration(took)}</b></h3>
            <div class="timing" aria-hidden="true">
                {stages.map((s, i) => <i key={s.name} class={`s${i % 6}`} style={{ flexGrow: Math.max(s.us, 0.5) }} />)}
            </div>
            <ul class="legend">
                {stages.map((s, i) => <li key={s.name}><i class={`s${i % 6}`} aria-hidden="true" />{s.name} <b>{duration(s.us)}</b></li>)}
            </ul>
        </>
    );
}

function Parts({ decision, item }: { decision: Decision; item: Recommended }) {
    const scored = decision.items?.find((i) => i.id === item.id);
    const parts = scored?.parts ?? item.reasons.map((r) => ({ expert: r.text, contribution: r.contribution }));
    const top = Math.max(...parts.map((p) => Math.abs(p.contribution)), 0);
    return (
        <>
            <h3><span>Score of <em>{item.title}</em></span> <b>{item.score.toPrecision(3)}</b></h3>
            <ul class="bars">
                {parts.map((p) => <Bar key={p.expert} name={p.expert} value={p.contribution} of={top} text={p.contribution.toPrecision(2)} />)}
            </ul>
        </>
    );
}

function Moves({ decision, items }: { decision: Decision; items: Recommended[] }) {
    const title = (id: string) => items.find((i) => i.id === id)?.title;
    const moves = (decision.moves ?? []).filter((m) => title(m.id) !== undefined);
    const dropped = (decision.dropped ?? []).filter((d) => d.count > 0);
    if (moves.length === 0 && dropped.length === 0) return null;
    return (
        <>
            <h3>Policy</h3>
            <ul class="plain">
                {dropped.map((d) => <li key={d.rule}>left out as {d.rule} <b>{count(d.count)}</b></li>)}
                {moves.slice(0, 6).map((m) => <li key={m.id}><span><em>{title(m.id)}</em> {m.rule}</span> <b>{m.from} → {m.to}</b></li>)}
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
    const decision = slate.decision ?? {};
    const generators = decision.generators ?? [];
    const most = Math.max(...generators.map((g) => g.proposed), 0);
    const experts = [...(decision.experts ?? [])].sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, 8);
    const heaviest = Math.max(...experts.map((e) => Math.abs(e.weight)), 0);
    const whole = experts.reduce((sum, e) => sum + Math.abs(e.weight), 0);
    return (
        <section class="panel decision" aria-labelledby="decision-title">
            <h2 id="decision-title">How this list came about</h2>
            <p class="ids">request <code>{slate.request_id}</code> at position {count(slate.position)}</p>
            {slate.degraded_reason && <p class="degraded">Fell back: {slate.degraded_reason}</p>}
            {explained && <Parts decision={decision} item={explained} />}
            {explained && <Similar to={explained} onOpen={onOpen} />}
            {generators.length > 0 && (
                <>
                    <h3>Candidates <b>{count(generators.reduce((sum, g) => sum + g.proposed, 0))}</b></h3>
                    <ul class="bars">
                        {generators.map((g) => <Bar key={g.name} name={g.name} value={g.proposed} of={most} text={count(g.proposed)} />)}
                    </ul>
                </>
            )}
            {!explained && experts.length > 0 && (
                <>
                    <h3>Weight in the blend</h3>
                    <ul class="bars">
                        {experts.map((e) => <Bar key={e.name} name={e.name} value={e.weight} of={heaviest} text={percent(Math.abs(e.weight) / whole)} />)}
                    </ul>
                </>
            )}
            <Moves decision={decision} items={slate.items} />
            <Timing decision={decision} took={slate.took_us} />
            <details>
                <summary>The record itself</summary>
                <pre tabIndex={0}>{JSON.stringify(slate.decision ?? slate, null, 1)}</pre>
            </details>
        </section>
    );
}
