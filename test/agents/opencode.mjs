// opencode: POST /v1/chat/completions, by the AI SDK's provider for servers like OpenAI's.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runsEcho, SAYS_HI } from "./lib/turns.mjs";

export default {
  name: "opencode",
  packages: ["opencode-ai@1.18.33"],
  turns: [SAYS_HI, runsEcho("bash", { command: "echo hello", description: "Says hello" })],
  start({ base, model, folder, home, prompt, modules }) {
    const provider = { npm: "@ai-sdk/openai-compatible", name: "zStream", options: { baseURL: `${base}/v1`, apiKey: "none" } };
    writeFileSync(
      join(folder, "opencode.json"),
      JSON.stringify({
        provider: { zstream: { ...provider, models: { [model]: { name: model, limit: { context: 49_152, output: 4096 } } } } },
        permission: { bash: { "*": "deny", "echo hello": "allow" } },
      }),
    );
    return {
      file: programIn(modules),
      // With a title it does not ask for one.
      args: ["run", "--title", "t", "--model", `zstream/${model}`, prompt],
      env: {
        HOME: home,
        ...Object.fromEntries(["CONFIG", "DATA", "STATE", "CACHE"].map((one) => [`XDG_${one}_HOME`, join(home, one.toLowerCase())])),
        OPENCODE_DISABLE_AUTOUPDATE: "1",
        OPENCODE_DISABLE_MODELS_FETCH: "1",
        OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
        OPENCODE_DISABLE_DEFAULT_PLUGINS: "1",
        OPENCODE_DISABLE_SHARE: "1",
      },
    };
  },
};

/** The platform's own package: the one that runs on every processor, where there are two. */
function programIn(modules) {
  const platform = { win32: "windows" }[process.platform] ?? process.platform;
  const name = `opencode-${platform}-${process.arch}`;
  const found = [`${name}-baseline`, name].map((one) => join(modules, one, "bin", "opencode")).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`there is no ${name} in ${modules}`);
  return found;
}
