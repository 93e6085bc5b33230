// Owns a look at foreign JSON text before anything recursive or quadratic reads it: how deep it nests, and how much work its keys are.
// Knows nobody; one pass, no recursion. Text that is no JSON gets some answer: whoever parses it says so.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace zse {

struct JsonShape {
  size_t depth = 0;  // arrays and objects inside each other
  uint64_t key_pairs =
      0;  // pairs of keys of the same object: what a reader compares that looks for each key among those before it
};

/** Levels that any recursive reader of foreign JSON is given. lib/options/foreign.ts bounds what comes from JavaScript, before. */
constexpr size_t kMaxJsonDepth = 128;
/** An object of 8,000 keys, or so many objects of fewer. */
constexpr uint64_t kMaxJsonKeyPairs = uint64_t{32} << 20;

inline JsonShape json_shape(std::string_view text) {
  JsonShape shape;
  std::vector<uint64_t> keys;  // of each open object or array
  for (size_t i = 0; i < text.size(); i++) {
    switch (text[i]) {
      case '"':
        for (i++; i < text.size() && text[i] != '"'; i++) {
          if (text[i] == '\\') i++;
        }
        break;
      case '{':
      case '[':
        keys.push_back(0);
        shape.depth = std::max(shape.depth, keys.size());
        if (shape.depth > kMaxJsonDepth) return shape;
        break;
      case '}':
      case ']':
        if (!keys.empty()) keys.pop_back();
        break;
      case ':':
        if (!keys.empty()) shape.key_pairs += keys.back()++;
        break;
      default: break;
    }
  }
  return shape;
}

}  // namespace zse
