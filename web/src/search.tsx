// SPDX-License-Identifier: Apache-2.0
// Finds titles by their words. Waits until typing pauses; an older answer never replaces a newer.
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { Titles } from "./titles";
import type { Item } from "./types";

export function Search({ onOpen }: { onOpen: (item: Item) => void }) {
    const [text, setText] = useState("");
    const [found, setFound] = useState<Item[] | null>(null);
    const newest = useRef(0);
    useEffect(() => {
        const mine = ++newest.current;
        if (text.trim().length < 2) {
            setFound(null);
            return;
        }
        const pause = setTimeout(() => {
            api.search(text.trim())
                .then((answer) => mine === newest.current && setFound(answer.items))
                .catch(() => mine === newest.current && setFound([]));
        }, 120);
        return () => clearTimeout(pause);
    }, [text]);
    return (
        <div class="search">
            <label for="find" class="unseen">Find a title</label>
            <input id="find" type="search" placeholder="Find a title" value={text} autocomplete="off" spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} onKeyDown={(e) => e.key === "Escape" && setText("")} />
            {found && found.length === 0 && <p class="quiet" role="status">No title has these words.</p>}
            {found && found.length > 0 && <Titles items={found} onOpen={(item) => { setText(""); onOpen(item); }} />}
        </div>
    );
}
