#include "distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "likeliest.h"

namespace zse {

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
  }
  log_sum_ = greatest + std::log(sum);
  find_likeliest(logits, size, static_cast<size_t>(std::max(0, top)), likeliest_);
  std::sort(likeliest_.begin(), likeliest_.end(), likelier);
  for (const llama_token_data& one : likeliest_) top_.push_back({one.id, one.logit});
}

}  // namespace zse
