// Owns the link to an engine that could not even be begun: it says so, and that it is closed. JS thread that made it.

import { NativeEventKind as Kind, type NativeEventListener } from "../addon/contract.js";
import { type EngineLink, NO_STATS } from "../engine/link.js";
import type { ZSEError } from "../errors.js";

export function failedLink({ code, message }: ZSEError, listener: NativeEventListener): EngineLink {
  const say = (kind: number, payload: unknown) => queueMicrotask(() => listener(Uint32Array.of(0, kind, 0), [payload]));
  say(Kind.LoadError, { code, message });
  const nothing = () => {};
  return {
    submit: nothing,
    endTurn: nothing,
    ack: nothing,
    cancel: nothing,
    endReasoning: nothing,
    ask: nothing,
    withdraw: nothing,
    close: () => say(Kind.Closed, undefined),
    stats: { ...NO_STATS },
  };
}
