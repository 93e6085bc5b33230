// A route of Next.js (app router): save it as app/v1/chat/completions/route.js in an app that has zstream installed, and name
// "zstream" under serverExternalPackages in next.config.js, since it has a native part.

import { ZSE } from "zstream";
import { createHandler } from "zstream/sse";

export const runtime = "nodejs"; // not the edge: there is no llama.cpp

// In development Next loads this file again after each change; the model stays.
globalThis.model ??= new ZSE(); // or new ZSE("qwen-7b.gguf")

export const POST = createHandler(globalThis.model);
