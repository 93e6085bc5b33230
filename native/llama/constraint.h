// Owns what a request holds its reply to, token by token: a grammar (llama.cpp's), which may rest until a call of a tool begins or a thought has
// ended, and a budget of the thought (llama.cpp's too). Made on a prompt worker's thread within its WorkBound, then decode thread.
//
// A grammar is asked about the one token that was drawn. Only where that does not fit are the others looked at, the likeliest first.
#pragma once

#include <bitset>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/work_bound.h"
#include "core/ids.h"
#include "core/request.h"
#include "grammars.h"
#include "llama.h"

namespace zse {

class Model;

struct ConstraintSpec {
  std::string grammar;  // GBNF; "" for none
  std::string source;   // what it comes of, for people: "grammar", "jsonSchema"
  /** It rests until one of these is in the reply, and begins there. Both empty: it does not rest. */
  std::vector<std::string> trigger_words, trigger_patterns;
  /** The grammar says nothing of thoughts: it rests while the reply is in one. */
  bool rests_in_thoughts = false;
  /** What the reply goes on with, of the caller's; a grammar that has not begun with `begun` begins with that. */
  std::string continued;
  /** The reply may begin with a thought. */
  bool may_think = true;
  /** The grammar is of calls, too, with the tags that they begin with. */
  bool holds_calls = false;
  /** What the template has written of the reply already. */
  std::string begun;
  bool grammar_has_begun = false;  // the grammar begins with that, too
  /** Tags of a thought; "" where the model has none. */
  std::string thought_start;
  std::vector<std::string> thought_ends;
  std::optional<int> thought_tokens;  // at most
  /** Control tokens that may be drawn, by their names. */
  std::vector<std::string> control_tokens;
};

class Constraint final {
 public:
  /** Throws EngineError BAD_OPTION where the grammar is none, and WorkStopped. */
  Constraint(std::shared_ptr<const Model> model, ConstraintSpec spec, Grammars& grammars);
  ~Constraint();

  /** The token that must come next, if only one may: the end of a thought whose budget is spent. */
  std::optional<Token> forced(const float* logits);
  bool allows(Token token);
  /** find_allowed() looks at so many first. */
  static constexpr size_t kLikeliest = 64;
  /**
   * The tokens that may follow, with their logits, in no order; for a token that allows() has just refused, within what is left of its time. Looks at
   * the likeliest; where none of those may, at the likeliest thousand whose first byte may come, then at all of those. Empty: there are none.
   * `likeliest`: kLikeliest of them or more, or all that can come, where the caller has found them. What cannot come is -infinity in the logits
   * afterwards. Throws EngineError BAD_OPTION where that takes too long.
   */
  const std::vector<llama_token_data>& find_allowed(float* logits, const std::vector<llama_token_data>& likeliest = {});
  /** The reply is in a thought, and what comes after that is held to something: it may not end yet. */
  bool must_go_on() const { return grammar_ && rests_in_thoughts_ && in_thought_; }
  /** Nothing more is needed: a reply that cannot go on has ended. */
  bool complete() const;
  void accept(Token token);
  /** The thought ends with the next tokens, if the reply is in one; before the first token, any that it begins with will. */
  void end_reasoning();

 private:
  struct SamplerDeleter {
    void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
  };
  void read_grammar(Grammars& grammars);
  void make_budget();
  bool thinks() const;
  bool rests() const { return !grammar_ || waits_ || (in_thought_ && (rests_in_thoughts_ || lazy_)); }
  bool hidden(Token token) const;
  bool ends_with_call(Token token) const;
  bool breaks_off_thought(Token token) const;
  bool ends_with(const std::vector<Token>& tokens, Token token) const;
  bool begins_thought(Token token) const;
  /** A thought may begin with the next token. Where a grammar holds what is written, the tag of one is text: in a string of JSON, say. */
  bool watches_thoughts() const;
  std::bitset<256> first_bytes() const;
  /** The grammar says -infinity to those that may not follow. */
  void apply(llama_token_data_array& tokens);
  void watch(Token token);
  std::optional<size_t> find_trigger() const;

  const std::shared_ptr<const Model> model_;
  const std::string source_;
  const bool rests_in_thoughts_;
  const ConstraintSpec spec_;
  GrammarPtr grammar_;
  std::unique_ptr<llama_sampler, SamplerDeleter> budget_;
  std::vector<Token> thought_start_;              // as the model writes it
  std::vector<std::vector<Token>> thought_ends_;  // of those that end one here
  /** Control tokens that may not be drawn: their bytes do not show, so they would break what the grammar says of them. In order. */
  std::vector<Token> hidden_;

  const bool lazy_;
  bool waits_ = false;  // for a trigger
  std::vector<std::regex> patterns_;
  std::string tail_;                                   // of the reply, while it waits
  std::vector<std::pair<Token, size_t>> tail_tokens_;  // where each ends in it
  bool tail_is_all_ = true;

  WorkBound::Clock::time_point until_;  // then the grammar has taken too long over this token
  bool in_thought_ = false;
  std::string thought_tail_;        // what the thought that is being written ends with
  std::vector<Token> last_tokens_;  // and its tokens
  std::string
      since_thought_;  // what came behind the last thought, or since the reply began, as far as it may be a thought's tag
  bool ends_first_thought_ = false;
  size_t drawn_ = 0;  // tokens
  std::vector<llama_token_data> candidates_;
};

}  // namespace zse
