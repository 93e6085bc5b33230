#include "sampler_parts.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/work_bound.h"
#include "model.h"
#include "sampler.h"

namespace zse {

namespace {

/** Tokens that breakers may begin in, all together: llama.cpp keeps an entry for each, in each stream. */
constexpr size_t kMostBreakerTokens = 131072;

bool uses(const SamplingParams& params, SamplerKind kind) {
  return std::find(params.samplers.begin(), params.samplers.end(), kind) != params.samplers.end();
}

void check_breakers(const Model& model, const std::vector<std::string>& breakers) {
  std::string piece;
  size_t entries = 0;
  for (Token token = 0; token < model.info().vocabulary_size; token++) {
    work_step();
    piece.clear();
    model.append_piece(token, piece);
    for (const std::string& breaker : breakers) entries += piece.find(breaker[0]) != std::string::npos ? 1 : 0;
  }
  if (entries <= kMostBreakerTokens) return;
  throw EngineError("BAD_OPTION", "drySequenceBreakers begin in " + std::to_string(entries) +
                                      " tokens of this vocabulary, of which at most " + std::to_string(kMostBreakerTokens) +
                                      " are looked at; leave out the most common");
}

SamplerPtr make_dry(const Model& model, const SamplingParams& params) {
  if (!params.dry_sequence_breakers.empty()) check_breakers(model, params.dry_sequence_breakers);
  std::vector<const char*> breakers;
  for (const std::string& breaker : params.dry_sequence_breakers) breakers.push_back(breaker.c_str());
  return SamplerPtr(llama_sampler_init_dry(model.vocab(), params.dry_multiplier, params.dry_base, params.dry_allowed_length,
                                           looked_back(params.dry_penalty_last_n, model.info().context_size),
                                           breakers.data(), breakers.size()));
}

SamplerPtr make_infill(const Model& model) {
  const llama_vocab* vocab = model.vocab();
  if (llama_vocab_eot(vocab) == LLAMA_TOKEN_NULL && llama_vocab_eos(vocab) == LLAMA_TOKEN_NULL) {
    throw EngineError("UNSUPPORTED",
                      "the sampler infill ends a text with a token that this model does not have; leave it out");
  }
  return SamplerPtr(llama_sampler_init_infill(vocab));
}

/** With every token banned there is nothing to say, which is known before anything is computed. */
void check_bans(const Model& model, const SamplingParams& params) {
  std::set<Token> banned;
  for (const auto& [token, bias] : params.logit_bias) {
    if (bias <= kBannedBias) banned.insert(token);
  }
  if (params.ignore_eos || params.min_tokens > 0) banned.insert(model.end_tokens().begin(), model.end_tokens().end());
  if (banned.size() < static_cast<size_t>(model.info().vocabulary_size)) return;
  throw EngineError("BAD_OPTION", "logitBias bans all that ignoreEos or minTokens leaves of the " +
                                      std::to_string(banned.size()) +
                                      " tokens of the vocabulary; leave one that can be said");
}

}  // namespace

std::unique_ptr<SamplerParts> make_sampler_parts(const Model& model, const SamplingParams& params,
                                                 std::unique_ptr<Constraint> constraint) {
  check_bans(model, params);
  const bool dry = uses(params, SamplerKind::kDry) && params.dry_multiplier > 0;
  const bool infill = uses(params, SamplerKind::kInfill);
  if (!dry && !infill && !constraint) return nullptr;
  auto parts = std::make_unique<LlamaSamplerParts>();
  if (dry) parts->dry = make_dry(model, params);
  if (infill) parts->infill = make_infill(model);
  parts->constraint = std::move(constraint);
  return parts;
}

}  // namespace zse
