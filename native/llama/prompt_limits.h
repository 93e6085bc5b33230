// Owns what the building of one prompt may take, and the words for what took more. Pure; any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/work_bound.h"

namespace zse {

class Model;
struct ModelInfo;

constexpr uint64_t kPromptSteps = uint64_t{1} << 31;
// Giving back what a template holds takes some 50 ms for 256 MB of small values, and a cancel waits for that.
constexpr uint64_t kPromptMemory = uint64_t{64} << 20;
constexpr size_t kMostBytes = size_t{256} << 20;  // that tokens stand for

/** A bound that is cancelled with the engine. */
class FlagBound : public WorkBound {
 public:
  FlagBound(WorkLimits limits, const std::atomic<bool>& cancelled) : WorkBound(limits), cancelled_(cancelled) {}

 private:
  void look_around() override {
    if (cancelled_) stop(WorkStop::kCancelled);
  }
  const std::atomic<bool>& cancelled_;
};

/** What building one prompt may take. */
WorkLimits prompt_limits(const ModelInfo& info);

/** "runs for more than 20 s": what work did that was stopped. */
std::string too_much(WorkStop why, const WorkLimits& limits);

/** CONTEXT_OVERFLOW. `tokens`: as told to people, "at least 5000", say. */
[[noreturn]] void throw_overflow(const ModelInfo& info, const std::string& tokens);

/** Throws CONTEXT_OVERFLOW where a text of so many bytes cannot fit, whatever its tokens are: before they are looked for. */
void check_bytes(const Model& model, size_t bytes);

}  // namespace zse
