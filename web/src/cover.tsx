// SPDX-License-Identifier: Apache-2.0
// A cover drawn from the title alone: the same title always looks the same, nothing is fetched. The
// first category picks the hue, so that kinds of titles are recognised at a glance; the title picks
// the pattern and its turn. Only presentation attributes are set: the page's policy forbids inline
// style.
import type { VNode } from "preact";
import { hash } from "./format";
import type { Item } from "./types";

const W = 60;
const H = 80;

type Draw = (a: number, b: number, ink: string, deep: string) => VNode;

const arcs: Draw = (a, b, ink, deep) => (
    <g fill="none" stroke-width="5">
        {[12, 24, 36, 48, 60].map((r, i) => (
            <circle key={r} cx={(a % 2) * W} cy={20 + (b % 40)} r={r} stroke={i % 2 ? ink : deep} />
        ))}
    </g>
);

const stripes: Draw = (a, b, ink, deep) => (
    <g transform={`rotate(${25 + (a % 5) * 10} 30 40)`}>
        {[0, 1, 2, 3, 4].map((i) => (
            <rect key={i} x={-30 + i * 26 + (b % 8)} y="-30" width={7 + ((b + i) % 3) * 3} height="150" fill={i % 2 ? ink : deep} />
        ))}
    </g>
);

const discs: Draw = (a, b, ink, deep) => (
    <g>
        <circle cx={14 + (a % 20)} cy={20 + (b % 16)} r={16 + (a % 8)} fill={ink} />
        <circle cx={34 + (b % 18)} cy={40 + (a % 18)} r={12 + (b % 8)} fill={deep} opacity="0.85" />
    </g>
);

const hills: Draw = (a, b, ink, deep) => (
    <g>
        <circle cx={12 + (a % 36)} cy={14 + (b % 10)} r="7" fill={ink} />
        <path d={`M0 ${40 + (a % 10)}q15-${14 + (b % 10)} 30 0t30 0V80H0z`} fill={deep} />
        <path d={`M0 ${56 + (b % 8)}q18-${12 + (a % 8)} 34 0t34 0V80H0z`} fill={ink} opacity="0.55" />
    </g>
);

const peaks: Draw = (a, b, ink, deep) => (
    <g>
        <path d={`M${-10 + (a % 16)} 80L${20 + (b % 14)} ${18 + (a % 14)}L60 80z`} fill={deep} />
        <path d={`M10 80L${40 + (a % 14)} ${34 + (b % 12)}L${70 + (b % 10)} 80z`} fill={ink} opacity="0.7" />
    </g>
);

const dots: Draw = (a, b, ink, deep) => (
    <g>
        {Array.from({ length: 20 }, (_, i) => (
            <circle
                key={i}
                cx={9 + (i % 4) * 14}
                cy={10 + Math.floor(i / 4) * 14}
                r={2 + (((a >>> i % 13) + b + i) % 4)}
                fill={((a >>> i % 11) & 1) === 1 ? ink : deep}
            />
        ))}
    </g>
);

const patterns: Draw[] = [arcs, stripes, discs, hills, peaks, dots];

/** The first letters of the title's first words that carry meaning. */
function initials(title: string): string {
    const words = title.replace(/\(.*?\)/g, " ").split(/[^\p{L}\p{N}]+/u).filter(Boolean);
    const strong = words.filter((w) => !/^(the|a|an|of|and|in|to|le|la|les|der|die|das)$/i.test(w));
    const picked = (strong.length > 0 ? strong : words).slice(0, 2);
    return picked.map((w) => Array.from(w)[0] ?? "").join("").toLocaleUpperCase();
}

export function Cover({ item }: { item: Item }) {
    const a = hash(item.title);
    const b = hash(`${item.title}\u0001`);
    const hue = Math.round((hash(item.categories[0] ?? item.title) % 97) * 137.5 + (a % 51) - 25) % 360;
    const ground = `hsl(${hue} 34% 30%)`;
    const deep = `hsl(${hue + 14} 40% 21%)`;
    const ink = `hsl(${hue - 22} 48% 60%)`;
    const draw = patterns[a % patterns.length] ?? arcs;
    return (
        <svg class="cover" viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="xMidYMax slice" aria-hidden="true" focusable="false">
            <rect width={W} height={H} fill={ground} />
            {draw(a >>> 3, b >>> 5, ink, deep)}
            <path d="M0 50H60V80H0z" fill={deep} opacity="0.55" />
            <text x="6" y="73" fill="#fff" font-size="19" font-weight="700" letter-spacing="-0.5">
                {initials(item.title)}
            </text>
        </svg>
    );
}
