// Owns what the settings of both kinds of models have in common. Pure.

import { quote } from "../../base/quote.js";
import { bad } from "../../errors.js";

/** @throws ZSEError BAD_OPTION */
export function readName(name: string, value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw bad(name, `${name} must be the model's name as the AI SDK tells it; given ${quote(value)}.`);
}
