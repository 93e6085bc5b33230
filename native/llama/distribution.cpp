#include "distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace zse {

namespace {

bool better(const Distribution::Entry& a, const Distribution::Entry& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

}  // namespace

// Block by block, each while it is in the cache: its greatest logit, which rescales the sum where it is a new one, and its exponentials.
void Distribution::read(const float* logits, int size, int top) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr int kBlock = 1024;
  float greatest = -kInfinity;
  double sum = 0;
  top_.clear();
  for (int from = 0; from < size; from += kBlock) {
    const int to = std::min(size, from + kBlock);
    const float of_block = *std::max_element(logits + from, logits + to);
    if (of_block == -kInfinity) continue;
    if (of_block > greatest) {
      sum *= std::exp(static_cast<double>(greatest) - of_block);
      greatest = of_block;
    }
    float block_sum = 0;
    for (int i = from; i < to; i++) block_sum += std::exp(logits[i] - greatest);
    sum += block_sum;
    const size_t wanted = static_cast<size_t>(std::max(0, top));
    if (top_.size() < wanted || (wanted > 0 && of_block > top_.front().logit)) find_top(logits, from, to, wanted);
  }
  log_sum_ = greatest + std::log(sum);
  std::sort_heap(top_.begin(), top_.end(), better);
}

// A heap whose front is the least of the best so far.
void Distribution::find_top(const float* logits, int from, int to, size_t top) {
  for (int i = from; i < to; i++) {
    if (top_.size() == top) {
      if (!(logits[i] > top_.front().logit)) continue;
      std::pop_heap(top_.begin(), top_.end(), better);
      top_.pop_back();
    }
    if (logits[i] == -std::numeric_limits<float>::infinity()) continue;
    top_.push_back({i, logits[i]});
    std::push_heap(top_.begin(), top_.end(), better);
  }
}

}  // namespace zse
