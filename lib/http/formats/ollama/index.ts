// Owns Ollama's formats, chat and generate: alike but for what is asked, and for where a line has its text. Pure; any thread.

import type { WireFormat } from "../format.js";
import { LineWriter, newLines, type OllamaKind, WholeReply } from "./lines.js";
import { readRequest } from "./request.js";

export const ollamaChat = formatOf("chat", "/api/chat", "messages");
export const ollamaGenerate = formatOf("generate", "/api/generate", "prompt");

function formatOf(kind: OllamaKind, route: string, subject: "messages" | "prompt"): WireFormat {
  return {
    routes: [route],
    subject,
    takes: () => false,
    isAt: (path) => (kind === "chat" ? path.startsWith("/api/") && path !== "/api/generate" : path === route),
    framing: "lines",
    read: (body) => readRequest(kind, body),
    envelope: newLines,
    writer: (envelope, { obfuscate }) => new LineWriter(kind, envelope, obfuscate),
    collect: (envelope) => new WholeReply(kind, envelope),
    refuse: ({ message }) => ({ error: message }),
  };
}
