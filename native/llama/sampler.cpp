#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "base/error.h"
#include "likeliest.h"

namespace zse {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kLargestShortcut = 256;  // more is as quick by llama.cpp's own top-k

// Below this two logits would have to agree in all their digits for the second to have a chance: greedy, as vLLM has it.
constexpr float kLeastTemperature = 1e-5f;
// So that nothing overflows on the way: 1e30 × 100 / 1e-5 can still be held.
constexpr float kLargestLogit = 1e30f, kLargestPenalty = 1e4f, kLargestRepeat = 100.0f;
constexpr float kLargestWarmed = 1e35f;  // a logit, after the temperature
// An entropy that is rounded to a little more than the greatest would become infinite.
constexpr float kLargestExponent = 100.0f;
// More would leave no digits of the logit that it is added to.
constexpr float kLargestBias = 1e4f;
// A probability of e^-64 is nothing, but still a float: its logarithm is finite.
constexpr float kUnlikely = 64.0f;
constexpr int kMirostatTokens = 100;   // that mirostat 1 estimates from, as everywhere
constexpr size_t kMostInfilled = 128;  // candidates that infill compares with each other

/** Within the limits, whatever it is. */
float within(float value, float limit, float otherwise) {
  return std::isnan(value) ? otherwise : std::clamp(value, -limit, limit);
}

/** Drops candidates with a logit below `least`. The order of the others stays. */
void drop_below(llama_token_data_array& array, float least) {
  const auto below = [least](const llama_token_data& candidate) { return candidate.logit < least; };
  array.size = static_cast<size_t>(std::remove_if(array.data, array.data + array.size, below) - array.data);
}

float greatest_of(const llama_token_data_array& array) {
  float greatest = array.data[0].logit;
  for (size_t i = 1; i < array.size; i++) greatest = std::max(greatest, array.data[i].logit);
  return greatest;
}

}  // namespace

LlamaSampler::LlamaSampler(const SamplerModel& model, const SamplingParams& params, const Prompt& prompt,
                           LlamaSamplerParts parts)
    : vocabulary_size_(model.vocabulary_size),
      top_k_(params.top_k),
      held_(params.min_tokens),
      end_tokens_(model.end_tokens),
      constraint_(std::move(parts.constraint)),
      logprobs_(params.logprobs),
      top_logprobs_(params.top_logprobs) {
  std::map<Token, float> biases;
  for (const auto& [token, value] : params.logit_bias) {
    if (token < 0 || token >= vocabulary_size_) continue;
    biases[token] += value <= kBannedBias ? -kInfinity : within(value, kLargestBias, 0);
  }
  if (params.ignore_eos) {
    for (const Token token : model.end_tokens) biases[token] = -kInfinity;
  }
  for (const auto& [token, value] : biases) bias_.push_back({token, value});

  const auto has = [&](SamplerKind kind) {
    return std::find(params.samplers.begin(), params.samplers.end(), kind) != params.samplers.end();
  };
  // The likeliest token stays whatever is left out around it, so a greedy choice needs none of those samplers, in whichever order. With a
  // range, 0 is only the middle; infill may want the text to end.
  greedy_ = has(SamplerKind::kTemperature) && !(params.temperature >= kLeastTemperature) && !(params.dynatemp_range > 0) &&
            !has(SamplerKind::kInfill);
  const bool mirostat = params.mirostat == 1 || params.mirostat == 2;
  for (const SamplerKind kind : params.samplers) {
    switch (kind) {
      case SamplerKind::kPenalties: add_penalties(model, params, prompt); break;
      case SamplerKind::kDry:
        if (!parts.dry) break;
        for (const Token token : prompt.tokens()) llama_sampler_accept(parts.dry.get(), token);
        add(parts.dry.release(), Care::kClamp);
        break;
      case SamplerKind::kTemperature:
        if (!greedy_) add_temperature(params);
        break;
      case SamplerKind::kInfill:
        if (parts.infill && !mirostat) add(parts.infill.release(), Care::kFew);
        break;
      default:
        if (!greedy_ && !mirostat) add_leaving_out(kind, params);
    }
  }
  if (!greedy_) add_choice(params, has(SamplerKind::kAdaptiveP));
}

void LlamaSampler::add(llama_sampler* sampler, Care care) {
  steps_.push_back({SamplerPtr(sampler), care, warm_ ? -kLargestWarmed : -kLargestLogit});
}

/** adaptiveP is none of these: it chooses, so it comes last. */
void LlamaSampler::add_leaving_out(SamplerKind kind, const SamplingParams& params) {
  const auto min_keep = static_cast<size_t>(std::max(1, params.min_keep));
  if (kind == SamplerKind::kTopNSigma && params.top_n_sigma > 0) {
    add(llama_sampler_init_top_n_sigma(params.top_n_sigma), Care::kDropInfinite);
  } else if (kind == SamplerKind::kTopK && params.top_k > 0) {
    shortcut_ = steps_.empty() && top_k_ <= std::min(kLargestShortcut, vocabulary_size_);
    add(llama_sampler_init_top_k(params.top_k));
  } else if (kind == SamplerKind::kTypicalP && params.typical_p < 1) {
    add(llama_sampler_init_typical(params.typical_p, min_keep), Care::kDropUnlikely);
  } else if (kind == SamplerKind::kTopP && params.top_p < 1) {
    add(llama_sampler_init_top_p(params.top_p, min_keep));
  } else if (kind == SamplerKind::kMinP && params.min_p > 0) {
    add(llama_sampler_init_min_p(std::min(params.min_p, 1.0f), min_keep));
  } else if (kind == SamplerKind::kXtc && params.xtc_probability > 0) {
    add(llama_sampler_init_xtc(params.xtc_probability, params.xtc_threshold, min_keep, params.seed));
  }
}

/** The repeat penalty sees prompt and reply, presence and frequency the reply alone: as OpenAI and vLLM have it. */
void LlamaSampler::add_penalties(const SamplerModel& model, const SamplingParams& params, const Prompt& prompt) {
  const float repeat_penalty =
      std::clamp(within(params.repeat_penalty, kLargestRepeat, 1), 1 / kLargestRepeat, kLargestRepeat);
  const float presence = within(params.presence_penalty, kLargestPenalty, 0);
  const float frequency = within(params.frequency_penalty, kLargestPenalty, 0);
  const int window = looked_back(params.repeat_last_n, model.context_size);
  if (repeat_penalty != 1.0f && window > 0) {
    add(llama_sampler_init_penalties(vocabulary_size_, window, repeat_penalty, 0, 0));
    for (const Token token : prompt.tokens()) llama_sampler_accept(steps_.back().sampler.get(), token);
  }
  if (presence != 0 || frequency != 0) {
    add(llama_sampler_init_penalties(vocabulary_size_, model.context_size, 1.0f, frequency, presence));
  }
}

void LlamaSampler::add_temperature(const SamplingParams& params) {
  const float temperature = std::min(std::max(within(params.temperature, kLargestLogit, 0), 0.0f), kLargestLogit);
  const float range = within(params.dynatemp_range, kLargestLogit, 0);
  if (range > 0) {
    const float exponent = std::max(0.0f, within(params.dynatemp_exponent, kLargestExponent, 1));
    // Only where it must be: the repeat penalty, if it comes later, goes by a logit's sign.
    const bool next_to_nothing = !(temperature - range >= kLeastTemperature);
    add(llama_sampler_init_temp_ext(temperature, range, exponent), next_to_nothing ? Care::kGreatestIsZero : Care::kNone);
  } else {
    add(llama_sampler_init_temp(std::max(temperature, kLeastTemperature)));
  }
  warm_ = true;
}

void LlamaSampler::add_choice(const SamplingParams& params, bool adaptive) {
  const float tau = within(params.mirostat_tau, kLargestPenalty, 5), eta = within(params.mirostat_eta, kLargestPenalty, 0);
  if (params.mirostat == 1) {
    add(llama_sampler_init_mirostat(vocabulary_size_, params.seed, tau, eta, kMirostatTokens), Care::kDropUnlikely);
  } else if (params.mirostat == 2) {
    add(llama_sampler_init_mirostat_v2(params.seed, tau, eta), Care::kDropUnlikely);
  } else if (adaptive && params.adaptive_target >= 0) {
    const float decay = within(params.adaptive_decay, 1, 0);
    add(llama_sampler_init_adaptive_p(std::min(params.adaptive_target, 1.0f), decay, params.seed));
  } else {
    add(llama_sampler_init_dist(params.seed));
  }
}

std::optional<Token> LlamaSampler::sample(float* logits, std::optional<Token> replayed) {
  if (!logits) return {};
  if (logprobs_) distribution_.read(logits, vocabulary_size_, top_logprobs_);
  apply_biases(logits);
  const std::optional<Token> token = constraint_ ? draw_within(logits) : draw(logits);
  if (!token) return {};
  const Token taken = replayed.value_or(*token);
  accept(taken);
  if (constraint_) constraint_->accept(taken);
  if (logprobs_) remember(taken, logits);
  return token;
}

std::optional<Token> LlamaSampler::draw_within(float* logits) {
  if (const std::optional<Token> forced = constraint_->forced(logits)) return forced;
  const std::optional<Token> token = draw(logits);
  if (!token || constraint_->allows(*token)) return token;
  const std::vector<llama_token_data>& allowed = constraint_->find_allowed(logits, likeliest_);
  if (!allowed.empty()) return draw(allowed);
  if (constraint_->complete() && !end_tokens_.empty()) return end_tokens_.front();
  throw EngineError(
      "BAD_OPTION",
      "no token of the model can follow by what the reply is held to; change the grammar or the schema, or the "
      "tokens that logitBias bans");
}

/** What is banned is no candidate, whatever the model makes of it. */
void LlamaSampler::apply_biases(float* logits) {
  unbiased_.clear();
  for (const auto& [token, bias] : bias_) {
    if (logprobs_) unbiased_.push_back(logits[token]);
    logits[token] = bias == -kInfinity ? bias : logits[token] + bias;
  }
  if (held_ == 0 && !(constraint_ && constraint_->must_go_on())) return;
  for (const Token token : end_tokens_) logits[token] = -kInfinity;
}

void LlamaSampler::accept(Token token) {
  for (Step& step : steps_) llama_sampler_accept(step.sampler.get(), token);
  if (held_ > 0) held_--;
}

void LlamaSampler::remember(Token token, const float* logits) {
  const auto bias = std::lower_bound(bias_.begin(), bias_.end(), token,
                                     [](const llama_logit_bias& one, Token wanted) { return one.token < wanted; });
  const bool biased = bias != bias_.end() && bias->token == token;
  drawn_ = {token, biased ? unbiased_[static_cast<size_t>(bias - bias_.begin())] : logits[token]};
}

/** A token by the parameters, from logits with their biases; nothing of it is remembered but the random numbers that it took. */
std::optional<Token> LlamaSampler::draw(const float* logits) {
  if (greedy_ && steps_.empty()) return greedy(logits);
  if (!(shortcut_ ? fill_top_k(logits) : fill_all(logits))) return {};
  return choose();
}

std::optional<Token> LlamaSampler::draw(const std::vector<llama_token_data>& allowed) {
  if (!fill_allowed(allowed)) return {};
  if (greedy_ && steps_.empty()) return std::min_element(candidates_.begin(), candidates_.end(), likelier)->id;
  return choose();
}

std::optional<Token> LlamaSampler::choose() {
  llama_token_data_array array{candidates_.data(), candidates_.size(), -1, shortcut_};
  for (Step& step : steps_) {
    apply(step, array);
    if (array.size == 0) return {};
  }
  if (greedy_) return std::min_element(array.data, array.data + array.size, likelier)->id;
  if (array.selected < 0 || static_cast<size_t>(array.selected) >= array.size) return {};
  return array.data[array.selected].id;
}

void LlamaSampler::apply(Step& step, llama_token_data_array& array) {
  llama_sampler* const sampler = step.sampler.get();
  switch (step.care) {
    case Care::kNone: llama_sampler_apply(sampler, &array); break;
    case Care::kDropInfinite:
      llama_sampler_apply(sampler, &array);
      drop_below(array, std::numeric_limits<float>::lowest());
      break;
    case Care::kDropUnlikely:
      drop_below(array, greatest_of(array) - kUnlikely);
      array.selected = 0;  // of one there is nothing to estimate
      if (array.size > 1) llama_sampler_apply(sampler, &array);
      break;
    case Care::kClamp: {
      llama_sampler_apply(sampler, &array);
      for (size_t i = 0; i < array.size; i++) {
        float& logit = array.data[i].logit;
        if (!(logit >= step.least)) logit = step.least;
      }
      break;
    }
    case Care::kGreatestIsZero: {
      const float greatest = greatest_of(array);
      for (size_t i = 0; i < array.size; i++) array.data[i].logit -= greatest;
      llama_sampler_apply(sampler, &array);
      drop_below(array, std::numeric_limits<float>::lowest());
      break;
    }
    case Care::kFew: infill(sampler, array); break;
  }
}

/** Where infill ends the text it does so with a token of its own choice, which may be banned: then it has not acted. */
void LlamaSampler::infill(llama_sampler* sampler, llama_token_data_array& array) {
  if (array.size > kMostInfilled) {
    std::partial_sort(array.data, array.data + kMostInfilled, array.data + array.size, likelier);
    array.size = kMostInfilled;
    array.sorted = true;
  }
  const std::vector<llama_token_data> before(array.data, array.data + array.size);
  llama_sampler_apply(sampler, &array);
  drop_below(array, std::numeric_limits<float>::lowest());
  const auto was_there = [&](const llama_token_data& candidate) {
    return std::any_of(before.begin(), before.end(), [&](const auto& one) { return one.id == candidate.id; });
  };
  if (array.size > 0 && std::all_of(array.data, array.data + array.size, was_there)) return;
  std::copy(before.begin(), before.end(), array.data);
  array.size = before.size();
  array.sorted = false;
}

/** A model whose arithmetic overflowed gives NaN, or infinity. */
std::optional<Token> LlamaSampler::greedy(const float* logits) {
  if (!find_likeliest(logits, vocabulary_size_, 1, candidates_) || candidates_.empty()) return {};
  if (!std::isfinite(candidates_.front().logit)) return {};
  return candidates_.front().id;
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

bool LlamaSampler::fill_top_k(const float* logits) {
  const auto wanted = static_cast<size_t>(top_k_);
  if (constraint_) {
    if (!find_likeliest(logits, vocabulary_size_, std::max(wanted, Constraint::kLikeliest), likeliest_)) return false;
    candidates_.resize(std::min(likeliest_.size(), wanted));
    std::partial_sort_copy(likeliest_.begin(), likeliest_.end(), candidates_.begin(), candidates_.end(), likelier);
  } else {
    if (!find_likeliest(logits, vocabulary_size_, wanted, candidates_)) return false;
    std::sort(candidates_.begin(), candidates_.end(), likelier);
  }
  if (candidates_.empty()) return false;
  if (!std::isfinite(candidates_.front().logit)) return false;
  for (llama_token_data& candidate : candidates_) {
    candidate.logit = std::clamp(candidate.logit, -kLargestLogit, kLargestLogit);
  }
  return true;
}

/** As if they were all of the vocabulary: in the order of their ids, or the likeliest first. */
bool LlamaSampler::fill_allowed(const std::vector<llama_token_data>& allowed) {
  candidates_ = allowed;
  const auto by_id = [](const llama_token_data& a, const llama_token_data& b) { return a.id < b.id; };
  if (shortcut_) {
    std::sort(candidates_.begin(), candidates_.end(), likelier);
    candidates_.resize(std::min(candidates_.size(), static_cast<size_t>(top_k_)));
  } else {
    std::sort(candidates_.begin(), candidates_.end(), by_id);
  }
  for (llama_token_data& candidate : candidates_) {
    if (!std::isfinite(candidate.logit)) return false;
    candidate.logit = std::clamp(candidate.logit, -kLargestLogit, kLargestLogit);
  }
  return true;
}

}  // namespace zse
