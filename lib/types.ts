// Owns the list of public types: what callers pass in and what streams give out. Types only; nothing of these files exists at run time.
// Their validation is lib/options', and defaults and ranges stand there in one table.

export type * from "./types/engine.js";
export type * from "./types/files.js";
export type * from "./types/messages.js";
export type * from "./types/replies.js";
export type * from "./types/requests.js";
export type * from "./types/shapes.js";
export type * from "./types/tools.js";
