// SPDX-License-Identifier: Apache-2.0
// The shapes of the native API (docs/API.md) as far as this page reads them.

export type EventType = "click" | "view" | "like" | "dislike";

export interface Item {
    id: string;
    title: string;
    categories: string[];
}

export interface Reason {
    kind: string;
    text: string;
    item?: string;
    title?: string;
    share: number;
    contribution: number;
}

export interface Recommended extends Item {
    rank: number;
    score: number;
    reasons: Reason[];
}

export interface Slate {
    request_id: string;
    user: string;
    position: number;
    items: Recommended[];
    degraded_reason?: string | null;
    took_us: number;
    decision?: Decision;
}

/** The decision record: what each stage proposed, scored, moved, and how long it took. */
export interface Decision {
    candidates: number;
    seen: number; // items of this person that are left out: 0 means nothing is known yet
    generators: { name: string; proposed: number; kept: number }[];
    experts: { name: string; weight: number; contribution: number }[];
    stages: { name: string; us: number }[];
    dropped: { rule: string; count: number }[];
    moves: { id: string; from: number; to: number; rule: string }[];
    items: { id: string; score: number; parts: Part[] }[];
}

export interface Part {
    expert: string;
    feature: string;
    contribution: number;
}

export interface Ack {
    accepted: number;
    duplicates: number;
    rejected: unknown[];
    position: number;
    durable_us: number;
    applied_us: number;
}

export interface Past extends Item {
    signal: number; // how the engine took it: negative is a dislike
    timestamp: string;
}

export interface Person {
    id: string;
    events: number;
    last_title: string;
}

export interface Quantiles {
    p50: number;
    p99: number;
    count: number;
}

export interface Stats {
    events: number;
    events_per_s: number;
    users: number;
    items: number;
    recommendations: number;
    rss_bytes: number;
    freshness_us: Quantiles;
    recommend_us: Quantiles;
    quality: { scored: number; hr10: number; popular_hr10: number };
    sample_users: Person[];
}
