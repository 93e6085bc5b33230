// Owns OpenAI's Responses as a wire format. Pure; any thread.

import type { Memory, WireFormat } from "../format.js";
import { readResponse } from "./request.js";
import { sides } from "./sides.js";
import { newEnvelope, ResponseCollector, ResponseWriter } from "./writer.js";

const ROUTE = "/v1/responses";
const NOTHING_KEPT: Memory = { reply: () => undefined, item: () => undefined };

export const responses: WireFormat = {
  routes: [ROUTE],
  sides,
  beginsEarly: true,
  subject: "input",
  takes: (body) => "input" in body && !("messages" in body || "prompt" in body),
  isAt: (path) => path.endsWith(ROUTE.slice("/v1".length)),
  read: (body, _maxChoices, memory = NOTHING_KEPT) => readResponse(body, memory),
  envelope: newEnvelope,
  writer: (envelope, form) => new ResponseWriter(envelope, form),
  collect: (envelope, form) => new ResponseCollector(envelope, form),
  refuse: (error) => error.body,
};
