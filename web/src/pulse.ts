// SPDX-License-Identifier: Apache-2.0
// Reads /v1/stats once a second while the page is visible, and remembers the last minute of rates.
import { useEffect, useState } from "preact/hooks";
import * as api from "./api";
import type { Stats } from "./types";

const PERIOD_MS = 1000;
const RATES_MAX = 60;

export interface Pulse {
    stats: Stats | null;
    rates: number[];
    isLive: boolean;
}

export function usePulse(): Pulse {
    const [pulse, setPulse] = useState<Pulse>({ stats: null, rates: [], isLive: true });
    useEffect(() => {
        let timer = 0;
        let isOver = false;
        const read = async () => {
            if (!document.hidden) {
                try {
                    const stats = await api.stats();
                    if (!isOver) setPulse((p) => ({ stats, rates: [...p.rates, stats.events_per_s].slice(-RATES_MAX), isLive: true }));
                } catch {
                    if (!isOver) setPulse((p) => ({ ...p, isLive: false }));
                }
            }
            if (!isOver) timer = window.setTimeout(read, PERIOD_MS);
        };
        void read();
        return () => {
            isOver = true;
            clearTimeout(timer);
        };
    }, []);
    return pulse;
}
