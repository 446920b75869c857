// SPDX-License-Identifier: Apache-2.0
// A short numbered list of titles to open: what is trending, what a search found, what is similar.
import { Cover } from "./cover";
import type { Item } from "./types";

export function Titles({ items, onOpen, isNumbered = false }: { items: Item[]; onOpen: (item: Item) => void; isNumbered?: boolean }) {
    return (
        <ol class={`titles${isNumbered ? " numbered" : ""}`}>
            {items.map((item) => (
                <li key={item.id}>
                    <button type="button" onClick={() => onOpen(item)}>
                        <Cover item={item} />
                        <span>
                            {item.title}
                            <small>{item.categories.slice(0, 2).join(", ")}</small>
                        </span>
                    </button>
                </li>
            ))}
        </ol>
    );
}
