// Owns what Ollama's API tells of a server and its models, for editors that look for local models there. Pure; any thread.

import { createHash } from "node:crypto";
import type { ModelInfo } from "../types.js";
import type { ServedModels } from "./served-models.js";

/** The version of Ollama whose API is spoken here. Editors refuse older ones. */
const VERSION = "0.12.11";

export function ollamaVersion(): object {
  return { version: VERSION };
}

/** Each name as a model. */
export function ollamaTags(models: ServedModels): object {
  return { models: models.entries.map(({ name, model }) => listed(name, model.info(), models.since)) };
}

/** Those that are open; when one of several goes cannot be told before. */
export function ollamaRunning(models: ServedModels): object {
  const open = models.entries.filter(({ model }) => (model.status?.().value ?? "loaded") === "loaded");
  return {
    models: open.map(({ name, model }) => ({
      ...listed(name, model.info(), models.since),
      expires_at: "9999-12-31T23:59:59Z",
      size_vram: 0,
      context_length: model.info()?.contextSize ?? 0,
    })),
  };
}

export function ollamaShow(info: ModelInfo | undefined, since: Date): object {
  const architecture = info?.architecture ?? "";
  return {
    license: "",
    modelfile: "",
    parameters: "",
    template: info?.chatTemplate.text ?? "",
    details: details(info),
    model_info:
      info === undefined
        ? {}
        : {
            "general.architecture": architecture,
            "general.name": info.name,
            "general.parameter_count": info.parameters,
            // What a request may have here, which may be less than the model was trained for.
            [`${architecture}.context_length`]: info.contextSize,
            [`${architecture}.embedding_length`]: info.embeddingSize,
            [`${architecture}.block_count`]: info.layers,
          },
    capabilities: info?.generates === false ? ["embedding"] : ["completion", "tools"],
    modified_at: since.toISOString(),
  };
}

function listed(name: string, info: ModelInfo | undefined, since: Date): object {
  // Of what tells models apart here: hashing gigabytes would say no more to a client.
  const digest = createHash("sha256")
    .update(JSON.stringify([info?.name ?? name, info?.sizeBytes, info?.parameters]))
    .digest("hex");
  return { name, model: name, modified_at: since.toISOString(), size: info?.sizeBytes ?? 0, digest, details: details(info) };
}

function details(info: ModelInfo | undefined): object {
  const family = info?.architecture ?? "";
  return {
    parent_model: "",
    format: "gguf",
    family,
    families: family === "" ? [] : [family],
    parameter_size: parameterSize(info?.parameters ?? 0),
    quantization_level: info?.description.split(" ").at(-1) ?? "",
  };
}

/** Such as 7.6B. */
function parameterSize(parameters: number): string {
  if (parameters >= 1e9) return `${(parameters / 1e9).toFixed(1)}B`;
  return `${(parameters / 1e6).toFixed(1)}M`;
}
