// Owns the ways in which clients write a route's path: base URLs without /v1, with a slash too many before or behind. Pure; any thread.

import { SERVED } from "../http/format-registry.js";

/** Routes as nearly every request has them. */
const REPLIES = new Set(SERVED.flatMap((format) => format.routes));
const USUAL = new Set([...REPLIES, "/v1/models", "/health", "/metrics"]);
/** Routes that stand under /v1. */
const WITHOUT_VERSION = /^\/(?:chat\/completions|completions|embeddings|messages|models|rerank(?:ing)?|responses|streams)(?:\/|$)/;

/** The one way in which a path is routed, checked and logged here. */
export function canonicalPath(path: string): string {
  if (USUAL.has(path)) return path;
  const single = path.replace(/\/{2,}/g, "/");
  const short = single.length > 1 && single.endsWith("/") ? single.slice(0, -1) : single;
  return WITHOUT_VERSION.test(short) ? `/v1${short}` : short;
}

/** Whether a path is one of those that replies come from. */
export function asksForReply(path: string): boolean {
  return REPLIES.has(canonicalPath(path.replace(/\?.*$/, "")));
}

/** Whether a path is one that is asked for all the time and says nothing of what is done here: health checks, and the page's files. */
export function isRoutine(path: string): boolean {
  return path === "/health" || path === "/metrics" || path === "/" || path.startsWith("/assets/");
}
