// Owns finding all occurrences of many words in one pass over a text (Aho and Corasick, 1975). Made once per vocabulary; constant
// afterwards, so any thread may search, under its bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/work_bound.h"

namespace zse {

class WordFinder {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  WordFinder() : nodes_(1) {}

  /** Before finish(). An empty word is never found; of two that are equal the first one is. */
  void add(std::string_view word, uint32_t number);
  void finish();

  bool empty() const { return nodes_.size() == 1; }

  /** Calls found(number, end) for each occurrence, in the order of their ends. */
  template <class Found>
  void find(std::string_view text, Found found) const {
    uint32_t node = 0, steps = 0;
    for (size_t i = 0; i < text.size(); i++) {
      node = follow(node, static_cast<unsigned char>(text[i]), steps);
      for (uint32_t at = nodes_[node].word == kNone ? nodes_[node].shorter : node; at != 0; at = nodes_[at].shorter) {
        found(nodes_[at].word, i + 1);
        steps++;
      }
      if (++steps >= kStepsPerCheck) {
        work_step(1 + steps / kStepsPerUnit);
        steps = 0;
      }
    }
    work_step(1 + steps / kStepsPerUnit);
  }

 private:
  static constexpr uint32_t kStepsPerCheck = 512, kStepsPerUnit = 32;

  struct Node {
    uint32_t child = 0, sibling = 0;  // 0: none, as the root is nobody's child
    uint32_t fallback = 0;            // the longest other word's beginning that the text read so far ends in
    uint32_t shorter = 0;             // the next whole word on that way
    uint32_t word = kNone;
    unsigned char byte = 0;
  };

  uint32_t child(uint32_t node, unsigned char byte, uint32_t& steps) const {
    if (node == 0) return root_[byte];
    uint32_t at = nodes_[node].child;
    while (at != 0 && nodes_[at].byte != byte) {
      at = nodes_[at].sibling;
      steps++;
    }
    return at;
  }

  uint32_t follow(uint32_t node, unsigned char byte, uint32_t& steps) const {
    for (;;) {
      const uint32_t next = child(node, byte, steps);
      if (next != 0 || node == 0) return next;
      node = nodes_[node].fallback;
      steps++;
    }
  }

  std::vector<Node> nodes_;
  uint32_t root_[256] = {};
};

}  // namespace zse
