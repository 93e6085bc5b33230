// Owns OpenAI's older formats, chat completions and completions: alike but for what is asked, and for the shape of a chunk. Pure; any thread.

import type { WireFormat } from "../format.js";
import { ChunkWriter, newEnvelope, ReplyCollector, type ReplyKind } from "./chunks.js";
import { readRequest } from "./request.js";

export const chatCompletions = formatOf("chat", "/v1/chat/completions", "messages");
export const completions = formatOf("completion", "/v1/completions", "prompt");

function formatOf(kind: ReplyKind, route: string, subject: "messages" | "prompt"): WireFormat {
  return {
    routes: [route],
    subject,
    takes: (body) => subject in body,
    read: readRequest,
    envelope: (model) => newEnvelope(kind, model),
    writer: (envelope, form) => new ChunkWriter(kind, envelope, form),
    collect: (envelope, form) => new ReplyCollector(kind, envelope, form),
    refuse: (error) => error.body,
  };
}
