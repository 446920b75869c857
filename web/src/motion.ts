// SPDX-License-Identifier: Apache-2.0
// First-last-invert-play: rows that stay glide to their new place, new ones rise in. Honours the
// reader's wish for less motion.
import { useLayoutEffect, useRef } from "preact/hooks";
import type { RefObject } from "preact";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Animates the children with data-id of the list whenever `token` changes. */
export function useGlide(list: RefObject<HTMLElement>, token: string): void {
    const places = useRef(new Map<string, DOMRect>());
    useLayoutEffect(() => {
        const root = list.current;
        if (!root) return;
        const origin = root.getBoundingClientRect();
        const now = new Map<string, DOMRect>();
        for (const row of root.querySelectorAll<HTMLElement>("[data-id]")) {
            const id = row.dataset.id ?? "";
            const box = row.getBoundingClientRect();
            const place = new DOMRect(box.x - origin.x, box.y - origin.y, box.width, box.height);
            now.set(id, place);
            if (calm.matches || places.current.size === 0) continue;
            const was = places.current.get(id);
            if (!was) {
                row.animate(
                    [
                        { opacity: 0, transform: "translateY(18px) scale(.97)" },
                        { opacity: 1, transform: "none" },
                    ],
                    { duration: 420, easing: "cubic-bezier(.2,.8,.2,1)" },
                );
            } else if (was.x !== place.x || was.y !== place.y) {
                row.animate(
                    [{ transform: `translate(${was.x - place.x}px,${was.y - place.y}px)` }, { transform: "none" }],
                    { duration: 480, easing: "cubic-bezier(.2,.8,.2,1)" },
                );
            }
        }
        places.current = now;
    }, [token]);
}
