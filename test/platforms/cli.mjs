// The command `zse` of the installed package, on any runtime. It is found as a program finds the package: with Yarn's Plug'n'Play, no path of
// node_modules leads there.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const index = createRequire(import.meta.url).resolve("zstream");
await import(new URL("./cli/main.js", pathToFileURL(index)).href);
