#include "prefix_memory.h"

namespace zse {

namespace {

/** Tells the hash of each beginning, the shortest first. */
template <class Tell>
void each_beginning(const Prompt& prompt, Tell tell) {
  uint64_t hash = prompt.variant() + 0x9E3779B97F4A7C15u;
  for (size_t i = 0; i < prompt.size(); i++) {
    hash = (hash ^ static_cast<uint32_t>(prompt[i])) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
    if ((i + 1) % PrefixMemory::kGrain == 0) tell(hash, i + 1);
  }
}

}  // namespace

void PrefixMemory::remember(const Prompt& content) {
  each_beginning(content, [this](uint64_t hash, size_t) {
    if (hashes_.insert(hash).second) in_order_.push_back(hash);
  });
  for (; in_order_.size() > kMost; in_order_.pop_front()) hashes_.erase(in_order_.front());
}

size_t PrefixMemory::longest(const Prompt& prompt) const {
  size_t longest = 0;
  each_beginning(prompt, [&](uint64_t hash, size_t tokens) {
    if (hashes_.count(hash) != 0) longest = tokens;
  });
  return longest;
}

}  // namespace zse
