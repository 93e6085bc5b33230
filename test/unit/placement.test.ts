// What is said of devices, and of where a model's layers are: pure functions over what the addon lists.

import { describe, expect, test } from "vitest";
import { describe as page } from "../../lib/cli/devices.js";
import { placementLine } from "../../lib/cli/placement.js";
import type { Device } from "../../lib/types.js";

const cpu: Device = { name: "CPU", description: "a CPU", kind: "cpu", backend: "CPU", memoryFreeBytes: 2 ** 33, memoryTotalBytes: 2 ** 34 };
const gpu: Device = {
  name: "CUDA0",
  description: "RTX",
  kind: "gpu",
  backend: "CUDA",
  memoryFreeBytes: 7 * 2 ** 30,
  memoryTotalBytes: 2 ** 33,
};
const placed = (gpuLayers: number, device = "CUDA0") => ({ layers: 32, gpuLayers, device, contextSize: 4096, maxStreams: 4 });

describe("where a model's layers are, and why no more are on a GPU", () => {
  test.each([
    ["all on a GPU", placed(33), [cpu, gpu], {}, "all 33 layers on CUDA0 (RTX, 8.0 GiB)"],
    [
      "as many as fit",
      placed(20),
      [cpu, gpu],
      {},
      "20 of 33 layers on CUDA0 (RTX, 8.0 GiB), 13 on the CPU: more do not fit beside the KV cache of 4 × 4096 tokens with 1 GiB left free",
    ],
    [
      "as many as were asked for",
      placed(20),
      [cpu, gpu],
      { gpuLayers: 20 },
      "20 of 33 layers on CUDA0 (RTX, 8.0 GiB), 13 on the CPU: gpuLayers is 20",
    ],
    ["more asked for than there are", placed(33), [cpu, gpu], { gpuLayers: 999 }, "all 33 layers on CUDA0 (RTX, 8.0 GiB)"],
    ["on two", placed(33), [cpu, gpu, { ...gpu, name: "CUDA1" }], {}, "all 33 layers on CUDA0 (RTX, 8.0 GiB) and CUDA1 (RTX, 8.0 GiB)"],
    ["in another process", placed(33), [], {}, "all 33 layers on CUDA0"],
    ["no GPU", placed(0, "CPU"), [cpu], {}, "all 33 layers on the CPU: there is no GPU that this build can use"],
    ["none wanted", placed(0, "CPU"), [cpu, gpu], { gpuLayers: 0 }, "all 33 layers on the CPU: gpuLayers is 0"],
    ["the CPU wanted", placed(0, "CPU"), [cpu, gpu], { device: "cpu" }, "all 33 layers on the CPU: device is cpu"],
    ["one that failed", placed(0, "CPU"), [cpu, gpu], {}, "all 33 layers on the CPU: CUDA0 (RTX, 8.0 GiB) could not be used"],
    [
      "one without room",
      placed(0),
      [cpu, gpu],
      {},
      "all 33 layers on the CPU: none fits on CUDA0 (RTX, 8.0 GiB) beside the KV cache with 1 GiB left free",
    ],
  ] as const)("%s", (_, info, devices, asked, line) => {
    expect(placementLine(info, devices, asked)).toBe(line);
  });
});

describe("the page of devices", () => {
  const engine = { version: "1.2.3", llamaVersion: "v9", cpuLevel: "avx2", systemInfo: "" };
  test("has a line for each, says which is used by itself, and what became of a GPU's package", () => {
    const packages = [
      { name: "@zstream/cuda-linux-x64", state: "failed" as const, error: "no driver\u001b[2J" },
      { name: "@zstream/vulkan-linux-x64", state: "not installed" as const },
    ];
    expect(page({ devices: [cpu, gpu], packages, ...engine }).split("\n")).toEqual([
      "device  kind  backend  memory",
      "CPU     cpu   CPU      8.0 GiB free of 16 GiB   a CPU",
      "CUDA0   gpu   CUDA     7.0 GiB free of 8.0 GiB  RTX    used by itself",
      "",
      "engine                     zStream 1.2.3, llama.cpp v9",
      "instructions               avx2",
      "@zstream/cuda-linux-x64    failed: no driver\\u001b[2J",
      "@zstream/vulkan-linux-x64  not installed",
      "",
    ]);
  });
  test("says where a model's layers are", () => {
    const text = page({ devices: [cpu], packages: [], ...engine, model: "/models/a.gguf", placement: "all on the CPU" });
    expect(text).toMatch(/CPU {5}cpu {3}CPU .* used by itself\n/);
    expect(text.endsWith("\n\na.gguf: all on the CPU\n")).toBe(true);
  });
});
