// Owns `zse models`: what models are in the cache folder. Main thread.

import type { Command } from "commander";

import { type CachedModel, cachedModels, unfinishedDownloads } from "../hub/cached-models.js";
import { readSettings } from "../hub/settings.js";
import { Output } from "./output.js";
import { reportError } from "./report.js";
import { bytes, terminalText } from "./terminal.js";

export function addModels(program: Command): void {
  program
    .command("models")
    .description("the models in the cache folder")
    .option("--json", "print one JSON array of { reference, repo, commit, quant, path, bytes, lastUsed }")
    .addHelpText(
      "after",
      `
The folder is the one that Hugging Face's tools and llama.cpp share: HF_HUB_CACHE, or hub/ in HF_HOME, or ~/.cache/huggingface/hub.
lastUsed is in milliseconds since 1970.`,
    )
    .action(async (flags: { json?: boolean }) => {
      try {
        await run(flags);
      } catch (error) {
        process.exitCode = reportError(error);
      }
    });
}

async function run({ json }: { json?: boolean }): Promise<void> {
  const { cacheFolder } = readSettings();
  const models = await cachedModels(cacheFolder);
  const output = new Output();
  if (json) {
    await output.write(`${JSON.stringify(models)}\n`);
    return;
  }
  if (models.length === 0) process.stderr.write(`zse: no model is in ${terminalText(cacheFolder)}; zse pull fetches one\n`);
  for (const line of lines(models, Date.now())) if (!(await output.write(`${line}\n`))) return;
  for (const { repo, bytes: size } of await unfinishedDownloads(cacheFolder)) {
    process.stderr.write(`zse: ${bytes(size)} of hf:${repo} were fetched and not finished; zse pull goes on with them\n`);
  }
}

function lines(models: readonly CachedModel[], now: number): string[] {
  const rows = models.map(({ reference, bytes: size, lastUsed, path }) => [
    terminalText(reference),
    bytes(size),
    ago(now - lastUsed),
    terminalText(path),
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  "));
}

/** When something was used last, as people say it. */
function ago(ms: number): string {
  const [minutes, hours, days] = [ms / 60_000, ms / 3_600_000, ms / 86_400_000].map(Math.floor) as [number, number, number];
  if (minutes < 1) return "used just now";
  if (hours < 1) return `used ${minutes} min ago`;
  return days < 2 ? `used ${hours} h ago` : `used ${days} days ago`;
}
