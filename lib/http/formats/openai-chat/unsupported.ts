// Owns which fields of a request would change the answer and are not supported: OpenAI's own and those of other local servers. Pure; any
// thread. Such a field is refused by its name, unless its value asks for nothing: an answer that ignores it would be a wrong one.

import { WireError } from "../wire-error.js";

type AsksNothing = (value: unknown) => boolean;

const always: AsksNothing = () => false;
const is =
  (...values: unknown[]): AsksNothing =>
  (value) =>
    values.includes(value);
const isEmpty: AsksNothing = (value) => value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0);

/** Each with the test for values that ask for nothing. */
const UNSUPPORTED: ReadonlyMap<string, AsksNothing> = new Map(
  Object.entries({
    // OpenAI's
    functions: isEmpty,
    function_call: is("none", "auto"),
    modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
    audio: always,
    web_search_options: always,
    best_of: is(1),
    // The form of the answer
    format: is(""),
    guided_regex: is(""),
    regex: is(""),
    ebnf: is(""),
    return_token_ids: is(false),
    return_tokens_as_token_ids: is(false),
    return_hidden_states: is(false),
    include_stop_str_in_output: is(false),
    skip_special_tokens: is(true),
    prompt_logprobs: always,
    n_probs: is(0),
    // Where it ends, and what it must not say
    stop_token_ids: isEmpty,
    stop_regex: isEmpty,
    no_stop_trim: is(false),
    min_length: is(0),
    n_predict: always,
    bad_words: isEmpty,
    allowed_token_ids: always,
    banned_tokens: isEmpty,
    logits_processors: isEmpty,
    custom_logit_processor: is(""),
    // The prompt
    chat_template: is(""),
    documents: isEmpty,
    truncate_prompt_tokens: always,
    add_special_tokens: is(true),
    // Sampling
    use_beam_search: is(false),
    length_penalty: is(1),
    top_a: is(0),
    tfs: is(1),
    tfs_z: is(1),
    mirostat_mode: is(0),
    no_repeat_ngram_size: is(0),
  } satisfies Record<string, AsksNothing>),
);

export function isUnsupported(name: string): boolean {
  return UNSUPPORTED.has(name);
}

/** @throws WireError 400 naming the field */
export function refuseUnsupported(given: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(given)) {
    if (UNSUPPORTED.get(name)?.(value) ?? true) continue;
    throw new WireError(400, `${name} is not supported by this version; leave it out.`, { param: name, code: "unsupported_parameter" });
  }
}
