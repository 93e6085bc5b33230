// Claude Code: POST /v1/messages?beta=true. Its version is pinned, since what it asks changes from week to week.
import { join } from "node:path";
import { runsEcho, SAYS_HI } from "./lib/turns.mjs";

export default {
  name: "Claude Code",
  packages: ["@anthropic-ai/claude-code@2.1.332"],
  turns: [SAYS_HI, runsEcho("Bash", { command: "echo hello", description: "Says hello" })],
  start: ({ base, model, home, prompt, modules }) => ({
    file: process.execPath,
    // Finds the program of its platform's package, without install scripts.
    args: [join(modules, "@anthropic-ai", "claude-code", "cli-wrapper.cjs"), "-p", prompt, "--allowedTools", "Bash(echo hello)"],
    env: {
      HOME: home,
      ANTHROPIC_BASE_URL: base,
      ANTHROPIC_AUTH_TOKEN: "none",
      ANTHROPIC_MODEL: model,
      ANTHROPIC_SMALL_FAST_MODEL: model,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    },
  }),
};
