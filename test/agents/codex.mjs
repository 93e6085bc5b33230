// OpenAI's Codex: how it is told of the server, and one run of it. See scripts/agents-tests.mjs.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export default {
  name: "codex",
  packages: ["@openai/codex@0.171.0"],
  /** What the model calls in the tool turn; `marker` is in what it gives back. */
  tool: { name: "exec_command", arguments: { cmd: "echo said-by-the-tool" }, marker: "said-by-the-tool" },

  /** @param home an empty folder that is its own */
  command({ base, home, bin, model, prompt }) {
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
      args: [join(bin, "codex"), "exec", "--skip-git-repo-check", "--disable", "plugins", "-s", "read-only", prompt],
      env: { CODEX_HOME: settings },
    };
  },
};
