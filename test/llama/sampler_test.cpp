// A token is drawn from the set that was asked for, whatever the parameters and whatever the model gives: nothing on the way is NaN or infinite.
#include "llama/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "check.h"

using namespace zse;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

SamplerModel model_of(int vocabulary) { return {vocabulary, 512, {0, 1}}; }

/** Everything off. */
SamplingParams plain(float temperature, uint32_t seed = 1) {
  SamplingParams params;
  params.temperature = temperature;
  params.top_k = 0;
  params.top_p = 1;
  params.min_p = 0;
  params.seed = seed;
  return params;
}

std::optional<Token> draw(const SamplingParams& params, std::vector<float> logits) {
  LlamaSampler sampler(model_of(static_cast<int>(logits.size())), params, {});
  return sampler.sample(logits.data());
}

/** As models give them: most far below the few that may come next. */
std::vector<float> logits_of(size_t vocabulary, std::mt19937_64& random, float spread = 4) {
  std::normal_distribution<float> normal(-10, spread);
  std::vector<float> logits(vocabulary);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

template <class T>
const T& pick(std::mt19937_64& random, const std::vector<T>& from) {
  return from[random() % from.size()];
}

}  // namespace

TEST("a temperature of next to nothing is greedy") {
  std::mt19937_64 random(check::seed());
  for (const float temperature : {1e-5f, 1e-6f, 1e-20f, 1e-38f, 1e-40f, 1e-45f, 0.0f, -0.0f, -1.0f, kNaN}) {
    for (const int top_k : {0, 3, 40}) {
      for (const float typical_p : {1.0f, 0.5f}) {
        std::vector<float> logits = logits_of(3000, random);
        logits[777] = 40;
        logits[778] = 39.9f;
        SamplingParams params = plain(temperature);
        params.top_k = top_k;
        params.typical_p = typical_p;
        params.top_n_sigma = typical_p;
        CHECK_EQ(draw(params, logits).value_or(-1), 777);
      }
    }
  }
}

TEST("typicalP and topNSigma beside a ban draw as they do where the banned tokens do not exist") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 300; round++) {
    const size_t size = 20 + random() % 500;
    std::vector<float> logits =
        logits_of(size, random, round % 3 == 0 ? 40.0f : 4.0f);  // some so far apart that a probability is 0
    SamplingParams params = plain(0.8f, static_cast<uint32_t>(round));
    params.typical_p = pick<float>(random, {0.0f, 0.1f, 0.5f, 0.95f, 1.0f});
    params.top_n_sigma = pick<float>(random, {0.0f, 0.0f, 0.5f, 1.0f, 3.0f});
    params.top_k = pick<int>(random, {0, 0, 5, 40, 1000});
    params.ignore_eos = random() % 2 == 0;
    std::set<Token> banned;
    if (params.ignore_eos) banned = {0, 1};
    for (size_t i = random() % (size / 2); i > 0; i--) {
      const Token token = static_cast<Token>(2 + random() % (size - 2));
      banned.insert(token);
      params.logit_bias.push_back({token, pick<float>(random, {-100.0f, -1e30f, -kInfinity})});
    }
    std::vector<float> others;
    std::vector<Token> ids;
    for (Token token = 0; token < static_cast<Token>(size); token++) {
      if (banned.count(token) != 0) continue;
      others.push_back(logits[token]);
      ids.push_back(token);
    }
    const std::optional<Token> token = draw(params, logits);
    params.ignore_eos = false;
    params.logit_bias.clear();
    const std::optional<Token> other = draw(params, others);
    REQUIRE(token && other);
    CHECK_EQ(*token, ids[*other]);
  }
}

TEST("topNSigma draws what is within n deviations of the greatest logit, of all tokens', whatever topK leaves of them") {
  std::mt19937_64 random(check::seed());
  for (const int top_k : {0, 5, 300}) {
    for (const float n : {0.3f, 1.0f, 2.0f}) {
      const size_t size = 1000;
      const std::vector<float> logits = logits_of(size, random);
      double sum = 0, squares = 0;
      for (const float logit : logits) sum += logit;
      const double mean = sum / size;
      for (const float logit : logits) squares += (logit - mean) * (logit - mean);
      std::vector<float> sorted = logits;
      std::sort(sorted.rbegin(), sorted.rend());
      const double least = sorted.front() - n * std::sqrt(squares / size);
      size_t within = 0;
      while (sorted[within] > least) within++;
      if (top_k > 0) within = std::min(within, static_cast<size_t>(top_k));
      // So hot that all of them are as likely.
      SamplingParams params = plain(1e6f);
      params.top_k = top_k;
      params.top_n_sigma = n;
      std::set<Token> drawn;
      LlamaSampler sampler(model_of(size), params, {});
      for (size_t i = 0; i < 30 * within; i++) {
        std::vector<float> step = logits;
        const std::optional<Token> token = sampler.sample(step.data());
        REQUIRE(token.has_value());
        CHECK(logits[*token] >= least - 1e-3);
        drawn.insert(*token);
      }
      CHECK(drawn.size() <= within + 1);
      CHECK(drawn.size() + 1 >= within);  // a logit at the very border may round to either side
    }
  }
}

TEST("whatever the parameters, a token that may follow is drawn, and never a banned one (random)") {
  std::mt19937_64 random(check::seed());
  const std::vector<float> extremes = {0,    1,     -1,     0.1f,  0.5f,   2,      5,         100,        -100,
                                       1e4f, 1e30f, -1e30f, 1e38f, -1e38f, 1e-40f, kInfinity, -kInfinity, kNaN};
  for (int round = 0; round < 3000; round++) {
    const size_t size = 5 + random() % 400;
    std::vector<float> logits = logits_of(size, random, pick<float>(random, {0, 4, 100, 1e20f}));
    if (round % 5 == 0) logits[random() % size] = -kInfinity;  // the model itself rules it out
    if (round % 7 == 0) logits[random() % size] = pick<float>(random, {3e38f, -3e38f, 1e-45f});
    const auto parameter = [&](float usual) { return random() % 2 == 0 ? usual : pick(random, extremes); };
    SamplingParams params;
    params.temperature = parameter(0.8f);
    params.top_k = pick<int>(random, {0, 1, 40, 300, 1 << 30, -1});
    params.top_p = parameter(0.95f);
    params.min_p = parameter(0.05f);
    params.typical_p = parameter(0.7f);
    params.top_n_sigma = parameter(1);
    params.presence_penalty = parameter(0);
    params.frequency_penalty = parameter(0);
    params.repeat_penalty = parameter(1);
    params.seed = static_cast<uint32_t>(round);
    params.ignore_eos = random() % 2 == 0;
    std::set<Token> banned;
    for (int i = static_cast<int>(random() % 6); i > 0; i--) {
      const Token token = static_cast<Token>(random() % (size + 3));
      const float value = pick(random, extremes);
      params.logit_bias.push_back({token, value});
      if (value <= -100) banned.insert(token);
    }
    if (params.ignore_eos) banned.insert({0, 1});
    std::vector<Token> prompt(random() % 100);
    for (Token& token : prompt) token = static_cast<Token>(random() % size);
    LlamaSampler sampler(model_of(static_cast<int>(size)), params, Prompt(prompt));
    for (int i = 0; i < 5; i++) {
      std::vector<float> step = logits;
      const std::optional<Token> token = sampler.sample(step.data());
      bool any = false;
      for (size_t other = 0; other < size; other++) {
        any |= logits[other] != -kInfinity && banned.count(static_cast<Token>(other)) == 0;
      }
      CHECK_EQ(token.has_value(), any);
      if (!token) break;
      CHECK(*token >= 0 && static_cast<size_t>(*token) < size);
      CHECK(banned.count(*token) == 0);
      CHECK(logits[*token] != -kInfinity);
    }
  }
}

TEST("a model that gives not-a-number or infinity, wherever it is, is told from one that gives numbers") {
  std::mt19937_64 random(check::seed());
  for (const float bad : {kNaN, -kNaN, kInfinity}) {
    for (const size_t size : {size_t{7}, size_t{300}, size_t{9000}}) {
      for (const size_t place : {size_t{0}, size_t{5}, size / 2, size - 1}) {
        for (int kind = 0; kind < 6; kind++) {
          SamplingParams params = plain(kind % 2 == 0 ? 0.0f : 0.8f);
          if (kind >= 2) params.top_k = 5;
          if (kind >= 4) params.repeat_penalty = 1.3f;
          std::vector<float> logits = logits_of(size, random);
          CHECK(draw(params, logits).has_value());
          logits[place] = bad;
          CHECK(!draw(params, logits).has_value());
        }
      }
    }
  }
  for (const float all : {kNaN, kInfinity, -kInfinity}) {
    CHECK(!draw(plain(0), std::vector<float>(300, all)).has_value());
    CHECK(!draw(plain(0.8f), std::vector<float>(300, all)).has_value());
  }
}

TEST("where every token is banned nothing is drawn") {
  for (const float temperature : {0.0f, 0.8f}) {
    for (const int top_k : {0, 2, 40}) {
      SamplingParams params = plain(temperature);
      params.top_k = top_k;
      for (Token token = 0; token < 50; token++) params.logit_bias.push_back({token, -100});
      CHECK(!draw(params, std::vector<float>(50, 1.0f)).has_value());
    }
  }
}

TEST("a bias beyond all measure chooses its token, and two of them leave the choice to the model") {
  SamplingParams params = plain(0.8f);
  std::vector<float> logits(100, 1.0f);
  params.logit_bias = {{42, 1e38f}};
  CHECK_EQ(draw(params, logits).value_or(-1), 42);
  params.logit_bias = {{42, 1e38f}, {43, 1e38f}, {42, 1e38f}, {43, 1e38f}};
  logits[43] = 30;
  CHECK_EQ(draw(params, logits).value_or(-1), 43);
}

TEST(
    "log-probabilities are the model's own: they sum to 1, the greedy token is the likeliest, and no option changes them "
    "(random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 300; round++) {
    const size_t size = round % 2 == 0 ? 20 : 2 + random() % 5000;
    std::vector<float> logits = logits_of(size, random, pick<float>(random, {0, 1, 4, 100, 1e20f}));
    if (round % 5 == 0) logits[random() % size] = -kInfinity;
    SamplingParams params = plain(round % 3 == 0 ? 0.0f : 0.8f, static_cast<uint32_t>(round));
    params.logprobs = true;
    params.top_logprobs = static_cast<int>(random() % 21);
    if (round % 4 == 1) params.repeat_penalty = 1.5f;
    if (round % 4 >= 2) params.logit_bias = {{0, -100}, {static_cast<Token>(random() % size), 7}};
    if (round % 2 == 0) params.top_logprobs = 20;
    LlamaSampler sampler(model_of(static_cast<int>(size)), params, {});
    double sum = 0;
    const float greatest = *std::max_element(logits.begin(), logits.end());
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - greatest);
    const auto expected = [&](Token token) { return logits[token] - greatest - std::log(sum); };

    std::vector<float> step = logits;
    const std::optional<Token> token = sampler.sample(step.data());
    if (!token) continue;
    const Distribution& distribution = sampler.distribution();
    const auto near = [](double a, double b) { return std::abs(a - b) < 1e-4 * std::max(1.0, std::abs(b)); };
    CHECK_EQ(sampler.drawn().token, *token);
    CHECK(near(distribution.logprob(sampler.drawn().logit), expected(*token)));
    const size_t told = distribution.top().size();
    const size_t possible = size - static_cast<size_t>(std::count(logits.begin(), logits.end(), -kInfinity));
    CHECK_EQ(told, std::min(possible, static_cast<size_t>(params.top_logprobs)));
    double of_top = 0;
    for (size_t i = 0; i < told; i++) {
      const auto& [top_token, logit] = distribution.top()[i];
      CHECK(near(distribution.logprob(logit), expected(top_token)));
      const size_t greater =
          static_cast<size_t>(std::count_if(logits.begin(), logits.end(), [&](float l) { return l > logit; }));
      CHECK(greater <= i);
      if (i > 0) CHECK(logit <= distribution.top()[i - 1].logit);
      of_top += std::exp(distribution.logprob(logit));
    }
    if (size == 20) CHECK(near(of_top, 1));
    if (params.temperature == 0 && round % 4 == 0 && told > 0) CHECK_EQ(distribution.top()[0].token, *token);
  }
}
