// Owns `zse inspect`: what is in a model file, and what loading it will do. Everything that a file says is cleaned before it is shown on a
// terminal; --json has it as it is. --prefix is prefix.ts's. Main thread.

import { resolve } from "node:path";
import { styleText } from "node:util";
import type { Command } from "commander";
import type { NativeInspection } from "../addon/file-contract.js";
import { loadNative } from "../addon/load.js";
import { fromNative } from "../errors.js";
import { readRecommended } from "../options/recommended.js";
import { Output } from "./output.js";
import { inspectPrefix } from "./prefix.js";
import { reportError } from "./report.js";
import { bytes, count, table, terminalText } from "./terminal.js";

const LONGEST_TEXT = 100;

export function addInspect(program: Command): void {
  program
    .command("inspect")
    .description("what is in a GGUF or .zse file, and what loading it will do")
    .usage("[options] <file>")
    .argument("[file]", "a GGUF file, or a .zse file of either generation")
    .option("--json", "print one JSON object")
    .option("--prefix <chats...>", "instead: at which token the prompts of two chats part, which are JSON files")
    .addHelpText(
      "after",
      `
Examples:
  $ zse inspect model.zse
  $ zse inspect model.gguf --json | jq .weights
  $ zse inspect model.gguf --prefix a.json b.json    each is messages, or the body of a request
  $ zse inspect --prefix a.json b.json               the same by the embedded demo model's template and tokens

Exit code 1 for a model file that cannot be opened, such as one that is cut short; what could be told of it is printed all the same.`,
    )
    .action(async (given: string | undefined, flags: { json?: boolean; prefix?: string[] }, command: Command) => {
      // Of `--prefix a.json b.json model.gguf` the model is taken for a third chat.
      const [, , third] = flags.prefix ?? [];
      const file = given ?? third;
      // What two chats share of their prompts can be told by any model; the embedded one is always there.
      if (file === undefined && flags.prefix === undefined) return command.error("error: missing required argument 'file'");
      try {
        const chats = flags.prefix?.slice(0, given === undefined ? 2 : undefined);
        if (chats !== undefined) await new Output().write(await inspectPrefix(file, chats, flags.json));
        else if (file !== undefined) process.exitCode = await inspect(file, flags);
      } catch (error) {
        process.exitCode = reportError(error);
      }
    });
}

async function inspect(file: string, { json }: { json?: boolean }): Promise<number> {
  const found = await loadNative()
    .inspect(resolve(file))
    .catch((error: unknown) => {
      throw fromNative(error);
    });
  await new Output().write(json ? `${JSON.stringify(found, undefined, 2)}\n` : describe(file, found));
  return found.refusal === undefined ? 0 : 1;
}

/** The page for people. Exported for its test. */
export function describe(file: string, found: NativeInspection): string {
  const rows: [string, string][] = [
    ["file", text(file)],
    [
      "format",
      found.format === "gguf" ? `GGUF${found.version > 0 ? `, version ${found.version}` : ""}` : `.zse, generation ${found.version}`,
    ],
    ["size", bytes(found.bytes)],
    ...optional("name", text(found.name)),
    ...optional("made from", text(found.sourceModel ?? "")),
    ...optional("architecture", text(found.architecture)),
    ...(found.weights.length === 0 ? [] : describeModel(found)),
  ];
  const lines = [
    ...table(rows),
    ...part("weights", found.weights.length === 0 ? [] : table([WEIGHT_HEADS, ...found.weights.map(weightRow)])),
    ...part("parts", table(found.sections.map(sectionRow))),
    ...part("loading", loading(found)),
  ];
  return `${lines.join("\n")}\n`;
}

/** What takes the list of tensors to know: of a damaged file, perhaps nothing. */
function describeModel({ parameters, tiedEmbeddings, shape, tokenizer, chatTemplate, sampling }: NativeInspection): [string, string][] {
  return [
    ["parameters", `${count(parameters)}${tiedEmbeddings ? ", output tied to the embeddings" : ""}`],
    ["layers", `${shape.layers}, width ${shape.width}, feed-forward ${shape.feedForward}`],
    ["heads", `${shape.heads} of ${shape.headSize}, ${shape.kvHeads} for keys and values`],
    ["context", `${shape.context} tokens`],
    ["tokenizer", describeTokenizer(tokenizer, shape.vocabulary)],
    ["chat template", describeTemplate(chatTemplate)],
    ...optional("sampling", describeSampling(sampling)),
  ];
}

function describeTemplate({ source, name, bytes: size }: NativeInspection["chatTemplate"]): string {
  if (source === "file") return `the file's own, ${bytes(size)}`;
  if (name === "") return "none: one is chosen by the tokenizer's control tokens, and the tokenizer cannot be used";
  return `${text(name)}, chosen by the control tokens: the file has none`;
}

/** What the file recommends, and is used where a call says nothing. */
function describeSampling(sampling: NativeInspection["sampling"]): string {
  const used = Object.entries(readRecommended(sampling)).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? value.join(" ") : value}`,
  );
  const ignored = Object.keys(sampling).length - used.length;
  return [...used, ...(ignored === 0 ? [] : [`${ignored} out of range`])].join(", ");
}

function sectionRow(section: NativeInspection["sections"][number]): string[] {
  return [
    text(section.name),
    `from byte ${section.offset}`,
    bytes(section.bytes),
    section.crc32 === undefined ? "no checksum" : `checksum ${section.crc32.toString(16).padStart(8, "0")} is right`,
  ];
}

const WEIGHT_HEADS = ["", "tensors", "parameters", "stored as", "size", "loads as"];

function weightRow(weights: NativeInspection["weights"][number]): string[] {
  const { kind, tensors, parameters, coding, groupSize, layout, layoutEvidence, loadsAs, lossless } = weights;
  const groups = groupSize > 0 ? `, groups of ${groupSize}` : "";
  const order = layout === undefined ? "" : `, ${layout} (${text(layoutEvidence ?? "")})`;
  const as = loadsAs === undefined ? "-" : `${loadsAs}${lossless ? "" : ", rounded"}`;
  return [kind, String(tensors), count(parameters), `${text(coding)}${groups}${order}`, bytes(weights.bytes), as];
}

function describeTokenizer(tokenizer: NativeInspection["tokenizer"], vocabulary: number): string {
  if (tokenizer.model === "") return `none that can be used; the embedding matrix has ${vocabulary} rows`;
  const kind = tokenizer.model === "gpt2" ? "byte-level BPE" : tokenizer.model === "llama" ? "SentencePiece" : text(tokenizer.model);
  const parts = [
    `${kind}${tokenizer.preTokenizer === "" ? "" : ` (${text(tokenizer.preTokenizer)})`}`,
    `${tokenizer.tokens} tokens`,
    `${tokenizer.merges} merges`,
  ];
  if (tokenizer.bos !== undefined) parts.push(`BOS ${text(tokenizer.bos)}${tokenizer.addsBos ? "" : ", not added"}`);
  if (tokenizer.eos !== undefined) parts.push(`EOS ${text(tokenizer.eos)}`);
  if (tokenizer.nfc) parts.push("texts normalized to NFC");
  return parts.join(", ");
}

function loading(found: NativeInspection): string[] {
  if (found.refusal !== undefined) return [`It cannot be opened: ${text(found.refusal, 500)}`];
  const lossless = found.weights.every((weights) => weights.lossless !== false);
  return [...(lossless ? ["Every weight keeps its value."] : []), ...found.notes.map((note) => text(note, 500))];
}

function optional(name: string, value: string): [string, string][] {
  return value === "" ? [] : [[name, value]];
}

function text(value: string, longest = LONGEST_TEXT): string {
  return terminalText(value, longest);
}

/** A part of the page, with its title; nothing where there is nothing to tell. */
function part(title: string, lines: string[]): string[] {
  if (lines.length === 0) return [];
  const bold = process.stdout.isTTY && !process.env.NO_COLOR ? styleText("bold", title) : title;
  return ["", bold, ...lines.map((line) => `  ${line}`)];
}
