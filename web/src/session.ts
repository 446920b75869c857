// SPDX-License-Identifier: Apache-2.0
// The page's state: whose list is shown, the answer, what the last act changed. One act runs at a
// time; an answer for a person who is no longer chosen is dropped.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { compare, type Diff } from "./diff";
import { mainReason, ordered, SHOWN } from "./reasons";
import type { Ack, EventType, Item, Past, Slate } from "./types";

export const SLATE_SIZE = 12;

export interface Act {
    type: EventType | "hide";
    item: Item;
    ack: Ack | null; // null: nothing was told to the engine (hide)
    diff: Diff;
    caused: number; // titles in the new list that are there mainly because of the item
    isIncluded: boolean; // the answer's position is not before the event's
}

interface View {
    user: string;
    slate: Slate | null;
    past: Past[];
    last: Act | null;
    problem: api.Problem | null;
}

const nobody: View = { user: "", slate: null, past: [], last: null, problem: null };

const NEW_PREFIX = "new-";

function newId(): string {
    const random = crypto.getRandomValues(new Uint32Array(2));
    return NEW_PREFIX + Array.from(random, (n) => n.toString(36)).join("").slice(0, 8);
}

const userInAddress = () => new URLSearchParams(location.hash.slice(1)).get("user") ?? "";

const asProblem = (e: unknown) => (e instanceof api.Problem ? e : new api.Problem(String(e), "", 0));

/** A history may name an item more than once: the newest is shown. */
function newestOfEach(past: Past[]): Past[] {
    const seen = new Set<string>();
    return past.filter((p) => !seen.has(p.id) && seen.add(p.id));
}

/** The answer, and the history it stands on. */
async function ask(user: string, hidden: string[]): Promise<{ slate: Slate; past: Past[] }> {
    const slate = await api.recommend(user, SLATE_SIZE, hidden);
    const isKnown = (slate.decision?.seen ?? 0) > 0;
    return { slate, past: isKnown ? newestOfEach((await api.history(user)).items) : [] };
}

export function useSession() {
    const [view, setView] = useState<View>(nobody);
    const [isBusy, setBusy] = useState(false);
    const hidden = useRef<string[]>([]);
    const turn = useRef(0);
    const isActing = useRef(false); // at once, where isBusy waits for the next drawing

    const show = useCallback(async (user: string) => {
        const mine = ++turn.current;
        hidden.current = [];
        history.replaceState(null, "", `#${new URLSearchParams({ user })}`);
        try {
            const shown = await ask(user, []);
            if (mine === turn.current) setView({ ...nobody, user, ...shown });
        } catch (e) {
            if (mine === turn.current) setView({ ...nobody, user, problem: asProblem(e) });
        }
    }, []);

    const act = useCallback(
        async (type: EventType | "hide", item: Item) => {
            if (isActing.current || !view.slate) return;
            isActing.current = true;
            const mine = turn.current;
            const before = view.slate.items;
            setBusy(true);
            try {
                const ack = type === "hide" ? null : await api.sendEvent(view.user, item.id, type, view.slate.request_id);
                if (type === "hide") hidden.current.push(item.id);
                const { slate, past } = await ask(view.user, hidden.current);
                if (mine !== turn.current) return;
                const done: Act = {
                    type,
                    item,
                    ack,
                    diff: compare(before, slate.items, item.id),
                    caused: slate.items.filter((r) => mainReason(r)?.item === item.id).length,
                    isIncluded: ack === null || slate.position >= ack.position,
                };
                setView({ user: view.user, slate, past, last: done, problem: null });
            } catch (e) {
                if (mine === turn.current) setView((v) => ({ ...v, problem: asProblem(e) }));
            } finally {
                isActing.current = false;
                setBusy(false);
            }
        },
        [view],
    );

    const beNew = useCallback(() => void show(newId()), [show]);
    useEffect(() => {
        const follow = () => userInAddress() !== "" && void show(userInAddress());
        follow();
        addEventListener("hashchange", follow);
        return () => removeEventListener("hashchange", follow);
    }, [show]);

    const driven = useMemo(() => {
        const counts = new Map<string, number>();
        for (const r of view.slate?.items ?? []) {
            for (const id of new Set(ordered(r.reasons).slice(0, SHOWN).map((why) => why.item ?? ""))) counts.set(id, (counts.get(id) ?? 0) + 1);
        }
        return counts;
    }, [view.slate]);

    return { ...view, isBusy, isNew: view.user.startsWith(NEW_PREFIX), driven, show, beNew, act };
}
