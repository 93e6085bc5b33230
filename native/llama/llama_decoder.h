// Owns the llama_context: the KV cache, the compute threads, the batch buffers. Decode thread only.
#pragma once

#include <climits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "abortable.h"
#include "alike_rows.h"
#include "compute_threads.h"
#include "core/decoder.h"
#include "core/ids.h"
#include "core/request.h"
#include "distribution.h"
#include "llama.h"

namespace zse {

class Model;

class LlamaDecoder final : public Decoder {
 public:
  /**
   * `more_rows`: of logits, beyond one for each stream. `draft_tokens`: that are to be taken back at most, where the memory allows it. Throws EngineError
   * ENGINE_FAILED when the context cannot be made, naming the memory it would have needed.
   */
  explicit LlamaDecoder(std::shared_ptr<const Model> model, int more_rows = 0, int draft_tokens = 0);
  ~LlamaDecoder() override;

  int max_slots() const override;
  int context_size() const override;
  int max_batch_tokens() const override;
  RowGroups row_groups() const override { return row_groups_; }
  bool rows_are_alike() const override { return alike_rows_ && alike_rows_->known(); }
  int max_outputs() const override { return max_outputs_; }
  int most_threads() const override { return most_threads_; }
  void use_threads(int count) override;
  double threads_cpu_ms() const override { return pool_work_->cpu_ms(); }
  void use_adapters(const std::vector<AdapterScale>& adapters) override;
  DecodeStatus decode(const Batch& batch, const AbortCheck& abort) override;
  std::string failure() const override { return failure_; }
  void clear_slot(SlotId slot) override;
  bool cut_slot(SlotId slot, int tokens) override;
  int most_taken_back() const override;
  bool take_back(SlotId slot, int tokens) override;
  bool can_cut() const override { return can_roll_back_; }
  int window() const override { return window_; }
  int cut_from(SlotId slot, int tokens) const override;
  size_t checkpoint_bytes(SlotId slot) const override;
  std::shared_ptr<const SlotImage> save_checkpoint(SlotId slot) override;
  bool cut_slot_at(SlotId slot, int tokens, const std::shared_ptr<const SlotImage>& state) override;
  bool share_slot(SlotId from, SlotId to, int tokens) override;
  void set_aside(SlotId slot, int tokens, const MovedChunks& chunks) override;
  void put_back(SlotId slot, const MovedChunk& chunk) override;
  void drop_aside(SlotId slot) override;
  size_t image_bytes(SlotId slot) const override;
  size_t largest_image() const override;
  std::unique_ptr<SlotCopy> begin_save(SlotId slot) override;
  std::unique_ptr<SlotCopy> begin_load(SlotId slot, std::shared_ptr<const SlotImage> image, int tokens) override;
  std::unique_ptr<TokenSampler> make_sampler(const SamplingParams& params, const Prompt& prompt,
                                             std::unique_ptr<SamplerParts> parts) override;
  std::unique_ptr<Drafter> make_drafter(const Prompt& prompt, DraftParams params) override;
  void end_reasoning(TokenSampler& sampler) override;
  std::optional<Token> sample(TokenSampler& sampler, size_t index) override;
  std::optional<Token> replay(TokenSampler& sampler, size_t index, Token token) override;
  void draw_all(std::vector<Draw>& draws) override;
  TokenLogprobs logprobs_of_first(Token token) const override;
  TokenLogprobs logprobs_at(size_t index, Token token, int top) override;
  TokenLogprobs logprobs(const TokenSampler& sampler) const override;
  bool is_end_of_generation(Token token) const override;
  bool has_token(Token token) const override;
  void append_piece(Token token, std::string& out) const override;
  std::string_view control_name(Token token) const override;
  const ComputeThreads& threads() const { return threads_; }
  llama_context* context() const { return context_.get(); }
  /** Of what the context keeps of all streams, once it is full. */
  size_t cache_bytes() const;

 private:
  struct ContextDeleter {
    void operator()(llama_context* context) const { llama_free(context); }
  };
  TokenLogprobs logprobs_of(const Distribution& distribution, Distribution::Entry chosen) const;
  TokenLogprob logprob_of(Token token, float logprob) const;
  void roll_back(const Batch& batch);
  const uint8_t* movable_part(const SlotImage& image, SlotId slot) const;
  bool has_checkpoints() const { return !can_roll_back_ || window_ != INT_MAX; }
  /** The sequence of llama.cpp's where a slot's chunks wait for their places. */
  llama_seq_id aside(SlotId slot) const { return max_slots() + slot; }
  void make_context(const llama_context_params& params);
  void reserve_adapters();

  std::shared_ptr<const Model> model_;
  ComputeThreads threads_;  // outlives the context that computes on it
  RowGroups row_groups_;
  std::unique_ptr<PoolWork> pool_work_;  // null where one thread draws all
  int most_threads_ = 1;                 // of those that can be chosen
  int used_threads_ = 1;
  std::map<int, ComputeThreads> fewer_threads_;  // by how many; kept as long as a backend may still know one
  Abortable abortable_;                          // outlives the context that asks it
  std::unique_ptr<AlikeRows> alike_rows_;        // so does this; null where nobody wants to know
  std::unique_ptr<llama_context, ContextDeleter> context_;
  llama_batch batch_;
  int max_outputs_;
  bool unified_;          // one KV buffer for all sequences
  bool moves_;            // chunks, so that each slot has a second sequence to keep them aside in
  bool can_roll_back_;    // recurrent memory cannot be cut, so its steps are never aborted
  int window_ = INT_MAX;  // of a sliding attention, whose images hold no more
  std::string failure_;
};

}  // namespace zse
