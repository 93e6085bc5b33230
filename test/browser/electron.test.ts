// examples/electron as it stands there: its main process over a stand-in for Electron (test/electron/stand-in.ts), its preload script and its page in
// Chromium, the engine in a process of its own on the demo model. What is missing is Electron itself. Skipped where there is no Chromium.

import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { buildLibrary, ROOT, sleep, until } from "../addon/helpers.js";
import { attachWindow } from "../electron/chromium-window.js";
import { app, BrowserWindow, handlers, Menu, mainFileHasRun, processes, traffic } from "../electron/stand-in.js";
import { listen } from "../http/helpers.js";

vi.mock("electron", () => import("../electron/stand-in.js"));

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
const ARTIFACTS = join(ROOT, "build", "artifacts");
/** The example as somebody has it who has installed zstream. */
const INSTALLED = join(ROOT, "build", "electron-example");

let browser: Browser;
beforeAll(async () => {
  if (CHROMIUM === undefined) return;
  buildLibrary();
  rmSync(INSTALLED, { recursive: true, force: true });
  cpSync(join(ROOT, "examples", "electron"), INSTALLED, { recursive: true });
  mkdirSync(join(INSTALLED, "node_modules"));
  symlinkSync(ROOT, join(INSTALLED, "node_modules", "zstream"), "junction");
  mkdirSync(ARTIFACTS, { recursive: true });
  // Ports of Electron's pages have a close event; Chromium's have it with this switch.
  const args = ["--no-sandbox", "--disable-gpu", "--enable-blink-features=MessagePortCloseEvent"];
  browser = await chromium.launch({ executablePath: CHROMIUM, args, timeout: 100_000 });
  await import(pathToFileURL(join(INSTALLED, "main.mjs")).href);
  mainFileHasRun();
  await until(() => BrowserWindow.all.length > 0, "the app has a window");
});
afterAll(async () => {
  await browser?.close();
  if (CHROMIUM === undefined) return;
  const event = { preventDefault: vi.fn() };
  app.emit("before-quit", event);
  await until(() => processes.size === 0, "the engine's process has ended with the app");
  expect(event.preventDefault).toHaveBeenCalled();
});

/** The app's window, its page from the app's own handler. */
async function openWindow(window: BrowserWindow): Promise<{ page: Page; problems: string[] }> {
  const base = await listen(async (request, response) => {
    const answer = await handlers.get("app")!(new Request(new URL(request.url!, window.url)));
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  const page = await browser.newPage({ viewport: { width: 980, height: 760 } });
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await attachWindow(page, window.webContents, window.options.webPreferences!.preload!);
  await page.goto(base);
  return { page, problems };
}

describe.skipIf(CHROMIUM === undefined)("the Electron example", () => {
  test("has a sandboxed window without Node, under a CSP that lets in no script but its own", async () => {
    const [window] = BrowserWindow.all;
    expect(window!.options.webPreferences).toMatchObject({ sandbox: true, contextIsolation: true, nodeIntegration: false });
    expect(window!.url).toBe("app://chat/");
    const answer = await handlers.get("app")!(new Request("app://chat/"));
    expect(answer.headers.get("content-security-policy")).toMatch(/default-src 'none'; script-src 'self';/);
    expect((await handlers.get("app")!(new Request("app://chat/../main.mjs"))).status).toBe(404);
  });

  test("streams, stops, shows its figures, and gets over a crash of the engine", { timeout: 120_000 }, async () => {
    const { page, problems } = await openWindow(BrowserWindow.all[0]!);
    await page.waitForSelector('#engine[data-state="open"]');
    expect(await page.locator("#models option").allTextContents()).toEqual(["demo"]);
    const carried = { ...traffic };

    await page.click("text=Tell me a story about a fox");
    await page.locator("#reason", { hasText: /stop|length/ }).waitFor();
    expect(await page.textContent("#figures")).toMatch(/first token\d+ ms.*\d+ tokens\/s.*\d+ tokens/s);
    expect((await page.textContent("article.assistant"))!.length).toBeGreaterThan(20);
    expect(traffic.readInMain).toBe(carried.readInMain);
    expect(traffic.messages).toBeGreaterThan(carried.messages);
    await page.screenshot({ path: join(ARTIFACTS, "electron.png") });

    // The demo model is done before a person could do anything: its process is stopped in the middle of a reply, at the first try that is quick enough.
    const pause = (signal: NodeJS.Signals) => [...processes][0]!.child.kill(signal);
    const inTheMiddle = async (text: string, then: () => Promise<void> | void) => {
      for (let tries = 0; tries < 20; tries++) {
        await page.click("#new"); // a conversation of all tries would not fit into the context
        await page.fill("#draft", text);
        await page.press("#draft", "Enter");
        await page.locator("article.assistant", { hasText: /./ }).waitFor();
        pause("SIGSTOP");
        await sleep(100); // what is on its way arrives
        if (await page.isVisible("#stop")) return then();
        pause("SIGCONT");
        await page.waitForSelector("#send");
      }
      throw new Error("no reply was slow enough");
    };
    await inTheMiddle("Tell me a long story", async () => {
      await page.click("#stop");
      pause("SIGCONT");
    });
    await page.waitForSelector("text=Stopped.");

    const crash = () => {
      const items = Menu.items.flatMap(({ submenu }) => (Array.isArray(submenu) ? submenu : []));
      (items.find(({ id }) => id === "crash")!.click as () => void)();
    };
    const replies = page.locator("article.assistant");
    let before = "";
    await inTheMiddle("Tell me another story", async () => {
      before = (await replies.last().textContent())!;
      crash();
    });
    await page.locator("#engine", { hasText: "ready, restarted once" }).waitFor();
    await page.locator("#reason", { hasText: /stop|length/ }).waitFor();
    const after = (await replies.last().textContent())!;
    expect(after.startsWith(before)).toBe(true);
    expect(after.length).toBeGreaterThan(before.length);

    await page.uncheck("#recover");
    await page.waitForSelector('#engine[data-state="open"]');
    await inTheMiddle("Tell me another story", crash);
    await page.waitForSelector('.note[data-code="ENGINE_FAILED"]');
    await page.screenshot({ path: join(ARTIFACTS, "electron-crash.png") });
    await page.click("text=Try again");
    await page.locator("#reason", { hasText: /stop|length/ }).waitFor();
    expect(await page.textContent("#engine")).toBe("ready, restarted once");
    expect(await page.locator('.note[data-code="ENGINE_FAILED"]').count()).toBe(0);
    expect(problems).toEqual([]);
  });

  test("gives its page no Node, no Electron and no eval", { timeout: 60_000 }, async () => {
    const { page, problems } = await openWindow(BrowserWindow.all[0]!);
    await page.waitForSelector('#engine[data-state="open"]');
    expect(await page.evaluate(`[typeof require, typeof process, typeof module, typeof ipcRenderer, typeof toStandIn]`)).toEqual(
      new Array(5).fill("undefined"),
    );
    const refused = `import("data:text/javascript,1").then(() => "loaded", () => "refused")`;
    expect(await page.evaluate(refused)).toBe("refused");
    expect(problems.join()).toMatch(/Content Security Policy/);
  });
});
