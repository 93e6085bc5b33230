// A real page in a real browser: the seed's React component, as it stands there, and examples/react, each built by Vite, served
// beside the API, and used in Debian's Chromium. Skipped where there is no Chromium.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import react from "@vitejs/plugin-react";
import { type Browser, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type EventStream, nodeHandler, type ServedModel } from "../../lib/http/index.js";
import type { TokenStream } from "../../lib/stream/token-stream.js";
import type { ZSE } from "../../lib/zse.js";
import { buildLibrary, ROOT, sleep, start, until } from "../addon/helpers.js";
import { GREEDY, idle, listen, open, stream } from "../http/helpers.js";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
const ARTIFACTS = join(ROOT, "build", "artifacts");
const TYPES: Record<string, string> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css" };

/** Builds a page and serves it beside the API. */
async function serve(folder: string): Promise<{ base: string; model: ZSE }> {
  const outDir = join(scratch, folder.replaceAll("/", "-"));
  await build({ root: join(ROOT, folder), configFile: false, plugins: [react()], logLevel: "error", build: { outDir, emptyOutDir: true } });
  const model = await open({ contextSize: 1024 });
  const api = nodeHandler(unhurried(model), { model: "qwen-7b" });
  const server = createServer((request, response) => {
    const path = new URL(request.url!, "http://x").pathname;
    if (path.startsWith("/v1/")) return void api(request, response);
    const file = join(outDir, path === "/" ? "index.html" : path);
    if (!file.startsWith(outDir) || !existsSync(file)) return void response.writeHead(404).end();
    response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
    response.end(readFileSync(file));
  });
  return { base: await listen(server), model };
}

/** The demo model is done before a person, or playwright, has looked: this one takes its time. */
function unhurried(model: ZSE): ServedModel {
  const slowly = (stream: TokenStream): EventStream => {
    const events = stream.events();
    return { events: () => ({ next: () => sleep(25).then(() => events.next()), return: () => events.return!() }) };
  };
  return {
    chatStream: (request) => slowly(model.chatStream(request)),
    completionStream: (request) => slowly(model.completionStream(request)),
  };
}

let browser: Browser;
let scratch: string;
beforeAll(async () => {
  buildLibrary(); // pages import zstream/react as users do
  if (CHROMIUM === undefined) return;
  scratch = mkdtempSync(join(tmpdir(), "zstream-page-"));
  mkdirSync(ARTIFACTS, { recursive: true });
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"], timeout: 100_000 });
});
afterAll(async () => {
  await browser?.close();
  if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
});

async function openPage(base: string): Promise<{ page: Page; problems: string[] }> {
  const page = await browser.newPage({ viewport: { width: 900, height: 700 } });
  page.setDefaultTimeout(60_000);
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.goto(base);
  return { page, problems };
}

/** Counts the different texts that an element has shown: that it grew, and did not come as a whole. */
const WATCH = `(selector) => {
  const seen = (window.seen = []);
  new MutationObserver(() => {
    const text = document.querySelector(selector)?.textContent ?? "";
    if (text !== "" && seen.at(-1) !== text) seen.push(text);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}`;

describe.skipIf(CHROMIUM === undefined)("in Chromium", () => {
  test("the seed's React component streams a reply", { timeout: 180_000 }, async () => {
    const { base, model } = await serve("test/browser/seed");
    const { page, problems } = await openPage(base);
    await page.evaluate(`(${WATCH})("#root > div > div")`);
    await page.click("button");
    expect(await page.textContent("button")).toBe("Generating...");
    await page.waitForFunction(`document.querySelector("button").textContent === "Send"`);
    const seen = (await page.evaluate("window.seen")) as string[];
    const text = await page.textContent("#root > div > div");
    await page.screenshot({ path: join(ARTIFACTS, "seed-component.png") });
    expect(text!.length).toBeGreaterThan(0);
    expect(seen.at(-1)).toBe(text);
    expect(seen.length).toBeGreaterThan(1);
    for (const [i, one] of seen.slice(1).entries()) expect(one.startsWith(seen[i]!)).toBe(true);
    expect(problems).toEqual([]);
    await until(() => idle(model, 4), "the slot is free");
  });

  test("examples/react: a story grows, has its figures at the end, and the stop button stops the engine", {
    timeout: 180_000,
  }, async () => {
    const { base, model } = await serve("examples/react");
    const { page, problems } = await openPage(base);
    await page.evaluate(`(${WATCH})("article.assistant")`);
    await page.click("text=Tell me a story about a fox");
    await page.waitForSelector("button.stop");
    await page.waitForSelector("text=ended by");
    await page.waitForFunction(`/tokens\\/s/.test(document.querySelector(".stats").textContent)`);
    const seen = (await page.evaluate("window.seen")) as string[];
    expect(seen.length).toBeGreaterThan(3);
    expect(await page.textContent(".stats")).toMatch(/first token\d+ ms.*\d+ tokens.*(stop|length)/);
    await page.screenshot({ path: join(ARTIFACTS, "react.png") });

    await page.fill("input", "Tell me a long story");
    await page.click("button[type=submit]");
    await page.waitForFunction(`(document.querySelectorAll("article.assistant")[1]?.textContent ?? "").length > 5`);
    await page.click("button.stop");
    await page.waitForSelector("text=Stopped.");
    await until(() => idle(model, 4), "the slot is free");
    expect(problems).toEqual([]);
  });

  test("examples/react: a reply goes on, whole, when the page is loaded again in its middle", { timeout: 180_000 }, async () => {
    const { base, model } = await serve("examples/react");
    const { page } = await openPage(base);
    await page.click("text=Tell me a story about a fox");
    await page.waitForFunction(`(document.querySelector("article.assistant")?.textContent ?? "").length > 5`);
    const before = (await page.textContent("article.assistant"))!;
    await page.reload();
    expect(await page.textContent("article.user")).toBe("Tell me a story about a fox");
    await page.waitForFunction(`/(stop|length)/.test(document.querySelector(".stats").textContent)`);
    const after = (await page.textContent("article.assistant"))!;
    expect(after.startsWith(before)).toBe(true);
    expect(after.length).toBeGreaterThan(before.length);
    await page.reload();
    expect(await page.textContent("article.assistant")).toBe(after);
    await until(() => idle(model, 4), "the slot is free");
  });
});

test("examples/react/server.mjs serves the built page beside the API", { timeout: 180_000 }, async () => {
  await build({ root: join(ROOT, "examples/react"), logLevel: "error" });
  const { child, ended } = start(["examples/react/server.mjs"], { env: { ...process.env, PORT: "0", THREADS: "1" }, timeoutMs: 170_000 });
  let out = "";
  child.stdout!.on("data", (part: string) => {
    out += part;
  });
  await until(() => out.endsWith("/\n"), "it listens", 60_000);
  const page = await (await fetch(out.trim())).text();
  expect(page).toContain('<div id="root">');
  const script = /src="\/(assets\/[^"]+\.js)"/.exec(page)![1]!;
  expect((await fetch(`${out.trim()}${script}`)).headers.get("content-type")).toContain("javascript");
  const reply = await stream(`${out.trim()}v1/chat/completions`, { ...GREEDY, max_tokens: 5 });
  expect(reply.done).toBe(true);
  child.kill("SIGKILL");
  await ended;
});
