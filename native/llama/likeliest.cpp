#include "likeliest.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace zse {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr int kLanes = 8;  // that the compiler makes vectors of
// More blocks than tokens that are wanted: most blocks then have none of those. A block that has one is looked through.
constexpr int kBlocksForEach = 4, kShortestBlock = 16, kLongestBlock = 4096;

int block_length(int size, size_t most) {
  const size_t blocks = kBlocksForEach * most;
  const int length = static_cast<int>(static_cast<size_t>(size) / blocks) / kShortestBlock * kShortestBlock;
  return std::clamp(length, kShortestBlock, kLongestBlock);
}

/** False where one of them is NaN. */
bool find_greatest(const float* logits, int size, float& greatest) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, kNever);
  int i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int lane = 0; lane < kLanes; lane++) lanes[lane] = logits[i + lane] > lanes[lane] ? logits[i + lane] : lanes[lane];
  }
  for (; i < size; i++) lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
  greatest = *std::max_element(lanes, lanes + kLanes);
  int not_numbers = 0;
  for (i = 0; i < size; i++) not_numbers |= logits[i] != logits[i];
  return not_numbers == 0;
}

}  // namespace

// As many blocks as tokens are wanted have a logit of the n-th greatest block's greatest or more: so no wanted token has less.
bool find_likeliest(const float* logits, int size, size_t most, std::vector<llama_token_data>& best) {
  best.clear();
  if (most == 0 || size <= 0) return true;
  const int length = block_length(size, most);
  thread_local std::vector<float> of_blocks, sorted;
  of_blocks.clear();
  for (int from = 0; from < size; from += length) {
    float greatest = kNever;
    if (!find_greatest(logits + from, std::min(length, size - from), greatest)) return false;
    of_blocks.push_back(greatest);
  }
  float least = kNever;
  if (of_blocks.size() > most) {
    sorted = of_blocks;
    const auto nth = sorted.begin() + static_cast<std::ptrdiff_t>(most) - 1;
    std::nth_element(sorted.begin(), nth, sorted.end(), std::greater<float>());
    least = *nth;
  }
  for (size_t block = 0; block < of_blocks.size(); block++) {
    if (of_blocks[block] < least || of_blocks[block] == kNever) continue;
    const int from = static_cast<int>(block) * length, to = std::min(size, from + length);
    for (int i = from; i < to; i++) {
      if (logits[i] >= least && logits[i] != kNever) best.push_back({i, logits[i], 0});
    }
  }
  if (best.size() > most) {
    std::nth_element(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(most), best.end(), likelier);
    best.resize(most);
  }
  return true;
}

}  // namespace zse
