// Owns how a failure is told: a stable code and a sentence. Any thread.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace zse {

/** A failure with one of the stable codes of lib/errors.ts and a sentence for people. */
class EngineError : public std::runtime_error {
 public:
  EngineError(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

}  // namespace zse
