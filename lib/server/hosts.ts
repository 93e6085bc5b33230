// Owns which names a server on loopback answers to. Pure; any thread.
//
// A page of any site can have its own name point at 127.0.0.1 (DNS rebinding): to the browser the server is then of that site, and no
// rule of origins holds the page back. What the browser cannot change is the name that it sends as `Host`.

import { isIP } from "node:net";
import { hostname } from "node:os";

import { cutName, quote } from "../base/quote.js";
import { WireError } from "../http/formats/wire-error.js";

const NAME = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/i;

/** Whether only this machine reaches a server that is bound to the address. */
export function isLoopback(address: string): boolean {
  return /^(?:::ffff:)?127\.|^::1$/.test(address);
}

/** What is wrong with a name of --allow-host; undefined where nothing is. */
export function hostProblem(text: string): string | undefined {
  if (NAME.test(text)) return undefined;
  return `--allow-host must be a name such as my-pc.example.com, without scheme, port or wildcard; given ${quote(text)}.`;
}

/**
 * Whether a `Host` header names this machine: localhost and what is below it, any IP address, the machine's own name, and `more`. One
 * without a name passes: every browser sends it.
 */
export function hostCheck(more: readonly string[]): (host: string | undefined) => boolean {
  const own = hostname().toLowerCase();
  const names = new Set(["localhost", own, `${own}.local`, ...more.map((name) => name.toLowerCase())]);
  return (host) => {
    if (host === undefined || host === "") return true;
    const name = host.replace(/:\d*$/, "").toLowerCase().replace(/\.$/, "");
    return names.has(name) || name.endsWith(".localhost") || isIP(name) === 4 || (/^\[.*\]$/.test(name) && isIP(name.slice(1, -1)) === 6);
  };
}

/** What a request under another name is told. */
export function forbiddenHost(host: string | undefined): WireError {
  const name = cutName((host ?? "").replace(/:\d*$/, ""));
  const message = `This server is for its own machine, and does not answer to the name ${quote(name)}; --allow-host ${name} would let it.`;
  return new WireError(403, message, { code: "forbidden_host" });
}
