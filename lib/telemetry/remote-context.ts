// Owns going on with a trace that a client has begun: `traceparent`, and whatever else the registered propagator reads of a request's headers. Any thread.

import type { TextMapGetter } from "@opentelemetry/api";
import { quietly, registered } from "./api.js";
import { type Asked, whileAsked } from "./asked.js";

/** A request's headers, of node:http or of the web. */
export type CarriedHeaders = object;

const GETTER: TextMapGetter<CarriedHeaders> = {
  keys: (headers) => (headers instanceof Headers ? [...headers.keys()] : Object.keys(headers)),
  get: (headers, name) =>
    headers instanceof Headers
      ? (headers.get(name) ?? undefined)
      : (headers as Record<string, string | string[] | undefined>)[name.toLowerCase()],
};

/** Runs it in the client's trace, unless it is in one already: an instrumentation of HTTP has read the headers then. */
export function inTraceOf<Value>(headers: CarriedHeaders | undefined, asked: Asked, open: () => Value): Value {
  const api = registered();
  if (api === undefined) return open();
  const run = () => whileAsked(asked, open);
  if (headers === undefined) return run();
  const active = api.context.active();
  if (api.trace.getSpan(active) !== undefined) return run();
  const remote = quietly(() => api.propagation.extract(active, headers, GETTER)) ?? active;
  return api.context.with(remote, run);
}
