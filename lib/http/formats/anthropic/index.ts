// Owns Anthropic's Messages format: what is asked at /v1/messages, how the answer is written, and how many tokens a prompt has. Pure; any thread.

import type { WireFormat } from "../format.js";
import { errorBody } from "./errors.js";
import { MessageCollector, MessageWriter, newMessage } from "./events.js";
import { OMITS_THINKING, readRequest } from "./request.js";

const ROUTE = "/v1/messages";
const COUNTING = `${ROUTE}/count_tokens`;

export const messages: WireFormat = {
  routes: [ROUTE],
  subject: "messages",
  // A chat's body looks the same: only the path tells them apart.
  takes: () => false,
  isAt: (path) => path.endsWith(ROUTE) || path.endsWith(COUNTING),
  read: readRequest,
  envelope: newMessage,
  writer: (envelope, { echo, obfuscate }) => new MessageWriter(envelope, echo === OMITS_THINKING, obfuscate),
  collect: (envelope, { echo }) => new MessageCollector(envelope, echo === OMITS_THINKING),
  refuse: errorBody,
  sides: [
    {
      method: "POST",
      path: COUNTING,
      body: true,
      answer: async ({ body }, { promptTokens }) => ({ object: { input_tokens: await promptTokens(body) } }),
    },
  ],
};
