// SPDX-License-Identifier: Apache-2.0
// The recommended titles as one stop for Tab: arrow keys move inside, Home and End jump. When a
// title leaves under the focus, the one that took its place gets it.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { type Action, Card } from "./card";
import type { Diff } from "./diff";
import { useGlide } from "./motion";
import type { Recommended, Slate } from "./types";

interface Props {
    slate: Slate;
    diff: Diff | undefined;
    cause: string;
    explained: string;
    onAction: (action: Action, item: Recommended) => void;
}

/** Cards in one row of the grid: those whose top edge is the first one's. */
function columns(cards: HTMLElement[]): number {
    const top = cards[0]?.offsetTop;
    return Math.max(1, cards.filter((c) => c.offsetTop === top).length);
}

export function List({ slate, diff, cause, explained, onAction }: Props) {
    const list = useRef<HTMLOListElement>(null);
    const [at, setAt] = useState(0);
    const hadFocus = useRef(false);
    const cards = () => Array.from(list.current?.querySelectorAll<HTMLElement>(":scope > [data-id]") ?? []);
    const stop = Math.min(at, slate.items.length - 1);

    useGlide(list, slate.request_id);
    useLayoutEffect(() => {
        if (hadFocus.current && !list.current?.contains(document.activeElement)) cards()[stop]?.focus({ preventScroll: true });
        hadFocus.current = false;
    }, [slate.request_id]);

    const onKeyDown = (e: KeyboardEvent) => {
        const all = cards();
        const wide = columns(all);
        const step: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide, Home: -all.length, End: all.length };
        const by = step[e.key];
        if (by === undefined || !(e.target as HTMLElement).closest("[data-id]")) return;
        e.preventDefault();
        const to = Math.max(0, Math.min(all.length - 1, stop + by));
        setAt(to);
        all[to]?.focus();
    };

    return (
        <ol class="cards" ref={list} aria-label="Recommended titles" onKeyDown={onKeyDown}>
            {slate.items.map((item, i) => (
                <Card
                    key={item.id}
                    item={item}
                    change={diff?.byItem.get(item.id)}
                    cause={cause}
                    isTabStop={i === stop}
                    isExplained={item.id === explained}
                    onAction={(action) => {
                        setAt(i);
                        hadFocus.current = list.current?.contains(document.activeElement) ?? false;
                        onAction(action, item);
                    }}
                />
            ))}
        </ol>
    );
}
