// SPDX-License-Identifier: Apache-2.0
// A toy twin of the API for working on the page without the engine: co-counts in a few lines, made-up
// timings. Never shipped. Give it a folder with ml-100k.inter and ml-100k.item (tab-separated, as in
// RecBole) for real titles; without one it invents some.
//   node dev/fake.mjs [FOLDER]      PORT=8099
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2];
const items = new Map();
const users = new Map();

function load() {
    const rows = (name) => readFileSync(join(folder, name), "utf8").trim().split("\n").slice(1).map((l) => l.split("\t"));
    for (const [id, title, year, kinds] of rows("ml-100k.item")) {
        const turned = title.replace(/^(.*), (The|A|An|Les|Le|La)$/, "$2 $1");
        items.set(id, { id, title: `${turned} (${year})`, categories: kinds.split(" ") });
    }
    const events = rows("ml-100k.inter").map(([u, i, , t]) => [u, i, Number(t)]).sort((a, b) => a[2] - b[2]);
    for (const [u, i] of events) learn(u, i, "click", false);
}

function invent() {
    const kinds = ["Drama", "Comedy", "Science", "Travel", "Music", "History"];
    const words = ["River", "Lantern", "Orchard", "Signal", "Harbour", "Winter", "Glass", "Meadow", "Copper", "Tide"];
    for (let i = 1; i <= 200; i++) {
        items.set(String(i), { id: String(i), title: `The ${words[i % 10]} ${words[(i * 7 + 3) % 10]} ${i}`, categories: [kinds[i % 6], kinds[(i * 5 + 1) % 6]] });
    }
    for (let i = 0; i < 4000; i++) learn(String((i * 31) % 60), String(1 + ((i * i * 7 + (i % 60) * 11) % 200)), "click", false);
}

const together = new Map();
const popular = new Map();
let position = 0;
let recommendations = 0;

function learn(user, item, type, live) {
    position++;
    if (!users.has(user)) users.set(user, []);
    const past = users.get(user);
    if (type !== "dislike") {
        popular.set(item, (popular.get(item) ?? 0) + 1);
        for (const p of past.slice(-10)) bump(p.item, item);
    }
    past.push({ item, type, at: live ? Date.now() : Date.now() - 9e6 });
}

function bump(a, b) {
    for (const [x, y] of [[a, b], [b, a]]) {
        if (!together.has(x)) together.set(x, new Map());
        together.get(x).set(y, (together.get(x).get(y) ?? 0) + 1);
    }
}

function recommend(user, n, exclude) {
    const past = users.get(user) ?? [];
    const seen = new Set([...past.map((p) => p.item), ...exclude]);
    const parts = new Map();
    const add = (id, kind, cause, value) => {
        if (seen.has(id)) return;
        if (!parts.has(id)) parts.set(id, []);
        parts.get(id).push({ kind, cause, value });
    };
    past.slice(-8).filter((p) => p.type !== "dislike").forEach((p, i, all) => {
        for (const [id, c] of together.get(p.item) ?? []) add(id, i === all.length - 1 ? "next" : "because_you_viewed", p.item, (c / (3 + Math.sqrt(popular.get(id) ?? 1) * 4)) * 0.8 ** (all.length - 1 - i));
    });
    for (const [id, c] of [...popular].sort((a, b) => b[1] - a[1]).slice(0, 60)) add(id, "popular", undefined, c / 4000);
    const scored = [...parts].map(([id, p]) => ({ id, p: p.sort((a, b) => b.value - a.value), score: p.reduce((s, x) => s + x.value, 0) })).sort((a, b) => b.score - a.score).slice(0, n);
    recommendations++;
    const sentence = { because_you_viewed: "Because you opened ", next: "Often opened right after ", popular: "Popular with everyone" };
    return {
        request_id: `req-${(position * 7919 + recommendations).toString(36).padStart(10, "0")}`,
        user,
        position,
        took_us: 280 + (recommendations % 40),
        degraded_reason: null,
        items: scored.map((s, i) => ({
            ...items.get(s.id), rank: i + 1, score: s.score,
            reasons: s.p.slice(0, 5).map((x) => ({ kind: x.kind, text: sentence[x.kind] + (x.cause ? items.get(x.cause).title : ""), item: x.cause, title: x.cause && items.get(x.cause).title, share: x.value / s.p.slice(0, 5).reduce((t, y) => t + y.value, 0), contribution: x.value })),
        })),
        decision: {
            candidates: parts.size,
            seen: past.length,
            generators: [["history", 180, 7], ["next", 60, 4], ["content", 50, 1], ["trending", 30, 0], ["popular", 60, 2]].map(([name, proposed, kept]) => ({ name, proposed, kept })),
            experts: [["cooc", 1.7, 22], ["session", 0.9, 14], ["popularity", 0.4, 3], ["content", 0.2, 1]].map(([name, weight, contribution]) => ({ name, weight, contribution })),
            stages: [["context", 8], ["candidates and rank", 192], ["policy", 14], ["explain", 40]].map(([name, us]) => ({ name, us })),
            dropped: [{ rule: "seen", count: past.length }, { rule: "excluded", count: exclude.length }].filter((d) => d.count > 0),
            moves: scored[4] ? [{ id: scored[4].id, from: 9, to: 5, rule: "diversity" }] : [],
            items: scored.map((s) => ({ id: s.id, score: s.score, parts: s.p.map((x, i) => ({ expert: { next: "session", popular: "popularity" }[x.kind] ?? "cooc", feature: `${x.kind}_${i}`, contribution: x.value })) })),
        },
    };
}

const list = (ids) => ({ items: ids.map((id) => items.get(id)).filter(Boolean) });

function answer(method, url, body) {
    const path = decodeURIComponent(url.pathname);
    const q = url.searchParams;
    let m;
    if (method === "PUT" && path.startsWith("/v1/items/")) {
        const item = JSON.parse(body);
        items.set(item.id, { categories: [], ...item });
        return [200, { accepted: 1 }];
    }
    if (method === "DELETE" && path.startsWith("/v1/items/")) return [200, { deleted: items.delete(path.slice(10)) }];
    if (method === "POST" && path === "/v1/events") {
        const e = JSON.parse(body);
        if (!items.has(e.item)) return [422, { message: "No such item.", hint: "Send the item first." }];
        learn(e.user, e.item, e.type, true);
        return [200, { accepted: 1, duplicates: 0, rejected: [], position, durable_us: 610, applied_us: 870 + (position % 90) }];
    }
    if (path === "/v1/recommend") return [200, recommend(q.get("user"), Number(q.get("n") ?? 10), (q.get("exclude") ?? "").split(",").filter(Boolean))];
    if ((m = /^\/v1\/users\/(.*)\/history$/.exec(path))) return [200, { items: (users.get(m[1]) ?? []).slice(-12).reverse().map((p) => ({ ...items.get(p.item), signal: { dislike: -2, like: 2 }[p.type] ?? 1, timestamp: new Date(p.at).toISOString() })) }];
    if ((m = /^\/v1\/items\/(.*)\/similar$/.exec(path))) return [200, list([...(together.get(m[1]) ?? [])].sort((a, b) => b[1] - a[1]).slice(0, 5).map((x) => x[0]))];
    if (path === "/v1/trending") return [200, list([...popular].sort((a, b) => b[1] - a[1]).slice(0, 8).map((x) => x[0]))];
    if (path === "/v1/items") return [200, { items: [...items.values()].filter((i) => i.title.toLowerCase().includes(q.get("query").toLowerCase())).slice(0, 8) }];
    if (path === "/v1/stats") {
        return [200, {
            position, events: position, events_per_s: Math.round(20 * Math.random()), users: users.size, items: items.size, recommendations, rss_bytes: 61e6,
            freshness_us: { p50: 740, p99: 1900, count: 9 }, recommend_us: { p50: 240, p99: 610, count: 9 }, quality: { scored: 90000, hr10: 0.206, popular_hr10: 0.078 },
            sample_users: [...users].filter(([id]) => !id.startsWith("new-")).slice(0, 7).map(([id, p]) => ({ id, events: p.length, last_title: items.get(p.at(-1).item).title })),
        }];
    }
    return [404, { message: "No such route.", hint: "" }];
}

const kinds = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    response.setHeader("content-security-policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'");
    if (url.pathname === "/readyz" || url.pathname === "/livez") return void response.end("{}");
    if (!url.pathname.startsWith("/v1/")) {
        const name = url.pathname === "/" ? "index.html" : url.pathname.slice(1);
        try {
            if (!/^[a-z]+\.[a-z]+$/.test(name)) throw new Error(name);
            const file = readFileSync(join(here, "../dist", name));
            response.setHeader("content-type", kinds[name.split(".").pop()]).end(file);
        } catch {
            response.writeHead(404).end();
        }
        return;
    }
    let body = "";
    for await (const chunk of request) body += chunk;
    const [status, json] = answer(request.method, url, body);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
}).listen(Number(process.env.PORT ?? 8099), "127.0.0.1", () => {
    (folder ? load : invent)();
    console.log(`toy API on http://127.0.0.1:${process.env.PORT ?? 8099}: ${items.size} items, ${users.size} users`);
});
