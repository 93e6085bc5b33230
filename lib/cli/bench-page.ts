// Owns how a benchmark's figures are told: the page for a terminal. Pure.

import type { Measured } from "./bench-measure.js";
import type { Spread } from "./bench-statistics.js";
import { bytes, count, table, terminalText } from "./terminal.js";

/** The machine, and what the figures depend on beside it. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  /** Such as "Linux 6.1 x64". */
  system: string;
  node: string;
  zstream: string;
  llama: string;
  instructions: string;
  /** ISO 8601. */
  date: string;
}

export interface BenchedModel {
  name: string;
  description: string;
  parameters: number;
  sizeBytes: number;
  device: string;
  threads: number;
  /** How keys and values are stored. */
  kvType: string;
}

/** What the machine allows: each token of one stream reads all weights. */
export interface Limit {
  bytesPerToken: number;
  bytesPerSecond: number;
  tokensPerSecond: number;
}

export interface Result extends Measured {
  machine: Machine;
  model: BenchedModel;
  /** Absent where the weights are on a GPU, whose memory is not measured. */
  limit?: Limit | undefined;
}

export function page({ machine, model, firstToken, streams, limit }: Result): string {
  const first = [
    ["first token", "median", "least … most"],
    [`  ${firstToken.promptTokens} tokens of prompt, new`, ms(firstToken.cold.median), range(firstToken.cold)],
    [`  the same prompt, known`, ms(firstToken.known.median), range(firstToken.known)],
  ];
  const rows = streams.map((one) => [
    `  ${one.streams}`,
    rate(one.tokensPerSecond.median),
    rate(one.tokensPerSecondEach.median),
    ms(one.betweenTokensMs.p50),
    ms(one.betweenTokensMs.p99),
    ms(one.betweenTokensMs.longest),
  ]);
  const lines = [
    modelLine(model),
    machineLine(machine),
    "",
    ...table(first),
    "",
    ...table([["streams", "tokens/s in all", "tokens/s each", "between tokens", "p99", "longest"], ...rows]),
    "",
    ...(limit === undefined ? [] : limitLines(limit, model, streams)),
  ];
  return `${lines.join("\n").trimEnd()}\n`;
}

export function modelLine({ name, description, parameters, sizeBytes, device, threads, kvType }: BenchedModel): string {
  const on = device === "CPU" ? `${threads} thread${threads === 1 ? "" : "s"}` : terminalText(device);
  const kv = kvType === "f16" ? "" : `, KV cache ${kvType}`;
  return `${terminalText(name)}: ${terminalText(description)}, ${count(parameters)} parameters, ${bytes(sizeBytes)}, ${on}${kv}`;
}

export function machineLine({ cpu, cores, memoryBytes, system, node, zstream, llama, instructions }: Machine): string {
  const hardware = `${terminalText(cpu)}, ${cores} core${cores === 1 ? "" : "s"}, ${bytes(memoryBytes)}`;
  return `${hardware}; ${system}, Node ${node}; zStream ${zstream}, llama.cpp ${llama}, instructions ${instructions}`;
}

/** How much of what the machine allows one stream has reached. */
export function limitLines(
  { bytesPerToken, bytesPerSecond, tokensPerSecond }: Limit,
  { threads }: BenchedModel,
  streams: Result["streams"],
): string[] {
  const speed = `${(bytesPerSecond / 1e9).toFixed(1)} GB/s`;
  const limit = `the limit of one stream is ${rate(tokensPerSecond)} tokens/s: a token reads ${bytes(bytesPerToken)}, and ${threads} thread${threads === 1 ? "" : "s"} read ${speed} here`;
  const one = streams.find((each) => each.streams === 1);
  if (one === undefined) return [limit];
  const part = one.tokensPerSecondEach.median / tokensPerSecond;
  const reached =
    part > 1 ? "more than that was reached: a token does not read all of this model" : `${(100 * part).toFixed(0)} % of it was reached`;
  return [limit, reached];
}

export function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(value < 100 ? 1 : 0)} ms`;
}

export function rate(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}

function range({ least, most }: Spread): string {
  return `${ms(least)} … ${ms(most)}`;
}
