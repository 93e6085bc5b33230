// Owns what of a body's tools, choice of tools and format of the text goes on to the library, which refuses fields that it does not know: here they
// are left out and named to whoever logs them, since newer clients send more than older servers know. Pure; any thread.

import { ALLOWED_FIELDS, FORMAT_FIELDS, FUNCTION_FIELDS, SCHEMA_FIELDS } from "../../options/known-fields.js";
import { type Fields, isObject } from "./fields.js";
import { MOST_NAMED } from "./ignored.js";

/** How the fields of `options` that have parts are read, by their names. */
const PARTS: Readonly<Record<string, (value: unknown, at: string, ignored: Set<string>) => unknown>> = {
  tools: readTools,
  tool_choice: readChoice,
  response_format: readFormat,
};

/**
 * The options without what the library does not know of their parts. What is no object or array stays: it is the library's to refuse.
 * @param ignored gets the names of what was left out, such as `tools[].cache_control`
 */
export function knownParts(options: Readonly<Fields>, ignored: string[]): Fields {
  const strangers = new Set<string>();
  const known: Fields = { ...options };
  for (const [name, read] of Object.entries(PARTS)) if (known[name] !== undefined) known[name] = read(known[name], name, strangers);
  for (const name of strangers) if (ignored.length < MOST_NAMED) ignored.push(name);
  return known;
}

/** Those of `names` that it has. */
function pick(given: Readonly<Fields>, names: readonly string[], at: string, ignored: Set<string>): Fields {
  for (const name in given) {
    if (ignored.size === MOST_NAMED) break;
    if (!names.includes(name) && given[name] !== null) ignored.add(`${at}.${name}`);
  }
  return Object.fromEntries(names.filter((name) => Object.hasOwn(given, name)).map((name) => [name, given[name]]));
}

/** A field of it with known fields of its own. */
function within(given: Fields, name: string, names: readonly string[], at: string, ignored: Set<string>): Fields {
  const inner = given[name];
  return isObject(inner) ? { ...given, [name]: pick(inner, names, `${at}.${name}`, ignored) } : given;
}

function readTools(tools: unknown, name: string, ignored: Set<string>): unknown {
  if (!Array.isArray(tools)) return tools;
  const at = `${name}[]`;
  return tools.map((tool: unknown) =>
    isObject(tool) ? within(pick(tool, ["type", "function"], at, ignored), "function", FUNCTION_FIELDS, at, ignored) : tool,
  );
}

function readChoice(choice: unknown, at: string, ignored: Set<string>): unknown {
  if (!isObject(choice)) return choice;
  if (choice.type !== "allowed_tools") return readName(choice, at, ignored);
  const nested = isObject(choice.allowed_tools);
  const known = pick(choice, ["type", ...(nested ? ["allowed_tools"] : ALLOWED_FIELDS)], at, ignored);
  if (!nested) return withNames(known, at, ignored);
  const inside = `${at}.allowed_tools`;
  return { ...known, allowed_tools: withNames(pick(choice.allowed_tools as Fields, ALLOWED_FIELDS, inside, ignored), inside, ignored) };
}

function withNames(allowed: Fields, at: string, ignored: Set<string>): Fields {
  const { tools } = allowed;
  if (!Array.isArray(tools)) return allowed;
  return { ...allowed, tools: tools.map((tool: unknown) => (isObject(tool) ? readName(tool, `${at}.tools[]`, ignored) : tool)) };
}

function readName(named: Fields, at: string, ignored: Set<string>): Fields {
  const known = pick(named, ["type", isObject(named.function) ? "function" : "name"], at, ignored);
  return within(known, "function", ["name"], at, ignored);
}

function readFormat(format: unknown, at: string, ignored: Set<string>): unknown {
  if (!isObject(format)) return format;
  const { type } = format;
  if (type === "json_schema") {
    const nested = isObject(format.json_schema);
    const known = pick(format, ["type", ...(nested ? ["json_schema"] : SCHEMA_FIELDS)], at, ignored);
    return within(known, "json_schema", SCHEMA_FIELDS, at, ignored);
  }
  const names = typeof type === "string" && Object.hasOwn(FORMAT_FIELDS, type) ? FORMAT_FIELDS[type]! : undefined;
  return names === undefined ? format : pick(format, names, at, ignored);
}
