#include "draft_head.h"

namespace zse::gguf {

namespace {

// Of llama.cpp's architectures with such heads, those whose head is one dense layer. Others' take gigabytes (GLM-4.5's, say), or guess in other ways.
constexpr std::string_view kArchitecture = "qwen35";

}  // namespace

DraftHead draft_head_of(const Header& header) try {
  const std::string prefix = std::string(kArchitecture) + ".";
  if (header.text("general.architecture") != kArchitecture) return {};
  const uint32_t heads = header.uint32(prefix + "nextn_predict_layers").value_or(0);
  if (heads == 0) return {};
  if (heads > 1) return {false, "it has " + std::to_string(heads) + " of them, and one alone is supported"};
  return {true, {}};
} catch (const FileError&) {
  return {};
}

}  // namespace zse::gguf
