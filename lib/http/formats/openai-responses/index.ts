// Owns OpenAI's Responses as a wire format. Pure; any thread.

import type { WireFormat } from "../format.js";
import { readResponse } from "./request.js";
import { sides } from "./sides.js";
import { newEnvelope, ResponseCollector, ResponseWriter } from "./writer.js";

export const responses: WireFormat = {
  routes: ["/v1/responses"],
  sides,
  beginsEarly: true,
  subject: "input",
  takes: (body) => "input" in body && !("messages" in body || "prompt" in body),
  read: (body, _maxChoices, memory) => readResponse(body, memory),
  envelope: newEnvelope,
  writer: (envelope, form) => new ResponseWriter(envelope, form),
  collect: (envelope, form) => new ResponseCollector(envelope, form),
  refuse: (error) => error.body,
};
