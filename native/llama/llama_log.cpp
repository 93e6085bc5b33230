#include "llama_log.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "llama.h"
#include "log.h"  // llama.cpp's common/log.h

namespace zse {

namespace {

constexpr size_t kMaxCollectedBytes = 2000;

thread_local std::string collected_errors;

int shown_level() {
  const char* wanted = std::getenv("ZSE_LOG");
  if (!wanted) return GGML_LOG_LEVEL_CONT + 1;
  if (!std::strcmp(wanted, "debug")) return GGML_LOG_LEVEL_DEBUG;
  if (!std::strcmp(wanted, "info")) return GGML_LOG_LEVEL_INFO;
  if (!std::strcmp(wanted, "warn")) return GGML_LOG_LEVEL_WARN;
  return GGML_LOG_LEVEL_ERROR;
}

/** "llama_model_load: error loading model: x\n" → "error loading model: x". */
std::string without_function_name(const std::string& line) {
  const size_t colon = line.find(": ");
  if (colon == std::string::npos || line.find(' ') < colon) return line;
  return line.substr(colon + 2);
}

}  // namespace

void log_line(int level, const char* text) {
  static const int shown = shown_level();
  if (level >= shown && level != GGML_LOG_LEVEL_CONT) std::fputs(text, stderr);
  if (level == GGML_LOG_LEVEL_ERROR && collected_errors.size() < kMaxCollectedBytes) collected_errors += text;
}

void install_log() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set([](ggml_log_level level, const char* text, void*) { log_line(level, text); }, nullptr);
    common_log_set_verbosity_thold(-1);
  });
}

void clear_logged_errors() { collected_errors.clear(); }

std::string logged_errors() {
  std::string joined;
  size_t start = 0;
  while (start < collected_errors.size()) {
    size_t end = collected_errors.find('\n', start);
    if (end == std::string::npos) end = collected_errors.size();
    const std::string line = without_function_name(collected_errors.substr(start, end - start));
    if (!line.empty()) joined += (joined.empty() ? "" : "; ") + line;
    start = end + 1;
  }
  return joined;
}

}  // namespace zse
