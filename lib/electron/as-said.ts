// Owns the request of a page as it crosses to the engine's process: with schemas as they were given. What the addon takes is made of them there, by
// window-request.ts, and cannot be read a second time. Runs in a page.

import type { ReplySettings } from "../options/options.js";

/** The settings of a reply, for a link whose other end reads requests anew. */
export function asSaid(settings: ReplySettings): ReplySettings {
  const { request, shape } = settings;
  const { reply } = request;
  if (reply === undefined) return settings;
  const tools =
    reply.tools === undefined ? {} : { tools: JSON.stringify(shape.tools.map(({ said }) => ({ type: "function", function: said }))) };
  const schema = reply.jsonSchema === undefined ? {} : { jsonSchema: JSON.stringify(shape.object?.said) };
  return { ...settings, request: { ...request, reply: { ...reply, ...tools, ...schema } } };
}
