// Owns what of a stream's sampler cannot be made between two steps, since it looks at the whole vocabulary. A prompt worker's thread, under its
// WorkBound; what it makes belongs to the decode thread then.
#pragma once

#include <memory>

#include "constraint.h"
#include "core/request.h"
#include "llama.h"

namespace zse {

class Model;

struct SamplerDeleter {
  void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
};
using SamplerPtr = std::unique_ptr<llama_sampler, SamplerDeleter>;

class LlamaSamplerParts final : public SamplerParts {
 public:
  SamplerPtr dry;     // knows its breakers' tokens
  SamplerPtr infill;  // knows the vocabulary
  std::unique_ptr<Constraint> constraint;
};

/**
 * Null where the parameters ask for none, and the reply is held to nothing. Throws EngineError BAD_OPTION where breakers are in too many tokens, or no token may be drawn;
 * UNSUPPORTED where the model cannot infill; and WorkStopped.
 */
std::unique_ptr<SamplerParts> make_sampler_parts(const Model& model, const SamplingParams& params,
                                                 std::unique_ptr<Constraint> constraint = nullptr);

}  // namespace zse
