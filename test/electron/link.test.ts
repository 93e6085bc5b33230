// A page's link to the engine's process keeps the promises of an EngineLink: the same tests as for the one in this process.

import { afterAll } from "vitest";
import type { NativeEngineOptions, NativeRequest } from "../../lib/addon/contract.js";
import { hostsOf } from "../../lib/electron/page-host.js";
import { SupervisedLink } from "../../lib/engine/port/supervised-link.js";
import { readCompletionCall } from "../../lib/options/options.js";
import { linkContract } from "../link-contract.js";
import { openHost } from "./channel.js";

const { connect, close } = openHost({ maxStreams: 2, contextSize: 256 });
afterAll(close);

function request(more: Partial<NativeRequest> = {}): NativeRequest {
  const { request: base } = readCompletionCall("completion()", { prompt: "Once upon a time", ignoreEos: true, seed: 1 }, undefined);
  return { ...base, ...more };
}

linkContract(
  "a page's link",
  (listener) => {
    const start = hostsOf(
      "demo",
      async () => connect(1).page,
      () => {},
    );
    return new SupervisedLink(
      start,
      { path: "demo", options: {} as NativeEngineOptions },
      { recover: false, hangAfterMs: 10_000 },
      listener,
    );
  },
  request,
  { request: request({ prompt: "fox ".repeat(2000) }), code: "CONTEXT_OVERFLOW" },
);
