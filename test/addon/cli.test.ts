// `zse run` and `zse chat` as a shell sees them: what goes to stdout, what to stderr, and the exit code.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { buildLibrary, DEMO, ROOT, until, writeSparseModel, zse } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs it with `input` on stdin, to the end. */
async function run(args: string[], input = "") {
  const { child, ended } = zse(...args);
  child.stdin?.end(input);
  return ended;
}

/** Draws from the whole vocabulary: a reply that does not end by itself before it is interrupted. */
const BABBLE = ["--temperature", "5", "--top-k", "0", "--top-p", "1", "--min-p", "0", "--ignore-eos"];
const GREEDY = ["--temperature", "0", "--threads", "1", "--context-size", "512"];

describe("zse run", () => {
  test("streams the text to stdout and nothing else; statistics go to stderr", async () => {
    const { code, stdout, stderr } = await run(["run", "Count from 1 to 5", "--json", ...GREEDY]);
    expect(code).toBe(0);
    const { text } = JSON.parse(stdout) as { text: string };
    const plain = await run(["run", "Count from 1 to 5", ...GREEDY]);
    expect(plain).toMatchObject({ code: 0, stdout: text });
    for (const line of [stderr, plain.stderr]) {
      expect(line).toMatch(
        /^\[\d+ prompt tokens, first token after [\d.]+ ms, \d+ tokens at [\d.]+ tokens\/s, p99 between tokens [\d.]+ ms, \w+\]\n$/,
      );
    }
  });
  test("--json prints one object with text, finishReason, usage, timings and seed", async () => {
    const { stdout } = await run(["run", "Hi", "--json", "--quiet", "--max-tokens", "3", "--seed", "5", ...GREEDY]);
    expect(stdout.endsWith("}\n")).toBe(true);
    expect(JSON.parse(stdout)).toMatchObject({
      text: expect.any(String),
      finishReason: "length",
      seed: 5,
      usage: { completionTokens: 3 },
      timings: {},
    });
  });
  test("two positionals are model and prompt; --model with a prompt is the same", async () => {
    const plain = await run(["run", "Hi", "-q", ...GREEDY]);
    expect(await run(["run", DEMO, "Hi", "-q", ...GREEDY])).toEqual(plain);
    expect(await run(["run", "-m", DEMO, "Hi", "-q", ...GREEDY])).toEqual(plain);
    expect(plain).toMatchObject({ code: 0, stderr: "" });
  });
  test("the prompt may come from stdin: as -, as nothing, or beside a lone model file", async () => {
    const plain = await run(["run", "Count from 1 to 5", "-q", ...GREEDY]);
    for (const args of [["-"], [], [DEMO], [DEMO, "-"]]) {
      expect((await run(["run", ...args, "-q", ...GREEDY], "Count from 1 to 5\n")).stdout).toBe(plain.stdout);
    }
  });
  test("--system, --stop, --raw and --max-tokens are heeded", async () => {
    expect((await run(["run", "Count from 1 to 9", "--stop", "4", "-q", ...GREEDY])).stdout).not.toContain("4");
    const raw = await run(["run", "--raw", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "-q", ...GREEDY]);
    expect(raw.stdout).toBe((await run(["run", "Hi", "-q", ...GREEDY])).stdout);
    const { stdout } = await run(["run", "Hi", "--system", "Be brief.", "--max-tokens", "2", "--json", "-q", ...GREEDY]);
    expect((JSON.parse(stdout) as { usage: { completionTokens: number } }).usage.completionTokens).toBe(2);
  });
  test("a closed pipe ends it quietly, with 0", async () => {
    const main = `${ROOT}/dist/cli/main.js`;
    // Endless, were it not for the pipe: an end-of-text token cannot come.
    const shell = spawn("bash", ["-c", `set -o pipefail; node ${main} run "Tell me a long story" --seed 1 --threads 1 | head -c 10`], {
      cwd: ROOT,
    });
    let stdout = "";
    let stderr = "";
    shell.stdout.on("data", (data: Buffer) => {
      stdout += data.toString();
    });
    shell.stderr.on("data", (data: Buffer) => {
      stderr += data.toString();
    });
    const code = await new Promise((resolve) => shell.on("close", resolve));
    expect({ code, length: stdout.length, stderr }).toEqual({ code: 0, length: 10, stderr: "" });
  });
  test("Ctrl-C ends the reply and exits with 130, with the statistics of what there was", async () => {
    const { child, ended } = zse("run", "Tell me a long story", ...BABBLE, "--context-size", "8192", "--threads", "2");
    child.stdout!.once("data", () => child.kill("SIGINT"));
    const { code, signal, stdout, stderr } = await ended;
    expect({ code, signal }).toEqual({ code: 130, signal: null });
    expect(stdout.length).toBeGreaterThan(0);
    expect(stderr).toMatch(/cancelled\]\n$/);
  });
  test("Ctrl-C while the prompt is read, too", async () => {
    const { child, ended } = zse("run", "word ".repeat(9000), "--context-size", "32768", "--threads", "1");
    setTimeout(() => child.kill("SIGINT"), 6000); // long enough to start, short of the prompt's end: a minute
    const { code, stdout } = await ended;
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
  });
});

// The script of util-linux gives a command a terminal; that of other systems takes other arguments.
const HAS_TERMINAL = process.platform === "linux" && spawnSync("script", ["--version"]).status === 0;

describe.skipIf(!HAS_TERMINAL)("Ctrl-C while a model loads, on a terminal", () => {
  const model = join(folder, "large.gguf");
  beforeAll(() => {
    buildLibrary();
    writeSparseModel(model, 2048); // 0.9 GB of zeros: still loading when the bar is there
  });
  test.each([
    ["run", "-m", model, "Hi"],
    ["chat", model],
    ["serve", model, "--port", "0"],
  ])("zse %s ends at once with 130, and the terminal wraps lines again", async (...args) => {
    const child = spawn("script", ["-qec", `${process.execPath} dist/cli/main.js ${args.join(" ")}`, "/dev/null"], { cwd: ROOT });
    let shown = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      shown += text;
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    try {
      await until(() => shown.includes("loading large.gguf"), "the bar to appear");
      child.stdin.write("\x03");
      await until(() => child.exitCode !== null, "the end");
    } finally {
      child.kill("SIGKILL");
    }
    expect(await ended).toBe(130);
    expect(shown).toContain("\x1b[?7l");
    expect(shown.lastIndexOf("\x1b[?7h")).toBeGreaterThan(shown.lastIndexOf("\x1b[?7l"));
    expect(shown).not.toContain("100 %");
  });
});

test.skipIf(process.platform === "win32")("where both go to one file, the statistics have a line of their own", () => {
  const log = join(folder, "log");
  const command = `${process.execPath} dist/cli/main.js run Hi --max-tokens 3 --threads 1`;
  buildLibrary();
  expect(spawnSync("sh", ["-c", `${command} > ${log} 2>&1`], { cwd: ROOT }).status).toBe(0);
  expect(readFileSync(log, "utf8")).toMatch(/^[^[\n]+\n\[\d+ prompt tokens, .*\]\n$/);
  expect(spawnSync("sh", ["-c", `${command} > ${log} 2> ${log}.2`], { cwd: ROOT }).status).toBe(0);
  expect(readFileSync(log, "utf8")).not.toContain("\n");
});

describe("zse chat", () => {
  test("answers each line, keeps the history, and leaves at the end of its input", async () => {
    const { code, stdout, stderr } = await run(["chat", ...GREEDY], "Count from 1 to 3\n\nCount from 4 to 6\n");
    expect(code).toBe(0);
    expect(stdout.split("\n").filter((line) => line !== "")).toHaveLength(2);
    const prompts = [...stderr.matchAll(/\[(\d+) prompt tokens/g)].map((match) => Number(match[1]));
    expect(prompts).toHaveLength(2);
    expect(prompts[1]).toBeGreaterThan(prompts[0]!);
  });
  test("/reset, /system, /help and unknown commands are not sent; /exit leaves", async () => {
    const { code, stdout, stderr } = await run(["chat", ...GREEDY], "/system Be brief.\n/reset\n/help\n/what\n/exit\nCount to 5\n");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).toContain("The system message is set");
    expect(stderr).toContain("/what is not a command");
    expect(stderr).not.toContain("prompt tokens");
  });
  test("Ctrl-C ends the reply; the conversation goes on", async () => {
    const { child, ended } = zse("chat", ...BABBLE, "--context-size", "8192", "--threads", "2");
    child.stdin!.write("Tell me a long story\n");
    child.stdout!.once("data", () => {
      child.kill("SIGINT");
      child.stdin!.end("/exit\n");
    });
    const { code, stderr } = await ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(/cancelled\]/);
  });
});

describe("tools, forms and thoughts", () => {
  const file = (name: string, content: unknown) => {
    const path = join(folder, name);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  };
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const json = file("tools.json", [
    { type: "function", function: { name: "get_weather", description: "The weather of a city", parameters } },
  ]);
  const module = file(
    "tools.mjs",
    `export default [{ type: "function", function: { name: "get_weather", description: "The weather of a city", parameters: ${JSON.stringify(parameters)} },
      execute: ({ city }) => ({ city, sky: "clear", celsius: 20 }) }];`,
  );

  test("--format holds the text to a schema, or to any JSON object", async () => {
    const schema = file("schema.json", {
      type: "object",
      properties: { days: { type: "integer", minimum: 3, maximum: 5 } },
      required: ["days"],
    });
    const { stdout } = await run(["run", "Plan a trip", "--format", schema, "-q", "--reasoning", "off", ...GREEDY]);
    expect([3, 4, 5]).toContain((JSON.parse(stdout) as { days: number }).days);
    const any = await run(["run", "Plan a trip", "--format", "json", "--json", "-q", "-n", "200", "--reasoning", "off", ...GREEDY]);
    expect((JSON.parse(any.stdout) as { text: string }).text).toMatch(/^\{/);
  });
  test("--grammar holds it to a grammar", async () => {
    const grammar = file("g.gbnf", 'root ::= [0-9]{1,3} "!"');
    expect((await run(["run", "Count", "--grammar", grammar, "-q", ...GREEDY])).stdout).toMatch(/^\d{1,3}!$/);
  });
  test("--tools: a module's are run and told on stderr, a file's are lines of stdout", async () => {
    const ran = await run(["run", "What is the weather in Rome?", "--tools", module, ...GREEDY, "--context-size", "1024"]);
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining("20") });
    expect(ran.stderr).toContain('[get_weather {"city": "Rome"} → {"city":"Rome","sky":"clear","celsius":20}]');
    const left = await run(["run", "What is the weather in Rome?", "--tools", json, "-q", ...GREEDY]);
    expect(left.stderr).toBe("");
    expect(JSON.parse(left.stdout)).toMatchObject({ type: "function", function: { name: "get_weather", arguments: '{"city": "Rome"}' } });
    const none = await run(["run", "What is the weather in Rome?", "--tools", json, "--tool-choice", "none", "-q", ...GREEDY]);
    expect(none.stdout).not.toContain("get_weather");
  });
  test("zse chat runs them too, and remembers what came of it", async () => {
    const lines = "What is the weather in Rome?\nWhat is the weather in Paris?\n";
    const { code, stdout, stderr } = await run(["chat", "--tools", module, ...GREEDY, "--context-size", "2048"], lines);
    expect(code).toBe(0);
    expect(stdout.split("\n").filter((line) => line !== "")).toHaveLength(2);
    expect(stderr).toContain('[get_weather {"city": "Rome"}');
    const prompts = [...stderr.matchAll(/\[(\d+) prompt tokens/g)].map((match) => Number(match[1]));
    expect(prompts[1]).toBeGreaterThan(prompts[0]!);
  });
  test("--reasoning and --reasoning-budget bound the thought", async () => {
    const thought = async (...more: string[]) => {
      const { stdout } = await run(["run", "Think first: what is 7 + 5?", "--json", "-q", ...more, ...GREEDY]);
      return (JSON.parse(stdout) as { usage: { reasoningTokens?: number } }).usage.reasoningTokens ?? 0;
    };
    const free = await thought("--reasoning", "on");
    expect(free).toBeGreaterThan(8);
    expect(await thought("--reasoning-budget", "3")).toBeLessThan(free);
    expect(await thought("--reasoning", "off")).toBe(0);
  });
  test.each([
    [["--format", "/nowhere/schema.json"], /^zse: --format "\/nowhere\/schema.json" cannot be read: ENOENT/],
    [["--format", module], /^zse: --format ".*tools.mjs" must be JSON: /],
    [["--format", file("bad.json", { type: "x" })], /^zse: --format cannot be used at \/type: /],
    [["--grammar", json], /^zse: --grammar cannot be read: expecting /],
    [["--grammar", file("empty.gbnf", "")], /^zse: --grammar must be a grammar/],
    [["--format", "json", "--grammar", json], /^zse: --format and --grammar both say/],
    [["--tools", file("one.json", {})], /^zse: --tools must be an array of tools/],
    [
      ["--tools", file("none.mjs", "export const a = 1")],
      /^zse: --tools ".*none.mjs" must have an array of tools as its default export; given nothing/,
    ],
    [["--tools", file("broken.mjs", "throw new Error('mine')")], /^zse: --tools ".*broken.mjs" cannot be loaded: mine/],
    [["--tools", json, "--tool-choice", "x"], /^zse: --tool-choice names "x", which is none of tools/],
    [["--tools", json, "--raw"], /^zse: --tools is for chats/],
    [["--reasoning", "much"], /^zse: --reasoning must be one of auto, on, off, minimal/],
    [["--reasoning", "off", "--reasoning-budget", "4"], /^zse: --reasoning off and --reasoning-budget contradict/],
    [["--reasoning-budget", "few"], /whole number of tokens/],
    [
      ["--reasoning-budget", "9999999999"],
      /^zse: --reasoning-budget must be a whole number of tokens from 0 to 2147483647; given 9999999999/,
    ],
  ])("zse run Hi %j is wrong usage, in one sentence", async (args, sentence) => {
    const ended = await run(["run", "Hi", ...args]);
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toMatch(sentence);
    expect(ended.stderr.trimEnd()).not.toContain("\n");
  });
  test("zse chat takes only tools that it can run, and says so before a model is loaded", async () => {
    const ended = await run(["chat", "/nowhere/model.gguf", "--tools", json]);
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toMatch(/^zse: "get_weather" of --tools has no execute\(\)/);
  });
});

describe("wrong usage exits with 2, failures with 1, in one sentence", () => {
  test.each([
    [["fly"], 2, /^zse: unknown command 'fly'; --help lists what there is\n$/],
    [["help", "fly"], 2, /^zse: unknown command 'fly'; --help lists what there is\n$/],
    [["run", "Hi", "--temprature", "1"], 2, /^zse: unknown option '--temprature' \(Did you mean --temperature\?\); --help .*\n$/],
    [["inspect"], 2, /^zse: missing required argument 'file'; --help lists what there is\n$/],
    [["run", "Hi", "--temperature", "hot"], 2, /temperature.*number/],
    [["run", "Hi", "--temperature", "9"], 2, /^zse: --temperature must be a number from 0 to 5; given 9\.\n$/],
    [["run", "Hi", "--context-size", "-5"], 2, /--context-size must be a whole number/],
    [["run", "a", "b", "c"], 2, /too many arguments/],
    [["run", "-m", DEMO, "other.gguf", "Hi"], 2, /^zse: two models were named/],
    [["run", "/nowhere/model.gguf", "Hi"], 1, /^zse: .*\/nowhere\/model\.gguf.*\n$/],
    [["run", "/nowhere/model.gguf"], 2, /^zse: there is no prompt/], // a lone model file is never taken for the prompt
    [["run", "Hi", "there", "you"], 2, /^zse: too many arguments.*zse run "Hi there you"\n$/],
    [["run", "Hi", "there"], 1, /^zse: there is no file ".*Hi".*zse run "Hi there"\n$/],
    [["run", "Hi", "--gpu-layers", "all"], 2, /number of layers, or auto/],
    [["run", "Hi", "--stop", ""], 2, /^zse: --stop must be a string/],
    [["run", "Hi", "--prompt-cache", "/dev/null/x"], 2, /^zse: --prompt-cache "\/dev\/null\/x" cannot be used/],
    // Said before the model is looked for, which is not there:
    [["chat", "/nowhere/model.gguf", "--max-tokens", "-1"], 2, /^zse: --max-tokens must be a whole number/],
    [["serve", "/nowhere/model.gguf", "--max-body", "0"], 2, /^zse: --max-body must be a whole number/],
    [["serve", "/nowhere/model.gguf", "--max-messages", "0"], 2, /^zse: --max-messages must be a whole number/],
    [["serve", "/nowhere/model.gguf", "--stall-timeout", "x"], 2, /^zse: --stall-timeout must be a whole number/],
    [["chat", "/nowhere/model.gguf"], 1, /^zse: .*\/nowhere\/model\.gguf.*\n$/],
  ])("zse %j", async (args, code, sentence) => {
    const ended = await run(args);
    expect(ended).toMatchObject({ code, stdout: "" });
    expect(ended.stderr).toMatch(sentence);
    expect(ended.stderr).not.toContain("    at ");
  });
  test("zse serve: a port that is in use is said before the model is loaded", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    const ended = await run(["serve", "/nowhere/model.gguf", "--port", String(port)]);
    taken.close();
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr).toBe(`zse: 127.0.0.1:${port} is in use already; give another --port (0 takes a free one).\n`);
  });
  test("ZSE_DEBUG prints where an error came from", async () => {
    process.env.ZSE_DEBUG = "1";
    try {
      expect((await run(["run", "Hi", "--temperature", "9"])).stderr).toContain("    at ");
    } finally {
      delete process.env.ZSE_DEBUG;
    }
  });
  test.each([[["--help"]], [["run", "--help"]], [["chat", "--help"]], [["help", "run"]]])(
    "zse %j prints help with examples and exits with 0",
    async (args) => {
      const { code, stdout, stderr } = await run(args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toContain("Examples:");
    },
  );
});
