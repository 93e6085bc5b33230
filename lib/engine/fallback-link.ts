// Owns opening an engine where nobody has said on which device: on a GPU where there is one, and where that cannot be used on the CPU, with one
// warning. JS thread that made the model.

import {
  NativeEventKind as Kind,
  type NativeAddon,
  type NativeEngineOptions,
  type NativeError,
  type NativeEventListener,
  type NativeRequest,
} from "../addon/contract.js";
import type { Device, EngineStats } from "../types.js";
import { AddonLink } from "./addon-link.js";
import type { EngineLink, Question, StreamId } from "./link.js";
import { warnOfGpu } from "./load-warnings.js";

/** Codes of failures that may be the device's: of a file that is wrong, the second try says so. */
const PERHAPS_THE_DEVICE = ["ENGINE_FAILED", "BAD_MODEL"];

/** The link to an engine in this process. @throws as AddonLink */
export function openLink(addon: NativeAddon, path: string, options: NativeEngineOptions, listener: NativeEventListener): EngineLink {
  const isChosenHere = options.device === "auto" && options.gpuLayers < 0;
  const gpu = isChosenHere ? addon.devices().find(isGpu) : undefined;
  if (gpu === undefined) return new AddonLink(addon, path, options, listener);
  return new FallbackLink(addon, path, options, listener, gpu);
}

export function isGpu({ kind }: Pick<Device, "kind">): boolean {
  return kind === "gpu" || kind === "igpu";
}

class FallbackLink implements EngineLink {
  #link: EngineLink;
  readonly #gpu: Device;
  readonly #listener: NativeEventListener;
  readonly #openOnCpu: (listener: NativeEventListener) => EngineLink;
  #isClosing = false;
  /** What was wrong with the GPU, while it is not known whether the CPU does better. */
  #failure: NativeError | undefined;

  constructor(addon: NativeAddon, path: string, options: NativeEngineOptions, listener: NativeEventListener, gpu: Device) {
    this.#gpu = gpu;
    this.#listener = listener;
    this.#openOnCpu = (hear) => new AddonLink(addon, path, { ...options, device: "cpu" }, hear);
    const first: EngineLink = new AddonLink(addon, path, options, (...batch) => {
      if (this.#link !== first) return; // it has been given up
      if (!this.#fallsBack(batch[0], batch[1])) listener(...batch);
    });
    this.#link = first;
  }

  /** Opens the other engine where this one could not be. */
  #fallsBack(heads: Uint32Array, payloads: readonly unknown[]): boolean {
    const at = payloads.findIndex((_, i) => heads[3 * i] === 0 && heads[3 * i + 1] === Kind.LoadError);
    if (at < 0 || this.#isClosing) return false;
    const failure = payloads[at] as NativeError;
    if (!PERHAPS_THE_DEVICE.includes(failure.code)) return false;
    const failed = this.#link;
    try {
      this.#link = this.#openOnCpu((...batch) => this.#hear(...batch));
    } catch {
      return false; // the system gives no thread: what is known already is told
    }
    this.#failure = failure;
    failed.close();
    return true;
  }

  #hear(...batch: Parameters<NativeEventListener>): void {
    const [heads, payloads] = batch;
    if (this.#failure !== undefined && payloads.some((_, i) => heads[3 * i] === 0 && heads[3 * i + 1] === Kind.Ready)) {
      warnOfGpu(this.#gpu, this.#failure);
      this.#failure = undefined;
    }
    this.#listener(...batch);
  }

  submit(id: StreamId, request: NativeRequest): void {
    this.#link.submit(id, request);
  }

  endTurn(): void {
    this.#link.endTurn();
  }

  ack(id: StreamId, tokens: number): void {
    this.#link.ack(id, tokens);
  }

  cancel(id: StreamId): void {
    this.#link.cancel(id);
  }

  endReasoning(id: StreamId): void {
    this.#link.endReasoning(id);
  }

  ask(number: number, question: Question): void {
    this.#link.ask(number, question);
  }

  withdraw(question: number): void {
    this.#link.withdraw(question);
  }

  close(): void {
    this.#isClosing = true;
    this.#link.close();
  }

  get stats(): EngineStats {
    return this.#link.stats;
  }
}
