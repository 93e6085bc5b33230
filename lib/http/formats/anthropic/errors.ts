// Owns how an error looks in Anthropic's format. Pure; any thread.

import type { WireError } from "../wire-error.js";

const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  410: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
};

/** Fields that a body has under other names than the library, which found what is wrong with them. */
const RENAMED: readonly (readonly [RegExp, string])[] = [
  [/\btools\[(\d+)\]\.function\.parameters/g, "tools[$1].input_schema"],
  [/\btools\[(\d+)\]\.function/g, "tools[$1]"],
  [/\bresponse_format\.schema/g, "output_config.format.schema"],
];

/** The body of a refusal, and equally the data of an error in a stream. */
export function errorBody(error: WireError, requestId?: string): object {
  const type = TYPES[error.status] ?? (error.status >= 500 ? "api_error" : "invalid_request_error");
  const details = error.code === NO_THREADS ? { details: { error_code: NO_THREADS, unsupported: ["thread"] } } : {};
  return { type: "error", error: { type, message: messageOf(error), ...details }, request_id: requestId ?? null };
}

/** By which the SDK's tool runner knows that it must send the whole conversation each time. */
export const NO_THREADS = "thread_unsupported_request";

/** What clients look for to know that they must shorten the conversation, Claude Code among them: two numbers in this sentence. */
function messageOf({ message, overflow }: WireError): string {
  if (overflow === undefined) return RENAMED.reduce((said, [pattern, name]) => said.replaceAll(pattern, name), message);
  const { tokens, contextSize, isCounted } = overflow;
  return `prompt is too long: ${tokens} tokens > ${contextSize} maximum${isCounted ? "" : " (it was counted so far)"}`;
}
