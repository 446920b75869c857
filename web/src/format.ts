// SPDX-License-Identifier: Apache-2.0
// Numbers and hashes as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function count(n: number): string {
    return whole.format(n);
}

/** Three significant digits with a unit that keeps the number between 0.1 and 999. */
export function duration(us: number): string {
    const ms = us / 1000;
    if (ms < 0.1) return `${us < 10 ? us.toFixed(1) : Math.round(us)} µs`;
    if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
    if (ms < 1000) return `${Math.round(ms)} ms`;
    return `${(ms / 1000).toFixed(1)} s`;
}

export function percent(share: number, digits = 0): string {
    return `${(share * 100).toFixed(digits)} %`;
}

/** A part of a score: its sign matters more than its last digit. */
export function signed(n: number): string {
    if (Math.abs(n) < 0.0005) return "0";
    return `${n < 0 ? "\u2212" : "+"}${Math.abs(n).toFixed(Math.abs(n) < 0.095 ? 3 : 2)}`;
}

export function bytes(n: number): string {
    const mib = n / 1048576;
    return mib < 1024 ? `${Math.round(mib)} MiB` : `${(mib / 1024).toFixed(2)} GiB`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
    return `${count(n)} ${n === 1 ? one : many}`;
}

/** FNV-1a: only to give a title its own cover, nothing depends on its strength. */
export function hash(text: string): number {
    let h = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) {
        h ^= text.charCodeAt(i);
        h = Math.imul(h, 0x01000193);
    }
    return h >>> 0;
}

export function ago(timestamp: string, now = Date.now()): string {
    const s = Math.max(0, (now - Date.parse(timestamp)) / 1000);
    if (!Number.isFinite(s)) return "";
    if (s < 45) return "now";
    if (s < 5400) return `${Math.max(1, Math.round(s / 60))} min ago`;
    if (s < 129600) return `${Math.round(s / 3600)} h ago`;
    return `${Math.round(s / 86400)} d ago`;
}

/** Ids that are bare numbers are people too. */
export function nameOf(user: string): string {
    return /^\d+$/.test(user) ? `Reader ${user}` : user;
}
