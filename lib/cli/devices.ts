// Owns `zse devices`: what models can run on here, and where the layers of one would be. Main thread. Texts of drivers are cleaned before they are shown.

import { basename } from "node:path";
import { styleText } from "node:util";
import type { Command } from "commander";
import type { NativeAddon } from "../addon/contract.js";
import { type GpuPackage, gpuPackagesFound, loadNative } from "../addon/load.js";
import { quoteError } from "../base/quote.js";
import type { Device, ModelInfo } from "../types.js";
import { ZSE } from "../zse.js";
import { addModelFlags, engineOptions, type ModelFlags } from "./flags.js";
import { openModel } from "./loading.js";
import { Output } from "./output.js";
import { gpusOf, placementLine } from "./placement.js";
import { reportError } from "./report.js";
import { bytes, table, terminalText } from "./terminal.js";

interface DevicesFlags extends ModelFlags {
  json?: boolean;
}

export function addDevices(program: Command): void {
  const command = program
    .command("devices")
    .description("what models can run on here; of a model, where its layers would be")
    .argument("[model]", "a .gguf or .zse file, which is opened to see")
    .option("--json", "print one JSON object");
  addModelFlags(command).addHelpText(
    "after",
    `
Examples:
  $ zse devices
  $ zse devices qwen-7b.gguf --context-size 8192`,
  );
  command.action(async (path: string | undefined, flags: DevicesFlags) => {
    try {
      const addon = loadNative();
      const devices = ZSE.devices(); // as they are before a model takes its part
      const placement = path === undefined ? undefined : await placementOf(path, flags, devices);
      const found = { devices, packages: gpuPackagesFound().map(told), ...engineOf(addon), ...placement };
      await new Output().write(flags.json === true ? `${JSON.stringify(found, undefined, 2)}\n` : describe(found));
    } catch (error) {
      process.exitCode = reportError(error);
    }
  });
}

interface Placement {
  model: string;
  layers: number;
  gpuLayers: number;
  device: string;
  /** A sentence for people. */
  placement: string;
}

async function placementOf(path: string, flags: DevicesFlags, devices: readonly Device[]): Promise<Placement> {
  const model = openModel(path, flags, {}, false);
  try {
    const info: ModelInfo = await model.ready;
    const { layers, gpuLayers, device } = info;
    return { model: path, layers, gpuLayers, device, placement: placementLine(info, devices, engineOptions(flags)) };
  } finally {
    await model.close();
  }
}

type ToldPackage = Omit<GpuPackage, "error"> & { error?: string };

function told({ error, ...rest }: GpuPackage): ToldPackage {
  return error === undefined ? rest : { ...rest, error: quoteError(error, 500) };
}

function engineOf({ version, llamaVersion, cpuLevel, systemInfo }: NativeAddon) {
  return { version, llamaVersion, cpuLevel, systemInfo };
}

type Found = ReturnType<typeof engineOf> & { devices: readonly Device[]; packages: readonly ToldPackage[] } & Partial<Placement>;

/** The page for people. Exported for its test. */
export function describe({ devices, packages, version, llamaVersion, cpuLevel, model, placement }: Found): string {
  const gpus = gpusOf(devices);
  const used = new Set(gpus.length > 0 ? gpus : devices.filter(({ kind }) => kind === "cpu"));
  const rows = devices.map((device) => [
    terminalText(device.name),
    device.kind,
    terminalText(device.backend),
    memoryOf(device),
    terminalText(device.description, 60),
    used.has(device) ? "used by itself" : "",
  ]);
  const lines = [
    ...table([["device", "kind", "backend", "memory", "", ""], ...rows]),
    "",
    ...table([
      ["engine", `zStream ${version}, llama.cpp ${llamaVersion}`],
      ["instructions", cpuLevel],
      ...packages.map(({ name, state, error }) => [name, error === undefined ? state : `${state}: ${terminalText(error)}`]),
    ]),
    ...(placement === undefined ? [] : ["", `${terminalText(basename(model!))}: ${placement}`]),
  ];
  const [head, ...rest] = lines as [string, ...string[]];
  const bold = process.stdout.isTTY && !process.env.NO_COLOR ? styleText("bold", head) : head;
  return `${[bold, ...rest].join("\n")}\n`;
}

function memoryOf({ memoryFreeBytes, memoryTotalBytes }: Device): string {
  return memoryTotalBytes > 0 ? `${bytes(memoryFreeBytes)} free of ${bytes(memoryTotalBytes)}` : "";
}
