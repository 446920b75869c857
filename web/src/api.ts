// SPDX-License-Identifier: Apache-2.0
// Every call this page makes. A failure is one Problem with something to do about it.
import type { Ack, EventType, Item, Past, Slate, Stats } from "./types";

export class Problem extends Error {
    constructor(
        message: string,
        readonly hint: string,
        readonly status: number,
    ) {
        super(message);
    }
}

async function call<T>(path: string, init?: RequestInit): Promise<T> {
    let answer: Response;
    try {
        answer = await fetch(path, { ...init, headers: { accept: "application/json", ...init?.headers } });
    } catch {
        throw new Problem("The server does not answer.", "Is it still running? This page tries again by itself.", 0);
    }
    const body = await answer.json().catch(() => null);
    if (answer.ok && body !== null) return body as T;
    const problem = (body ?? {}) as { message?: string; detail?: string; title?: string; hint?: string };
    throw new Problem(
        problem.message ?? problem.detail ?? problem.title ?? `The server answered ${answer.status}.`,
        problem.hint ?? "",
        answer.status,
    );
}

const seg = encodeURIComponent;

export function recommend(user: string, n: number, exclude: string[]): Promise<Slate> {
    const query = new URLSearchParams({ user, n: String(n), explain: "full" });
    for (const id of exclude) query.append("exclude", id);
    return call(`/v1/recommend?${query}`);
}

export function sendEvent(user: string, item: string, type: EventType, request: string): Promise<Ack> {
    return call("/v1/events?ack=applied", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ user, item, type, request: request || undefined }),
    });
}

export const history = (user: string) => call<{ items: Past[] }>(`/v1/users/${seg(user)}/history?n=12`);
export const similar = (item: string) => call<{ items: Item[] }>(`/v1/items/${seg(item)}/similar?n=5`);
export const trending = () => call<{ items: Item[] }>("/v1/trending?n=8");
export const search = (text: string) => call<{ items: Item[] }>(`/v1/items?${new URLSearchParams({ query: text, n: "8" })}`);
export const stats = () => call<Stats>("/v1/stats");
