#include "split.h"

#include <cstdio>

namespace zse::gguf {

namespace {

constexpr uint32_t kMostParts = 999;  // no model has a tenth of them, and each costs a file to open

/** As llama.cpp reads them: 16 bits without a sign. */
uint32_t number(const Header& header, const char* key, uint32_t otherwise) {
  const Value* value = header.find(key);
  if (!value) return otherwise;
  if (value->is_array || value->type != Type::kUint16) {
    throw FileError(value->position, "metadata key \"" + std::string(key) + "\" must be one number of type uint16");
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(value->bytes.data());
  return bytes[0] + 256u * bytes[1];
}

/** "-00001-of-00003.gguf" */
std::string ending(uint32_t part, uint32_t count) {
  char text[64];
  std::snprintf(text, sizeof text, "-%05u-of-%05u.gguf", part, count);
  return text;
}

/** What all parts' paths begin with; empty where the path does not end as it must. */
std::string prefix_of(const std::string& path, const Split& split) {
  const std::string end = ending(split.number, split.count);
  if (path.size() <= end.size() || path.compare(path.size() - end.size(), end.size(), end) != 0) return "";
  return path.substr(0, path.size() - end.size());
}

}  // namespace

Split split_of(const Header& header) {
  Split split;
  split.count = number(header, "split.count", 1);
  if (split.count <= 1) return {};
  if (split.count > kMostParts) {
    throw FileError(header.find("split.count")->position, "the model is said to have " + std::to_string(split.count) +
                                                              " parts; " + std::to_string(kMostParts) + " are the most");
  }
  split.number = number(header, "split.no", 0) + 1;
  if (split.number > split.count) {
    throw FileError(header.find("split.no")->position,
                    "the file is said to be part " + std::to_string(split.number) + " of " + std::to_string(split.count));
  }
  return split;
}

std::string label_of(const Split& split) {
  return "this is part " + std::to_string(split.number) + " of " + std::to_string(split.count);
}

std::vector<std::string> parts_of(const std::string& path, const Split& split) {
  if (split.count == 1) return {path};
  const std::string prefix = prefix_of(path, split);
  std::vector<std::string> paths;
  if (prefix.empty()) return paths;
  for (uint32_t part = 1; part <= split.count; part++) paths.push_back(prefix + ending(part, split.count));
  return paths;
}

std::string first_ending(const Split& split) { return ending(1, split.count); }

std::string first_part_of(const std::string& path, const Split& split) {
  const std::string prefix = prefix_of(path, split);
  return prefix.empty() ? "the file whose name ends in " + ending(1, split.count)
                        : "\"" + prefix + ending(1, split.count) + "\"";
}

}  // namespace zse::gguf
