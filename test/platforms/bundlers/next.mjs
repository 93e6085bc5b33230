// Next's standalone output with serverExternalPackages: what it copies must be enough to answer a request.
import { cpSync } from "node:fs";
import { join } from "node:path";

const ROUTE = `import { ZSE } from "zstream";
import { createHandler } from "zstream/sse";

let handler;
export function POST(request) {
  handler ??= createHandler(new ZSE());
  return handler(request);
}
`;
/** Starts the server in its own process, asks it once, and leaves. */
const ASK = `process.env.HOSTNAME = "127.0.0.1";
process.env.PORT = String(20000 + (process.pid % 20000));
await import("./server.js");
const body = JSON.stringify({ model: "demo", messages: [{ role: "user", content: "x" }], stream: true, max_tokens: 8 });
for (let tries = 0; ; tries++) {
  try {
    const answer = await fetch(\`http://127.0.0.1:\${process.env.PORT}/api/chat\`, { method: "POST", body, headers: { "content-type": "application/json" } });
    const text = await answer.text();
    console.log(text.includes("data: [DONE]") ? "done" : text);
    process.exit(0);
  } catch (error) {
    if (tries === 50) throw error;
    await new Promise((later) => setTimeout(later, 100));
  }
}
`;

export async function next(application) {
  const tool = application.tool("next", "next/dist/bin/next", ["next@16", "react@19", "react-dom@19"]);
  cpSync(join(tool, "..", "..", "..", ".."), application.path("node_modules"), { recursive: true });
  application.write(
    "package.json",
    '{ "name": "farm", "version": "1.0.0", "private": true, "dependencies": { "next": "*", "zstream": "*" } }\n',
  );
  application.write(
    "next.config.mjs",
    'export default { output: "standalone", serverExternalPackages: ["zstream"], outputFileTracingRoot: import.meta.dirname };\n',
  );
  application.write("app/layout.js", "export default ({ children }) => <html lang='en'><body>{children}</body></html>;\n");
  application.write("app/page.js", "export default () => <p>A page</p>;\n");
  application.write("app/api/chat/route.js", ROUTE);
  await application.node([join("node_modules", "next", "dist", "bin", "next"), "build"], { env: { NEXT_TELEMETRY_DISABLED: "1" } });
  application.write(".next/standalone/ask.mjs", ASK);
  await application.alone([".next/standalone"], "done", {
    command: (at) => [process.execPath, join(at, ".next", "standalone", "ask.mjs")],
  });
}
