// The page at `/` as a browser asks for its files: types, caching, the policy, and nothing else of the disk. What it does is tested in Chromium, in test/browser.

import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { Page } from "../../lib/server/page.js";
import { buildLibrary, ROOT } from "../addon/helpers.js";
import { serveScriptApp } from "./scripted.js";

const FOLDER = join(ROOT, "dist", "ui");
beforeAll(() => buildLibrary());
const serve = async (options: { apiKeys?: string[] } = {}) =>
  (await serveScriptApp({ page: new Page(FOLDER), ...options }, ["Hello"])).base;

/** As it is written, dots and all: fetch() would clean it up. */
function raw(base: string, path: string, method = "GET"): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base);
    request({ hostname, port, path, method }, (response) => {
      let body = "";
      response.on("data", (part) => (body += part));
      response.on("end", () => resolve({ status: response.statusCode!, body }));
    })
      .on("error", reject)
      .end();
  });
}

describe("the page at /", () => {
  test("is there with all of its files, of the right types, kept for as long as they stay the same", async () => {
    const base = await serve();
    const page = await fetch(`${base}/`);
    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page.headers.get("cache-control")).toBe("no-cache");
    const html = await page.text();
    const files = [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(([, path]) => path!);
    expect(files.map((path) => path.replace(/.*\./, "")).sort()).toEqual(["css", "js", "js", "svg"]);
    const types: Record<string, string> = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
    for (const path of files) {
      const file = await fetch(`${base}/${path}`);
      expect(file.headers.get("content-type"), path).toContain(types[path.replace(/.*\./, "")]);
      expect(file.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      expect(file.headers.get("x-content-type-options")).toBe("nosniff");
      expect(await file.text()).toBe(readFileSync(join(FOLDER, path), "utf8"));
      expect(path, "its name changes with what is in it").toMatch(/-[\w-]{8}\.\w+$/);
    }
  });

  test("runs only its own scripts, and in no frame of others", async () => {
    const { headers } = await fetch(`${await serve()}/`);
    const policy = headers.get("content-security-policy")!;
    for (const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"])
      expect(policy).toContain(rule);
    expect(policy).not.toMatch(/unsafe|data:|blob:|https?:|\*/);
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
  });

  test("is sent packed to whom takes that, and not at all to whom has it", async () => {
    const base = await serve();
    const script = `/assets/${readdirSync(join(FOLDER, "assets")).find((name) => /^index-.*\.js$/.test(name))}`;
    const ask = (headers: Record<string, string>) =>
      new Promise<{ status: number; body: Buffer; headers: Record<string, unknown> }>((resolve) => {
        request(`${base}${script}`, { headers }, (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part) => parts.push(part));
          response.on("end", () => resolve({ status: response.statusCode!, body: Buffer.concat(parts), headers: response.headers }));
        }).end();
      });
    const bytes = readFileSync(join(FOLDER, script));
    const packed = await ask({ "accept-encoding": "br, gzip;q=0.8" });
    expect(packed.headers).toMatchObject({
      "content-encoding": "gzip",
      vary: "accept-encoding",
      "content-length": String(packed.body.length),
    });
    expect(packed.body.length).toBeLessThan(bytes.length / 2);
    expect(gunzipSync(packed.body).equals(bytes)).toBe(true);
    for (const coding of ["", "br", "gzip;q=0", "xgzip"])
      expect((await ask({ "accept-encoding": coding })).body.equals(bytes), coding).toBe(true);
    const again = await ask({ "if-none-match": `"x", ${packed.headers.etag}` });
    expect([again.status, again.body.length]).toEqual([304, 0]);
    const other = await ask({ "if-none-match": '"x"' });
    expect(other.status).toBe(200);
  });

  test("answers HEAD, and no other method", async () => {
    const base = await serve();
    const head = await fetch(`${base}/`, { method: "HEAD", headers: { "accept-encoding": "identity" } });
    expect(head.status).toBe(200);
    expect(head.headers.get("content-length")).toBe(String(readFileSync(join(FOLDER, "index.html")).length));
    expect(await head.text()).toBe("");
    for (const method of ["POST", "DELETE", "PUT"]) {
      const refused = await fetch(`${base}/`, { method });
      expect([refused.status, refused.headers.get("allow")], method).toEqual([405, "GET, HEAD"]);
    }
  });

  test("gives no other file of the disk, however its path is written", async () => {
    const base = await serve();
    for (const path of [
      "/index.html",
      "/assets/",
      "/assets",
      "/assets/../index.html",
      "/assets/..%2findex.html",
      "/assets/%2e%2e/%2e%2e/package.json",
      "/../../package.json",
      "/assets/..\\..\\package.json",
      "/assets/%00",
      "/assets/a/b",
      "/assets/__proto__",
      "/assets/constructor",
      "//etc/passwd",
      "/%2fetc%2fpasswd",
    ]) {
      const { status, body } = await raw(base, path);
      expect([400, 404], path).toContain(status);
      expect(JSON.parse(body).error.code, path).toMatch(/not_found|invalid_request/);
    }
  });

  test("needs no key, and what it asks for does", async () => {
    const base = await serve({ apiKeys: ["secret"] });
    expect((await fetch(`${base}/`)).status).toBe(200);
    expect((await fetch(`${base}/v1/models`)).status).toBe(401);
  });

  test("is not told in the log but at debug", async () => {
    const { base, lines } = await serveScriptApp({ page: new Page(FOLDER) });
    await (await fetch(`${base}/`)).text();
    await (await fetch(`${base}/v1/models`)).text();
    expect(lines.map(({ path, level }) => [path, level])).toEqual([
      ["/", "debug"],
      ["/v1/models", "info"],
    ]);
  });

  test("is not there without it", async () => {
    const { base } = await serveScriptApp({});
    expect((await fetch(`${base}/`)).status).toBe(404);
  });
});
