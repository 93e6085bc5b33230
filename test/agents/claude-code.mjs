// Claude Code: POST /v1/messages?beta=true. Its version is pinned, since what it asks changes from week to week.
import { join } from "node:path";

const SAYS_HELLO = { command: "echo hello", description: "Says hello" };

export default {
  name: "Claude Code",
  packages: ["@anthropic-ai/claude-code@2.1.332"],
  turns: [
    { what: "a turn of text", prompt: "say hi", part: { text: "Good morning!" }, says: /Good morning!/, requests: 3 },
    {
      what: "a turn in which its Bash tool runs echo hello",
      prompt: "run echo hello",
      part: { tool: "Bash", args: SAYS_HELLO, text: "It printed hello." },
      says: /It printed hello\./,
      requests: 4,
    },
  ],
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
