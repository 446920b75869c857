// SPDX-License-Identifier: Apache-2.0
// The first page in a real browser against a real server that holds at least a hundred titles and
// some people with a history.
//   node tests/scenario/page.mjs URL [SCREENSHOT.png]
// Prints a TAP line a case; exit 1 when one fails. Waits for conditions, never for time.
import { createRequire } from "node:module";
const { chromium } = createRequire(new URL("../../web/package.json", import.meta.url))("playwright-core");

const url = process.argv[2] ?? "http://127.0.0.1:8080/";
const screenshot = process.argv[3];
const origin = new URL(url).origin;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const WAIT_MS = 20_000;

const cases = [];
const test = (name, run) => cases.push({ name, run });

function check(condition, message) {
    if (!condition) throw new Error(message);
}

function equal(seen, expected, what) {
    check(JSON.stringify(seen) === JSON.stringify(expected), `${what}: expected ${JSON.stringify(expected)}, saw ${JSON.stringify(seen)}`);
}

async function api(path, method = "GET", body) {
    const answer = await fetch(origin + path, { method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body) });
    const text = await answer.text();
    check(answer.ok, `${method} ${path}: ${answer.status} ${text.slice(0, 200)}`);
    return text === "" ? null : JSON.parse(text);
}

const titles = (page) => page.locator(".card h3").allInnerTexts();
const said = (page) => page.locator(".reflection").innerText();
const requestId = (page) => page.locator(".ids code").innerText();

/** Waits until the page shows another answer than `before`. */
const nextAnswer = (page, before) =>
    page.waitForFunction((was) => document.querySelector(".ids code")?.textContent !== was, before, { timeout: WAIT_MS });

async function doAndWait(page, act) {
    const before = await requestId(page);
    await act();
    await nextAnswer(page, before);
}

/** A page in a context of its own that notes everything it must not do. */
async function open(browser, options = {}, hash = "") {
    const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, reducedMotion: "reduce", ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    page.faults = [];
    page.on("request", (r) => new URL(r.url()).origin !== origin && page.faults.push(`asked elsewhere: ${r.url()}`));
    page.on("console", (m) => ["error", "warning"].includes(m.type()) && page.faults.push(`console: ${m.text()}`));
    page.on("pageerror", (e) => page.faults.push(`error: ${e.message}`));
    await page.goto(url + hash);
    await page.waitForSelector(".card");
    return page;
}

const someoneNew = () => `#user=new-t${Math.random().toString(36).slice(2, 8)}`;

test("shows titles with reasons whose shares sum to one", async (browser) => {
    const page = await open(browser);
    const answer = await api(`/v1/recommend?user=${encodeURIComponent(new URLSearchParams(new URL(page.url()).hash.slice(1)).get("user"))}&n=12&explain=full`);
    for (const item of answer.items) {
        const sum = item.reasons.reduce((s, r) => s + r.share, 0);
        check(Math.abs(sum - 1) < 0.01, `shares of ${item.title} sum to ${sum}`);
    }
    const shown = await titles(page);
    check(shown.length >= 8, `${shown.length} cards`);
    check(shown.every((t) => !/^\d+$/.test(t)), `bare ids: ${shown}`);
    check((await page.locator(".card .reasons li").count()) >= shown.length, "a card without a reason");
    check((await page.locator(".counter").count()) >= 4, "counters");
    equal(page.faults, [], "faults");
});

test("a click leaves the list, changes it, and the page says so", async (browser) => {
    const page = await open(browser, {}, someoneNew());
    check(await page.locator(".strip-empty").isVisible(), "a new person has no history");
    const before = await titles(page);
    const opened = before[2];
    await doAndWait(page, () => page.locator(".card .act.open").nth(2).click());
    const after = await titles(page);
    check(!after.includes(opened), `${opened} is still recommended`);
    check(after.join("|") !== before.filter((t) => t !== opened).concat(after.at(-1)).join("|"), "nothing changed but the one that left");
    check(/reflected in [\d.]+ (µs|ms)/.test(await said(page)), `said: ${await said(page)}`);
    check((await said(page)).includes("part of this answer") && !(await said(page)).includes("not yet"), "the answer includes the event");
    check((await page.locator(".card.caused").count()) > 0, "nothing is here because of the click");
    equal(await page.locator(".strip .t").allInnerTexts(), [opened], "history");
    equal(page.faults, [], "faults");
});

test("works by keyboard alone", async (browser) => {
    const page = await open(browser, {}, someoneNew());
    await page.keyboard.press("Tab");
    check(await page.evaluate(() => document.activeElement.classList.contains("skip")), "the first stop skips to the list");
    await page.keyboard.press("Enter");
    const focused = () => page.evaluate(() => document.activeElement.querySelector("h3")?.textContent);
    const all = await titles(page);
    equal(await focused(), all[0], "first card");
    await page.keyboard.press("ArrowRight");
    equal(await focused(), all[1], "right");
    await page.keyboard.press("ArrowDown");
    const row = all.indexOf(await focused());
    check(row > 1, "down");
    await page.keyboard.press("End");
    equal(await focused(), all.at(-1), "end");
    await page.keyboard.press("Home");
    await doAndWait(page, () => page.keyboard.press("l"));
    check((await said(page)).startsWith("Your like was reflected"), `said: ${await said(page)}`);
    check((await focused()) !== undefined, "the focus stays in the list");
    await doAndWait(page, () => page.keyboard.press("Enter"));
    check((await said(page)).startsWith("Your click was reflected"), `said: ${await said(page)}`);
    await doAndWait(page, () => page.keyboard.press("d"));
    check((await said(page)).startsWith("Your dislike was reflected"), `said: ${await said(page)}`);
    await page.keyboard.press("w");
    check(await page.locator(".card.explained").isVisible(), "why");
    await page.keyboard.press("Tab");
    equal(await page.evaluate(() => document.activeElement.classList.contains("open")), true, "a card's buttons are its next stops");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    check(outline !== "none", "visible focus");
    equal(page.faults, [], "faults");
});

test("liking and taking back", async (browser) => {
    const page = await open(browser, {}, someoneNew());
    const liked = (await titles(page))[0];
    await doAndWait(page, () => page.locator(".card .act.like").first().click());
    await page.locator(".strip li").first().hover();
    await doAndWait(page, () => page.locator(".strip .back").first().click());
    check(await page.locator(".strip li.disliked", { hasText: liked }).isVisible(), "struck out in the history");
    check(!(await titles(page)).includes(liked), "not recommended again");
    equal(page.faults, [], "faults");
});

test("hiding teaches nothing", async (browser) => {
    const page = await open(browser, {}, someoneNew());
    const first = (await titles(page))[0];
    const posts = [];
    page.on("request", (r) => r.method() === "POST" && posts.push(r.url()));
    await doAndWait(page, () => page.locator(".card .act.hide").first().click());
    check(!(await titles(page)).includes(first), `${first} is still there`);
    equal(posts, [], "posted");
    equal(page.faults, [], "faults");
});

test("two quick clicks are one event", async (browser) => {
    const page = await open(browser, {}, someoneNew());
    const posts = [];
    page.on("request", (r) => r.method() === "POST" && posts.push(r.url()));
    await doAndWait(page, () => page.locator(".card .act.open").first().evaluate((b) => { b.click(); b.click(); }));
    equal(posts.length, 1, "events");
});

test("the record of the decision", async (browser) => {
    const page = await open(browser);
    await page.locator(".card .act.why").nth(1).click();
    const panel = await page.locator(".decision").innerText();
    check(panel.includes((await titles(page))[1]), "names the title asked about");
    for (const word of ["request", "position", "Candidates", "Time in the server"]) check(panel.includes(word), `no ${word} in the record`);
    check((await page.locator(".decision .bars .bar").count()) >= 3, "bars");
    equal(page.faults, [], "faults");
});

test("hostile titles stay text", async (browser) => {
    const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>&amp;\u202E"'`;
    await api("/v1/items/evil-1", "PUT", { id: "evil-1", title: evil, categories: ["<b>bold</b>", "javascript:alert(1)"] });
    await api("/v1/items/evil-2", "PUT", { id: "evil-2", title: "W".repeat(900), categories: ["x".repeat(60)] });
    const user = `new-evil${Math.random().toString(36).slice(2, 8)}`;
    for (const item of ["evil-1", "evil-2"]) await api("/v1/events?ack=applied", "POST", { user, item, type: "click" });
    const page = await open(browser, {}, `#user=${user}`);
    await page.waitForSelector(".strip .t");
    check((await page.locator(".strip .t").allTextContents()).includes(evil), "the title as it is");
    check((await page.title()) !== "owned" && (await page.locator("#app img, #app script").count()) === 0, "it ran");
    check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it widened the page");
    equal(page.faults, [], "faults");
    for (const item of ["evil-1", "evil-2"]) await api(`/v1/items/${item}`, "DELETE");
});

/** In the page: texts whose contrast with what lies behind them is below WCAG AA. */
function lowContrast() {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (e) => {
        for (let at = e; at; at = at.parentElement) {
            const c = rgba(getComputedStyle(at).backgroundColor);
            if (c[3] > 250) return c;
        }
        return [255, 255, 255, 255];
    };
    const bad = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const e = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || e.closest("svg, .unseen, .back, script, noscript") || !e.checkVisibility()) continue;
        const style = getComputedStyle(e);
        const [a, b] = [light(rgba(style.color)), light(behind(e))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) bad.push(`${e.tagName}.${e.className} "${walk.currentNode.data.trim().slice(0, 30)}" ${ratio.toFixed(2)}`);
    }
    return bad;
}

for (const colorScheme of ["light", "dark"]) {
    test(`text stands out, ${colorScheme}`, async (browser) => {
        const page = await open(browser, { colorScheme });
        await doAndWait(page, () => page.locator(".card .act.open").first().click());
        await page.locator(".card .act.why").first().click();
        equal(await page.evaluate(lowContrast), [], "contrast below 4.5");
    });
}

test("fits a phone, and every control has a name and a finger's width", async (browser) => {
    const page = await open(browser, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await doAndWait(page, () => page.locator(".card .act.open").first().tap());
    check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "scrolls sideways");
    const nameless = await page.$$eval("button", (all) => all.filter((b) => !(b.getAttribute("aria-label") || b.innerText.trim())).length);
    equal(nameless, 0, "buttons without a name");
    const small = await page.$$eval("button, input", (all) => all.map((b) => b.getBoundingClientRect()).filter((r) => r.width > 0 && (r.width < 24 || r.height < 24)).length);
    equal(small, 0, "controls under 24 px");
    equal(page.faults, [], "faults");
});

test("finds titles by a part of them", async (browser) => {
    const page = await open(browser, {}, someoneNew());
    const wanted = (await titles(page))[0];
    await page.locator("#find").fill(wanted.slice(1).toUpperCase());
    const hit = page.locator(".search .titles button", { hasText: wanted });
    await hit.waitFor();
    await doAndWait(page, () => hit.first().click());
    equal(await page.locator(".strip .t").allInnerTexts(), [wanted], "opened");
});

test("says when the server is away, and comes back by itself", async (browser) => {
    const page = await open(browser);
    await page.route("**/v1/**", (route) => route.abort());
    await page.locator(".live.off").waitFor();
    await page.locator(".card .act.open").first().click();
    check((await page.locator("[role=alert]").innerText()).includes("does not answer"), "an alert");
    await page.unroute("**/v1/**");
    await page.locator(".live:not(.off)").waitFor();
    await page.locator("[role=alert]").waitFor({ state: "detached" });
    check((await titles(page)).length > 0, "the list is back");
});

test("the same address shows the same person", async (browser) => {
    const page = await open(browser, {}, someoneNew());
    await doAndWait(page, () => page.locator(".card .act.open").first().click());
    const history = await page.locator(".strip .t").allInnerTexts();
    await page.reload();
    await page.waitForSelector(".strip .t");
    equal(await page.locator(".strip .t").allInnerTexts(), history, "history");
});

/** The picture in the README: a reader with a history, a click just made, the record beside it. */
async function takeScreenshot(browser) {
    const page = await open(browser, { viewport: { width: 1440, height: 960 } });
    await doAndWait(page, () => page.locator(".card .act.open").nth(2).click());
    await doAndWait(page, () => page.locator(".card .act.like").nth(1).click());
    await page.locator(".card .act.why").nth(0).click();
    await page.evaluate(() => document.activeElement.blur());
    await page.mouse.move(0, 0);
    await page.locator(".decision .titles").waitFor();
    await page.screenshot({ path: screenshot });
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
let failed = 0;
for (const { name, run } of cases) {
    try {
        await run(browser);
        console.log(`ok - ${name}`);
    } catch (e) {
        failed++;
        console.log(`not ok - ${name}\n     ${String(e.message).split("\n").slice(0, 12).join("\n     ")}`);
    }
    for (const context of browser.contexts()) await context.close();
}
if (screenshot && failed === 0) await takeScreenshot(browser);
await browser.close();
process.exit(failed === 0 ? 0 : 1);
