// The fake addon keeps the promises that the engine relies on: what is tested against it holds for what passes the same tests.
import type { NativeEngineOptions, NativeEventListener, NativeRequest } from "../../lib/addon/contract.js";
import { AddonLink } from "../../lib/engine/addon-link.js";
import { DeferredLink } from "../../lib/engine/deferred-link.js";
import { SupervisedLink } from "../../lib/engine/port/supervised-link.js";
import { readEngineOptions } from "../../lib/options/options.js";
import { linkContract } from "../link-contract.js";
import { fakeHosts } from "./fake-host.js";
import { FakeAddon, type ScriptItem } from "./fake-native.js";

const options: NativeEngineOptions = readEngineOptions({ maxStreams: 2 }).native;

function request(more: Partial<NativeRequest> = {}): NativeRequest {
  return {
    prompt: "Once",
    maxTokens: 0,
    highWaterMark: 64,
    stallTimeoutMs: 0,
    logitBias: [],
    stop: [],
    ...more,
  } as unknown as NativeRequest;
}

function* script({ prompt }: NativeRequest): Generator<ScriptItem> {
  if (prompt === "refused") yield { error: { code: "CONTEXT_OVERFLOW", message: "too long" } };
  for (;;) yield " word";
}

const refused = { request: request({ prompt: "refused" }), code: "CONTEXT_OVERFLOW" };

linkContract("the fake link", (listener) => new AddonLink(new FakeAddon({ script }), "/fake.gguf", options, listener), request, refused);
linkContract(
  "the fake link behind one whose file is found first",
  (listener) => {
    const open = (path: string) => (listener: NativeEventListener) => new AddonLink(new FakeAddon({ script }), path, options, listener);
    return new DeferredLink(async () => "/fake.gguf", open, listener);
  },
  request,
  refused,
);
linkContract(
  "the fake link at the other end of a port",
  (listener) => {
    const { start } = fakeHosts(() => ({ script }));
    return new SupervisedLink(start, { path: "/fake.gguf", options }, { recover: false, hangAfterMs: 10_000 }, listener);
  },
  request,
  refused,
);
