// An engine in a process of its own keeps the promises of an EngineLink: the same tests as for the one in this process.
import type { NativeRequest } from "../../lib/addon/contract.js";
import { demoModelPath } from "../../lib/addon/package-root.js";
import { SupervisedLink } from "../../lib/engine/port/supervised-link.js";
import { startProcess } from "../../lib/engine/process/start.js";
import { readCompletionCall, readEngineOptions } from "../../lib/options/options.js";
import { linkContract } from "../link-contract.js";
import { buildLibrary } from "./helpers.js";

buildLibrary();

const { native: options } = readEngineOptions({ maxStreams: 2, contextSize: 256, threads: 1 });

function request(more: Partial<NativeRequest> = {}): NativeRequest {
  const { request: base } = readCompletionCall("completion()", { prompt: "Once upon a time", ignoreEos: true, seed: 1 }, undefined);
  return { ...base, ...more };
}

linkContract(
  "the link to a process",
  (listener) => new SupervisedLink(startProcess, { path: demoModelPath()!, options }, { recover: false, hangAfterMs: 10_000 }, listener),
  request,
  { request: request({ prompt: "fox ".repeat(2000) }), code: "CONTEXT_OVERFLOW" },
);
