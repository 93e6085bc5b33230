// OpenAI's Codex: POST /v1/responses. It wants its settings in a file.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runsEcho, SAYS_HI } from "./lib/turns.mjs";

export default {
  name: "Codex",
  packages: ["@openai/codex@0.171.0"],
  turns: [SAYS_HI, runsEcho("exec_command", { cmd: "echo hello" })],
  start({ base, model, home, prompt, modules }) {
    const settings = join(home, ".codex");
    mkdirSync(settings);
    writeFileSync(
      join(settings, "config.toml"),
      `model = "${model}"
model_provider = "zstream"
web_search = "disabled"
[analytics]
enabled = false
[model_providers.zstream]
name = "zstream"
base_url = "${base}/v1"
wire_api = "responses"
`,
    );
    return {
      file: process.execPath,
      args: [join(modules, ".bin", "codex"), "exec", "--skip-git-repo-check", "--disable", "plugins", "-s", "read-only", prompt],
      env: { HOME: home, CODEX_HOME: settings },
    };
  },
};
