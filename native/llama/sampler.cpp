#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace zse {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kBanned = -100.0f;     // OpenAI's logit_bias: this much bans a token
constexpr int kRepeatWindow = 64;      // tokens that repeatPenalty looks back on, llama.cpp's default
constexpr int kLargestShortcut = 256;  // top-k by a heap pays only while k is small

// Below this two logits would have to agree in all their digits for the second to have a chance: greedy, as vLLM has it.
constexpr float kLeastTemperature = 1e-5f;
// So that nothing overflows on the way: 1e30 × 100 / 1e-5 can still be held.
constexpr float kLargestLogit = 1e30f, kLargestPenalty = 1e4f, kLargestRepeat = 100.0f;
// More would leave no digits of the logit that it is added to.
constexpr float kLargestBias = 1e4f;
// A probability of e^-64 is nothing, but still a float: its logarithm is finite.
constexpr float kUnlikely = 64.0f;

/** Within the limits, whatever it is. */
float within(float value, float limit, float otherwise) {
  return std::isnan(value) ? otherwise : std::clamp(value, -limit, limit);
}

bool better(const llama_token_data& a, const llama_token_data& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

}  // namespace

LlamaSampler::LlamaSampler(const SamplerModel& model, const SamplingParams& params, const Prompt& prompt)
    : vocabulary_size_(model.vocabulary_size),
      top_k_(params.top_k),
      greedy_(!(params.temperature >= kLeastTemperature)),
      typical_(params.typical_p < 1),
      sigma_(params.top_n_sigma > 0),
      logprobs_(params.logprobs),
      top_logprobs_(params.top_logprobs) {
  std::map<Token, float> biases;
  for (const auto& [token, value] : params.logit_bias) {
    if (token < 0 || token >= vocabulary_size_) continue;
    biases[token] += value <= kBanned ? -kInfinity : within(value, kLargestBias, 0);
  }
  if (params.ignore_eos) {
    for (const Token token : model.end_tokens) biases[token] = -kInfinity;
  }
  for (const auto& [token, value] : biases) bias_.push_back({token, value});

  llama_sampler_chain_params chain_params = llama_sampler_chain_default_params();
  chain_params.no_perf = true;
  adjust_ = llama_sampler_chain_init(chain_params);
  // The repeat penalty sees prompt and reply, presence and frequency the reply alone: as OpenAI and vLLM have it.
  const float repeat_penalty =
      std::clamp(within(params.repeat_penalty, kLargestRepeat, 1), 1 / kLargestRepeat, kLargestRepeat);
  const float presence = within(params.presence_penalty, kLargestPenalty, 0);
  const float frequency = within(params.frequency_penalty, kLargestPenalty, 0);
  if (repeat_penalty != 1.0f) {
    llama_sampler* repeat = llama_sampler_init_penalties(vocabulary_size_, kRepeatWindow, repeat_penalty, 0, 0);
    llama_sampler_chain_add(adjust_, repeat);
    for (const Token token : prompt.tokens()) llama_sampler_accept(repeat, token);
  }
  if (presence != 0 || frequency != 0) {
    llama_sampler_chain_add(adjust_,
                            llama_sampler_init_penalties(vocabulary_size_, model.context_size, 1.0f, frequency, presence));
  }
  // Of the whole vocabulary's spread, so before topK. The greatest logit always stays, which is all that matters to a greedy one.
  if (sigma_ && !greedy_) llama_sampler_chain_add(adjust_, llama_sampler_init_top_n_sigma(params.top_n_sigma));
  plain_ = llama_sampler_chain_n(adjust_) == 0;

  choose_ = llama_sampler_chain_init(chain_params);
  if (greedy_) return;
  if (params.top_k > 0) llama_sampler_chain_add(choose_, llama_sampler_init_top_k(params.top_k));
  if (typical_) llama_sampler_chain_add(choose_, llama_sampler_init_typical(params.typical_p, 1));
  if (params.top_p < 1) llama_sampler_chain_add(choose_, llama_sampler_init_top_p(params.top_p, 1));
  if (params.min_p > 0) llama_sampler_chain_add(choose_, llama_sampler_init_min_p(std::min(params.min_p, 1.0f), 1));
  llama_sampler_chain_add(choose_, llama_sampler_init_temp(std::min(params.temperature, kLargestLogit)));
  llama_sampler_chain_add(choose_, llama_sampler_init_dist(params.seed));
}

LlamaSampler::~LlamaSampler() {
  llama_sampler_free(adjust_);
  llama_sampler_free(choose_);
}

std::optional<Token> LlamaSampler::sample(float* logits) {
  if (!logits) return {};
  if (logprobs_) distribution_.read(logits, vocabulary_size_, top_logprobs_);
  apply_biases(logits);
  const std::optional<Token> token = draw(logits);
  if (!token) return {};
  accept(*token);
  if (logprobs_) remember(*token, logits);
  return token;
}

/** What is banned is no candidate, whatever the model makes of it. */
void LlamaSampler::apply_biases(float* logits) {
  unbiased_.clear();
  for (const auto& [token, bias] : bias_) {
    if (logprobs_) unbiased_.push_back(logits[token]);
    logits[token] = bias == -kInfinity ? bias : logits[token] + bias;
  }
}

void LlamaSampler::accept(Token token) {
  llama_sampler_accept(adjust_, token);
  llama_sampler_accept(choose_, token);
}

void LlamaSampler::remember(Token token, const float* logits) {
  const auto bias = std::lower_bound(bias_.begin(), bias_.end(), token,
                                     [](const llama_logit_bias& one, Token wanted) { return one.token < wanted; });
  const bool biased = bias != bias_.end() && bias->token == token;
  drawn_ = {token, biased ? unbiased_[static_cast<size_t>(bias - bias_.begin())] : logits[token]};
}

/** A token by the parameters, from logits with their biases; nothing of it is remembered but the random numbers that it took. */
std::optional<Token> LlamaSampler::draw(const float* logits) {
  if (plain_ && greedy_) return greedy(logits);

  const bool shortcut = plain_ && top_k_ > 0 && top_k_ <= std::min(kLargestShortcut, vocabulary_size_);
  if (!(shortcut ? fill_top_k(logits) : fill_all(logits))) return {};
  llama_token_data_array array{candidates_.data(), candidates_.size(), -1, shortcut};
  if (greedy_) {
    llama_sampler_apply(adjust_, &array);
    return std::min_element(array.data, array.data + array.size, better)->id;
  }
  if (!plain_) llama_sampler_apply(adjust_, &array);
  if (sigma_ || typical_) {
    drop_unlikely();
    array.size = candidates_.size();
  }
  llama_sampler_apply(choose_, &array);
  if (array.selected < 0 || static_cast<size_t>(array.selected) >= array.size) return {};
  return array.data[array.selected].id;
}

// The greatest logit, the lowest id among equals. Lanes let the compiler use vector maxima; the id is then looked for in the one
// block that holds the maximum.
std::optional<Token> LlamaSampler::greedy(const float* logits) const {
  constexpr int kLanes = 16, kBlock = 256 * kLanes;
  float best = -kInfinity;
  int best_block = 0, not_numbers = 0;
  for (int block = 0; block < vocabulary_size_; block += kBlock) {
    float lanes[kLanes];
    int nan[kLanes] = {};
    std::fill(lanes, lanes + kLanes, -kInfinity);
    const int end = std::min(vocabulary_size_, block + kBlock);
    int i = block;
    for (; i + kLanes <= end; i += kLanes) {
      for (int lane = 0; lane < kLanes; lane++) {
        lanes[lane] = logits[i + lane] > lanes[lane] ? logits[i + lane] : lanes[lane];
        nan[lane] |= logits[i + lane] != logits[i + lane];
      }
    }
    for (; i < end; i++) {
      lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
      nan[0] |= logits[i] != logits[i];
    }
    for (const int lane : nan) not_numbers |= lane;
    const float greatest = *std::max_element(lanes, lanes + kLanes);
    if (greatest > best) {
      best = greatest;
      best_block = block;
    }
  }
  if (not_numbers || !std::isfinite(best)) return {};  // a model whose arithmetic overflowed gives NaN, or infinity
  const float* end = logits + std::min(vocabulary_size_, best_block + kBlock);
  return static_cast<Token>(std::find(logits + best_block, end, best) - logits);
}

/** All that can be drawn; false when that is nothing, or one of the logits is not a number. */
bool LlamaSampler::fill_all(const float* logits) {
  candidates_.clear();
  candidates_.reserve(vocabulary_size_);
  for (int i = 0; i < vocabulary_size_; i++) {
    if (logits[i] == -kInfinity) continue;
    if (!std::isfinite(logits[i])) return false;
    candidates_.push_back({i, std::clamp(logits[i], -kLargestLogit, kLargestLogit), 0.0f});
  }
  return !candidates_.empty();
}

// The k greatest logits through a heap whose least is a threshold that nearly every logit fails with one comparison.
bool LlamaSampler::fill_top_k(const float* logits) {
  candidates_.clear();
  for (int i = 0; i < top_k_; i++) {
    if (std::isnan(logits[i])) return false;
    candidates_.push_back({i, logits[i], 0.0f});
  }
  std::make_heap(candidates_.begin(), candidates_.end(), better);
  float threshold = candidates_.front().logit;
  for (int i = top_k_; i < vocabulary_size_; i++) {
    if (!(logits[i] <= threshold)) {
      if (std::isnan(logits[i])) return false;
      std::pop_heap(candidates_.begin(), candidates_.end(), better);
      candidates_.back() = {i, logits[i], 0.0f};
      std::push_heap(candidates_.begin(), candidates_.end(), better);
      threshold = candidates_.front().logit;
    }
  }
  std::sort_heap(candidates_.begin(), candidates_.end(), better);
  if (!std::isfinite(candidates_.front().logit)) return false;
  while (candidates_.back().logit == -kInfinity) candidates_.pop_back();
  for (llama_token_data& candidate : candidates_) {
    candidate.logit = std::clamp(candidate.logit, -kLargestLogit, kLargestLogit);
  }
  return true;
}

/**
 * Those that topNSigma has made -infinity; before typicalP, which takes the logarithm of a probability, those too whose probability a
 * float cannot hold. The order of the others stays.
 */
void LlamaSampler::drop_unlikely() {
  float least = std::numeric_limits<float>::lowest();
  if (typical_) {
    const auto by_logit = [](const llama_token_data& a, const llama_token_data& b) { return a.logit < b.logit; };
    least = std::max_element(candidates_.begin(), candidates_.end(), by_logit)->logit - kUnlikely;
  }
  const auto unlikely = [least](const llama_token_data& candidate) { return candidate.logit < least; };
  candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(), unlikely), candidates_.end());
}

}  // namespace zse
