#include "prompt_limits.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "core/info.h"
#include "model.h"

namespace zse {

namespace {

using std::chrono::seconds;

constexpr seconds kPromptTime{20};
constexpr uint64_t kMemoryOfToken = 64;  // of the context: a text several times over

}  // namespace

WorkLimits prompt_limits(const ModelInfo& info) {
  const auto context = static_cast<uint64_t>(info.context_size);
  WorkLimits limits;
  limits.time = kPromptTime;
  limits.steps = kPromptSteps;
  limits.memory = kPromptMemory + context * kMemoryOfToken;
  limits.tokens = std::max(4 * context, context + 8192);  // one that does not fit by a little is told by how much
  return limits;
}

std::string too_much(WorkStop why, const WorkLimits& limits) {
  using std::chrono::duration_cast;
  switch (why) {
    case WorkStop::kTime: return "runs for more than " + std::to_string(duration_cast<seconds>(limits.time).count()) + " s";
    case WorkStop::kMemory:
      return "takes more than " + std::to_string(limits.memory >> 20) + " MB of memory, or than other prompts leave it";
    case WorkStop::kStack: return "recurses too deeply";
    default: return "takes too many steps";
  }
}

void throw_overflow(const ModelInfo& info, const std::string& tokens) {
  throw EngineError("CONTEXT_OVERFLOW", "the prompt has " + tokens + " tokens, and the context of a stream holds " +
                                            std::to_string(info.context_size) +
                                            " including at least one of the reply; shorten the prompt or open the model "
                                            "with a larger contextSize");
}

void check_bytes(const Model& model, size_t bytes) {
  const size_t fewest_tokens = bytes / model.longest_piece();
  if (fewest_tokens >= static_cast<size_t>(model.info().context_size)) {
    throw_overflow(model.info(), "at least " + std::to_string(fewest_tokens));
  }
}

}  // namespace zse
