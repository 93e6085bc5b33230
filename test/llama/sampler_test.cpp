// A token is drawn from the set that was asked for, whatever the parameters and whatever the model gives: nothing on the way is NaN or infinite.
#include "llama/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "check.h"
#include "demo_model.h"
#include "llama/model.h"

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

/** DRY without breakers, for vocabularies that there are no words of. */
LlamaSamplerParts parts_of(const SamplingParams& params) {
  LlamaSamplerParts parts;
  if (params.dry_multiplier > 0) {
    parts.dry.reset(llama_sampler_init_dry(nullptr, params.dry_multiplier, params.dry_base, params.dry_allowed_length,
                                           params.dry_penalty_last_n, nullptr, 0));
  }
  return parts;
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

std::vector<SamplerKind> shuffled(std::mt19937_64& random) {
  std::vector<SamplerKind> order = SamplingParams().samplers;
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

/** What is drawn in so many draws from the same logits. */
std::set<Token> drawn(const SamplingParams& params, const std::vector<float>& logits, int draws = 300) {
  LlamaSampler sampler(model_of(static_cast<int>(logits.size())), params, {}, parts_of(params));
  std::set<Token> tokens;
  for (int i = 0; i < draws; i++) {
    std::vector<float> step = logits;
    tokens.insert(sampler.sample(step.data()).value_or(-1));
  }
  return tokens;
}

/** Logits of these probabilities. */
std::vector<float> logits_for(const std::vector<float>& probabilities) {
  std::vector<float> logits;
  for (const float p : probabilities) logits.push_back(std::log(p));
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

TEST("samplers beside a ban draw as they do where the banned tokens do not exist, in any order (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 300; round++) {
    const size_t size = 20 + random() % 500;
    std::vector<float> logits =
        logits_of(size, random, round % 3 == 0 ? 40.0f : 4.0f);  // some so far apart that a probability is 0
    SamplingParams params = plain(0.8f, static_cast<uint32_t>(round));
    params.typical_p = pick<float>(random, {0.0f, 0.1f, 0.5f, 0.95f, 1.0f});
    params.top_n_sigma = pick<float>(random, {0.0f, 0.0f, 0.5f, 1.0f, 3.0f});
    params.top_k = pick<int>(random, {0, 0, 5, 40, 1000});
    params.xtc_probability = pick<float>(random, {0.0f, 0.0f, 0.5f, 1.0f});
    params.dynatemp_range = pick<float>(random, {0.0f, 0.0f, 0.5f, 2.0f});
    params.adaptive_target = pick<float>(random, {-1.0f, -1.0f, 0.0f, 0.4f});
    params.mirostat = pick<int>(random, {0, 0, 0, 2});
    params.min_keep = pick<int>(random, {0, 0, 3});
    if (round % 2 == 0) params.samplers = shuffled(random);
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
    params.repeat_last_n = pick<int>(random, {-1, 0, 1, 64, 1 << 30});
    params.xtc_probability = parameter(0.5f);
    params.xtc_threshold = parameter(0.1f);
    params.dry_multiplier = parameter(0.8f);
    params.dry_base = parameter(1.75f);
    params.dry_allowed_length = pick<int>(random, {0, 1, 2, 1 << 30});
    params.dry_penalty_last_n = pick<int>(random, {0, 1, 64, 512});
    params.dynatemp_range = parameter(0);
    params.dynatemp_exponent = parameter(1);
    params.mirostat = pick<int>(random, {0, 0, 1, 2});
    params.mirostat_tau = parameter(5);
    params.mirostat_eta = parameter(0.1f);
    params.adaptive_target = parameter(-1);
    params.adaptive_decay = parameter(0.9f);
    params.min_keep = pick<int>(random, {0, 1, 5, 1 << 30, -1});
    if (round % 3 == 0) params.samplers = shuffled(random);
    if (round % 3 == 1) params.samplers.resize(random() % params.samplers.size());
    params.min_tokens = pick<int>(random, {0, 0, 2});
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
    LlamaSampler sampler(model_of(static_cast<int>(size)), params, Prompt(prompt), parts_of(params));
    const std::set<Token> always = banned;
    for (int i = 0; i < 5; i++) {
      std::vector<float> step = logits;
      const std::optional<Token> token = sampler.sample(step.data());
      bool any = false;
      banned = always;
      if (i < params.min_tokens) banned.insert({0, 1});
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
    if (told == possible) CHECK(near(of_top, 1));
    if (params.temperature == 0 && round % 4 == 0 && told > 0) CHECK_EQ(distribution.top()[0].token, *token);
  }
}

TEST("what is drawn is what llama.cpp's own chain of the same samplers in the same order draws (random)") {
  std::mt19937_64 random(check::seed());
  for (int round = 0; round < 600; round++) {
    const size_t size = 20 + random() % 3000;
    SamplingParams params;
    params.seed = static_cast<uint32_t>(round);
    params.temperature = pick<float>(random, {0.3f, 0.8f, 2.0f});
    params.top_k = pick<int>(random, {0, 5, 40, 500});
    params.top_p = pick<float>(random, {0.5f, 0.95f, 1.0f});
    params.min_p = pick<float>(random, {0.0f, 0.05f});
    params.typical_p = pick<float>(random, {0.6f, 1.0f});
    params.xtc_probability = pick<float>(random, {0.0f, 0.5f});
    params.xtc_threshold = pick<float>(random, {0.02f, 0.1f});
    params.dry_multiplier = pick<float>(random, {0.0f, 0.8f});
    params.dynatemp_range = pick<float>(random, {0.0f, 0.2f});
    params.adaptive_target = pick<float>(random, {-1.0f, 0.3f});
    params.min_keep = pick<int>(random, {0, 4});
    params.repeat_penalty = pick<float>(random, {1.0f, 1.2f});
    params.repeat_last_n = pick<int>(random, {2, 64});
    params.mirostat = pick<int>(random, {0, 0, 1, 2});
    // Ours gives mirostat no candidate of less than e^-64: llama.cpp's counts those, and divides by how many there are.
    if (params.mirostat != 0 && params.temperature < 0.5f) params.dynatemp_range = 0;
    if (round % 2 == 0) params.samplers = shuffled(random);
    if (round % 4 == 3) params.samplers.resize(random() % params.samplers.size());

    const auto has = [&](SamplerKind kind) {
      return std::find(params.samplers.begin(), params.samplers.end(), kind) != params.samplers.end();
    };
    SamplerPtr chain(llama_sampler_chain_init(llama_sampler_chain_default_params()));
    const auto add = [&](llama_sampler* sampler) { llama_sampler_chain_add(chain.get(), sampler); };
    const auto keep = static_cast<size_t>(params.min_keep);
    for (const SamplerKind kind : params.samplers) {
      if (kind == SamplerKind::kPenalties)
        add(llama_sampler_init_penalties(static_cast<int>(size), params.repeat_last_n, params.repeat_penalty, 0, 0));
      if (kind == SamplerKind::kDry && params.dry_multiplier > 0) add(parts_of(params).dry.release());
      if (kind == SamplerKind::kTemperature)
        add(llama_sampler_init_temp_ext(params.temperature, params.dynatemp_range, params.dynatemp_exponent));
      if (params.mirostat != 0) continue;
      if (kind == SamplerKind::kTopK) add(llama_sampler_init_top_k(params.top_k));
      if (kind == SamplerKind::kTypicalP) add(llama_sampler_init_typical(params.typical_p, keep));
      if (kind == SamplerKind::kTopP) add(llama_sampler_init_top_p(params.top_p, keep));
      if (kind == SamplerKind::kMinP) add(llama_sampler_init_min_p(params.min_p, keep));
      if (kind == SamplerKind::kXtc)
        add(llama_sampler_init_xtc(params.xtc_probability, params.xtc_threshold, keep, params.seed));
    }
    if (params.mirostat == 1) {
      add(llama_sampler_init_mirostat(static_cast<int>(size), params.seed, params.mirostat_tau, params.mirostat_eta, 100));
    } else if (params.mirostat == 2) {
      add(llama_sampler_init_mirostat_v2(params.seed, params.mirostat_tau, params.mirostat_eta));
    } else if (has(SamplerKind::kAdaptiveP) && params.adaptive_target >= 0) {
      add(llama_sampler_init_adaptive_p(params.adaptive_target, params.adaptive_decay, params.seed));
    } else {
      add(llama_sampler_init_dist(params.seed));
    }
    LlamaSampler ours(model_of(static_cast<int>(size)), params, {}, parts_of(params));
    for (int i = 0; i < 12; i++) {
      std::vector<float> step = logits_of(size, random, 2);
      std::vector<llama_token_data> data;
      for (size_t token = 0; token < size; token++) data.push_back({static_cast<Token>(token), step[token], 0});
      llama_token_data_array array{data.data(), data.size(), -1, false};
      llama_sampler_apply(chain.get(), &array);
      const Token theirs = array.data[array.selected].id;
      llama_sampler_accept(chain.get(), theirs);
      CHECK_EQ(ours.sample(step.data()).value_or(-1), theirs);
    }
  }
}

TEST("a sampler that is given the tokens of a lost reply goes on as the lost one: random numbers, penalties, mirostat") {
  std::mt19937_64 random(check::seed());
  SamplingParams penalized = plain(0.9f), xtc = plain(1.2f), mirostat = plain(1), older = plain(1), adaptive = plain(1),
                 dry = plain(1);
  penalized.repeat_penalty = 1.3f;
  penalized.frequency_penalty = 0.7f;
  penalized.min_tokens = 10;
  xtc.xtc_probability = 0.5f;
  xtc.top_k = 20;
  mirostat.mirostat = 2;
  older.mirostat = 1;
  adaptive.adaptive_target = 0.3f;
  dry.dry_multiplier = 1;
  for (const SamplingParams& params : {penalized, xtc, mirostat, older, adaptive, dry}) {
    std::vector<std::vector<float>> logits;
    for (int i = 0; i < 40; i++) logits.push_back(logits_of(50, random, 2));
    LlamaSampler lost(model_of(50), params, {}, parts_of(params)), next(model_of(50), params, {}, parts_of(params));
    for (size_t i = 0; i < logits.size(); i++) {
      std::vector<float> first = logits[i], second = logits[i];
      const std::optional<Token> drawn = lost.sample(first.data());
      REQUIRE(drawn.has_value());
      CHECK_EQ((i < 25 ? next.sample(second.data(), drawn) : next.sample(second.data())).value_or(-1), *drawn);
    }
  }
}

TEST("a token that was drawn before is what penalties remember, whatever is drawn in its place") {
  SamplingParams params = plain(0);
  params.frequency_penalty = 100;
  LlamaSampler sampler(model_of(4), params, {}, parts_of(params));
  std::vector<float> logits = {0, 1, 2, 3}, again = logits;
  CHECK_EQ(sampler.sample(logits.data(), Token{1}).value_or(-1), Token{3});
  CHECK_EQ(sampler.sample(again.data()).value_or(-1), Token{3});
  again = {0, 9, 2, 3};
  CHECK_EQ(sampler.sample(again.data()).value_or(-1), Token{2});
}

TEST("XTC leaves the least likely of those that are likely enough, and the unlikely ones") {
  const std::vector<float> logits = logits_for({0.4f, 0.3f, 0.2f, 0.06f, 0.04f});
  SamplingParams params = plain(1);
  params.xtc_probability = 1;
  CHECK(drawn(params, logits) == (std::set<Token>{2, 3, 4}));
  params.xtc_threshold = 0.25f;
  CHECK(drawn(params, logits) == (std::set<Token>{1, 2, 3, 4}));
  params.min_keep = 5;
  CHECK_EQ(drawn(params, logits).size(), size_t{5});
  params.samplers = {SamplerKind::kTemperature};
  params.min_keep = 0;
  CHECK_EQ(drawn(params, logits).size(), size_t{5});
}

TEST("DRY keeps a greedy reply from going on with a repetition, and a breaker ends one") {
  std::vector<float> logits(50, 0.0f);
  logits[9] = 5;
  logits[8] = 4;
  SamplingParams params = plain(0);
  const Prompt prompt(std::vector<Token>{5, 6, 7, 9, 3, 5, 6, 7});
  const auto next = [&](LlamaSamplerParts parts) {
    std::vector<float> step = logits;
    return LlamaSampler(model_of(50), params, prompt, std::move(parts)).sample(step.data()).value_or(-1);
  };
  CHECK_EQ(next({}), 9);
  params.dry_multiplier = 2;
  CHECK_EQ(next(parts_of(params)), 8);
  params.dry_allowed_length = 4;
  CHECK_EQ(next(parts_of(params)), 9);

  const std::shared_ptr<const Model> model = demo();
  const SamplerModel of{model->info().vocabulary_size, 128, model->end_tokens()};
  params.dry_allowed_length = 2;
  const std::vector<Token> words = model->tokenize("one two three four. one two three", false, false);
  const std::vector<Token> four = model->tokenize(" four", false, false);
  std::vector<float> wish(static_cast<size_t>(of.vocabulary_size), 0.0f);
  wish[four[0]] = 1;
  const auto after = [&](std::vector<std::string> breakers) {
    params.dry_sequence_breakers = std::move(breakers);
    auto parts = make_sampler_parts(*model, params);
    std::vector<float> step = wish;
    return LlamaSampler(of, params, Prompt(words), std::move(static_cast<LlamaSamplerParts&>(*parts))).sample(step.data());
  };
  CHECK(after({}) != four[0]);
  CHECK(after({"\n", "."}) != four[0]);
  CHECK_EQ(after({" three"}).value_or(-1), four[0]);
}

TEST("mirostat that aims at no surprise is greedy; one that aims at much is not") {
  std::mt19937_64 random(check::seed());
  // Logits so even that surprise enough is there to aim at: about 8 bits, whatever the seed.
  std::vector<float> logits = logits_of(500, random, 1);
  const auto greatest = static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  SamplingParams params = plain(1);
  params.mirostat = 2;
  params.mirostat_tau = 0;
  CHECK(drawn(params, logits) == std::set<Token>{greatest});
  for (const int version : {1, 2}) {
    params.mirostat = version;
    params.mirostat_tau = 6;
    CHECK(drawn(params, logits).size() > 20);
    // So sure for so long that its estimate leaves the range of integers; then anything may come.
    LlamaSampler sampler(model_of(500), params, {});
    std::vector<float> sure(500, 0.0f);
    sure[7] = 40;
    for (int i = 0; i < 2000; i++) {
      std::vector<float> step = sure;
      CHECK_EQ(sampler.sample(step.data()).value_or(-1), 7);
    }
    std::set<Token> later;
    for (int i = 0; i < 50; i++) {
      std::vector<float> step = logits;
      later.insert(sampler.sample(step.data()).value_or(-1));
    }
    CHECK(later.size() > 5);
  }
}

TEST("a dynamic temperature is low where the model is certain and high where it is not") {
  SamplingParams params = plain(0);
  params.dynatemp_range = 3;
  std::vector<float> certain(100, 0.0f);
  certain[42] = 30;
  CHECK(drawn(params, certain) == std::set<Token>{42});
  CHECK(drawn(params, std::vector<float>(100, 0.0f)).size() > 50);
}

TEST("adaptiveP prefers tokens of its probability, and is the last wherever it stands") {
  const std::vector<float> logits = logits_for({0.6f, 0.2f, 0.1f, 0.1f});
  SamplingParams params = plain(1);
  params.adaptive_target = 0.2f;
  params.adaptive_decay = 0;
  const auto share = [&] {
    LlamaSampler sampler(model_of(4), params, {});
    int count = 0;
    for (int i = 0; i < 2000; i++) {
      std::vector<float> step = logits;
      count += sampler.sample(step.data()) == 0 ? 1 : 0;
    }
    return count;
  };
  const int adapted = share();
  CHECK(adapted < 600);
  std::rotate(params.samplers.begin(), params.samplers.end() - 1, params.samplers.end());
  CHECK_EQ(share(), adapted);
  params.samplers.erase(params.samplers.begin());
  CHECK(share() > 1000);
}

TEST("the order is heeded, minKeep keeps, repeatLastN looks back so far, and who is not named does not act") {
  const std::vector<float> logits = logits_for({0.9f, 0.04f, 0.03f, 0.03f});
  SamplingParams params = plain(5);
  params.top_p = 0.5f;
  CHECK(drawn(params, logits) == std::set<Token>{0});
  params.min_keep = 3;
  CHECK(drawn(params, logits).size() == 3);
  params.min_keep = 0;
  params.samplers = {SamplerKind::kTemperature, SamplerKind::kTopP};
  CHECK(drawn(params, logits).size() > 1);
  params.temperature = 0;
  CHECK(drawn(params, logits) == std::set<Token>{0});
  params.samplers = {};
  CHECK_EQ(drawn(params, logits, 3000).size(), size_t{4});

  SamplingParams repeat = plain(0);
  repeat.repeat_penalty = 2;
  const Prompt prompt(std::vector<Token>{9, 1, 2, 3});
  for (const auto& [last_n, token] : std::vector<std::pair<int, Token>>{{-1, 8}, {4, 8}, {3, 9}, {0, 9}}) {
    repeat.repeat_last_n = last_n;
    std::vector<float> step(50, 0.0f);
    step[9] = 5;
    step[8] = 4;
    CHECK_EQ(LlamaSampler(model_of(50), repeat, prompt).sample(step.data()).value_or(-1), token);
  }
}

TEST("infill ends a text where that is likely, never with a banned token, and of a whole vocabulary too") {
  const std::shared_ptr<const Model> model = demo();
  const SamplerModel of{model->info().vocabulary_size, 128, model->end_tokens()};
  const Token end = model->end_tokens()[0];
  std::mt19937_64 random(check::seed());
  SamplingParams params = plain(0.8f);
  params.samplers.push_back(SamplerKind::kInfill);
  const auto draw_with = [&](std::vector<float> logits) {
    auto parts = make_sampler_parts(*model, params);
    return LlamaSampler(of, params, {}, std::move(static_cast<LlamaSamplerParts&>(*parts))).sample(logits.data());
  };
  std::vector<float> flat(static_cast<size_t>(of.vocabulary_size), 0.0f);
  flat[end] = 3;
  const std::optional<Token> token = draw_with(flat);
  REQUIRE(token.has_value());
  CHECK(std::count(of.end_tokens.begin(), of.end_tokens.end(), *token) == 1);
  params.ignore_eos = true;
  for (int round = 0; round < 50; round++) {
    const std::optional<Token> other = draw_with(round == 0 ? flat : logits_of(flat.size(), random));
    REQUIRE(other.has_value());
    CHECK(std::count(of.end_tokens.begin(), of.end_tokens.end(), *other) == 0);
  }
}

TEST("no end of generation is drawn before minTokens are, and the likeliest one after") {
  std::vector<float> logits(50, 0.0f);
  logits[0] = 9;  // an end token
  logits[5] = 4;
  for (const float temperature : {0.0f, 1e-4f}) {
    SamplingParams params = plain(temperature);
    params.min_tokens = 3;
    LlamaSampler sampler(model_of(50), params, {});
    for (const Token expected : {5, 5, 5, 0, 0}) {
      std::vector<float> step = logits;
      CHECK_EQ(sampler.sample(step.data()).value_or(-1), expected);
    }
  }
}
