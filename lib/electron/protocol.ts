// Owns what is said to and by the main process: types, names and bounds. What a page and the engine's process say to each other over their port is
// lib/engine/port/protocol.ts.

import type { NativeEngineOptions } from "../addon/contract.js";
import type { EngineStats } from "../types.js";

/** Commands of one message of a page's, and pairs of credit. A page with all its streams needs a few hundred. */
export const MOST_COMMANDS = 4096;
/** Questions of one port that are not answered yet. */
export const MOST_QUESTIONS = 16;
/** Characters of a model's name. */
export const LONGEST_NAME = 200;

/** Channels of Electron's IPC between a preload script and the main process. */
export const CHANNEL = { connect: "zstream:connect", port: "zstream:port", list: "zstream:list" } as const;

/** What a page asks its preload script for, by window.postMessage(): a port to a model. The preload script hands it to the main process. */
export interface ConnectRequest {
  zstream: "connect";
  /** The page's own number for it. */
  id: number;
  /** Absent: which models there are. */
  model?: string;
}

/** What the page is told, with the port. */
export interface ConnectAnswer {
  zstream: "port";
  id: number;
  models?: string[];
  error?: { code: string; message: string };
}

/** Bounds of what a window may do. */
export interface WindowLimits {
  /** Streams of a window that are open at a time, over all of its ports. */
  streams: number;
  /** Characters of one request: its messages or prompt, its tools and its schema together. */
  requestCharacters: number;
}

/** What the engine's process opens; `path` absent: the demo model. */
export interface ModelFile {
  path?: string;
  options: NativeEngineOptions;
}

/** From the main process to the engine's. "connect" brings a port. */
export type ToEngine =
  | { type: "models"; models: Record<string, ModelFile>; keepMs: number }
  | { type: "connect"; window: number; model: string; limits: WindowLimits }
  | { type: "ping" }
  | { type: "close" };

/** From the engine's process to the main one. */
export type FromEngine =
  | { type: "loading"; model: string }
  | { type: "loaded"; model: string }
  /** A stream has come to its end, the first one of this process. */
  | { type: "works" }
  | { type: "disconnected"; window: number }
  | { type: "violation"; window: number; why: string }
  /** Of the model whose step has taken longest, by its own measure. */
  | { type: "pong"; stepMs: number; longestStepMs: number; stats: Record<string, EngineStats> }
  | { type: "closed" };
