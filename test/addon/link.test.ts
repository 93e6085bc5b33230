// The addon keeps the promises of an EngineLink: the same tests as for the fake one.
import type { NativeRequest } from "../../lib/addon/contract.js";
import { loadNative } from "../../lib/addon/load.js";
import { demoModelPath } from "../../lib/addon/package-root.js";
import { AddonLink } from "../../lib/engine/addon-link.js";
import { readCompletionCall, readEngineOptions } from "../../lib/options/options.js";
import { linkContract } from "../link-contract.js";

const { native: options } = readEngineOptions({ maxStreams: 2, contextSize: 256, threads: 1 });

function request(more: Partial<NativeRequest> = {}): NativeRequest {
  const { request: base } = readCompletionCall("completion()", { prompt: "Once upon a time", ignoreEos: true, seed: 1 }, undefined);
  return { ...base, ...more };
}

linkContract("the addon's link", (listener) => new AddonLink(loadNative(), demoModelPath()!, options, listener), request, {
  request: request({ prompt: "fox ".repeat(2000) }),
  code: "CONTEXT_OVERFLOW",
});
