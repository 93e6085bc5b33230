// Owns `zse serve`: flags, the lines that say it is ready, and signals. Main thread. Logs go to stderr, the rest to stdout.

import { createServer } from "node:net";
import type { Command } from "commander";
import { cutName, quote, quoteError } from "../base/quote.js";
import { ZSEError } from "../errors.js";
import { DEFAULT_MAX_CHOICES } from "../http/options.js";
import { ModelPool } from "../pool/model-pool.js";
import { hostProblem } from "../server/hosts.js";
import type { Logger } from "../server/log.js";
import { originProblem } from "../server/origins.js";
import type { EngineOptions, ModelInfo } from "../types.js";
import { addModelFlags, engineOptions, type ModelFlags } from "./flags.js";
import { openModel, placementOf } from "./loading.js";
import { reportError, UsageError } from "./report.js";
import { type NamedModel, type NamedModels, readModels } from "./serve-models.js";
import { bytes, count, terminalText } from "./terminal.js";

interface ServeFlags extends ModelFlags {
  port: string;
  host: string;
  name?: string[];
  apiKey?: string[];
  allowHost?: string[];
  cors?: string[];
  modelsMax: string;
  modelsBytes?: string;
  modelsIdle: string;
  modelsPatience: string;
  maxStreams: string;
  maxQueue: string;
  maxBody: string;
  maxMessages: string;
  keptReplies: string;
  keptBytes: string;
  stallTimeout: string;
  headerTimeout: string;
  requestTimeout: string;
  drainTimeout: string;
  earlyRole?: boolean;
  /** False where --no-ui was given. */
  ui: boolean;
  logLevel: string;
  logPrompts?: boolean;
}

/** Characters of an error in a line of the log. */
const LONGEST_ERROR = 1000;

type PoolLimits = ReturnType<typeof readFlags>["pool"];

const collect = (value: string, all: string[] = []) => [...all, value];

export function addServe(program: Command): void {
  const command = program
    .command("serve")
    .description("a page to chat, and a server for clients of OpenAI, Anthropic and Ollama")
    .argument(
      "[models...]",
      "a .gguf or .zse file, or hf:org/repo:quant; several, folders of them, or name=file; left out: the embedded demo model",
    )
    .option("-p, --port <port>", "0 takes a free one", "8000")
    .option("--host <address>", "who may connect: this machine alone, or 0.0.0.0 for everyone", "127.0.0.1")
    .option("--name <name>", "the model's name in requests and replies (default: the one in its file); more are aliases", collect)
    .option("--api-key <key>", "ask for this key; may be given several times (also: ZSE_API_KEY, several by commas)", collect)
    .option("--allow-host <name>", "answer to this name too, where no key is asked for; may be given several times", collect)
    .option(
      "--cors <origin>",
      "let pages of this origin call (https://example.com, http://localhost:*); may be given several times, * is any",
      collect,
    )
    .option("--models-max <n>", "of several models, those in memory at a time; 0 is as many as fit", "0")
    .option("--models-bytes <bytes>", "what those may take together (default: three quarters of the memory)")
    .option("--models-idle <seconds>", "time after which one that nobody uses is closed; 0 never does", "300")
    .option("--models-patience <seconds>", "time for which one that waits for room lets others take new requests", "5")
    .option("--max-streams <n>", "replies that a model generates at once", "4")
    .option("--max-queue <n>", "requests that may wait for a model; one more is refused with 429", "64")
    .option("--max-body <bytes>", "largest request", "1048576")
    .option("--max-messages <n>", "most messages of a conversation", "1024")
    .option("--kept-replies <n>", "replies kept for previous_response_id, in RAM; 0 keeps none", "1000")
    .option("--kept-bytes <bytes>", "what all kept replies take together", "67108864")
    .option("--stall-timeout <seconds>", "cut off a client that takes nothing for this long; 0 never does", "60")
    .option("--header-timeout <seconds>", "time for a request's headers", "10")
    .option("--request-timeout <seconds>", "time for a whole request to arrive", "30")
    .option("--drain-timeout <seconds>", "time for running replies at SIGTERM or Ctrl-C", "30")
    .option("--early-role", "send a reply's role chunk before its first token, not with it")
    .option("--no-ui", "without the page at /")
    .option("--log-level <level>", "debug, info, warn, error or silent", "info")
    .option("--log-prompts", "put what is asked into the log");
  addModelFlags(command).addHelpText(
    "after",
    `
Examples:
  $ zse serve
  $ zse serve qwen-7b.gguf --name qwen-7b --port 8000 --max-streams 8
  $ zse serve qwen-7b.gguf fast=tiny.gguf models/ --models-max 2
  $ ZSE_API_KEY=secret zse serve --host 0.0.0.0

Routes: GET / (a page to chat), POST /v1/chat/completions, POST /v1/responses, POST /v1/completions, GET /v1/models, GET /health, GET /metrics.`,
  );
  command.action(async (given: string[], flags: ServeFlags) => {
    try {
      await serve(given, flags);
    } catch (error) {
      process.exitCode = reportError(error);
    }
  });
}

async function serve(given: readonly string[], flags: ServeFlags): Promise<void> {
  const { port, limits, drainTimeoutMs, names, apiKeys, engine, pool, app: appOptions } = readFlags(flags);
  const named = readModels(given);
  if ("several" in named && names.length > 0)
    throw new UsageError("--name is for one model; of several each has its own, as in: name=FILE");
  if ("several" in named && flags.adapter !== undefined)
    throw new UsageError("--adapter is for one model; a ModelPool gives each its own.");
  if ("several" in named && flags.draft !== undefined) throw new UsageError("--draft is for one model; a ModelPool gives each its own.");
  // Loaded here, not above: the other commands need none of it, and start sooner without.
  const [{ App }, { openLog }, { HttpServer }, { Page }] = await Promise.all([
    import("../server/app.js"),
    import("../server/log.js"),
    import("../server/http-server.js"),
    import("../server/page.js"),
  ]);
  const page = flags.ui ? openPage(() => new Page()) : undefined;
  const address = { port, host: flags.host };
  await listening(address, () => tryAddress(address)); // a large model may load for minutes
  const log = openLog(flags.logLevel);
  const models = "several" in named ? openPool(named.several, flags, { engine, pool, log }) : openModel(named.path, flags, engine, true);
  try {
    const info = models instanceof ModelPool ? undefined : await models.ready;
    const [name, ...aliases] = info === undefined ? [] : namesOf(info, named, names);
    const app = new App(models, { ...(name === undefined ? {} : { name }), aliases, ...appOptions, page, log });
    const server = await listening(address, () => HttpServer.listen(app, { ...address, ...limits }));
    const stopped = untilStopped(); // listening before the ready line: who reads it may signal at once
    warnIfOpen(flags.host, apiKeys.length > 0);
    const ready = { apiKeys, hasPage: page !== undefined, info };
    if (models instanceof ModelPool) printReady(models.names[0]!, headlineOf(models, server.address), server.address, ready);
    else printReady(name!, `${name} (${describe(info!)}) listens on ${server.address}`, server.address, ready);
    if ((await stopped) === "SIGINT") process.exitCode = 130;
    const running = app.active > 0 ? `; running ones have ${drainTimeoutMs / 1000} s` : "";
    process.stderr.write(`zse: closing; no new requests${running}\n`);
    await server.drain(drainTimeoutMs);
  } finally {
    await models.close();
  }
}

function namesOf(info: ModelInfo, named: NamedModels, names: readonly string[]): string[] {
  const given = "several" in named || named.name === undefined ? names : [named.name, ...names];
  return given.length === 0 ? [info.name] : [...given];
}

/** Several models, whose comings and goings are told in the log. */
function openPool(
  models: Record<string, NamedModel>,
  flags: ServeFlags,
  { engine, pool, log }: { engine: EngineOptions; pool: PoolLimits; log: Logger },
): ModelPool {
  const options = { ...engineOptions(flags), ...engine };
  return new ModelPool({
    models: Object.fromEntries(Object.entries(models).map(([name, model]) => [name, { ...model, ...options }])),
    ...pool,
    onChange: ({ name, state, bytes, error, info }) => {
      if (state === "closed" && error !== undefined) {
        log.error({ model: name, error: quoteError(error, LONGEST_ERROR) }, "model failed");
        return;
      }
      const placement = state === "open" ? placementOf(info!, options) : undefined;
      log.info(
        { model: name, state, ...(state === "opening" ? { bytes } : {}), ...(placement === undefined ? {} : { placement }) },
        "model",
      );
    },
  });
}

/** Each with its file. */
function headlineOf(pool: ModelPool, address: string): string {
  const lines = pool.list().map(({ name, aliases, path = "" }) => {
    const names = [name, ...aliases].map((one) => terminalText(one)).join(", ");
    return `\n  ${names} (${terminalText(path)})`;
  });
  return `${lines.length} models listen on ${address}, each opened when it is asked for:${lines.join("")}`;
}

/** A server without its page still serves: a bundle may have left it behind. */
function openPage<Page>(open: () => Page): Page | undefined {
  try {
    return open();
  } catch (error) {
    process.stderr.write(`zse: there is no page at /, since its files cannot be read: ${quoteError(error)}\n`);
    return undefined;
  }
}

/** Everything that can be wrong with the flags is found here, before anything is loaded. */
function readFlags(flags: ServeFlags) {
  const number = (name: keyof ServeFlags, min: number, max: number) => readNumber(flags, name, min, max);
  if (flags.name?.some((name) => name.trim() === "")) throw new UsageError("--name must not be empty.");
  if (!["debug", "info", "warn", "error", "silent"].includes(flags.logLevel)) {
    throw new UsageError(`--log-level must be debug, info, warn, error or silent; given ${quote(flags.logLevel)}.`);
  }
  const engine = { maxStreams: number("maxStreams", 1, 256), maxQueue: number("maxQueue", 0, 65_536) };
  const apiKeys = readKeys(flags.apiKey ?? [], process.env.ZSE_API_KEY ?? "");
  return {
    port: number("port", 0, 65_535),
    limits: {
      headersTimeoutMs: number("headerTimeout", 1, 3600) * 1000,
      requestTimeoutMs: number("requestTimeout", 1, 3600) * 1000,
    },
    drainTimeoutMs: number("drainTimeout", 0, 86_400) * 1000,
    names: flags.name ?? [],
    apiKeys,
    engine,
    pool: {
      maxOpen: number("modelsMax", 0, 65_536),
      ...(flags.modelsBytes === undefined ? {} : { maxBytes: number("modelsBytes", 1, Number.MAX_SAFE_INTEGER) }),
      idleMs: number("modelsIdle", 0, 2_000_000) * 1000,
      patienceMs: number("modelsPatience", 0, 2_000_000) * 1000,
    },
    app: {
      apiKeys,
      allowedHosts: (flags.allowHost ?? []).map(readHost),
      corsOrigins: (flags.cors ?? []).map(readOrigin),
      maxBodyBytes: number("maxBody", 1, 2 ** 30),
      maxMessages: number("maxMessages", 1, 1_000_000),
      keptReplies: { maxReplies: number("keptReplies", 0, 10_000_000), maxBytes: number("keptBytes", 0, 2 ** 40) },
      maxQueue: engine.maxQueue,
      maxChoices: Math.min(DEFAULT_MAX_CHOICES, engine.maxStreams + engine.maxQueue), // more would be a 429 however often they are asked for
      stallTimeoutMs: number("stallTimeout", 0, 86_400) * 1000,
      earlyRole: flags.earlyRole === true,
      logPrompts: flags.logPrompts === true,
    },
  };
}

/** Such as "qwen2, 2.76 M parameters, 2.9 MiB". */
function describe({ architecture, parameters, sizeBytes }: ModelInfo): string {
  return `${terminalText(architecture)}, ${count(parameters)} parameters, ${bytes(sizeBytes)}`;
}

/** Listens for a moment, to know whether that can be. */
function tryAddress({ port, host }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(port, host, () => server.close(() => resolve()));
  });
}

interface Address {
  port: number;
  host: string;
}

/** Says what is wrong with an address that cannot be had, and how to put it right. */
async function listening<T>({ host, port }: Address, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const where = `${host}:${port}`;
    if (code === "EADDRINUSE") throw new Error(`${where} is in use already; give another --port (0 takes a free one).`);
    if (code === "EACCES") throw new Error(`${where} may not be opened by this user; ports from 1024 may.`);
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") throw new Error(`${host} is not an address of this machine.`);
    throw error;
  }
}

interface Ready {
  apiKeys: readonly string[];
  hasPage: boolean;
  /** Of several models it is not known yet. */
  info: ModelInfo | undefined;
}

function printReady(name: string, headline: string, address: string, { apiKeys, hasPage, info }: Ready): void {
  // Where it listens on every address, this machine's own is the one that can be pasted.
  const url = address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
  const [path, body] = example(name, info);
  const key = apiKeys.length > 0 ? ` -H "Authorization: Bearer $ZSE_API_KEY"` : "";
  // The key itself is not printed: what a service prints is kept in logs.
  const note =
    apiKeys.length > 0 && process.env.ZSE_API_KEY !== apiKeys[0] ? "Put one of its keys into ZSE_API_KEY before you paste this:\n" : "";
  process.stdout.write(
    `${headline}\n${hasPage ? `${url}/ is a page to chat with it.\n` : ""}${note}\n` +
      `curl -N "${url}${path}" -H "Content-Type: application/json"${key} -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'\n\n`,
  );
}

/** A request that this model can answer. */
function example(model: string, info: ModelInfo | undefined): [path: string, body: object] {
  if (info?.pooling === "rank") return ["/v1/rerank", { model, query: "Who swims?", documents: ["A river", "A fish"] }];
  if (info?.generates === false) return ["/v1/embeddings", { model, input: "Tell me a story" }];
  return ["/v1/chat/completions", { model, messages: [{ role: "user", content: "Tell me a story" }], stream: true }];
}

/** Loudly: everyone who reaches this machine can use the model. */
function warnIfOpen(host: string, hasKey: boolean): void {
  if (/^(127\.|::1$|localhost$)/i.test(host)) return;
  const who = hasKey ? "everyone with a key" : "EVERYONE, without a key (--api-key asks for one)";
  process.stderr.write(`zse: WARNING: listening on ${host}: whoever reaches this machine over the network can connect.\n`);
  process.stderr.write(`zse: WARNING: the model answers ${who}, and what is sent is not encrypted.\n`);
}

/** Time (ms) in which a signal that comes again is the same one: timeout(1) and some supervisors send it to the process and to its group. */
const SAME_SIGNAL_MS = 500;

/** Resolves at SIGTERM or SIGINT; a second one ends the process as if nobody had listened. */
function untilStopped(): Promise<"SIGTERM" | "SIGINT"> {
  return new Promise((resolve) => {
    let first: number | undefined;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        const now = performance.now();
        if (first !== undefined && now - first > SAME_SIGNAL_MS) process.exit(signal === "SIGINT" ? 130 : 143);
        first ??= now;
        resolve(signal);
      });
    }
  });
}

/** A key that is given but empty (an unset variable, most likely) must not open the server to everyone. */
function readKeys(given: readonly string[], environment: string): string[] {
  const named = environment.split(",").filter((key) => key.trim() !== "");
  if (environment !== "" && named.length === 0) throw new UsageError("ZSE_API_KEY holds no key; unset it to ask for none.");
  return [...given, ...named].map((text) => {
    const key = text.trim();
    if (/^[\x21-\x7e]+$/.test(key)) return key;
    const wrong = key === "" ? "given an empty one" : "given one with others";
    throw new UsageError(`A key (--api-key, ZSE_API_KEY) has ASCII characters without spaces, as the authorization header does; ${wrong}.`);
  });
}

function readHost(text: string): string {
  const problem = hostProblem(text);
  if (problem !== undefined) throw new UsageError(problem);
  return text;
}

function readOrigin(text: string): string {
  const problem = originProblem(text);
  if (problem !== undefined) throw new UsageError(problem);
  return text;
}

function readNumber(flags: ServeFlags, name: keyof ServeFlags, min: number, max: number): number {
  const text = String(flags[name]);
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= min && value <= max) return value;
  const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new ZSEError("BAD_OPTION", `--${flag} must be a whole number from ${min} to ${max}; given ${cutName(text)}.`);
}
