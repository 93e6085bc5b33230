// The likeliest tokens are found whatever the logits are: as sorting all of them would.
#include "llama/likeliest.h"

#include <algorithm>
#include <limits>
#include <random>

#include "check.h"

using namespace zse;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<llama_token> sorted(const std::vector<float>& logits, size_t most) {
  std::vector<llama_token_data> all;
  for (size_t i = 0; i < logits.size(); i++) {
    if (logits[i] != -kInfinity) all.push_back({static_cast<llama_token>(i), logits[i], 0});
  }
  std::sort(all.begin(), all.end(), likelier);
  std::vector<llama_token> ids;
  for (size_t i = 0; i < std::min(most, all.size()); i++) ids.push_back(all[i].id);
  return ids;
}

std::vector<llama_token> found(const std::vector<float>& logits, size_t most) {
  std::vector<llama_token_data> best;
  REQUIRE(find_likeliest(logits.data(), static_cast<int>(logits.size()), most, best));
  std::sort(best.begin(), best.end(), likelier);
  std::vector<llama_token> ids;
  for (const llama_token_data& one : best) {
    CHECK_EQ(one.logit, logits[one.id]);
    ids.push_back(one.id);
  }
  return ids;
}

}  // namespace

TEST("the likeliest tokens are those that sorting all of them puts first, the lower id among equals (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < (check::kSanitized ? 500 : 3000); round++) {
    const size_t size = 1 + random() % (round % 100 == 0 ? 40000 : 3000);
    std::vector<float> logits(size);
    std::normal_distribution<float> normal(-10, 4);
    const bool few_values = random() % 3 == 0;  // many equal ones
    const uint64_t never = random() % 4;        // so many of four cannot come
    for (float& logit : logits) {
      logit = few_values ? static_cast<float>(random() % 4) : normal(random);
      if (random() % 4 < never) logit = -kInfinity;
    }
    if (random() % 10 == 0) logits[random() % size] = kInfinity;
    const size_t most = random() % 4 == 0 ? random() % (2 * size) : random() % 80;
    CHECK(found(logits, most) == sorted(logits, most));
  }
}

TEST("a logit that is no number is told, wherever it is (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 500; round++) {
    std::vector<float> logits(1 + random() % 3000, -5.0f);
    logits[random() % logits.size()] = std::numeric_limits<float>::quiet_NaN();
    std::vector<llama_token_data> best;
    CHECK(!find_likeliest(logits.data(), static_cast<int>(logits.size()), 1 + random() % 100, best));
  }
}
