// Owns what of a model file's recommendations is used: what is within the ranges of the table. Files are not to be trusted, so the rest is as if
// it were not there. Pure; any thread.

import type { NativeRecommended } from "../addon/contract.js";
import type { RecommendedSampling } from "../types.js";
import { readOptions } from "./rules.js";
import { knownSamplers } from "./samplers.js";
import { RECOMMENDABLE, REPLY_OPTIONS } from "./table.js";

export function readRecommended(said: NativeRecommended): RecommendedSampling {
  const found: Record<string, unknown> = {};
  for (const name of RECOMMENDABLE) {
    const value = name === "samplers" ? knownSamplers(said.samplers) : said[name];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    try {
      Object.assign(found, readOptions({ [name]: REPLY_OPTIONS[name as "topK"] }, { [name]: value }, "a model file"));
    } catch {} // out of range
  }
  return found;
}
