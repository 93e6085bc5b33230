// Owns a reply in OpenAI's Responses: the order of its events, their numbers, and the `response` object around its output. Pure, apart from
// drawing ids and looking at the clock; any thread.

import type { FinishEvent, StreamEvent, ToolCallEvent, Usage } from "../../../types.js";
import type { Fields } from "../fields.js";
import type { Collector, Envelope, Frame, FrameWriter, KeptReply, ReplyForm } from "../format.js";
import { newId } from "../ids.js";
import type { WireError } from "../wire-error.js";
import { CallItem, CustomCallItem, MessageItem, type OutputItem, ReasoningItem, type Said, type Status } from "./output.js";
import type { Echo } from "./request.js";

const NO_ECHO: Echo = { fields: {}, input: [], names: new Map(), summary: false, sealed: false };

export function newEnvelope(model: string): Envelope {
  return { id: newId("resp"), created: Math.floor(Date.now() / 1000), model };
}

/** Writes a reply's events as they come, and has the object that they come to. */
export class ResponseWriter implements FrameWriter {
  readonly #envelope: Envelope;
  readonly #echo: Echo;
  readonly #padded: boolean;
  readonly #omitsReasoning: boolean;
  readonly #output: OutputItem[] = [];
  /** The item that grows; of calls, with their number in the reply. */
  #open: OutputItem | undefined;
  #call = -1;
  #status: "in_progress" | "completed" | "incomplete" | "failed" | "cancelled" = "in_progress";
  #finish: FinishEvent | undefined;
  #error: { code: string; message: string } | null = null;
  #number = 0;
  #begun = false;

  constructor(envelope: Envelope, { echo, obfuscate = false, omitsReasoning = false }: ReplyForm) {
    this.#padded = obfuscate;
    this.#omitsReasoning = omitsReasoning;
    this.#envelope = envelope;
    this.#echo = (echo as Echo | undefined) ?? NO_ECHO;
  }

  begin(): Frame[] {
    if (this.#begun) return [];
    this.#begun = true;
    const response = this.object();
    return this.#frames([
      { type: "response.created", response },
      { type: "response.in_progress", response },
    ]);
  }

  event(_choice: number, event: StreamEvent): Frame[] {
    return [...this.begin(), ...this.#frames(this.#said(event))];
  }

  /** Without a number: it is no event of the response. */
  ping(): Frame {
    return { event: "keepalive", data: { type: "keepalive" } };
  }

  /** An error, and then the response as it has come to be: some clients see the one, some the other. */
  fail(error: WireError): Frame[] {
    const cancelled = error.code === "cancelled";
    this.#status = cancelled ? "cancelled" : "failed";
    const code = error.code ?? error.type;
    if (!cancelled) this.#error = { code, message: error.message };
    const begun = this.begin();
    this.#close("incomplete"); // its item stays as it is: nobody is told that it is whole
    const failed = { type: "response.failed", response: this.object() };
    return [...begun, ...this.#frames(cancelled ? [failed] : [errorEvent(error), failed])];
  }

  lastWord(error: WireError): Frame[] {
    return [{ event: "error", data: errorEvent(error) }];
  }

  /** Clients want a message even where nothing was said. */
  end(): Frame[] {
    const isWhole = this.#finish?.reason !== "length";
    const said = this.#output.length === 0 ? this.#begin(new MessageItem(0)) : [];
    said.push(...this.#close(isWhole ? "completed" : "incomplete"));
    this.#status = isWhole ? "completed" : "incomplete";
    said.push({ type: `response.${this.#status}`, response: this.object() });
    return [...this.begin(), ...this.#frames(said)];
  }

  kept(): KeptReply {
    return { object: this.object(), input: this.#echo.input };
  }

  /** The `response`, as far as it is. */
  object(): KeptReply["object"] & Fields {
    const { id, created, model } = this.#envelope;
    return {
      id,
      ...{ object: "response", created_at: created, status: this.#status },
      completed_at: this.#status === "completed" ? Math.floor(Date.now() / 1000) : null,
      error: this.#error,
      incomplete_details: this.#status === "incomplete" ? { reason: "max_output_tokens" } : null,
      model,
      output: this.#output.map(({ item }) => item),
      ...this.#echo.fields,
      usage: this.#finish === undefined ? null : wireUsage(this.#finish.usage),
    };
  }

  #said(event: StreamEvent): Said[] {
    switch (event.type) {
      case "text": {
        const opened = this.#turnTo(MessageItem, (index) => new MessageItem(index));
        return [...opened.said, ...opened.item.add(event.text, event.logprobs)];
      }
      case "reasoning": {
        if (this.#omitsReasoning) return [];
        const opened = this.#turnTo(ReasoningItem, (index) => new ReasoningItem(index, this.#echo));
        return [...opened.said, ...opened.item.add(event.text)];
      }
      case "toolCall":
        return this.#addToCall(event);
      case "finish":
        this.#finish = event;
        return [];
      default:
        return [];
    }
  }

  #addToCall(event: ToolCallEvent): Said[] {
    const said: Said[] = [];
    if (!isCall(this.#open) || event.index !== this.#call) {
      const { name = "" } = event;
      const called = this.#echo.names.get(name) ?? { name };
      const Call = called.custom === true ? CustomCallItem : CallItem;
      said.push(...this.#close("completed"), ...this.#begin(new Call(this.#output.length, event, called)));
      this.#call = event.index;
    }
    return [...said, ...(this.#open as CallItem | CustomCallItem).add(event.argumentsDelta)];
  }

  /** The open item where it is of this kind; otherwise a new one, and the events that end the one and begin the other. */
  #turnTo<Kind extends OutputItem>(
    kind: abstract new (...args: never[]) => Kind,
    make: (index: number) => Kind,
  ): { item: Kind; said: Said[] } {
    if (this.#open instanceof kind) return { item: this.#open, said: [] };
    const closed = this.#close("completed");
    const item = make(this.#output.length);
    return { item, said: [...closed, ...this.#begin(item)] };
  }

  #begin(item: OutputItem): Said[] {
    this.#output.push(item);
    this.#open = item;
    return item.open();
  }

  #close(status: Status): Said[] {
    const open = this.#open;
    this.#open = undefined;
    return open?.close(status) ?? [];
  }

  /** What ends an item tells again what its pieces have told, so all events are padded. */
  #frames(said: readonly Said[]): Frame[] {
    return said.map(({ type, ...rest }) => {
      const frame = { event: type, data: { type, sequence_number: this.#number++, ...rest } };
      return this.#padded ? { ...frame, padded: true } : frame;
    });
  }
}

function isCall(item: OutputItem | undefined): item is CallItem | CustomCallItem {
  return item instanceof CallItem || item instanceof CustomCallItem;
}

/** The same, of a reply that is sent as one object. */
export class ResponseCollector implements Collector {
  readonly #writer: ResponseWriter;

  constructor(envelope: Envelope, form: ReplyForm) {
    this.#writer = new ResponseWriter(envelope, form);
  }

  event(choice: number, event: StreamEvent): void {
    this.#writer.event(choice, event);
    if (event.type === "finish") this.#writer.end();
  }

  fail(error: WireError): void {
    this.#writer.fail(error);
  }

  object(): object {
    return this.#writer.object();
  }

  kept(): KeptReply {
    return this.#writer.kept();
  }
}

/** In both of the forms that clients look for: its documentation's, and what its server sends. */
function errorEvent({ type, code, message, param }: WireError): Said {
  return { type: "error", code, message, param, error: { type, code, message, param } };
}

export function wireUsage({ promptTokens, cachedTokens, completionTokens, reasoningTokens = 0, totalTokens }: Usage): Fields {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: totalTokens,
  };
}
