// A strict reader of streams of OpenAI's Responses: whatever some real client would stumble over is refused.

import { expect } from "vitest";
import { post } from "./helpers.js";

export interface ResponseObject {
  id: string;
  status: string;
  output: Record<string, unknown>[];
  usage: Record<string, unknown> | null;
  [key: string]: unknown;
}

export interface ResponseEvent {
  type: string;
  sequence_number: number;
  response: ResponseObject;
  item: Record<string, unknown>;
  [key: string]: unknown;
}

export interface Rules {
  /** The first event's number. */
  from?: number;
  /** The stream was cut off: no ending is expected. */
  cut?: boolean;
}

export const responses = (base: string) => `${base}/v1/responses`;

/** A streaming request, read to its end. Heartbeats are left out. */
export async function events(base: string, body: object): Promise<ResponseEvent[]> {
  const response = await post(responses(base), { stream: true, ...body });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return read(await response.text());
}

export function read(text: string, { from = 0, cut = false }: Rules = {}): ResponseEvent[] {
  expect(/[\r\u0085\u2028\u2029]/.test(text), "lines end in \\n alone").toBe(false);
  const blocks = text.split("\n\n");
  const rest = blocks.pop()!;
  if (!cut) expect(rest, "the last event is complete").toBe("");
  const said = blocks.map(readBlock).filter(({ type }) => type !== "keepalive");
  checkOrder(said, from, cut);
  return said;
}

function readBlock(block: string): ResponseEvent {
  const lines = block.split("\n").filter((line) => !line.startsWith("id: "));
  expect(lines.length, `an event is two lines: ${block.slice(0, 80)}`).toBe(2);
  const [named, data] = lines as [string, string];
  expect(named.startsWith("event: ") && data.startsWith("data: "), block.slice(0, 80)).toBe(true);
  const event = JSON.parse(data.slice(6)) as ResponseEvent;
  expect(named.slice(7), "the name is the type").toBe(event.type);
  return event;
}

/** Numbers go on by one, items and parts open before they grow and close once, and one event ends it. */
function checkOrder(said: readonly ResponseEvent[], from: number, cut: boolean): void {
  expect(said.map(({ sequence_number }) => sequence_number)).toEqual(said.map((_, i) => from + i));
  if (from === 0 && said.length > 1) expect(said.slice(0, 2).map(({ type }) => type)).toEqual(["response.created", "response.in_progress"]);
  const ends = said.filter(({ type }) => /^response\.(completed|incomplete|failed)$/.test(type));
  if (!cut) expect(ends.length, "one event ends it").toBe(1);
  if (from > 0) return;
  const open = new Map<string, string>();
  const closed: unknown[] = [];
  for (const event of said) {
    const { type, item, item_id } = event;
    if (type === "response.output_item.added") {
      expect(open.size, "an item begins when the one before it has ended").toBe(0);
      expect(event.output_index).toBe(closed.length);
      open.set(item.id as string, "");
    } else if (type === "response.output_item.done") {
      expect(open.delete(item.id as string), "an item that ends was open").toBe(true);
      closed.push(item);
    } else if (item_id !== undefined) {
      expect(open.has(item_id as string), `${type} belongs to the open item`).toBe(true);
      if (type.endsWith(".delta")) open.set(item_id as string, open.get(item_id as string)! + (event.delta as string));
      if (/text\.done$/.test(type)) expect(event.text, "the whole is its pieces").toBe(open.get(item_id as string));
      if (type.endsWith("arguments.done")) expect(event.arguments).toBe(open.get(item_id as string));
    }
  }
  const [end] = ends;
  if (end !== undefined && end.type !== "response.failed") expect(end.response.output, "what was said item by item").toEqual(closed);
}

export function terminal(said: readonly ResponseEvent[]): ResponseEvent {
  return said.find(({ type }) => /^response\.(completed|incomplete|failed)$/.test(type))!;
}

export function output(response: ResponseObject): Record<string, unknown>[] {
  return response.output;
}

/** The text of a response. */
export function textOf(response: ResponseObject): string {
  const parts = response.output.flatMap((item) => (item.type === "message" ? (item.content as { text: string }[]) : []));
  return parts.map(({ text }) => text).join("");
}

export function shapeOf(type: string): string {
  return type.replace(/^response\./, "");
}
