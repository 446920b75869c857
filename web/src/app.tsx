// SPDX-License-Identifier: Apache-2.0
// The page: who is choosing, what Freshet proposes, why, and what an act changes.
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api";
import type { Action } from "./card";
import { Counters } from "./counters";
import { DecisionPanel } from "./decision";
import { nameOf } from "./format";
import { Mark } from "./icons";
import { List } from "./list";
import { People } from "./people";
import { usePulse } from "./pulse";
import { Reflection } from "./reflection";
import { Search } from "./search";
import { useSession } from "./session";
import { Strip } from "./strip";
import { Titles } from "./titles";
import type { Item, Recommended } from "./types";

const TRENDING_PERIOD_MS = 10_000;

function useTrending(version: unknown): Item[] {
    const [items, setItems] = useState<Item[]>([]);
    useEffect(() => {
        const read = () => void api.trending().then((t) => setItems(t.items)).catch(() => setItems([]));
        read();
        const timer = setInterval(read, TRENDING_PERIOD_MS);
        return () => clearInterval(timer);
    }, [version]);
    return items;
}

export function App() {
    const { stats, rates, isLive } = usePulse();
    const session = useSession();
    const trending = useTrending(session.slate?.request_id);
    const [pointed, setPointed] = useState("");
    const [explained, setExplained] = useState("");
    const people = stats?.sample_users ?? [];
    const wasLive = useRef(true);

    useEffect(() => {
        const first = people[0];
        if (session.user === "" && location.hash === "" && first) void session.show(first.id);
    }, [people[0]?.id, session.user]);
    useEffect(() => {
        if (isLive && !wasLive.current && session.user !== "") void session.show(session.user);
        wasLive.current = isLive;
    }, [isLive]);
    useEffect(() => setPointed(""), [session.slate?.request_id]);
    useEffect(() => {
        // In a narrow window the record stands below the list: bring it there.
        const isBelow = matchMedia("(max-width: 1240px)").matches;
        if (explained !== "" && isBelow) document.querySelector(".decision")?.scrollIntoView({ block: "start" });
    }, [explained]);

    const { last, slate } = session;
    const cause = pointed || (last && last.type !== "hide" && last.type !== "dislike" ? last.item.id : "");
    const open = (item: Item) => void session.act("click", item);
    const onAction = (action: Action, item: Recommended) => {
        if (action === "why") setExplained((was) => (was === item.id ? "" : item.id));
        else void session.act(action === "open" ? "click" : action, item);
    };
    const whose = session.isNew ? "For someone new" : `For ${nameOf(session.user)}`;

    return (
        <>
            <a class="skip" href="#list-title" onClick={(e) => { e.preventDefault(); document.querySelector<HTMLElement>(".card[tabindex='0']")?.focus(); }}>To the recommended titles</a>
            <header class="top">
                <div class="brand">
                    <Mark />
                    <h1>Freshet</h1>
                    <span class={`live${isLive ? "" : " off"}`} role="status">{isLive ? "live" : "server away, trying again"}</span>
                </div>
                <Counters stats={stats} rates={rates} />
            </header>
            <div class="columns">
                <aside class="left" aria-label="People and trends">
                    <People people={people} user={session.user} isNew={session.isNew} onPick={(u) => void session.show(u)} onNew={session.beNew} />
                    <section class="panel" aria-labelledby="trending-title">
                        <h2 id="trending-title">Trending now</h2>
                        {trending.length > 0 ? <Titles items={trending} onOpen={open} isNumbered /> : <p class="quiet">Nothing yet.</p>}
                    </section>
                </aside>
                <main aria-busy={session.isBusy}>
                    <div class="lead">
                        <h2 id="list-title">{session.user === "" ? "Choose someone" : whose}</h2>
                        <Search onOpen={open} />
                    </div>
                    {session.problem && (
                        <div class="problem" role="alert">
                            <strong>{session.problem.message}</strong> {session.problem.hint}
                        </div>
                    )}
                    {slate && <Strip past={session.past} driven={session.driven} cause={cause} onPoint={setPointed} onTakeBack={(p) => void session.act("dislike", p)} />}
                    <Reflection act={last} />
                    {slate && slate.items.length > 0 && <List slate={slate} diff={last?.diff} cause={cause} explained={explained} onAction={onAction} />}
                    {slate && slate.items.length === 0 && <p class="quiet">Nothing left to recommend to this person.</p>}
                    <p class="help">
                        In the list: <kbd>←</kbd><kbd>→</kbd><kbd>↑</kbd><kbd>↓</kbd> move, <kbd>Enter</kbd> opens, <kbd>L</kbd> likes, <kbd>D</kbd> dislikes, <kbd>H</kbd> hides, <kbd>W</kbd> says why.
                    </p>
                </main>
                <aside class="right" aria-label="Decision record">
                    {slate && <DecisionPanel slate={slate} explained={slate.items.find((i) => i.id === explained)} onOpen={open} />}
                </aside>
            </div>
        </>
    );
}
