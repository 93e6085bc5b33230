// Which files the page consists of: its own, and the one that zStream has for pages. Nothing else of the disk can be asked for.

import { createRequire } from "node:module";
import { join } from "node:path";

const page = (name) => join(import.meta.dirname, "page", name);
const files = new Map([
  ["/", page("index.html")],
  ["/app.js", page("app.js")],
  ["/style.css", page("style.css")],
  ["/zstream.js", createRequire(import.meta.url).resolve("zstream/electron")],
]);

/** Scripts and styles of the app alone: none within the page, none from elsewhere, no eval. */
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'";

export const fileOf = (path) => files.get(path);
