// Owns what stands for a decoder where a model writes no text: it has no slots, so no stream is ever begun. Decode thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/decoder.h"

namespace zse {

class NoDecoder final : public Decoder {
 public:
  int max_slots() const override { return 0; }
  int context_size() const override { return 1; }
  int max_batch_tokens() const override { return 1; }
  int max_outputs() const override { return 0; }
  DecodeStatus decode(const Batch&, const AbortCheck&) override { return DecodeStatus::kFailed; }
  std::string failure() const override { return "the model writes no text"; }
  void clear_slot(SlotId) override {}
  bool cut_slot(SlotId, int) override { return false; }
  bool take_back(SlotId, int) override { return true; }
  bool can_cut() const override { return false; }
  bool share_slot(SlotId, SlotId, int) override { return false; }
  size_t image_bytes(SlotId) const override { return 0; }
  size_t largest_image() const override { return 0; }
  std::unique_ptr<SlotCopy> begin_save(SlotId) override { return nullptr; }
  std::unique_ptr<SlotCopy> begin_load(SlotId, std::shared_ptr<const SlotImage>, int) override { return nullptr; }
  std::unique_ptr<TokenSampler> make_sampler(const SamplingParams&, const Prompt&, std::unique_ptr<SamplerParts>) override {
    return nullptr;
  }
  std::optional<Token> sample(TokenSampler&, size_t) override { return {}; }
  std::optional<Token> replay(TokenSampler&, size_t, Token) override { return {}; }
  TokenLogprobs logprobs_of_first(Token) const override { return {}; }
  TokenLogprobs logprobs_at(size_t, Token, int) override { return {}; }
  TokenLogprobs logprobs(const TokenSampler&) const override { return {}; }
  bool is_end_of_generation(Token) const override { return true; }
  void append_piece(Token, std::string&) const override {}
};

}  // namespace zse
