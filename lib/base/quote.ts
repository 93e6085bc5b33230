// Owns how what is foreign gets into a sentence: cut to what helps, whatever its size, and without running into its traps (getters
// that throw, cycles, a toJSON of its own). Every error, log line and header that quotes goes through here. Pure; imports nothing.

/** Characters of a value in a sentence. */
const VALUE = 80;
/** Characters of one name in a path, and of a whole path. */
const NAME = 80;
const PATH = 200;
/** Characters of a whole message: no sentence of ours is as long, but what llama.cpp or a file says may be. */
const MESSAGE = 2000;

/** The beginning of a text, with an ellipsis where it was cut; never half of a surrogate pair. */
export function cut(text: string, longest: number): string {
  if (text.length <= longest) return text;
  const end = isHighSurrogate(text, longest - 2) ? longest - 2 : longest - 1;
  return `${text.slice(0, end)}…`;
}

/** A message as it may be told: the net under everything that is quoted in it. */
export function cutMessage(text: string): string {
  return cut(text, MESSAGE);
}

/** A field's name, or a path of them, as it may be told. */
export function cutPath(path: string): string {
  return cut(path, PATH);
}

/** One name out of a foreign object. */
export function cutName(name: string): string {
  return cut(name, NAME);
}

/** Such as `messages[2].tool_calls[0].function`, from the names and indexes on the way. */
export function fieldPath(keys: readonly (string | number)[]): string {
  let path = "";
  for (const key of keys) {
    if (typeof key === "number") path += `[${key}]`;
    else path += path === "" ? cutName(key) : `.${cutName(key)}`;
    if (path.length > PATH) break;
  }
  return cutPath(path);
}

/** A value as a short piece of a sentence. Never throws, and looks at no more of the value than it shows. */
export function quote(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return cut(`${value}n`, VALUE);
  if (typeof value === "symbol" || typeof value === "number") return cut(String(value), VALUE);
  try {
    return cut(show(value, VALUE, 0), VALUE);
  } catch {
    return "a value that cannot be read"; // a getter, a proxy or a toJSON that throws
  }
}

/** What went wrong, by someone else's account: an error's message, or what was thrown in its place. */
export function quoteError(error: unknown, longest = PATH): string {
  try {
    const message = typeof error === "object" && error !== null ? (error as { message?: unknown }).message : error;
    return cut(typeof message === "string" ? message : quote(error), longest);
  } catch {
    return "an error that cannot be read";
  }
}

/** As JSON.stringify, but no further than about `left` characters and a few levels. */
function show(value: unknown, left: number, level: number): string {
  if (typeof value === "string") return JSON.stringify(cut(value, left + 1));
  if (typeof value !== "object" || value === null) return typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? "null");
  if (typeof (value as { toJSON?: unknown }).toJSON === "function" && level < 8) {
    return show((value as { toJSON: () => unknown }).toJSON(), left, level + 1);
  }
  const list = Array.isArray(value);
  if (level >= 8) return list ? "[…]" : "{…}";
  let text = list ? "[" : "{";
  let first = true;
  for (const key of list ? value.keys() : Object.keys(value)) {
    const item = (value as Record<PropertyKey, unknown>)[key];
    if (!list && (item === undefined || typeof item === "function" || typeof item === "symbol")) continue;
    if (!first) text += ",";
    first = false;
    if (!list) text += `${JSON.stringify(cutName(key as string))}:`;
    if (text.length > left) return text;
    text += show(item, left - text.length, level + 1);
    if (text.length > left) return text;
  }
  return text + (list ? "]" : "}");
}

function isHighSurrogate(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  return code >= 0xd800 && code <= 0xdbff;
}
