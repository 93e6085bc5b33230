// The variables of Hugging Face's own tools mean here what they mean there.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readSettings } from "../../lib/hub/settings.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-settings-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the cache folder", () => {
  test.each([
    [{ HF_HOME: "/h" }, "/h/hub"],
    [{ HF_HOME: "/h", HF_HUB_CACHE: "/c" }, "/c"],
    [{ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
    [{ HF_HUB_CACHE: "/c", HUGGINGFACE_HUB_CACHE: "/old" }, "/c"],
    [{ XDG_CACHE_HOME: "/x" }, "/x/huggingface/hub"],
    [{ HF_HOME: "" }, join(homedir(), ".cache/huggingface/hub")],
    [{ HF_HUB_CACHE: "~/models" }, join(homedir(), "models")],
    [{ HF_HUB_CACHE: "models" }, "models"],
  ])("of %j", (environment, expected) => {
    expect(readSettings(environment).cacheFolder).toBe(resolve(expected));
  });
});

describe("the token", () => {
  test("is HF_TOKEN's, else that of a login, else none", () => {
    writeFileSync(join(folder, "token"), "hf_file\n");
    writeFileSync(join(folder, "other"), "hf_other");
    const home = { HF_HOME: folder };
    expect(readSettings(home).token).toBe("hf_file");
    expect(readSettings({ ...home, HF_TOKEN: " hf_set " }).token).toBe("hf_set");
    expect(readSettings({ ...home, HF_TOKEN_PATH: join(folder, "other") }).token).toBe("hf_other");
    expect(readSettings({ ...home, HF_TOKEN_PATH: join(folder, "nowhere") }).token).toBeUndefined();
  });
  test("that no header can hold is refused without being told", () => {
    for (const HF_TOKEN of ["a b", "a\r\nx-evil: 1", "hf_ü", "x".repeat(5000)]) {
      const read = () => readSettings({ HF_HOME: folder, HF_TOKEN });
      expect(read).toThrow(expect.objectContaining({ code: "BAD_OPTION", option: "HF_TOKEN" }));
      expect(read).not.toThrow(HF_TOKEN.slice(0, 20));
    }
  });
});

describe("the hub", () => {
  test.each([
    [undefined, "https://huggingface.co/"],
    ["https://hub.example.com", "https://hub.example.com/"],
    ["http://127.0.0.1:80/a/b//", "http://127.0.0.1/a/b/"],
    ["https://hub.example.com/hf?x=1#y", "https://hub.example.com/hf/"],
  ])("at %s is %s", (HF_ENDPOINT, expected) => {
    expect(readSettings({ HF_HOME: folder, HF_ENDPOINT }).endpoint.href).toBe(expected);
  });
  test.each(["1", "on", "YES", "true"])("is not asked where HF_HUB_OFFLINE is %s", (value) => {
    expect(readSettings({ HF_HOME: folder, HF_HUB_OFFLINE: value }).offline).toBe(true);
  });
  test.each([undefined, "", "0", "off", "no"])("is asked where HF_HUB_OFFLINE is %s", (value) => {
    expect(readSettings({ HF_HOME: folder, HF_HUB_OFFLINE: value }).offline).toBe(false);
  });
  test("may be silent for HF_HUB_DOWNLOAD_TIMEOUT seconds", () => {
    expect(readSettings({ HF_HOME: folder }).silenceMs).toBe(30_000);
    expect(readSettings({ HF_HOME: folder, HF_HUB_DOWNLOAD_TIMEOUT: "0.5" }).silenceMs).toBe(500);
  });
});
