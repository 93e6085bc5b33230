#include "tokenize/word_finder.h"

namespace zse {

void WordFinder::add(std::string_view word, uint32_t number) {
  if (word.empty()) return;
  uint32_t node = 0, steps = 0;
  for (const char letter : word) {
    const auto byte = static_cast<unsigned char>(letter);
    uint32_t next = child(node, byte, steps);
    if (next == 0) {
      next = static_cast<uint32_t>(nodes_.size());
      Node fresh;
      fresh.byte = byte;
      fresh.sibling = nodes_[node].child;
      nodes_.push_back(fresh);
      nodes_[node].child = next;
      if (node == 0) root_[byte] = next;
    }
    node = next;
  }
  if (nodes_[node].word == kNone) nodes_[node].word = number;
}

/** Breadth first: where a node falls back to is shallower than itself. */
void WordFinder::finish() {
  std::vector<uint32_t> order = {0};
  order.reserve(nodes_.size());
  uint32_t steps = 0;
  for (size_t i = 0; i < order.size(); i++) {
    const uint32_t node = order[i];
    for (uint32_t at = nodes_[node].child; at != 0; at = nodes_[at].sibling) {
      const uint32_t fallback = node == 0 ? 0 : follow(nodes_[node].fallback, nodes_[at].byte, steps);
      nodes_[at].fallback = fallback;
      nodes_[at].shorter = nodes_[fallback].word == kNone ? nodes_[fallback].shorter : fallback;
      order.push_back(at);
    }
  }
  nodes_.shrink_to_fit();
}

}  // namespace zse
