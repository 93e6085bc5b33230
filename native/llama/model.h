// Owns an open model file: the weights, the vocabulary, and what is known about it. Made and destroyed
// on the decode thread; everything const may be used from any thread while the model lives.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adapters.h"
#include "core/ids.h"
#include "core/info.h"
#include "core/options.h"
#include "llama.h"

namespace zse {

/** Told the fraction loaded (0 to 1); false ends the load. */
using LoadProgress = std::function<bool(float)>;

class Model {
 public:
  /**
   * Opens a GGUF or .zse file. Throws EngineError MODEL_NOT_FOUND, BAD_MODEL, UNSUPPORTED or BAD_OPTION; CLOSED when `progress`
   * ended it.
   */
  static std::shared_ptr<const Model> load(const std::string& path, const EngineOptions& options,
                                           const LoadProgress& progress);

  llama_model* get() const { return model_.get(); }
  const llama_vocab* vocab() const { return llama_model_get_vocab(model_.get()); }
  const ModelInfo& info() const { return info_; }
  const Adapters& adapters() const { return adapters_; }

  /** Token ids of a text. `add_special`: with the vocabulary's own BOS/EOS; `parse_special`: control tokens by their text. */
  std::vector<Token> tokenize(const std::string& text, bool add_special, bool parse_special) const;

  /**
   * Token ids of a text that is computed for itself, with all that the model was trained to see around it: the tokens that begin and end texts. What
   * looks like a control token is text.
   */
  std::vector<Token> tokenize_whole(const std::string& text) const;

  /** Whether the file wants an end-of-text token behind a text that is computed for itself. */
  bool adds_end() const { return adds_end_; }

  /** Appends a token's bytes; control tokens have none unless `special`, but for tags that are text for the reader (shown_tokens.h). */
  void append_piece(Token token, std::string& out, bool special = false) const;

  /** A text in the form that the vocabulary wants it tokenized in: llama.cpp does not normalize, and who wrote it sees no difference. */
  std::string normalized(const std::string& text) const;
  bool normalizes() const { return !info_.normalizer.empty(); }

  /** Whether tokenizing puts a space before a text. */
  bool pads_texts() const;

  /** Bytes of the longest token: a text of n bytes has at least n / longest_piece() tokens. */
  size_t longest_piece() const { return longest_piece_; }

  /** The tokens that end a reply. */
  const std::vector<Token>& end_tokens() const { return end_tokens_; }
  /** The other control tokens, in order. */
  const std::vector<Token>& control_tokens() const { return control_tokens_; }
  /** By token: of its text; 0 for what ends a reply and what has none. */
  const std::vector<uint8_t>& first_bytes() const { return first_bytes_; }

 private:
  struct Deleter {
    void operator()(llama_model* model) const { llama_model_free(model); }
  };
  Model(llama_model* model, const std::string& path, const EngineOptions& options, int gpu_layers);

  std::unique_ptr<llama_model, Deleter> model_;
  Adapters adapters_;
  ModelInfo info_;
  size_t longest_piece_ = 1;
  std::vector<Token> end_tokens_, control_tokens_;
  std::vector<uint8_t> first_bytes_;
  bool adds_end_ = false;
  std::vector<bool> shown_;  // by token: a control token that is text all the same
};

}  // namespace zse
