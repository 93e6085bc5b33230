#include "chunk_index.h"

#include <algorithm>

#include "prefix_cache.h"

namespace zse {

namespace {

// What is held is looked at in steps of a block, and a part of twice its tokens has a whole one in it, wherever it begins.
constexpr size_t kBlock = kWorthKeeping / 2;

// Text that repeats itself has one block in many places; it is compared with so many of them.
constexpr int kMostPlaces = 4;

// Each takes several passes over the table of the KV cache's cells.
constexpr size_t kMostChunks = 16;

constexpr uint64_t kBase = 0x9E3779B97F4A7C15;  // odd, so that no token's part of the hash is shifted out of it

uint64_t hash_of(const Prompt& prompt, size_t at) {
  uint64_t hash = 0;
  for (size_t i = 0; i < kBlock; i++) hash = hash * kBase + static_cast<uint32_t>(prompt[at + i]);
  return hash;
}

/** Leaves of a chunk what lies outside another; the longer side where that lies within it. */
void leave_out(Position MovedChunk::* place, const MovedChunk& other, MovedChunk& chunk) {
  const Position begin = chunk.*place, end = begin + chunk.tokens;
  const Position before = std::max(0, std::min(end, other.*place) - begin);
  const Position behind = std::max(0, end - std::max(begin, other.*place + other.tokens));
  if (before == chunk.tokens || behind == chunk.tokens) return;
  if (before >= behind) {
    chunk.tokens = before;
    return;
  }
  chunk.from += chunk.tokens - behind;
  chunk.at += chunk.tokens - behind;
  chunk.tokens = behind;
}

}  // namespace

ChunkIndex::ChunkIndex(const Prompt& prompt) : prompt_(prompt) {
  if (prompt.size() < kBlock) return;
  uint64_t gone = 1;  // what the first token of a block counts in its hash
  for (size_t i = 1; i < kBlock; i++) gone *= kBase;
  uint64_t hash = hash_of(prompt, 0);
  blocks_.reserve(prompt.size() - kBlock + 1);
  for (size_t at = 0;; at++) {
    blocks_.emplace_back(hash, static_cast<uint32_t>(at));
    if (at + kBlock >= prompt.size()) break;
    hash = (hash - gone * static_cast<uint32_t>(prompt[at])) * kBase + static_cast<uint32_t>(prompt[at + kBlock]);
  }
  std::sort(blocks_.begin(), blocks_.end());
}

MovedChunk ChunkIndex::longest(const Prompt& held, size_t block, size_t held_from, size_t at_from) const {
  const uint64_t hash = hash_of(held, block);
  const size_t end = prompt_.size() - 1;
  MovedChunk best;
  auto place = std::lower_bound(blocks_.begin(), blocks_.end(), std::pair(hash, static_cast<uint32_t>(at_from)));
  for (int tried = 0; tried < kMostPlaces && place != blocks_.end() && place->first == hash; tried++, place++) {
    size_t from = block, at = place->second, tokens = 0;
    while (at + tokens < end && from + tokens < held.size() && prompt_[at + tokens] == held[from + tokens]) tokens++;
    if (tokens < kBlock) continue;
    while (from > held_from && at > at_from && prompt_[at - 1] == held[from - 1]) from--, at--, tokens++;
    if (tokens <= static_cast<size_t>(best.tokens)) continue;
    best = {static_cast<Position>(from), static_cast<Position>(at), static_cast<int>(tokens)};
  }
  return best;
}

MovedChunks ChunkIndex::find(const Prompt& held, size_t held_from, size_t at_from) const {
  if (held.variant() != prompt_.variant() || prompt_.size() <= at_from + kWorthKeeping) return {};
  MovedChunks found;
  for (size_t block = held_from; block + kBlock <= held.size(); block += kBlock) {
    const MovedChunk chunk = longest(held, block, held_from, at_from);
    if (chunk.tokens < kWorthKeeping) continue;
    found.push_back(chunk);
    block = static_cast<size_t>(chunk.from + chunk.tokens) - kBlock;  // goes on behind it
  }
  std::stable_sort(found.begin(), found.end(), [](const MovedChunk& a, const MovedChunk& b) { return a.tokens > b.tokens; });
  MovedChunks chunks;
  for (MovedChunk chunk : found) {
    if (chunks.size() == kMostChunks) break;
    for (const MovedChunk& longer : chunks) {
      leave_out(&MovedChunk::from, longer, chunk);
      leave_out(&MovedChunk::at, longer, chunk);
    }
    if (chunk.tokens >= kWorthKeeping) chunks.push_back(chunk);
  }
  std::sort(chunks.begin(), chunks.end(), [](const MovedChunk& a, const MovedChunk& b) { return a.at < b.at; });
  return chunks;
}

}  // namespace zse
