// OpenAI's Codex: POST /v1/responses. It wants its settings in a file.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ECHO = { cmd: "echo hello" };

export default {
  name: "Codex",
  packages: ["@openai/codex@0.171.0"],
  turns: [
    { what: "a turn of text", prompt: "say hi", part: { text: "Good morning!" }, says: /Good morning!/, requests: 3 },
    {
      what: "a turn in which its shell runs echo hello",
      prompt: "run echo hello",
      part: { tool: "exec_command", args: ECHO, text: "It printed hello." },
      says: /It printed hello\./,
      requests: 4,
    },
  ],
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
