// Which pages may call a server that was started with --cors.

import { describe, expect, test } from "vitest";

import { originCheck, originProblem } from "../../lib/server/origins.js";

describe("a pattern", () => {
  test.each([
    ["https://example.com", ["https://example.com"], ["https://example.com:8443", "http://example.com", "https://a.example.com", ""]],
    ["http://127.0.0.1:3000", ["http://127.0.0.1:3000"], ["http://127.0.0.1", "http://127.0.0.1:30000"]],
    ["http://[::1]:3000", ["http://[::1]:3000"], ["http://[::2]:3000"]],
    ["app://obsidian.md", ["app://obsidian.md"], ["app://other.md", "http://obsidian.md"]],
    ["chrome-extension://abcdefghijklmnop", ["chrome-extension://abcdefghijklmnop"], ["chrome-extension://b"]],
    ["moz-extension://*", ["moz-extension://0a1b2c3d-1111-2222-3333-444455556666"], ["chrome-extension://x", "null", "moz-extension://"]],
    ["tauri://localhost", ["tauri://localhost"], ["https://localhost"]],
    ["capacitor://localhost", ["capacitor://localhost"], ["ionic://localhost"]],
    ["ionic://localhost", ["ionic://localhost"], []],
    ["vscode-webview://*", ["vscode-webview://0f3k2j1hg9"], ["vscode-webview:", "null"]],
    [
      "http://*.example.com",
      ["http://a.example.com", "http://a.b.example.com"],
      [
        "http://example.com",
        "http://evilexample.com",
        "http://a.example.com.evil.test",
        "http://a.example.com:81",
        "http://evil.test/a.example.com",
      ],
    ],
    ["https://*.example.com:*", ["https://a.example.com", "https://a.example.com:8443"], ["https://example.com:8443"]],
    [
      "http://localhost:*",
      ["http://localhost", "http://localhost:5173"],
      ["http://localhost.evil.test", "http://localhost:5173.evil.test"],
    ],
    ["https://*", ["https://example.com", "https://[::1]"], ["http://example.com", "https://example.com:8443", "null"]],
    ["null", ["null"], ["http://example.com"]],
    ["file://", ["file://"], ["null"]],
    ["*", ["https://example.com", "null", "app://x"], []],
  ])("%s", (pattern, yes, no) => {
    expect(originProblem(pattern)).toBe(undefined);
    const allows = originCheck([pattern]);
    expect(yes.filter((origin) => !allows(origin))).toEqual([]);
    expect(no.filter(allows)).toEqual([]);
    // … also beside others.
    expect(originCheck(["http://other.test", pattern, "http://*.other.test"])("http://a.other.test")).toBe(true);
  });

  test.each([
    ["https://example.com/", "did you mean https://example.com?"],
    ["https://example.com/page", "did you mean https://example.com?"],
    ["https://Example.com", "did you mean https://example.com?"],
    ["http://example.com:80", "did you mean http://example.com?"],
    ["https://müller.de", "did you mean https://xn--mller-kva.de?"],
    ["http://127.1", "did you mean http://127.0.0.1?"],
    ["app://obsidian.md/index.html", "did you mean app://obsidian.md?"],
    ["example.com", 'given "example.com".'],
    ["localhost:3000", "localhost"],
    ["http://a*.example.com", "its subdomains"],
    ["http://*.*.com", "its subdomains"],
    ["http://example.*", "its subdomains"],
    ["*://example.com", "https://*.example.com"],
    ["http://*:99999", "http://localhost:*"],
    ["app://x:99999", "http://localhost:*"],
    ["file:///home", "app://obsidian.md"],
    ["data://x", "app://obsidian.md"],
    ["app:", "app://obsidian.md"],
    ["http://user@example.com", "did you mean http://example.com?"],
    ["", "https://example.com"],
  ])("%s cannot match, and is refused with what is allowed", (pattern, said) => {
    const problem = originProblem(pattern);
    expect(problem).toContain("--cors must be an origin such as https://example.com");
    expect(problem).toContain(said);
  });
});
