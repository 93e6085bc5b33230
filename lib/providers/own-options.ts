// Owns which options of a reply a framework's call may carry along, and how two sets of them are put together. Pure.

import { REPLY_OPTIONS, snakeCase } from "../options/table.js";

/** The framework says these itself, or they are no data. */
const NOT_OWN = ["signal", "streamCallback", "includeUsage", "tools", "toolChoice", "maxSteps", "toolErrors", "onStep"];
const NOT_OWN_SNAKE = new Set(NOT_OWN.map(snakeCase));
const OWN = new Set(
  Object.keys(REPLY_OPTIONS)
    .map(snakeCase)
    .filter((name) => !NOT_OWN_SNAKE.has(name)),
);

/** In either spelling. */
export function isOwnOption(name: string): boolean {
  return OWN.has(snakeCase(name));
}

/** Whether it is an option of a reply that is the framework's to say. */
export function isFrameworks(name: string): boolean {
  return NOT_OWN_SNAKE.has(snakeCase(name));
}

/** `later` goes before `earlier`, whichever spelling each has. */
export function over(earlier: Readonly<Record<string, unknown>>, later: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const said = Object.entries(later).filter(([, value]) => value !== undefined);
  const names = new Set(said.map(([name]) => snakeCase(name)));
  return { ...Object.fromEntries(Object.entries(earlier).filter(([name]) => !names.has(snakeCase(name)))), ...Object.fromEntries(said) };
}
