// Owns the fields of a body that say what a reply is made of besides plain text, in all the spellings that clients of local servers have for
// them: OpenAI's, llama.cpp's, vLLM's, OpenRouter's. Pure; any thread. What a field's value may be is the library's to check, where it has one.

import { quote } from "../../../base/quote.js";
import { bad, type Fields, isObject, readBoolean } from "../fields.js";

/** Read here; those of the table of options pass under their own names. */
export const REPLY_FIELDS: ReadonlySet<string> = new Set([
  ...["grammar", "json_schema", "guided_json", "guided_grammar", "guided_choice", "structured_outputs"],
  ...["reasoning_effort", "reasoning", "thinking", "enable_thinking", "reasoning_budget", "thinking_budget_tokens", "chat_template_kwargs"],
  ...["add_generation_prompt", "include_reasoning"],
]);

export const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"] as const;

/**
 * @returns the library's options for them, under the names of a body; and what a field is called here, where it has another name
 * @throws WireError 400 naming the field
 */
export function readReplyFields(given: Readonly<Fields>): { options: Fields; fieldOf?: (param: string) => string } {
  checkGenerationPrompt(given);
  const { name, ...format } = readFormat(given);
  const options = { ...format, ...readThinking(given), ...withoutEmptyTools(given) };
  return name === undefined ? { options } : { options, fieldOf: (param) => param.replace(OPTION_OF_FORMS, name) };
}

/** What errors call the option that other fields are read to. */
const OPTION_OF_FORMS = /^response_format(?:\.(?:schema|gbnf))?(?![\w])/;

/** Clients send an empty list, and a choice of nothing. undefined takes back what was passed under its own name. */
function withoutEmptyTools({ tools, tool_choice }: Readonly<Fields>): Fields {
  if (Array.isArray(tools) && tools.length > 0) return {};
  const none = tool_choice === "auto" || tool_choice === "none" ? { tool_choice: undefined } : {};
  return Array.isArray(tools) ? { tools: undefined, ...none } : none;
}

// ---- the form of the text ----

function readFormat(given: Readonly<Fields>): { name?: string; response_format?: object } {
  const forms = formsOf(given);
  const [first, second] = forms;
  if (first === undefined) return {};
  const before = isPlainText(given.response_format) ? undefined : "response_format";
  const other = before ?? second?.name;
  if (other !== undefined) throw bad(first.name, `${first.name} and ${other} both say what the text must be; give one of them.`);
  return { name: first.name, response_format: first.format };
}

function isPlainText(format: unknown): boolean {
  return format === undefined || (isObject(format) && format.type === "text");
}

function formsOf(given: Readonly<Fields>): { name: string; format: object }[] {
  const outputs = given.structured_outputs ?? {};
  if (!isObject(outputs)) throw bad("structured_outputs", `structured_outputs must be an object; given ${quote(outputs)}.`);
  const stranger = Object.keys(outputs).find((key) => !["json", "grammar", "choice"].includes(key) && outputs[key] !== null);
  if (stranger !== undefined)
    throw bad(`structured_outputs.${stranger}`, `structured_outputs has json, grammar and choice here; given ${quote(stranger)}.`);
  const schemas = { json_schema: given.json_schema, guided_json: given.guided_json, "structured_outputs.json": outputs.json };
  const grammars = { grammar: given.grammar, guided_grammar: given.guided_grammar, "structured_outputs.grammar": outputs.grammar };
  const choices = { guided_choice: given.guided_choice, "structured_outputs.choice": outputs.choice };
  return [
    ...said(schemas).map(([name, value]) => ({ name, format: { type: "json_schema", schema: schemaOf(name, value) } })),
    ...said(grammars).map(([name, value]) => ({ name, format: { type: "grammar", gbnf: value } })),
    ...said(choices).map(([name, value]) => ({ name, format: { type: "grammar", gbnf: grammarOf(name, value) } })),
  ];
}

function said(fields: Fields): [string, unknown][] {
  return Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== "");
}

/** Some clients send a schema as text. */
function schemaOf(name: string, value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    throw bad(name, `${name} must be a JSON Schema; given ${quote(value)}.`);
  }
}

/** One of these texts, and nothing else. */
function grammarOf(name: string, choices: unknown): string {
  const fits =
    Array.isArray(choices) && choices.length > 0 && choices.length <= 4096 && choices.every((one) => typeof one === "string" && one !== "");
  if (!fits) throw bad(name, `${name} must be an array of 1 to 4096 texts; given ${quote(choices)}.`);
  const literal = (text: string) =>
    Array.from(text.toWellFormed(), (one) => `\\U${one.codePointAt(0)!.toString(16).padStart(8, "0")}`).join("");
  return `root ::= ${(choices as string[]).map((text) => `"${literal(text)}"`).join(" | ")}`;
}

// ---- thinking ----

/** What one field says of thinking. */
interface Said {
  name: string;
  /** As the field has it, for errors. */
  value: unknown;
  about: "on" | "effort" | "budgetTokens";
  asks: boolean | string | number;
}

function readThinking(given: Readonly<Fields>): Fields {
  const { enable_thinking, thinking, reasoning_effort, ...variables } = kwargsOf(given);
  const said = [
    ...switchOf("enable_thinking", given.enable_thinking),
    ...switchOf("chat_template_kwargs.enable_thinking", enable_thinking),
    ...switchOf("chat_template_kwargs.thinking", thinking),
    ...effortOf("reasoning_effort", given.reasoning_effort),
    ...effortOf("chat_template_kwargs.reasoning_effort", reasoning_effort),
    ...budgetOf("reasoning_budget", given.reasoning_budget),
    ...budgetOf("thinking_budget_tokens", given.thinking_budget_tokens),
    ...anthropicsOf(given.thinking),
    ...openRoutersOf(given.reasoning),
  ];
  refuseContradictions(said);
  const { on, ...asked } = Object.fromEntries(said.map(({ about, asks }) => [about, asks]));
  const reasoning = on === false ? "off" : Object.keys(asked).length > 0 ? asked : on === true ? "on" : undefined;
  return {
    ...(reasoning === undefined ? {} : { reasoning }),
    ...(Object.keys(variables).length === 0 ? {} : { template_arguments: variables }),
  };
}

/** Two fields may say the same. Where they do not, an answer to one of them is wrong by the other. */
function refuseContradictions(said: readonly Said[]): void {
  const off = said.find(({ asks }) => asks === false);
  for (const [i, one] of said.entries()) {
    const other =
      off !== undefined && one !== off && one.asks !== false && one.asks !== 0
        ? off
        : said.slice(0, i).find(({ about, asks }) => about === one.about && asks !== one.asks);
    if (other === undefined) continue;
    const [first, second] = [other, one].map(({ name, value }) => `${name} ${quote(value)}`);
    throw bad(one.name, `${first} and ${second} contradict each other; give one of them.`);
  }
}

function kwargsOf({ chat_template_kwargs: kwargs = {} }: Readonly<Fields>): Fields {
  if (isObject(kwargs)) return kwargs;
  throw bad("chat_template_kwargs", `chat_template_kwargs must be an object; given ${quote(kwargs)}.`);
}

function switchOf(name: string, value: unknown): Said[] {
  if (value === undefined || value === null) return [];
  if (typeof value === "boolean") return [{ name, value, about: "on", asks: value }];
  throw bad(name, `${name} must be true or false; given ${quote(value)}.`);
}

function effortOf(name: string, value: unknown): Said[] {
  if (value === undefined || value === null) return [];
  if (value === "none") return [{ name, value, about: "on", asks: false }];
  if ((EFFORTS as readonly unknown[]).includes(value)) return [{ name, value, about: "effort", asks: value as string }];
  throw bad(name, `${name} must be one of ${EFFORTS.map((one) => `"${one}"`).join(", ")}; given ${quote(value)}.`);
}

/** -1 is how clients of llama-server say that there is none. */
function budgetOf(name: string, value: unknown): Said[] {
  if (value === undefined || value === null || value === -1) return [];
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31)
    return [{ name, value, about: "budgetTokens", asks: value }];
  throw bad(name, `${name} must be a whole number of tokens from 0 (-1 is no limit); given ${quote(value)}.`);
}

/** { type: "enabled", budget_tokens } */
function anthropicsOf(given: unknown): Said[] {
  if (given === undefined) return [];
  const { type: value, budget_tokens } = isObject(given) ? given : {};
  const budget = budgetOf("thinking.budget_tokens", budget_tokens);
  if (value === "adaptive") return budget;
  if (value === "enabled" || value === "disabled")
    return [{ name: "thinking.type", value, about: "on", asks: value === "enabled" }, ...budget];
  throw bad("thinking", `thinking must be { type: "enabled", "disabled" or "adaptive", budget_tokens }; given ${quote(given)}.`);
}

/** { effort, max_tokens, enabled }, and exclude, which is read apart */
function openRoutersOf(value: unknown): Said[] {
  if (value === undefined) return [];
  if (!isObject(value)) throw bad("reasoning", `reasoning must be { effort, max_tokens, enabled }; given ${quote(value)}.`);
  return [
    ...switchOf("reasoning.enabled", value.enabled),
    ...effortOf("reasoning.effort", value.effort),
    ...budgetOf("reasoning.max_tokens", value.max_tokens),
  ];
}

/**
 * Whether the client wants no thoughts, which the model has all the same: vLLM's field, and OpenRouter's.
 * @throws WireError 400 naming the field
 */
export function readOmitsReasoning(given: Readonly<Fields>): boolean {
  const included = readBoolean(given, "include_reasoning");
  const { exclude } = isObject(given.reasoning) ? given.reasoning : {};
  const excluded = readBoolean({ exclude: exclude ?? undefined }, "exclude", "reasoning.exclude");
  if (included === true && excluded === true)
    throw bad("include_reasoning", "include_reasoning true and reasoning.exclude true contradict each other; give one of them.");
  return included === false || excluded === true;
}

/** vLLM's switch: a last message is gone on with, or a new one begins. */
function checkGenerationPrompt(given: Readonly<Fields>): void {
  const { add_generation_prompt: adds = true, continue_final_message: goesOn = false } = given;
  if (given.add_generation_prompt === true && goesOn === true)
    throw bad(
      "add_generation_prompt",
      "add_generation_prompt true begins a new message, and continue_final_message true goes on with the last one; give one of them.",
    );
  if (adds === true || (adds === false && goesOn === true)) return;
  throw bad("add_generation_prompt", "add_generation_prompt false is for continue_final_message true; leave it out.");
}
