// The page of `zse serve` as a person uses it, in Debian's Chromium: on the demo model, and on one that says what a test wants. Skipped where there is no Chromium.
// Screenshots of it are left in build/artifacts.

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { NO_STATS, NO_USE } from "../../lib/engine/link.js";
import { App, type AppOptions } from "../../lib/server/app.js";
import type { AppModel } from "../../lib/server/app-models.js";
import { HttpServer } from "../../lib/server/http-server.js";
import { openLog } from "../../lib/server/log.js";
import { Page as PageFiles } from "../../lib/server/page.js";
import type { StreamEvent } from "../../lib/types.js";
import { buildLibrary, ROOT, sleep, until } from "../addon/helpers.js";
import { idle, listen, serveApp } from "../http/helpers.js";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
const ARTIFACTS = join(ROOT, "build", "artifacts");
const AXE = join(ROOT, "node_modules", "axe-core", "axe.min.js");

let browser: Browser;
let files: PageFiles;
beforeAll(async () => {
  buildLibrary();
  files = new PageFiles(join(ROOT, "dist", "ui"));
  if (CHROMIUM === undefined) return;
  mkdirSync(ARTIFACTS, { recursive: true });
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"], timeout: 100_000 });
});
afterAll(() => browser?.close());

const contexts: BrowserContext[] = [];
const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
  await Promise.all(servers.splice(0).map((server) => server.drain(0)));
});

type Piece = string | Exclude<StreamEvent, { type: "finish" }>;

/** What was asked of a model that says what a test wants. */
interface Asked {
  messages: { role: string; content: string }[];
  [option: string]: unknown;
}

interface Talk {
  base: string;
  asked: Asked[];
  /** Replies that were ended before they had come to their end. */
  ended: number;
}

/** `zse serve` over a model that answers by `reply`, a piece each `paceMs`. */
async function serveTalk(
  reply: (said: string, count: number) => Iterable<Piece>,
  { paceMs = 5, ...options }: Partial<AppOptions> & { paceMs?: number } = {},
): Promise<Talk> {
  const talk: Talk = { base: "", asked: [], ended: 0 };
  async function* events(pieces: Iterable<Piece>): AsyncGenerator<StreamEvent> {
    let tokens = 0;
    let isWhole = false;
    let called = false;
    try {
      for (const piece of pieces) {
        if (paceMs > 0) await sleep(paceMs);
        tokens += 1;
        called ||= typeof piece !== "string" && piece.type === "toolCall";
        yield typeof piece === "string" ? { type: "text", text: piece } : piece;
      }
      isWhole = true;
      const usage = { promptTokens: 20, completionTokens: tokens, totalTokens: 20 + tokens, cachedTokens: 12 };
      yield { type: "finish", reason: called ? "toolCalls" : "stop", ...NO_USE, usage, seed: 1 };
    } finally {
      if (!isWhole) talk.ended += 1;
    }
  }
  const model = {
    chatStream(request: Asked) {
      talk.asked.push(request);
      const said = request.messages.findLast(({ role }) => role === "user")?.content ?? "";
      const pieces = reply(said, talk.asked.length);
      return { events: () => events(pieces) };
    },
    completionStream: () => ({ events: () => events([]) }),
    stats: () => NO_STATS,
  } as unknown as AppModel;
  const app = new App(model, { name: "qwen-7b", log: openLog("silent"), page: files, ...options });
  const server = await HttpServer.listen(app, { port: 0, host: "127.0.0.1" });
  servers.push(server);
  talk.base = server.address;
  return talk;
}

function* words(count: number, word = (i: number) => `w${i} `): Generator<string> {
  for (let i = 0; i < count; i++) yield word(i);
}

interface Visit {
  page: Page;
  /** Errors, violations of the policy, and requests to others. */
  problems: string[];
}

const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

/** Notes in the page what its policy forbade. */
const WATCH_POLICY = `addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  console.error("policy: " + violatedDirective + " " + blockedURI))`;

async function visit(base: string, options: Parameters<Browser["newContext"]>[0] = DESKTOP): Promise<Visit> {
  const context = await browser.newContext({ colorScheme: "light", reducedMotion: "reduce", ...options });
  contexts.push(context);
  await context.addInitScript(WATCH_POLICY);
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("request", (request) => request.url().startsWith(`${base}/`) || problems.push(`request: ${request.url()}`));
  page.on("dialog", (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(`${base}/`);
  await page.waitForSelector("textarea[aria-label=Message]");
  return { page, problems };
}

/** Waits until an expression is true in the page. Playwright's own way would eval it there, which the policy forbids. */
async function holds(page: Page, expression: string): Promise<void> {
  for (const end = performance.now() + 60_000; !(await page.evaluate(expression)); await sleep(15)) {
    if (performance.now() > end) throw new Error(`still waiting: ${expression}`);
  }
}

const REPLIES = "article.reply .markdown";
const figures = (count = 1) => `document.querySelectorAll("article.reply .figures").length === ${count}`;

async function say(page: Page, text: string): Promise<void> {
  await page.fill("textarea[aria-label=Message]", text);
  await page.keyboard.press("Enter");
}

const lastReply = async (page: Page) => (await page.locator(REPLIES).last().textContent())?.trimEnd();
/** A reply is on its way and has come some way. */
const grows = (page: Page) => holds(page, `(document.querySelector("article.reply.growing .markdown")?.textContent ?? "").length > 8`);

/** Serious findings of axe, in words. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(readFileSync(AXE, "utf8"));
  const found = await page.evaluate(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
    violations.filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => id + ": " + nodes.map(({ target, failureSummary }) => target + " " + failureSummary).join(" | ")))`);
  return found as string[];
}

const RICH = `Here is a **short** answer with \`code\`, a [link](https://example.com) and a list:

1. Open the file.
2. Read it line by line, with _care_.
   - a line may be empty
   - a line may be long

## What it looks like

\`\`\`python
import sys

def lines(path: str) -> list[str]:
    """All lines of a file, without their ends."""
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\\n") for line in file]  # 42

print(len(lines(sys.argv[1])))
\`\`\`

| size | time | note |
|-----:|-----:|------|
| 10 kB | 1 ms | nobody notices |
| 10 MB | 90 ms | still fine |

> Measured once, on one machine.`;

/** In pieces as a model gives them. */
const pieces = (text: string) => text.match(/\s*\S+|\s+/g) ?? [];

describe.skipIf(CHROMIUM === undefined)("the page, in Chromium", () => {
  test("streams the demo model's reply, with its figures, and has it after a reload", { timeout: 180_000 }, async () => {
    const { base, model } = await serveApp({ contextSize: 1024 }, { page: files });
    const { page, problems } = await visit(base);
    expect(await page.textContent(".model")).toBe("qwen-7b");
    await page.click("text=Tell me a story about a fox");
    await holds(page, figures());
    const story = (await lastReply(page))!;
    expect(story.length).toBeGreaterThan(40);
    expect(await page.textContent(".figures")).toMatch(/first token \d.*tokens\/s.*longest gap \d.*tokens.*prompt \d+, \d+ from cache/);
    await page.reload();
    await page.waitForSelector(REPLIES);
    expect(await lastReply(page)).toBe(story);
    expect(await page.locator(".figures").count()).toBe(1);
    expect(await page.textContent(".entry.current")).toContain("Tell me a story about a fox");
    await until(() => idle(model, 4), "the slot is free");
    expect(problems).toEqual([]);
  });

  test("stops a reply at the engine, by its button and by Escape, and keeps what had come", { timeout: 180_000 }, async () => {
    const talk = await serveTalk(() => words(5000));
    const { page, problems } = await visit(talk.base);
    for (const [ended, stop] of [() => page.click("button[aria-label=Stop]"), () => page.keyboard.press("Escape")].entries()) {
      await say(page, "Go on and on");
      await grows(page);
      await stop();
      await page.waitForSelector("text=Stopped.");
      await until(() => talk.ended === ended + 1, "the engine has stopped");
      expect(await lastReply(page)).toMatch(/^w0 w1 /);
    }
    const before = await lastReply(page);
    await page.reload();
    await page.waitForSelector(REPLIES);
    expect(await lastReply(page)).toBe(before);
    expect(problems).toEqual([]);
  });

  test("asks again, and takes back what was said", { timeout: 180_000 }, async () => {
    const talk = await serveTalk((said, count) => [`Reply ${count} to ${said}`]);
    const { page, problems } = await visit(talk.base);
    await say(page, "first");
    await holds(page, figures());
    await page.click("button[aria-label=Regenerate]");
    await page.waitForSelector("text=Reply 2 to first");
    expect(await page.locator("article.reply").count()).toBe(1);
    await say(page, "second");
    await holds(page, figures(2));
    await page.hover("article.said >> nth=0");
    await page.locator("button[aria-label='Edit message']").first().click();
    await page.fill("textarea[aria-label='Edited message']", "first, but better");
    await page.keyboard.press("Escape");
    expect(await page.locator("article.said").count()).toBe(2);
    await page.hover("article.said >> nth=0");
    await page.locator("button[aria-label='Edit message']").first().click();
    await page.fill("textarea[aria-label='Edited message']", "first, but better");
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=Reply 4 to first, but better");
    expect(await page.locator("article.said").count()).toBe(1);
    expect(talk.asked.at(-1)!.messages).toEqual([{ role: "user", content: "first, but better" }]);
    expect(problems).toEqual([]);
  });

  test("goes on with a reply, whole, when it is loaded again in its middle", { timeout: 180_000 }, async () => {
    const talk = await serveTalk(() => words(150), { paceMs: 20 });
    const { page, problems } = await visit(talk.base);
    await say(page, "Count");
    await grows(page);
    await page.reload();
    await grows(page);
    await page.reload();
    await holds(page, figures());
    expect(await lastReply(page)).toBe([...words(150)].join("").trimEnd());
    expect(talk.asked).toHaveLength(1);
    // How long it took from the beginning is not known to a page that was not there.
    expect(await page.textContent(".figures")).toMatch(/^150 tokens/);
    expect(problems.filter((problem) => !/ERR_|Failed to fetch|network/i.test(problem))).toEqual([]);
  });

  test("goes on with a reply while another conversation is shown", { timeout: 180_000 }, async () => {
    const talk = await serveTalk((said) => (said === "long" ? words(120) : ["Short."]), { paceMs: 20 });
    const { page, problems } = await visit(talk.base);
    await say(page, "long");
    await grows(page);
    await page.keyboard.press("Control+k");
    await say(page, "short");
    await page.waitForSelector("text=Short.");
    expect(await page.locator(".entry .running").count()).toBe(1);
    await holds(page, `document.querySelectorAll(".entry .running").length === 0`);
    await page.click(".entry >> text=long");
    await holds(page, figures());
    expect(await lastReply(page)).toBe([...words(120)].join("").trimEnd());
    expect(problems).toEqual([]);
  });

  test("keeps conversations in the browser, until they are deleted", { timeout: 180_000 }, async () => {
    const talk = await serveTalk((said) => [`You said ${said}.`]);
    const { page, problems } = await visit(talk.base);
    for (const said of ["apples", "pears", "plums"]) {
      await page.keyboard.press("Control+k");
      await say(page, said);
      await page.waitForSelector(`text=You said ${said}.`);
      await holds(page, figures());
    }
    const other = await page.context().newPage();
    await other.goto(talk.base);
    await other.waitForSelector(".entry >> text=plums");
    expect(await other.locator("article").count(), "a new tab begins anew").toBe(0);
    expect(await other.locator(".entry").allTextContents()).toEqual(["plums", "pears", "apples"]);
    await other.click(".entry >> text=plums");
    await other.waitForSelector("text=You said plums.");
    await page.bringToFront();
    await say(page, "grapes");
    await other.waitForSelector("text=You said grapes.");
    await page.fill("textarea[aria-label=Message]", "not yet sent");
    await page.click(".entry >> text=apples");
    await page.waitForSelector("text=You said apples.");
    expect(await page.inputValue("textarea[aria-label=Message]")).toBe("");
    await page.click(".entry >> text=plums");
    await holds(page, `document.querySelector("textarea[aria-label=Message]").value === "not yet sent"`);
    await page.click(".entry >> text=apples");
    await page.waitForSelector("text=You said apples.");
    await page.hover(".entry.current");
    await page.click(".entry.current button.remove");
    await page.click("text=Delete");
    await holds(page, `document.querySelectorAll(".entry").length === 2`);
    await holds(other, `document.querySelectorAll(".entry").length === 2`);
    expect(await page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('zstream:chat:')).length")).toBe(2);
    expect(problems).toEqual([]);
  });

  test("gives up the oldest conversations when its room is full, and keeps the newest", { timeout: 180_000 }, async () => {
    const talk = await serveTalk((said) => [said.length > 100 ? "z".repeat(600_000) : `You said ${said}.`]);
    const { page, problems } = await visit(talk.base);
    for (let i = 0; i < 8; i++) {
      await page.keyboard.press("Control+k");
      await say(page, `${i} ${"y".repeat(200)}`);
      await holds(page, figures());
    }
    await page.keyboard.press("Control+k");
    await say(page, "last");
    await page.waitForSelector("text=You said last.");
    await holds(page, figures());
    const titles = await page.locator(".entry").allTextContents();
    expect(titles[0]).toBe("last");
    expect(titles.length).toBeLessThan(9);
    expect(titles.length).toBeGreaterThan(4);
    await page.reload();
    await page.waitForSelector("text=You said last.");
    expect(await page.evaluate("Object.values(localStorage).join('').length")).toBeLessThan(4_100_000);
    expect(problems).toEqual([]);
  });

  test("is light or dark as the system is, or as one chooses", { timeout: 180_000 }, async () => {
    const talk = await serveTalk(() => ["Hello"]);
    const { page, problems } = await visit(talk.base);
    const ground = () => page.evaluate("getComputedStyle(document.body).backgroundColor") as Promise<string>;
    const light = await ground();
    await page.emulateMedia({ colorScheme: "dark" });
    const dark = await ground();
    expect(dark).not.toBe(light);
    await page.reload();
    await page.waitForSelector("button[aria-label='Light colours']");
    await page.click("button[aria-label='Light colours']");
    expect(await ground()).toBe(light);
    await page.reload();
    await page.waitForSelector("button[aria-label='Dark colours']");
    expect(await ground()).toBe(light);
    // And is so before the page's own script has come.
    await page.route("**/assets/index-*.js", (route) => route.abort());
    await page.reload();
    expect(await ground()).toBe(light);
    expect(problems.splice(0).filter((problem) => !problem.includes("ERR_FAILED"))).toEqual([]);
    expect(problems).toEqual([]);
  });

  test("is used by keyboard alone", { timeout: 180_000 }, async () => {
    const talk = await serveTalk((said) => [`You said ${said}.`]);
    const { page, problems } = await visit(talk.base);
    const tabTo = async (what: string) => {
      for (let i = 0; i < 40; i++) {
        await page.keyboard.press("Tab");
        if (await page.evaluate(`document.activeElement?.matches(${JSON.stringify(what)})`)) return;
      }
      throw new Error(`Tab does not reach ${what}`);
    };
    // The field has the focus from the beginning.
    await page.keyboard.type("one");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("two");
    await page.keyboard.press("Enter");
    await holds(page, figures());
    expect(talk.asked[0]!.messages).toEqual([{ role: "user", content: "one\ntwo" }]);
    await tabTo("button[aria-label='Settings']");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog", { state: "detached" });
    await tabTo("button[aria-label='Edit message']");
    await page.keyboard.press("Enter");
    await page.keyboard.type(" three");
    await page.keyboard.press("Enter");
    await page.waitForSelector("article.reply >> text=three");
    await tabTo("button[aria-label='Regenerate']");
    await page.keyboard.press("Enter");
    await until(() => talk.asked.length === 3, "it was asked again");
    await holds(page, figures());
    // The button was gone for a while; what is typed now still arrives.
    await page.keyboard.type("four");
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=You said four.");
    await holds(page, figures(2));
    await page.keyboard.press("Control+k");
    await page.keyboard.type("another");
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=You said another.");
    expect(problems).toEqual([]);
  });

  test("shows whatever a reply says as text: nothing runs, nothing is loaded, no link stays here", { timeout: 180_000 }, async () => {
    const HOSTILE = [
      "<script>window.pwned = 1; alert(1)</script>",
      '<img src="https://evil.example/x.png" onerror="window.pwned = 1">',
      "<svg onload=window.pwned=1><style>body { display: none }</style>",
      "![pixel](https://evil.example/track.png)",
      "![x](javascript:window.pwned=1)",
      "[click](javascript:window.pwned=1) [data](data:text/html,<script>alert(1)</script>) [here](/v1/models) [there](//evil.example)",
      "<javascript:alert(1)> <https://good.example/a>",
      '[title](https://good.example "\\" onmouseover=window.pwned=1 x=\\"")',
      '```"><img src=x onerror=window.pwned=1>\nlet a = "</code><script>alert(1)</script>";\n```',
      "<iframe src=https://evil.example></iframe><form action=https://evil.example><input name=q></form>",
      "<a href=https://evil.example ping=https://evil.example>a</a><base href=https://evil.example><meta http-equiv=refresh content=0;url=https://evil.example>",
      "| <b onclick=alert(1)>x</b> | ![i](http://evil.example/i.png) |\n|---|---|\n| <script>alert(1)</script> | `</script>` |",
      "# <img src=x onerror=alert(1)>",
      "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
      "> ".repeat(3000),
      `${"x".repeat(50_000)}`,
      "*_*_a".repeat(4000),
      "\u202eright to left\u202c \u0000 \ud800",
    ].join("\n\n");
    const talk = await serveTalk(() => HOSTILE.match(/[\s\S]{1,700}/g) ?? []);
    const { page, problems } = await visit(talk.base);
    await say(page, "<img src=x onerror=window.pwned=1> & <b>bold</b>");
    await holds(page, figures());
    expect(await page.textContent("article.said .bubble")).toBe("<img src=x onerror=window.pwned=1> & <b>bold</b>");
    expect(await page.evaluate("window.pwned")).toBeUndefined();
    const shown = (await lastReply(page))!;
    for (const part of [
      "<script>window.pwned = 1; alert(1)</script>",
      'onerror="window.pwned = 1">',
      "<iframe src=https://evil.example>",
      "<script>alert(1)</script>",
    ])
      expect(shown).toContain(part);
    const elements = `document.querySelectorAll("article :is(img, script, style, iframe, form, object, embed, base, meta, link, [onclick], [onerror], [onload], [style])").length`;
    expect(await page.evaluate(elements)).toBe(0);
    const links = (await page.evaluate(
      `[...document.querySelectorAll(".markdown a")].map(({ protocol, target, rel, host }) => [protocol, target, rel, host])`,
    )) as string[][];
    for (const [protocol, target, rel, host] of links) {
      expect(protocol).toMatch(/^https?:$/);
      expect([target, rel]).toEqual(["_blank", "noopener noreferrer nofollow"]);
      expect(host).not.toContain("127.0.0.1");
    }
    expect(links.length).toBeGreaterThan(1);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    expect(problems).toEqual([]);
  });

  test("folds thoughts and calls of tools, and sends back what came of a call", { timeout: 180_000 }, async () => {
    const talk = await serveTalk((_, count) =>
      count === 1
        ? [
            ...pieces("The weather is a thing that one looks up.").map((text) => ({ type: "reasoning", text }) as const),
            "I look it up.",
            { type: "toolCall", index: 0, id: "call_a", name: "get_weather", argumentsDelta: "" },
            { type: "toolCall", index: 0, argumentsDelta: '{"city": "Par' },
            { type: "toolCall", index: 0, argumentsDelta: 'is"}' },
          ]
        : ["It is sunny."],
    );
    const { page, problems } = await visit(talk.base);
    await page.click("button[aria-label=Settings]");
    await page.fill("dialog textarea.code", "[{]");
    await page.waitForSelector("#tools-problem");
    const tools = [
      { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } } },
    ];
    await page.fill("dialog textarea.code", JSON.stringify(tools));
    await page.fill("dialog textarea >> nth=0", "Be brief.");
    await page.keyboard.press("Escape");
    await say(page, "What is the weather in Paris?");
    await holds(page, figures());
    expect(talk.asked[0]!.messages.map(({ role }) => role)).toEqual(["system", "user"]);
    expect(talk.asked[0]!.tools).toHaveLength(1);
    const visible = (text: string) => page.locator("article.reply").getByText(text).isVisible();
    expect([await visible("one looks up"), await visible('"Paris"')]).toEqual([false, false]);
    await page.click("summary >> text=Thought");
    await page.click("summary >> text=get_weather");
    await page.waitForSelector("article.reply >> text=one looks up");
    expect(await page.textContent(".calls pre")).toBe('{\n  "city": "Paris"\n}');
    await page.screenshot({ path: join(ARTIFACTS, "page-tools.png") });
    await page.fill(".results textarea", "sunny");
    await page.click(".results button");
    await page.waitForSelector("text=It is sunny.");
    expect(talk.asked[1]!.messages.slice(2)).toMatchObject([
      { role: "assistant", tool_calls: [{ id: "call_a", function: { name: "get_weather" } }] },
      { role: "tool", tool_call_id: "call_a", content: "sunny" },
    ]);
    expect(problems).toEqual([]);
  });

  test("asks for the server's key, says when it is wrong, and forgets it with the tab", { timeout: 180_000 }, async () => {
    const talk = await serveTalk(() => ["Hello"], { apiKeys: ["right"] });
    const { page, problems } = await visit(talk.base);
    await page.waitForSelector("dialog[open]");
    expect(await findings(page)).toEqual([]);
    await page.fill("dialog input", "wrong");
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=That one is not taken here.");
    await page.fill("dialog input", "right");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog", { state: "detached" });
    await say(page, "Hi");
    await holds(page, figures());
    await page.reload();
    await page.waitForSelector(".model >> text=qwen-7b");
    expect(await page.locator("dialog").count()).toBe(0);
    expect(await page.evaluate("JSON.stringify({ ...localStorage })")).not.toContain("right");
    const other = await page.context().newPage();
    await other.goto(talk.base);
    await other.waitForSelector("dialog[open]");
    expect(problems.filter((problem) => !problem.includes("401"))).toEqual([]);
  });

  test("asks the model that one chooses, and says what a server refuses", { timeout: 180_000 }, async () => {
    const talk = await serveTalk(() => ["Hello"], { aliases: ["gpt-4o", "llama"] });
    const { page, problems } = await visit(talk.base);
    expect(await page.locator("select.model option").allTextContents()).toEqual(["qwen-7b", "gpt-4o", "llama"]);
    await page.selectOption("select.model", "llama");
    const body = page.waitForRequest("**/v1/chat/completions").then((request) => request.postDataJSON() as { model: string });
    await say(page, "Hi");
    expect((await body).model).toBe("llama");
    await holds(page, figures());
    await page.reload();
    await page.waitForSelector("select.model");
    expect(await page.inputValue("select.model")).toBe("llama");
    expect(problems).toEqual([]);
    await page.route("**/v1/chat/completions", (route) =>
      route.fulfill({
        status: 429,
        headers: { "retry-after-ms": "3000" },
        contentType: "application/json",
        body: '{"error":{"code":"rate_limit_exceeded","message":"The server is full."}}',
      }),
    );
    await say(page, "Again");
    await page.waitForSelector("[role=alert] >> text=The server is full. It may have room in 3 s.");
    await page.unroute("**/v1/chat/completions");
    await page.click("text=Try again");
    await holds(page, figures(2));
    await page.route("**/v1/**", (route) => route.abort());
    await say(page, "Is somebody there?");
    await page.waitForSelector("[role=alert] >> text=The server cannot be reached.");
    await page.unroute("**/v1/**");
    await page.click("text=Try again");
    await holds(page, figures(3));
    // What was pasted is not shown whole, and sent whole.
    await say(page, `Read this: ${"all of it ".repeat(1000)}`);
    await holds(page, figures(4));
    expect(talk.asked.at(-1)!.messages.at(-1)!.content.length).toBe(10_011);
    expect((await page.locator(".bubble").last().textContent())!.length).toBeLessThan(3100);
    await page.click("text=Show all");
    expect((await page.locator(".bubble").last().textContent())!.length).toBe(10_011);
  });

  test("draws only the end of a long reply anew", { timeout: 300_000 }, async () => {
    const talk = await serveTalk(() => words(300, (i) => `Paragraph ${i} ${"with **some** words ".repeat(8)}\n\n`), { paceMs: 2 });
    const { page, problems } = await visit(talk.base);
    await say(page, "Go");
    await holds(page, `document.querySelectorAll(".markdown .group").length > 3`);
    await page.evaluate(`{
      window.early = [...document.querySelectorAll(".markdown .group")].slice(0, 2);
      window.changes = 0;
      for (const group of window.early)
        new MutationObserver((records) => { window.changes += records.length; }).observe(group, { subtree: true, childList: true, characterData: true, attributes: true });
    }`);
    await holds(page, figures());
    expect(await page.evaluate(`window.early.every((group, i) => group === document.querySelectorAll(".markdown .group")[i])`)).toBe(true);
    expect(await page.evaluate("window.changes")).toBe(0);
    expect(await page.evaluate(`document.querySelectorAll(".markdown p").length`)).toBe(300);
    // It was followed to its end, until somebody looks elsewhere.
    const left =
      "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(document.querySelector('.conversation'))";
    await holds(page, `${left} < 5`);
    await page.evaluate("document.querySelector('.conversation').scrollTop = 0");
    await page.waitForSelector("button[aria-label='To the end']");
    await page.click("button[aria-label='To the end']");
    await holds(page, `${left} < 5`);
    expect(problems).toEqual([]);
  });

  test("copies what was said, a reply, and code", { timeout: 180_000 }, async () => {
    const talk = await serveTalk(() => ["Say:\n\n```js\nlet a = 1;\n```\n"]);
    const { page, problems } = await visit(talk.base, { ...DESKTOP, permissions: ["clipboard-read", "clipboard-write"] });
    await say(page, "Some <b>code</b>, please");
    await holds(page, figures());
    const copied = async (what: string) => {
      await page.hover(`article:has(button[aria-label='${what}'])`);
      await page.click(`button[aria-label='${what}']`);
      await page.waitForSelector("button[aria-label=Copied]");
      await page.waitForSelector(`button[aria-label='${what}']`);
      return await page.evaluate("navigator.clipboard.readText()");
    };
    expect(await copied("Copy code")).toBe("let a = 1;\n");
    expect(await copied("Copy reply")).toBe("Say:\n\n```js\nlet a = 1;\n```\n");
    expect(await copied("Copy message")).toBe("Some <b>code</b>, please");
    expect(problems).toEqual([]);
  });

  test("works where nothing can be kept, and where what is kept is none of its own", { timeout: 180_000 }, async () => {
    const talk = await serveTalk((said) => [`You said ${said}.`]);
    const context = await browser.newContext(DESKTOP);
    contexts.push(context);
    await context.addInitScript(`for (const name of ["localStorage", "sessionStorage"])
      Object.defineProperty(window, name, { get() { throw new DOMException("forbidden", "SecurityError"); } });`);
    const page = await context.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(talk.base);
    for (const said of ["one", "two"]) {
      await page.keyboard.press("Control+k");
      await say(page, said);
      await page.waitForSelector(`text=You said ${said}.`);
      await holds(page, figures());
    }
    await page.click(".entry >> text=one");
    await page.waitForSelector("text=You said one.");
    expect(errors).toEqual([]);

    const { page: other, problems } = await visit(talk.base);
    for (const junk of [
      "{",
      "null",
      "7",
      '[{"id":1},{"id":"x","title":"t","at":1,"size":0},null]',
      '{"messages":5,"theme":"loud","tools":"{"}',
      "[[[[",
    ]) {
      await other.evaluate(`for (const key of ["zstream:chats", "zstream:choices", "zstream:chat:x"]) localStorage.setItem(key, ${JSON.stringify(junk)});
        sessionStorage.setItem("zstream:tab", ${JSON.stringify(junk)});`);
      await other.reload();
      await say(other, "Hi");
      await other.waitForSelector("text=You said Hi.");
      await holds(other, figures());
    }
    expect(problems).toEqual([]);
  });

  test("works below a path of a proxy", { timeout: 180_000 }, async () => {
    const talk = await serveTalk(() => words(40), { paceMs: 10 });
    const proxy = createServer((incoming, outgoing) => {
      const path = incoming.url!.replace(/^\/models\/zse/, "");
      if (path === incoming.url) return void outgoing.writeHead(404).end();
      const { hostname, port } = new URL(talk.base);
      const { method, headers } = incoming;
      incoming.pipe(
        request({ hostname, port, path, method, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(outgoing);
        }),
      );
    });
    const address = await listen(proxy);
    const { page, problems } = await visit(`${address}/models/zse`);
    await say(page, "Hi");
    await grows(page);
    await page.reload();
    await holds(page, figures());
    expect(await lastReply(page)).toBe([...words(40)].join("").trimEnd());
    expect(problems.filter((problem) => !/ERR_|Failed to fetch|network/i.test(problem))).toEqual([]);
  });

  test("tells which models are open, and that one is being opened", { timeout: 180_000 }, async () => {
    const talk = await serveTalk(() => words(40), { paceMs: 30, aliases: ["big"] });
    let isLoaded = false;
    const context = await browser.newContext(DESKTOP);
    contexts.push(context);
    await context.route("**/v1/models", (route) => {
      const status = (value: string) => ({ value });
      const data = [
        { id: "qwen-7b", status: status("loaded") },
        { id: "big", status: status(isLoaded ? "loaded" : "unloaded") },
        { id: "bad", status: { value: "unloaded", failed: true } },
        { id: 7 },
        null,
      ];
      return route.fulfill({ json: { object: "list", data } });
    });
    let answer = () => {};
    const opened = new Promise<void>((resolve) => {
      answer = resolve;
    });
    await context.route("**/v1/chat/completions", async (route) => {
      await opened;
      await route.continue();
    });
    const page = await context.newPage();
    await page.goto(talk.base);
    await page.waitForSelector("select.model");
    const listed = () => page.locator("select.model option").allTextContents();
    expect(await listed()).toEqual(["qwen-7b", "big (not open yet)", "bad (cannot be opened)"]);
    await page.selectOption("select.model", "big");
    await say(page, "Hi");
    await page.waitForSelector("text=Opening big");
    isLoaded = true;
    answer();
    await holds(page, figures());
    await holds(page, `document.querySelector("select.model").textContent.includes("bigbad")`);
    expect(await listed()).toEqual(["qwen-7b", "big", "bad (cannot be opened)"]);
  });

  test("shows the end of a long conversation, sends all of it, and shows more when asked", { timeout: 180_000 }, async () => {
    const talk = await serveTalk(() => ["Well."]);
    const { page, problems } = await visit(talk.base);
    await page.evaluate(`{
      const messages = Array.from({ length: 90 }, (_, i) => [
        { id: "u" + i, role: "user", content: "Question " + i },
        { id: "a" + i, role: "assistant", content: "Answer " + i },
      ]).flat();
      localStorage.setItem("zstream:chat:big", JSON.stringify({ messages }));
      localStorage.setItem("zstream:chats", JSON.stringify([{ id: "big", title: "Big", at: Date.now(), size: 1 }]));
      sessionStorage.clear();
    }`);
    await page.reload();
    await page.click(".entry >> text=Big");
    await page.waitForSelector("text=Answer 89");
    expect(await page.locator("article").count()).toBe(50);
    expect(await page.isVisible("text=Answer 89")).toBe(true);
    await say(page, "And now?");
    await holds(page, figures());
    expect(talk.asked[0]!.messages).toHaveLength(181);
    for (const left of [82, 32]) await page.click(`text=Show earlier messages (${left + 50})`);
    await page.click("text=Show earlier messages (32)");
    expect(await page.locator("article").count()).toBe(182);
    expect(await page.textContent("article >> nth=0")).toBe("Question 0");
    expect(await findings(page)).toEqual([]);
    expect(problems).toEqual([]);
  });

  test("colours of a long listing what is in sight, and has all of its text", { timeout: 300_000 }, async () => {
    const lines = 4000;
    const code = `\`\`\`js\n${[...words(lines, (i) => `const number${i} = ${i};\n`)].join("")}\`\`\`\n`;
    const talk = await serveTalk(() => code.match(/[\s\S]{1,2000}/g) ?? []);
    const { page, problems } = await visit(talk.base);
    await say(page, "Go");
    await holds(page, figures());
    for (const where of ["0", "scroller.scrollHeight / 2", "scroller.scrollHeight"]) {
      await page.evaluate(`{ const scroller = document.querySelector(".conversation"); scroller.scrollTop = ${where}; }`);
      const middle = "document.elementsFromPoint(innerWidth / 2, innerHeight / 2).find((one) => one.matches('.chunk'))";
      await holds(page, `${middle}?.querySelector(".hljs-keyword") != null`);
    }
    await holds(page, `document.querySelectorAll(".hljs-keyword").length < ${lines / 2}`);
    expect(await page.textContent(".listing code")).toBe(code.slice(6, -4));
    expect(problems).toEqual([]);
  });

  test.each([
    ["light", { ...DESKTOP, colorScheme: "light" as const }],
    ["dark", { ...DESKTOP, colorScheme: "dark" as const }],
    ["phone", PHONE],
    ["phone-dark", { ...PHONE, colorScheme: "dark" as const }],
  ])("has nothing that axe finds serious, and fits: %s", { timeout: 180_000 }, async (name, options) => {
    const talk = await serveTalk(
      (said, count) => [
        ...(count === 1 ? pieces("They want a list, code and a table.").map((text) => ({ type: "reasoning", text }) as const) : []),
        ...pieces(said === "Thanks!" ? "You are welcome." : RICH),
      ],
      { aliases: ["qwen-7b-long-context"] },
    );
    const { page, problems } = await visit(talk.base, options);
    const fits = () =>
      page.evaluate("document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight");
    await page.screenshot({ path: join(ARTIFACTS, `page-${name}-empty.png`) });
    expect(await findings(page)).toEqual([]);
    await say(page, "How do I read a file in Python, and how long does it take?");
    await grows(page);
    await page.waitForSelector(".listing");
    await page.screenshot({ path: join(ARTIFACTS, `page-${name}-growing.png`) });
    await holds(page, figures());
    await page.screenshot({ path: join(ARTIFACTS, `page-${name}.png`) });
    expect(await findings(page)).toEqual([]);
    expect(await fits()).toBe(true);
    if (name.startsWith("phone")) {
      expect(await page.locator("#conversations").isVisible()).toBe(false);
      await page.click("button[aria-label=Conversations]");
      await page.waitForSelector("#conversations >> text=How do I read");
      await page.screenshot({ path: join(ARTIFACTS, `page-${name}-menu.png`) });
      expect(await findings(page)).toEqual([]);
      await page.click("text=New conversation");
      expect(await page.locator("#conversations").isVisible()).toBe(false);
    }
    await page.click("button[aria-label=Settings]");
    await page.screenshot({ path: join(ARTIFACTS, `page-${name}-settings.png`) });
    expect(await findings(page)).toEqual([]);
    expect(await fits()).toBe(true);
    expect(problems).toEqual([]);
  });
});
