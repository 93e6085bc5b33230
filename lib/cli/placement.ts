// Owns the sentence that says where a model's layers are, and why no more of them are on a GPU. Pure.

import type { Device, ModelInfo } from "../types.js";
import { bytes, terminalText } from "./terminal.js";

/** What was asked for when the model was opened. */
export interface Asked {
  gpuLayers?: "auto" | number | undefined;
  device?: string | undefined;
}

type Placed = Pick<ModelInfo, "layers" | "gpuLayers" | "device" | "contextSize" | "maxStreams">;

/** Devices that hold layers, before others. */
export function gpusOf(devices: readonly Device[]): Device[] {
  return devices.filter(({ kind }) => kind === "gpu" || kind === "igpu");
}

/**
 * Such as "20 of 33 layers on CUDA0 (NVIDIA RTX 4060, 8.0 GiB), 13 on the CPU: more do not fit …". The output matrix counts as a layer, as in
 * `gpuLayers`.
 */
export function placementLine(
  { layers, gpuLayers, device, contextSize, maxStreams }: Placed,
  devices: readonly Device[],
  asked: Asked,
): string {
  const all = layers + 1;
  const on = Math.min(gpuLayers, all);
  const gpus = gpusOf(devices);
  if (device === "CPU" || on === 0) return `all ${all} layers on the CPU: ${whyNone(gpus, asked, device)}`;
  const names = gpus.length === 0 ? terminalText(device) : gpus.map(described).join(" and ");
  if (on === all) return `all ${all} layers on ${names}`;
  const rest = `${on} of ${all} layers on ${names}, ${all - on} on the CPU`;
  if (typeof asked.gpuLayers === "number") return `${rest}: gpuLayers is ${asked.gpuLayers}`;
  return `${rest}: more do not fit beside the KV cache of ${maxStreams} × ${contextSize} tokens with 1 GiB left free`;
}

function whyNone(gpus: readonly Device[], { gpuLayers, device }: Asked, used: string): string {
  if (device === "cpu") return "device is cpu";
  if (gpuLayers === 0) return "gpuLayers is 0";
  if (gpus.length === 0) return "there is no GPU that this build can use";
  if (used === "CPU") return `${gpus.map(described).join(" and ")} could not be used`;
  return `none fits on ${gpus.map(described).join(" and ")} beside the KV cache with 1 GiB left free`;
}

function described({ name, description, memoryTotalBytes }: Device): string {
  const memory = memoryTotalBytes > 0 ? `, ${bytes(memoryTotalBytes)}` : "";
  return `${terminalText(name)} (${terminalText(description)}${memory})`;
}
