// Owns what is known of a context's memory before there is one: how much of it there is, how it is laid out, and what cannot be done with it. Pure; any
// thread.
#pragma once

#include "core/info.h"
#include "llama.h"

namespace zse {

/**
 * What a context for the streams of this model is made with, but for its threads. `more_rows`: of logits, beyond one for each stream. `draft_tokens`: that
 * are to be taken back at most. Throws EngineError BAD_OPTION and UNSUPPORTED where the model, or this machine, cannot do what its options say.
 */
llama_context_params params_of_context(const llama_model* model, const ModelInfo& info, int more_rows, int draft_tokens);

/** What a context keeps of all its sequences, once they are full. */
size_t bytes_kept(const llama_context* context);

}  // namespace zse
