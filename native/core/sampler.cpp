#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model.h"

namespace zse {

namespace {

constexpr float kBanned = -100.0f;     // OpenAI's logit_bias: this much bans a token
constexpr int kRepeatWindow = 64;      // tokens that repeatPenalty looks back on, llama.cpp's default
constexpr int kLargestShortcut = 256;  // top-k by a heap pays only while k is small

bool better(const llama_token_data& a, const llama_token_data& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

}  // namespace

LlamaSampler::LlamaSampler(const Model& model, const SamplingParams& params, const std::vector<Token>& prompt)
    : vocabulary_size_(model.info().vocabulary_size), top_k_(params.top_k), greedy_(params.temperature <= 0) {
  for (const auto& [token, value] : params.logit_bias) {
    if (token < 0 || token >= vocabulary_size_) continue;
    bias_.push_back({token, value <= kBanned ? -std::numeric_limits<float>::infinity() : value});
  }
  if (params.ignore_eos) {
    for (const Token token : model.end_tokens()) bias_.push_back({token, -std::numeric_limits<float>::infinity()});
  }

  llama_sampler_chain_params chain_params = llama_sampler_chain_default_params();
  chain_params.no_perf = true;
  adjust_ = llama_sampler_chain_init(chain_params);
  // The repeat penalty sees prompt and reply, presence and frequency the reply alone: as OpenAI and vLLM have it.
  if (params.repeat_penalty != 1.0f) {
    llama_sampler* repeat = llama_sampler_init_penalties(vocabulary_size_, kRepeatWindow, params.repeat_penalty, 0, 0);
    llama_sampler_chain_add(adjust_, repeat);
    for (const Token token : prompt) llama_sampler_accept(repeat, token);
  }
  if (params.presence_penalty != 0 || params.frequency_penalty != 0) {
    llama_sampler_chain_add(adjust_, llama_sampler_init_penalties(vocabulary_size_, model.info().context_size, 1.0f,
                                                                  params.frequency_penalty, params.presence_penalty));
  }
  plain_ = llama_sampler_chain_n(adjust_) == 0;

  choose_ = llama_sampler_chain_init(chain_params);
  if (greedy_) return;
  if (params.top_k > 0) llama_sampler_chain_add(choose_, llama_sampler_init_top_k(params.top_k));
  if (params.typical_p < 1) llama_sampler_chain_add(choose_, llama_sampler_init_typical(params.typical_p, 1));
  if (params.top_p < 1) llama_sampler_chain_add(choose_, llama_sampler_init_top_p(params.top_p, 1));
  if (params.min_p > 0) llama_sampler_chain_add(choose_, llama_sampler_init_min_p(params.min_p, 1));
  llama_sampler_chain_add(choose_, llama_sampler_init_temp(params.temperature));
  llama_sampler_chain_add(choose_, llama_sampler_init_dist(params.seed));
}

LlamaSampler::~LlamaSampler() {
  llama_sampler_free(adjust_);
  llama_sampler_free(choose_);
}

std::optional<Token> LlamaSampler::sample(float* logits) {
  if (!logits) return {};
  for (const llama_logit_bias& bias : bias_) logits[bias.token] += bias.bias;
  if (plain_ && greedy_) return greedy(logits);

  const bool shortcut = plain_ && top_k_ > 0 && top_k_ <= std::min(kLargestShortcut, vocabulary_size_);
  if (!(shortcut ? fill_top_k(logits) : fill_all(logits))) return {};
  llama_token_data_array array{candidates_.data(), candidates_.size(), -1, shortcut};
  Token token;
  if (greedy_) {
    llama_sampler_apply(adjust_, &array);
    const auto best = std::min_element(array.data, array.data + array.size, better);
    if (!std::isfinite(best->logit)) return {};
    token = best->id;
  } else {
    if (!plain_) llama_sampler_apply(adjust_, &array);
    llama_sampler_apply(choose_, &array);
    if (array.selected < 0 || static_cast<size_t>(array.selected) >= array.size) return {};
    token = array.data[array.selected].id;
  }
  llama_sampler_accept(adjust_, token);
  llama_sampler_accept(choose_, token);
  return token;
}

// The greatest logit, the lowest id among equals. Lanes let the compiler use vector maxima; the id is then looked for in the one
// block that holds the maximum.
std::optional<Token> LlamaSampler::greedy(const float* logits) const {
  constexpr int kLanes = 16, kBlock = 256 * kLanes;
  float best = -std::numeric_limits<float>::infinity();
  int best_block = 0;
  for (int block = 0; block < vocabulary_size_; block += kBlock) {
    float lanes[kLanes];
    std::fill(lanes, lanes + kLanes, -std::numeric_limits<float>::infinity());
    const int end = std::min(vocabulary_size_, block + kBlock);
    int i = block;
    for (; i + kLanes <= end; i += kLanes) {
      for (int lane = 0; lane < kLanes; lane++) {
        lanes[lane] = logits[i + lane] > lanes[lane] ? logits[i + lane] : lanes[lane];
      }
    }
    for (; i < end; i++) lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
    const float greatest = *std::max_element(lanes, lanes + kLanes);
    if (greatest > best) {
      best = greatest;
      best_block = block;
    }
  }
  if (!std::isfinite(best)) return {};  // a model whose arithmetic overflowed gives nothing but NaN
  const float* end = logits + std::min(vocabulary_size_, best_block + kBlock);
  return static_cast<Token>(std::find(logits + best_block, end, best) - logits);
}

bool LlamaSampler::fill_all(const float* logits) {
  candidates_.resize(vocabulary_size_);
  bool finite = false;
  for (int i = 0; i < vocabulary_size_; i++) {
    if (std::isnan(logits[i])) return false;
    finite |= std::isfinite(logits[i]);
    candidates_[i] = {i, logits[i], 0.0f};
  }
  return finite;
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
  return std::isfinite(candidates_.front().logit);
}

}  // namespace zse
