// Owns the items of a reply's output as they grow, and what each stage of one is as an event of the stream. Pure, apart from drawing ids; any thread.
//
// An item opens with its first piece, and ends where one of another kind begins. Clients keep what `response.output_item.done` says, and some
// only that: so each item is told whole at its end.

import type { TokenLogprob, TokenLogprobs, ToolCallEvent } from "../../../types.js";
import type { Fields } from "../fields.js";
import { newId } from "../ids.js";
import { InputReader } from "./custom-tools.js";
import { sealThought } from "./items.js";
import type { ToolName } from "./tools.js";

/** An event before it has its number. `type` is its name, too. */
export type Said = { type: string } & Fields;

export type Status = "in_progress" | "completed" | "incomplete";

/** One item of the output. */
export interface OutputItem {
  /** As it is now. */
  readonly item: Fields & { id: string };
  /** The events that begin it. */
  open(): Said[];
  /** The events that end it. */
  close(status: Status): Said[];
}

/** What every event of an item says of where it belongs. */
interface Place {
  item_id: string;
  output_index: number;
}

export class MessageItem implements OutputItem {
  readonly item: Fields & { id: string };
  readonly #place: Place;
  readonly #part: { type: "output_text"; text: string; annotations: []; logprobs: Fields[] };

  constructor(index: number) {
    const id = newId("msg");
    this.#part = { type: "output_text", text: "", annotations: [], logprobs: [] };
    this.#place = { item_id: id, output_index: index };
    this.item = { id, type: "message", status: "in_progress", role: "assistant", content: [] };
  }

  open(): Said[] {
    const { output_index } = this.#place;
    const added = { type: "response.output_item.added", output_index, item: { ...this.item } };
    const part = { type: "response.content_part.added", ...this.#place, content_index: 0, part: { ...this.#part } };
    this.item.content = [this.#part];
    return [added, part];
  }

  add(text: string, logprobs: readonly TokenLogprobs[] = []): Said[] {
    const told = logprobs.map((token) => ({ ...tokenOf(token), top_logprobs: token.top.map(tokenOf) }));
    this.#part.text += text;
    this.#part.logprobs.push(...told);
    return [{ type: "response.output_text.delta", ...this.#place, content_index: 0, delta: text, logprobs: told }];
  }

  close(status: Status): Said[] {
    const { output_index } = this.#place;
    const { text, logprobs } = this.#part;
    this.item.status = status;
    return [
      { type: "response.output_text.done", ...this.#place, content_index: 0, text, logprobs },
      { type: "response.content_part.done", ...this.#place, content_index: 0, part: this.#part },
      { type: "response.output_item.done", output_index, item: this.item },
    ];
  }
}

function tokenOf({ token, logprob, bytes }: TokenLogprob): Fields {
  return { token, logprob, bytes };
}

/** A thought: as text, or, where a summary is asked for, as a summary, which it is the longest of. */
export class ReasoningItem implements OutputItem {
  readonly item: Fields & { id: string };
  readonly #place: Place;
  readonly #sealed: boolean;
  readonly #form: { name: string; part: string; list: "summary" | "content"; index: Fields };
  readonly #part: { type: string; text: string };

  constructor(index: number, { summary, sealed }: { summary: boolean; sealed: boolean }) {
    const id = newId("rs");
    this.#place = { item_id: id, output_index: index };
    this.#sealed = sealed;
    this.#form = summary
      ? { name: "reasoning_summary_text", part: "reasoning_summary_part", list: "summary", index: { summary_index: 0 } }
      : { name: "reasoning_text", part: "content_part", list: "content", index: { content_index: 0 } };
    this.#part = { type: summary ? "summary_text" : "reasoning_text", text: "" };
    this.item = { id, type: "reasoning", summary: [], ...(summary ? {} : { content: [] }), status: "in_progress" };
  }

  open(): Said[] {
    const { output_index } = this.#place;
    const added = { type: "response.output_item.added", output_index, item: { ...this.item } };
    const part = { type: `response.${this.#form.part}.added`, ...this.#place, ...this.#form.index, part: { ...this.#part } };
    this.item[this.#form.list] = [this.#part];
    return [added, part];
  }

  add(text: string): Said[] {
    this.#part.text += text;
    return [{ type: `response.${this.#form.name}.delta`, ...this.#place, ...this.#form.index, delta: text }];
  }

  close(status: Status): Said[] {
    const { output_index } = this.#place;
    const { text } = this.#part;
    this.item.status = status;
    if (this.#sealed) this.item.encrypted_content = sealThought(text);
    return [
      { type: `response.${this.#form.name}.done`, ...this.#place, ...this.#form.index, text },
      { type: `response.${this.#form.part}.done`, ...this.#place, ...this.#form.index, part: this.#part },
      { type: "response.output_item.done", output_index, item: this.item },
    ];
  }
}

export class CallItem implements OutputItem {
  readonly item: Fields & { id: string; arguments: string; name: string };
  readonly #place: Place;

  constructor(index: number, { id: call }: ToolCallEvent, called: ToolName) {
    const id = newId("fc");
    this.#place = { item_id: id, output_index: index };
    this.item = { id, type: "function_call", status: "in_progress", call_id: call || newId("call"), ...called, arguments: "" };
  }

  open(): Said[] {
    const { output_index } = this.#place;
    return [{ type: "response.output_item.added", output_index, item: { ...this.item } }];
  }

  add(delta: string): Said[] {
    if (delta === "") return [];
    this.item.arguments += delta;
    return [{ type: "response.function_call_arguments.delta", ...this.#place, delta }];
  }

  close(status: Status): Said[] {
    const { output_index } = this.#place;
    const { name, arguments: whole } = this.item;
    this.item.status = status;
    return [
      { type: "response.function_call_arguments.done", ...this.#place, name, arguments: whole },
      { type: "response.output_item.done", output_index, item: this.item },
    ];
  }
}

/** A call of a tool whose input is free text. */
export class CustomCallItem implements OutputItem {
  readonly item: Fields & { id: string; input: string };
  readonly #place: Place;
  readonly #reader = new InputReader();

  constructor(index: number, { id: call }: ToolCallEvent, { name, namespace }: ToolName) {
    const id = newId("ctc");
    this.#place = { item_id: id, output_index: index };
    const called = { name, ...(namespace === undefined ? {} : { namespace }) };
    this.item = { id, type: "custom_tool_call", status: "in_progress", call_id: call || newId("call"), ...called, input: "" };
  }

  open(): Said[] {
    const { output_index } = this.#place;
    return [{ type: "response.output_item.added", output_index, item: { ...this.item } }];
  }

  add(delta: string): Said[] {
    return this.#grow(this.#reader.add(delta));
  }

  close(status: Status): Said[] {
    const { output_index } = this.#place;
    const rest = this.#grow(this.#reader.end());
    this.item.status = status;
    return [
      ...rest,
      { type: "response.custom_tool_call_input.done", ...this.#place, input: this.item.input },
      { type: "response.output_item.done", output_index, item: this.item },
    ];
  }

  #grow(delta: string): Said[] {
    this.item.input = this.#reader.input;
    return delta === "" ? [] : [{ type: "response.custom_tool_call_input.delta", ...this.#place, delta }];
  }
}
