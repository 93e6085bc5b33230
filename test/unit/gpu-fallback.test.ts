// What becomes of a model where there is a GPU and nobody has said which device: the addon is a fake, and so is the GPU.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { setNative } from "../../lib/addon/load.js";
import type { Device, EngineOptionsInput } from "../../lib/types.js";
import { ZSE } from "../../lib/zse.js";
import { FakeAddon } from "./fake-native.js";
import { rejection, settle, USER } from "./helpers.js";

let gpus = 0;

/** A model beside a GPU of a name that no test before has had: each is warned of once. */
function openBesideGpu(options: EngineOptionsInput = {}) {
  const gpu: Device = {
    name: `GPU${gpus++}`,
    description: "a fake",
    kind: "gpu",
    backend: "CUDA",
    memoryFreeBytes: 1,
    memoryTotalBytes: 2,
  };
  const addon = new FakeAddon({ load: "manual" });
  addon.devices = () => [gpu];
  setNative(addon);
  return { addon, gpu, model: new ZSE("fake.gguf", options) };
}
const devices = ({ models }: FakeAddon) => models.map(({ engineOptions }) => engineOptions.device);
const FAILED = { code: "ENGINE_FAILED", message: "out of memory" };

const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
beforeEach(() => warn.mockClear());
afterEach(() => setNative(undefined));

describe("a GPU that fails", () => {
  test("is given up for the CPU, with one warning that says why", async () => {
    const { addon, gpu, model } = openBesideGpu();
    const reply = model.chat(USER);
    addon.model.failLoad(FAILED);
    expect(devices(addon)).toEqual(["auto", "cpu"]);
    addon.model.becomeReady();
    expect((await reply).text).toBe("Once upon a time, a fox ran.");
    expect(warn.mock.calls.map(([text]) => text)).toEqual([
      `${gpu.name} (a fake) could not be used, and the CPU computes: out of memory. With device "cpu" it is not tried.`,
    ]);
    expect([addon.models[0]!.closes, addon.models[0]!.streams.length, addon.models[1]!.streams.length]).toEqual([1, 0, 1]);
    await model.close();
    expect(addon.models[1]!.closes).toBe(1);
  });
  test("is not to blame where the CPU fails too: what is said is of the file, and nothing is warned of", async () => {
    const { addon, model } = openBesideGpu();
    addon.model.failLoad({ code: "BAD_MODEL", message: "of the GPU's try" });
    addon.model.failLoad({ code: "BAD_MODEL", message: "no model" });
    expect(await rejection(model.ready)).toMatchObject({ code: "BAD_MODEL", message: "no model" });
    expect(warn).not.toHaveBeenCalled();
    await model.close();
  });
  test.each([
    ["the file is not there", {}, { code: "MODEL_NOT_FOUND", message: "x" }],
    ["the architecture is none of ours", {}, { code: "UNSUPPORTED", message: "x" }],
    ["layers on the GPU were asked for", { gpuLayers: 10 }, FAILED],
    ["the device was", { device: "cuda" }, FAILED],
    ["the CPU was", { device: "cpu" }, FAILED],
  ] as const)("is not given up where %s", async (_, options, error) => {
    const { addon, model } = openBesideGpu(options);
    addon.model.failLoad(error);
    expect(await rejection(model.ready)).toMatchObject(error);
    expect([addon.models.length, warn.mock.calls.length]).toEqual([1, 0]);
    await model.close();
  });
  test("is not tried anew by a model that is closed meanwhile", async () => {
    const { addon, model } = openBesideGpu();
    const closed = model.close();
    addon.model.failLoad(FAILED);
    await closed;
    expect(await rejection(model.ready)).toMatchObject({ code: "CLOSED" });
    expect(addon.models).toHaveLength(1);
  });
  test("says no more once it was given up", async () => {
    const { addon, model } = openBesideGpu();
    addon.model.failLoad(FAILED);
    await settle(); // its Closed
    addon.model.becomeReady();
    expect((await model.ready).device).toBe("CPU");
    expect((await model.chat(USER)).finishReason).toBe("stop");
    await model.close();
  });
});

test("a GPU that works is used, and nothing is warned of", async () => {
  const { addon, model } = openBesideGpu();
  addon.model.becomeReady();
  expect((await model.chat(USER)).finishReason).toBe("stop");
  expect([devices(addon), warn.mock.calls]).toEqual([["auto"], []]);
  await model.close();
});
