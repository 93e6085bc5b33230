// Owns OpenAI's older formats, chat completions and completions: alike but for what is asked, and for the shape of a chunk. Pure; any thread.

import type { SideCall, SideDesk, WireFormat } from "../format.js";
import { ChunkWriter, newEnvelope, ReplyCollector, type ReplyKind } from "./chunks.js";
import { readRequest } from "./request.js";

export const chatCompletions: WireFormat = {
  ...formatOf("chat", "/v1/chat/completions", "messages"),
  sides: [{ method: "POST", path: "/v1/chat/completions/input_tokens", body: true, answer: countInput }],
};
export const completions = formatOf("completion", "/v1/completions", "prompt");

function formatOf(kind: ReplyKind, route: string, subject: "messages" | "prompt"): WireFormat {
  return {
    routes: [route],
    subject,
    takes: (body) => subject in body,
    read: (body, maxChoices) => readRequest(body, maxChoices, subject),
    envelope: (model) => newEnvelope(kind, model),
    writer: (envelope, form) => new ChunkWriter(kind, envelope, form),
    collect: (envelope, form) => new ReplyCollector(kind, envelope, form),
    refuse: (error) => error.body,
  };
}

/** How long the prompt of a chat would be, in the shape that Responses has for it; llama-server has the route, too. */
async function countInput({ body }: SideCall, { promptTokens }: SideDesk) {
  return { object: { object: "response.input_tokens", input_tokens: await promptTokens(body) } };
}
