// Owns the part that the demo model plays for an agent. It is too small to choose a tool among twenty, or to end a reply to a prompt of 25,000 tokens.
// So each request goes to it as the agent sent it, with three things added: a schema that the text must fit, a tool that it must call, with a schema
// that leaves its arguments no choice, and a bound on its thought. Prefill, thoughts, calls, grammars, streaming and the format are the real ones.

/** A few tokens of whatever it thinks, so that thoughts are part of the turn. */
const THOUGHT = { budgetTokens: 8 };

/**
 * @param part { text } for a reply in these words; { tool, args, text } for a call first, and the words once its result is there. A small
 *   request without that tool (a title, a summary) gets the words
 */
export function acting(model, { tool, args, text }) {
  const self = {
    ready: model.ready,
    get info() {
      return model.info;
    },
    stats: () => model.stats(),
    completionStream: (request) => model.completionStream(request),
    onRequest: () => {},
    /** Usage of the conversation with its result, with the tool that was called still shown: undefined before it came. */
    again: undefined,
    /** What has not happened yet of the part. */
    missing: tool === undefined ? "asked for a reply" : "sent the result of its tool",
    chatStream,
  };
  let requests = 0;

  function chatStream(request) {
    requests += 1;
    self.onRequest(requests);
    const { reasoning: _, template_arguments: __, tools, tool_choice: ___, parallel_tool_calls: ____, ...plain } = request;
    const its = tools?.find((one) => one.function.name === tool);
    const results = request.messages.filter(({ role }) => role === "tool");
    if (tool === undefined || results.length > 0) self.missing = undefined;
    else if (its === undefined) self.missing = `offered ${tool}; it offered ${tools?.map((one) => one.function.name)}`;
    // The other tools of a turn that calls one are not shown: their 15,000 tokens are computed in the turn of text.
    const shown = its === undefined ? tools : [{ ...its, function: { ...its.function, parameters: schemaOf(args) } }];
    // A reply that is held to a text is shown no tools, so its prompt is another one: how much of this conversation is known is asked apart.
    if (its !== undefined && results.length > 0) {
      const { signal: ______, ...asked } = plain;
      self.again = model.chat({ ...asked, tools: shown, reasoning: THOUGHT, max_tokens: 1 }).then(({ usage }) => usage);
      self.again.catch(() => {}); // whoever looks at it is told
    }
    if (its === undefined || results.length > 0) {
      return model.chatStream({
        ...plain,
        ...(shown === undefined ? {} : { tools: shown, tool_choice: "none" }),
        reasoning: THOUGHT,
        response_format: { type: "json_schema", schema: { const: text } },
      });
    }
    return model.chatStream({ ...plain, tools: shown, tool_choice: { name: tool }, parallel_tool_calls: false, reasoning: THOUGHT });
  }
  return self;
}

/** Leaves no choice. */
function schemaOf(args) {
  const properties = Object.fromEntries(Object.entries(args).map(([name, value]) => [name, { const: value }]));
  return { type: "object", properties, required: Object.keys(args), additionalProperties: false };
}
