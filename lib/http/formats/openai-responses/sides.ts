// Owns what is asked of OpenAI's Responses beside new ones: kept ones, their input, their end, and how long a prompt would be. Pure; any thread.

import { quote } from "../../../base/quote.js";
import { bad } from "../fields.js";
import type { KeptReply, SideCall, SideDesk, SideRoute } from "../format.js";
import { WireError } from "../wire-error.js";

export const sides: readonly SideRoute[] = [
  { method: "GET", path: "/v1/responses/:id", answer: retrieve },
  { method: "DELETE", path: "/v1/responses/:id", answer: remove },
  { method: "POST", path: "/v1/responses/:id/cancel", answer: cancel },
  { method: "GET", path: "/v1/responses/:id/input_items", answer: listInput },
  { method: "POST", path: "/v1/responses/input_tokens", body: true, answer: countInput },
];

/** As an object, or as its stream, from the event after `starting_after` on. */
function retrieve({ id, query }: SideCall, { memory }: SideDesk) {
  if (query.get("stream") === "true") {
    const said = "starting_after";
    const after = query.get(said);
    if (after !== null && !/^\d{1,10}$/.test(after))
      throw bad("starting_after", `starting_after must be the number of an event; given ${quote(after)}.`);
    return { resume: id, after: after === null ? 0 : Number(after) + 1, said }; // events count from 0 here, and from 1 there
  }
  return { object: kept(id, memory.reply(id)).object };
}

function remove({ id }: SideCall, { forget }: SideDesk) {
  if (!forget(id)) throw missing(id);
  return { object: { id, object: "response", deleted: true } };
}

function cancel({ id }: SideCall, desk: SideDesk) {
  const { object } = kept(id, desk.memory.reply(id));
  if (desk.cancel(id)) return { object: desk.memory.reply(id)?.object ?? { ...object, status: "cancelled" } };
  if ((object as { status?: unknown }).status === "cancelled") return { object };
  throw bad("id", "Only a response with background: true that is still running can be cancelled; this one has ended.");
}

const MOST_LISTED = 100;

/** The newest first unless `order` says otherwise, a page at a time. */
function listInput({ id, query }: SideCall, { memory }: SideDesk) {
  const { input } = kept(id, memory.reply(id));
  const order = query.get("order") ?? "desc";
  if (order !== "asc" && order !== "desc") throw bad("order", `order must be "asc" or "desc"; given ${quote(order)}.`);
  const limit = Number(query.get("limit") ?? 20);
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_LISTED)
    throw bad("limit", `limit must be a whole number from 1 to ${MOST_LISTED}; given ${quote(query.get("limit"))}.`);
  const items = (order === "asc" ? [...input] : [...input].reverse()) as { id: string }[];
  const from = placeAfter(items, query.get("after"));
  const data = items.slice(from, from + limit).map(listed);
  const has_more = from + limit < items.length;
  return { object: { object: "list", data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more } };
}

/** A text that stood in place of parts is one part here, as OpenAI lists it. */
function listed<Listed extends { id: string; type?: unknown; role?: unknown; content?: unknown }>(item: Listed): Listed {
  const { type, role, content } = item;
  if (type !== "message" || typeof content !== "string") return item;
  const part = role === "assistant" ? { type: "output_text", text: content, annotations: [] } : { type: "input_text", text: content };
  return { ...item, content: [part] };
}

function placeAfter(items: readonly { id: string }[], after: string | null): number {
  if (after === null) return 0;
  const place = items.findIndex(({ id }) => id === after);
  if (place < 0) throw bad("after", `after must be the id of an item of this list; given ${quote(after)}.`);
  return place + 1;
}

async function countInput({ body }: SideCall, { promptTokens }: SideDesk) {
  return { object: { object: "response.input_tokens", input_tokens: await promptTokens(body) } };
}

function kept(id: string, reply: KeptReply | undefined): KeptReply {
  if (reply === undefined) throw missing(id);
  return reply;
}

function missing(id: string): WireError {
  const message = `There is no response ${quote(id)} here: it is no longer kept, or never was (store: false).`;
  return new WireError(404, message, { param: "id", code: "response_not_found" });
}
