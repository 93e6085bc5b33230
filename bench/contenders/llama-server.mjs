// Owns llama-server as a contender: a process of its own, asked over loopback HTTP by the measuring process, as a Node application
// would. contenders/peers.mjs builds it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { residentBytes } from "../lib/memory.mjs";
import { Arrivals } from "../lib/reply.mjs";
import { toolPath, withLargePages } from "./peers.mjs";

/** Opens the model as bench/contenders/index.mjs says. `args`: what tunes this server. */
export async function open({ model, threads, contextSize, maxStreams, args = [] }) {
  const port = await freePort();
  const agent = new Agent({ keepAlive: true });
  const startedAt = performance.now();
  const child = spawn(
    toolPath("llama-server"),
    [
      "-m",
      model,
      "-t",
      threads,
      "-tb",
      threads,
      "-np",
      maxStreams,
      "-c",
      contextSize * maxStreams,
      "--host",
      "127.0.0.1",
      "--port",
      port,
      "--offline",
      "--metrics",
      ...args,
    ].map(String),
    { stdio: ["ignore", "ignore", "pipe"], env: withLargePages() },
  );
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    log = (log + text).slice(-4000);
  });
  const exited = once(child, "exit");
  const endWithUs = () => child.kill("SIGKILL");
  process.once("exit", endWithUs);
  const ask = (path, body, signal) => askServer({ port, agent, path, body, signal });

  /** A completion as its events come; ends at the server's last one. */
  async function* complete(prompt, maxTokens, signal) {
    const body = { prompt, n_predict: maxTokens, temperature: 0, ignore_eos: true, stream: true };
    const response = await ask("/completion", body, signal);
    yield* eventsOf(response);
  }

  /** Tokens since the start: those of replies that have ended, and those of the slots at work. */
  async function generatedInAll() {
    const [, ended] = /^llamacpp:tokens_predicted_total (\d+)/m.exec(await textOf(await ask("/metrics"))) ?? [];
    if (ended === undefined) throw new Error("llama-server's metrics do not tell the tokens it has predicted");
    const slots = await json(await ask("/slots"));
    return slots.filter((slot) => slot.is_processing).reduce((sum, slot) => sum + slot.next_token[0].n_decoded, Number(ended));
  }

  await ready();
  return {
    startedAt,
    inProcess: false,
    /** It gives a slot no more than the model was trained for. */
    slotTokens: (await json(await ask("/props"))).default_generation_settings.n_ctx,
    tokenize: async (content) => (await json(await ask("/tokenize", { content }))).tokens,

    async generate(prompt, { maxTokens, signal, onText }) {
      const arrivals = new Arrivals(onText);
      try {
        for await (const event of complete(prompt, maxTokens, signal)) {
          arrivals.add(event.content);
          if (event.stop) {
            return arrivals.end({
              tokens: event.tokens_predicted,
              promptTokens: event.tokens_evaluated,
              cachedTokens: event.timings.cache_n,
            });
          }
        }
        throw new Error(`llama-server ended a stream without its last event:\n${log}`);
      } catch (error) {
        if (!signal?.aborted) throw error;
        return arrivals.end({ tokens: arrivals.arrivals.length });
      }
    },

    async chat(messages, { maxTokens, tools }) {
      const times = [];
      const asked = tools ? { tools, tool_choice: "required" } : { ignore_eos: true };
      const body = { ...asked, messages, max_tokens: maxTokens, temperature: 0, stream: true, stream_options: { include_usage: true } };
      for await (const { choices, usage } of eventsOf(await ask("/v1/chat/completions", body))) {
        const delta = choices[0]?.delta;
        if (delta?.content || delta?.tool_calls) times.push(performance.now());
        if (usage) return { times, tokens: usage.completion_tokens, promptTokens: usage.prompt_tokens };
      }
      throw new Error(`llama-server ended a stream without its usage:\n${log}`);
    },

    /** Readers that take one piece each and then nothing: their sockets fill up. */
    async stall(prompts, { maxTokens }) {
      const before = await generatedInAll();
      const leave = new AbortController();
      const readers = prompts.map((prompt) => complete(prompt, maxTokens, leave.signal));
      await Promise.all(readers.map((reader) => reader.next()));
      return {
        generated: async (others) => (await generatedInAll()) - before - others,
        end: async () => leave.abort(),
      };
    },

    memory: async () => residentBytes(child.pid),

    async close() {
      process.off("exit", endWithUs);
      agent.destroy();
      child.kill("SIGTERM");
      const gone = await Promise.race([exited.then(() => true), sleep(10_000, false, { ref: false })]);
      if (!gone) child.kill("SIGKILL");
    },
  };

  async function ready() {
    for (;;) {
      if (child.exitCode !== null) throw new Error(`llama-server ended with ${child.exitCode} while it was starting:\n${log}`);
      try {
        const response = await ask("/health");
        response.resume();
        if (response.statusCode === 200) return;
      } catch (error) {
        if (error.code !== "ECONNREFUSED") throw error;
      }
      await sleep(2);
    }
  }
}

function askServer({ port, agent, path, body, signal }) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const message = request({ host: "127.0.0.1", port, path, method: body ? "POST" : "GET", agent, headers, signal }, (response) => {
      response.setNoDelay?.(true);
      resolve(response);
    });
    message.on("error", reject).setNoDelay(true);
    message.end(body && JSON.stringify(body));
  });
}

async function json(response) {
  return JSON.parse(await textOf(response));
}

async function textOf(response) {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  if (response.statusCode !== 200) throw new Error(`llama-server answered ${response.statusCode}: ${text}`);
  return text;
}

/** The JSON of each `data:` line. A socket that nobody reads is not read here either: chunks are asked for one by one. */
async function* eventsOf(response) {
  if (response.statusCode !== 200) await textOf(response);
  let rest = "";
  for await (const chunk of response.setEncoding("utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data: {")) yield JSON.parse(line.slice(6));
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
