// SPDX-License-Identifier: Apache-2.0
// The engine's pulse, read once a second.
import { bytes, count, duration, percent } from "./format";
import type { Stats } from "./types";

/** The last minute of a number as a small line; decoration only, the number stands beside it. */
function Spark({ values }: { values: number[] }) {
    if (values.length < 2) return null;
    const top = Math.max(...values, 1e-9);
    const step = 60 / (values.length - 1);
    const points = values.map((v, i) => `${(i * step).toFixed(1)},${(15 - (v / top) * 13).toFixed(1)}`).join(" ");
    return (
        <svg class="spark" viewBox="0 0 60 16" preserveAspectRatio="none" aria-hidden="true" focusable="false">
            <polyline points={points} fill="none" stroke="currentColor" stroke-width="1.5" vector-effect="non-scaling-stroke" />
        </svg>
    );
}

function Counter({ name, value, note, values }: { name: string; value: string; note?: string; values?: number[] }) {
    return (
        <div class="counter">
            <dt>{name}</dt>
            <dd>
                <span class="value">{value}</span>
                {note && <span class="note">{note}</span>}
                {values && <Spark values={values} />}
            </dd>
        </div>
    );
}

export function Counters({ stats, rates }: { stats: Stats | null; rates: number[] }) {
    if (!stats) return null;
    const q = stats.quality;
    return (
        <dl class="counters">
            <Counter name="Events learnt" value={count(stats.events)} />
            <Counter name="Events a second" value={count(stats.events_per_s)} values={rates} />
            <Counter name="Recommendations" value={count(stats.recommendations)} note={stats.recommend_us.count > 0 ? `p99 ${duration(stats.recommend_us.p99)}` : undefined} />
            {q.scored > 0 && <Counter name="In the top ten" value={percent(q.hr10, 1)} note={`popular ${percent(q.popular_hr10, 1)}`} />}
            {stats.freshness_us.count > 0 && <Counter name="Received to learnt" value={duration(stats.freshness_us.p50)} note={`p99 ${duration(stats.freshness_us.p99)}`} />}
            <Counter name="Memory" value={bytes(stats.rss_bytes)} />
        </dl>
    );
}
