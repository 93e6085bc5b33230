#include "constraint.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/spaces.h"
#include "base/work_bound.h"
#include "likeliest.h"
#include "llama-grammar.h"
#include "llama-vocab.h"
#include "model.h"
#include "reasoning-budget.h"

namespace zse {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
// Of the tokens that may follow, those that are less likely than so many others are not worth a look at all of a large vocabulary.
constexpr size_t kLikely = 1024;
constexpr size_t kLongestGrammar = size_t{4} << 20;  // bytes
// Triggers are some ten bytes long; a regular expression, whose matcher calls itself for each character, gets no more than this.
constexpr size_t kTail = 512;
// For one token: other streams wait for it.
constexpr std::chrono::milliseconds kTokenTime{250};

/** Runs it on the decode thread, until then. */
template <class Work>
void within_time(const std::string& source, WorkBound::Clock::time_point until, Work work) {
  WorkLimits limits;
  limits.time = std::max(until - WorkBound::Clock::now(), WorkBound::Clock::duration(1));
  limits.memory = uint64_t{256} << 20;
  limits.stack = size_t{1} << 20;
  WorkBound bound(limits);
  try {
    const WorkBound::Scope scope(bound);
    work();
    return;
  } catch (const WorkStopped&) {
  }
  throw EngineError("BAD_OPTION", source + " allows too many ways to go on: which tokens may follow was not known after " +
                                      std::to_string(kTokenTime.count()) +
                                      " ms; write it with fewer alternatives, optional and repeated parts");
}

std::string first_line(const std::string& text, size_t longest = 300) {
  std::string line = text.substr(0, std::min(text.find('\n'), longest));
  while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xC0) == 0x80) line.pop_back();
  return line;
}

}  // namespace

Constraint::Constraint(std::shared_ptr<const Model> model, ConstraintSpec spec, Grammars& grammars)
    : model_(std::move(model)),
      source_(spec.source),
      rests_in_thoughts_(spec.rests_in_thoughts),
      spec_(std::move(spec)),
      lazy_(!spec_.trigger_words.empty() || !spec_.trigger_patterns.empty()),
      waits_(lazy_) {
  hidden_ = model_->control_tokens();
  for (const std::string& name : spec_.control_tokens) {
    const std::vector<Token> tokens = model_->tokenize(name, false, true);
    if (tokens.size() == 1) hidden_.erase(std::remove(hidden_.begin(), hidden_.end(), tokens[0]), hidden_.end());
  }
  for (const std::string& pattern : spec_.trigger_patterns) patterns_.emplace_back(pattern);
  if (!spec_.grammar.empty()) read_grammar(grammars);
  since_thought_ = spec_.continued;
  make_budget();
}

Constraint::~Constraint() = default;

void Constraint::read_grammar(Grammars& grammars) {
  if (spec_.grammar.size() > kLongestGrammar) {
    throw EngineError("BAD_OPTION", source_ + " makes a grammar of " + std::to_string(spec_.grammar.size()) +
                                        " bytes, and " + std::to_string(kLongestGrammar) +
                                        " are allowed; give fewer or shorter alternatives");
  }
  try {
    grammar_ = grammars.of(model_->vocab(), spec_.grammar);
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", source_ + " cannot be read: " + first_line(e.what()));
  }
  if (!grammar_) {
    throw EngineError("BAD_OPTION",
                      source_ +
                          " cannot be used: a grammar needs a rule named root, every rule that it names, and no "
                          "rule that begins with itself");
  }
  if (lazy_) return;
  try {
    for (const Token token : model_->tokenize(spec_.grammar_has_begun ? spec_.begun : spec_.continued, false, true)) {
      llama_grammar_accept_token(*grammar_, token, model_->vocab()->token_to_piece(token));
    }
  } catch (const std::runtime_error&) {
    if (!spec_.continued.empty()) {
      throw EngineError("BAD_OPTION",
                        "the last message, which the reply goes on with, is not the beginning of anything that " + source_ +
                            " allows; leave the message out, or let it begin as the reply must");
    }
    throw EngineError("UNSUPPORTED", "the model's chat template begins replies in a way that " + source_ +
                                         " cannot go on from; take another file of the model");
  }
}

void Constraint::make_budget() {
  if (spec_.thought_start.empty() || spec_.thought_ends.empty()) return;
  thought_start_ = model_->tokenize(spec_.thought_start, false, true);
  std::vector<llama_tokens> ends;
  for (const std::string& end : spec_.thought_ends) {
    ends.push_back(model_->tokenize(end, false, true));
    thought_ends_.push_back(model_->tokenize(std::string(trimmed(end)), false, true));
    if (rests_in_thoughts_ && !spec_.holds_calls) break;  // where no call may come, the tag of one ends no thought
  }
  const llama_tokens closing = model_->tokenize("\n" + spec_.thought_ends.front(), false, true);
  budget_.reset(common_reasoning_budget_init(model_->vocab(), {thought_start_}, ends, closing,
                                             spec_.thought_tokens.value_or(std::numeric_limits<int>::max())));
  // What the template has written of a thought counts where it is left open. By the text: together with what stands around it, a tag may have other tokens.
  const size_t start = spec_.begun.rfind(spec_.thought_start);
  const bool closed = std::any_of(spec_.thought_ends.begin(), spec_.thought_ends.end(), [&](const std::string& end) {
    return start != std::string::npos && spec_.begun.find(trimmed(end), start) != std::string::npos;
  });
  if (start != std::string::npos && !closed) {
    for (const Token token : thought_start_) llama_sampler_accept(budget_.get(), token);
    const std::string behind = spec_.begun.substr(start + spec_.thought_start.size());
    for (const Token token : model_->tokenize(behind, false, true)) llama_sampler_accept(budget_.get(), token);
  }
  in_thought_ = thinks();
}

bool Constraint::thinks() const {
  if (!budget_) return false;
  const auto state = common_reasoning_budget_get_state(budget_.get());
  return state != REASONING_BUDGET_IDLE && state != REASONING_BUDGET_DONE;
}

// ---- before a token is drawn -----------------------------------------------------------------------------------------

std::optional<Token> Constraint::forced(const float* logits) {
  if (!in_thought_) return {};
  const auto state = common_reasoning_budget_get_state(budget_.get());
  if (state != REASONING_BUDGET_FORCING && state != REASONING_BUDGET_WAITING_UTF8) return {};
  candidates_.clear();
  for (int i = 0; i < model_->info().vocabulary_size; i++) candidates_.push_back({i, logits[i], 0});
  llama_token_data_array all{candidates_.data(), candidates_.size(), -1, false};
  llama_sampler_apply(budget_.get(), &all);
  const auto best = std::max_element(candidates_.begin(), candidates_.end(),
                                     [](const auto& a, const auto& b) { return a.logit < b.logit; });
  if (best->logit == kNever) {
    throw EngineError("BAD_OPTION",
                      "the thought must end here, and logitBias bans what would end it; leave that token out of logitBias");
  }
  return best->id;
}

bool Constraint::hidden(Token token) const { return std::binary_search(hidden_.begin(), hidden_.end(), token); }

bool Constraint::begins_thought(Token token) const {
  return rests_in_thoughts_ && spec_.may_think && trimmed(spec_.continued).empty() && drawn_ < thought_start_.size() &&
         thought_start_[drawn_] == token;
}

bool Constraint::watches_thoughts() const {
  if (in_thought_ || !grammar_ || waits_) return true;
  if (lazy_) return false;  // a call is being written
  const std::string_view text = trimmed(since_thought_), start = trimmed(spec_.thought_start), begun = trimmed(spec_.begun);
  if (start.substr(0, text.size()) == text) return true;
  // behind a thought, some models begin their turn anew
  const std::string again = std::string(begun) + std::string(start);
  return again.compare(0, text.size(), text) == 0;
}

void Constraint::apply(llama_token_data_array& tokens) {
  within_time(source_, until_, [&] { llama_grammar_apply_impl(*grammar_, &tokens); });
}

/**
 * A reply is read by its text, and a thought is followed by its tokens. So what ends one may come as its own tokens alone: spelled by others, or as the
 * tag of a call where none may come, the thought would be over for who reads the reply, and what follows held to nothing.
 */
bool Constraint::breaks_off_thought(Token token) const {
  if (!in_thought_ || !grammar_) return false;
  const std::string text = thought_tail_ + model_->vocab()->token_to_piece(token);
  for (size_t i = 0; i < spec_.thought_ends.size(); i++) {
    const std::string_view tag = trimmed(spec_.thought_ends[i]);
    const size_t seen = thought_tail_.size() < tag.size() ? 0 : thought_tail_.size() - tag.size() + 1;
    if (tag.empty() || text.find(tag, seen) == std::string::npos) continue;
    if (i >= thought_ends_.size() || !ends_with(thought_ends_[i], token)) return true;
  }
  return false;
}

/** Whether the thought's last tokens with this one are those. */
bool Constraint::ends_with(const std::vector<Token>& tokens, Token token) const {
  if (tokens.empty() || tokens.back() != token || tokens.size() - 1 > last_tokens_.size()) return false;
  return std::equal(tokens.begin(), tokens.end() - 1, last_tokens_.end() - static_cast<std::ptrdiff_t>(tokens.size() - 1));
}

bool Constraint::allows(Token token) {
  if (breaks_off_thought(token)) return false;
  if (rests() || begins_thought(token)) return true;
  until_ = WorkBound::Clock::now() + kTokenTime;
  if (hidden(token)) return false;
  llama_token_data one{token, 1, 0};
  llama_token_data_array tokens{&one, 1, -1, false};
  apply(tokens);
  return one.logit != kNever;
}

const std::vector<llama_token_data>& Constraint::find_allowed(float* logits,
                                                              const std::vector<llama_token_data>& likeliest) {
  const auto vocabulary = static_cast<size_t>(model_->info().vocabulary_size);
  for (const Token token : hidden_) logits[token] = kNever;
  const auto may_begin = first_bytes();
  const std::vector<uint8_t>& first = model_->first_bytes();
  const auto drop = [this](auto&& unwanted) {
    candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(), unwanted), candidates_.end());
  };
  if (rests()) {  // in a thought that a call's tag would break off: nearly everything else may come
    candidates_ = likeliest;
    const auto breaks = [&](const llama_token_data& one) { return logits[one.id] == kNever || breaks_off_thought(one.id); };
    drop(breaks);
    if (candidates_.empty() && find_likeliest(logits, static_cast<int>(vocabulary), kLikely, candidates_)) drop(breaks);
    return candidates_;
  }
  for (const size_t most : {kLikeliest, kLikely, vocabulary}) {
    if (most == kLikeliest && !likeliest.empty()) {
      candidates_ = likeliest;
    } else if (!find_likeliest(logits, static_cast<int>(vocabulary), most, candidates_)) {
      break;  // one is not a number
    }
    const bool were_all = candidates_.size() < most;
    drop([&](const llama_token_data& one) { return !may_begin[first[one.id]] || logits[one.id] == kNever; });
    llama_token_data_array tokens{candidates_.data(), candidates_.size(), -1, false};
    apply(tokens);
    drop([](const llama_token_data& one) { return one.logit == kNever; });
    if (!candidates_.empty() || were_all) return candidates_;
    if (most != kLikeliest) continue;
    for (size_t token = 0; token < vocabulary; token++) {  // of a large vocabulary only when it must be
      if (!may_begin[first[token]]) logits[token] = kNever;
    }
  }
  candidates_.clear();
  return candidates_;
}

/** What a token may begin with; 0: the reply may end. */
std::bitset<256> Constraint::first_bytes() const {
  std::bitset<256> bytes;
  within_time(source_, until_, [&] { bytes = llama_grammar_first_bytes(*grammar_); });
  return bytes.set(0, complete());
}

bool Constraint::complete() const {
  if (rests()) return false;
  const auto& stacks = llama_grammar_get_stacks(grammar_.get());
  return std::any_of(stacks.begin(), stacks.end(), [](const auto& stack) { return stack.empty(); });
}

// ---- after it --------------------------------------------------------------------------------------------------------

void Constraint::accept(Token token) {
  until_ = std::max(until_, WorkBound::Clock::now() + kTokenTime / 2);
  const bool was_thought = in_thought_;
  bool rested = rests();
  const bool thought = begins_thought(token);
  drawn_ = thought || !rests_in_thoughts_ ? drawn_ + 1 : thought_start_.size();
  if (budget_ && watches_thoughts()) {
    llama_sampler_accept(budget_.get(), token);
    in_thought_ = thinks();
    if (in_thought_) {
      thought_tail_ += model_->vocab()->token_to_piece(token);
      last_tokens_.push_back(token);
      if (thought_tail_.size() > 2 * kTail) thought_tail_.erase(0, thought_tail_.size() - kTail);
      if (last_tokens_.size() > 2 * kTail) last_tokens_.erase(last_tokens_.begin(), last_tokens_.end() - kTail);
    } else {
      thought_tail_.clear();
      last_tokens_.clear();
    }
    since_thought_ = was_thought || in_thought_ ? "" : since_thought_ + model_->vocab()->token_to_piece(token);
    if (in_thought_ && std::exchange(ends_first_thought_, false)) common_reasoning_budget_force(budget_.get());
  }
  if (!grammar_ || llama_vocab_is_eog(model_->vocab(), token)) return;
  if (was_thought && !in_thought_ && spec_.holds_calls && ends_with_call(token)) rested = false;
  if (waits_) {
    if (!in_thought_) watch(token);
  } else if (!rested && !thought) {
    try {
      within_time(source_, until_,
                  [&] { llama_grammar_accept_token(*grammar_, token, model_->vocab()->token_to_piece(token)); });
    } catch (const std::runtime_error& e) {
      if (dynamic_cast<const EngineError*>(&e)) throw;
      grammar_.reset();  // what was forced on the reply from elsewhere is not held against it
    }
  }
}

/** Some templates let a thought end where a call begins, without the tag that ends thoughts. */
bool Constraint::ends_with_call(Token token) const {
  const std::string piece = model_->vocab()->token_to_piece(token);
  return trimmed(piece) != trimmed(spec_.thought_ends.front()) &&
         std::any_of(spec_.thought_ends.begin(), spec_.thought_ends.end(),
                     [&](const std::string& end) { return trimmed(end) == trimmed(piece); });
}

void Constraint::watch(Token token) {
  tail_ += model_->vocab()->token_to_piece(token);
  tail_tokens_.emplace_back(token, tail_.size());
  const std::optional<size_t> trigger = find_trigger();
  if (trigger) {
    waits_ = false;
    size_t begin = 0;
    try {
      for (const auto& [tail_token, end] : tail_tokens_) {
        const size_t from = std::max(begin, *trigger);
        begin = end;
        if (end > from) {
          within_time(source_, until_, [&, tail_token = tail_token, end = end] {
            llama_grammar_accept_token(*grammar_, tail_token, tail_.substr(from, end - from));
          });
        }
      }
    } catch (const std::runtime_error& e) {
      if (dynamic_cast<const EngineError*>(&e)) throw;
      grammar_.reset();  // the trigger was part of something else
    }
    tail_.clear();
    tail_tokens_.clear();
    return;
  }
  if (tail_.size() <= 2 * kTail) return;
  size_t cut = 0, tokens = 0;
  while (tail_.size() - cut > kTail) cut = tail_tokens_[tokens++].second;
  tail_.erase(0, cut);
  tail_tokens_.erase(tail_tokens_.begin(), tail_tokens_.begin() + static_cast<std::ptrdiff_t>(tokens));
  for (auto& [tail_token, end] : tail_tokens_) end -= cut;
  tail_is_all_ = false;
}

/** Where in the tail the grammar begins: at the first group of a pattern, or at what matched. */
std::optional<size_t> Constraint::find_trigger() const {
  for (const std::string& word : spec_.trigger_words) {
    const size_t at = tail_.find(word);
    if (at != std::string::npos) return at;
  }
  for (size_t i = 0; i < patterns_.size(); i++) {
    std::smatch match;
    const bool anchored = spec_.trigger_patterns[i].front() == '^';
    if (anchored && !tail_is_all_) continue;
    if (!std::regex_search(tail_, match, patterns_[i])) continue;
    for (size_t group = 1; group < match.size(); group++) {
      if (match.length(group) > 0) return match.position(group);
    }
    return match.position(0);
  }
  return {};
}

void Constraint::end_reasoning() {
  if (in_thought_) {
    common_reasoning_budget_force(budget_.get());
  } else {
    ends_first_thought_ = drawn_ == 0 && budget_;
  }
}

}  // namespace zse
