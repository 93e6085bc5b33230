// Owns which pages may call: the patterns of --cors, what can be wrong with one, and whether an origin matches. Pure; any thread.

import { quote } from "../base/quote.js";

/** Of a pattern: the scheme, the host (perhaps behind "*."), the port. */
const PATTERN = /^([a-z][a-z0-9+.-]*):\/\/(\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(\*|\d+))?$/;
/** Pages of these have no origin, or another one. */
const WITHOUT_ORIGIN = new Set(["file", "data", "blob", "about", "javascript", "ws", "wss", "view-source"]);
/** As they are sent, without a host: sandboxed pages, and files in the views of some apps. */
const LITERAL = new Set(["*", "null", "file://"]);

const ALLOWED =
  "an origin such as https://example.com, app://obsidian.md, https://*.example.com (its subdomains), http://localhost:*, or *";

/** What is wrong with a pattern that no browser's `origin` header would match; undefined where nothing is. */
export function originProblem(text: string): string | undefined {
  if (LITERAL.has(text) || canMatch(text)) return undefined;
  const near = nearest(text);
  return `--cors must be ${ALLOWED}; given ${quote(text)}${near === undefined ? "." : `; did you mean ${near}?`}`;
}

/** Whether a page of an origin may call. "null" is many pages' origin at once, so no pattern but itself and "*" matches it. */
export function originCheck(patterns: readonly string[]): (origin: string) => boolean {
  if (patterns.includes("*")) return () => true;
  const exact = new Set(patterns);
  const wild = patterns.filter((pattern) => pattern.includes("*")).map(toRegExp);
  return (origin) => exact.has(origin) || wild.some((one) => one.test(origin));
}

function canMatch(text: string): boolean {
  const [, scheme, host, port] = PATTERN.exec(text) ?? [];
  if (scheme === undefined || host === undefined || WITHOUT_ORIGIN.has(scheme)) return false;
  if (scheme !== "http" && scheme !== "https") return port === undefined || port === "*" || Number(port) <= 65_535;
  // Browsers write these in one way only: no port that is the scheme's own, addresses in their shortest form.
  const example = filledIn(text);
  return URL.canParse(example) && new URL(example).origin === example;
}

/** The pattern with something in the place of its wildcards. */
function filledIn(pattern: string): string {
  return pattern.replace("://*", "://x").replace(/:\*$/, "");
}

/** What was most likely meant: without a path, in lower case, without the scheme's own port. */
function nearest(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, host } = new URL(text);
  const near = `${protocol}//${host.toLowerCase()}`;
  return canMatch(near) ? near : undefined;
}

function toRegExp(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+[\]]/g, "\\$&");
  const hosts = escaped.replace("://*\\.", "://[^/:@]+\\.").replace("://*", "://(?:[^/:@[\\]]+|\\[[0-9a-f:.]+\\])");
  return new RegExp(`^${hosts.replace(/:\*$/, "(?::\\d{1,5})?")}$`);
}
