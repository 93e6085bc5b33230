// Owns finding OpenTelemetry: @opentelemetry/api, an optional peer, is loaded when an SDK has registered with it, and not before. Any thread.
//
// Its versions 1.x keep what is registered in one object of the process, under a symbol. Looking there costs a property, and says without the package
// whether there is anything to tell. So a program without an SDK pays that much for a stream.

/** The package's exports. */
export type Api = typeof import("@opentelemetry/api");

const REGISTERED = Symbol.for("opentelemetry.js.api.1");

/** null: it is not to be had from here. */
let loaded: Api | null | undefined;

/** undefined: nobody listens. */
export function registered(): Api | undefined {
  const { trace, metrics } = (globalThis as { [REGISTERED]?: { trace?: unknown; metrics?: unknown } })[REGISTERED] ?? {};
  if (trace === undefined && metrics === undefined) return undefined;
  if (loaded === undefined) loaded = quietly(load) ?? null; // process is Node's
  return loaded ?? undefined;
}

/**
 * By require(), since a stream does not wait for an import: from here, or where the program runs, for bundles. What is registered is the process's, whichever
 * copy of the package is found. No module of Node's is imported: zstream/sse runs where there is none.
 */
function load(): Api | null {
  for (const from of [import.meta.url, `file://${process.cwd()}/`]) {
    try {
      return process.getBuiltinModule("node:module").createRequire(from)("@opentelemetry/api") as Api;
    } catch {
      // not there
    }
  }
  return null;
}

/** Whoever listens must not end a stream by what it throws. */
export function quietly<Value>(tell: () => Value): Value | undefined {
  try {
    return tell();
  } catch {
    return undefined;
  }
}
