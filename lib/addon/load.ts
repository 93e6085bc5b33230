// Owns loading the native addon, once for the process (or for a worker_threads thread).

import { createRequire } from "node:module";
import { ZSEError } from "../errors.js";
import type { NativeAddon, NativeFileTools } from "./contract.js";
import { loadHelp } from "./load-help.js";
import { packageRoot } from "./package-root.js";

let loaded: (NativeAddon & NativeFileTools) | undefined;

/**
 * The addon, loaded on first use: build/Release of a checkout, or prebuilds/ of an installation.
 * @throws ZSEError ENGINE_FAILED with what was tried and what to do, when there is none that this process can load
 */
export function loadNative(): NativeAddon & NativeFileTools {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const root = packageRoot();
  try {
    const load = require("node-gyp-build") as (root: string) => NativeAddon & NativeFileTools;
    return (loaded = load(root));
  } catch (error) {
    throw new ZSEError("ENGINE_FAILED", loadHelp(root, error), { cause: error });
  }
}

/** Puts another addon in its place (unit tests), or with undefined takes it away again. Not part of the public face. */
export function setNative(addon: NativeAddon | undefined): void {
  loaded = addon as typeof loaded;
}
