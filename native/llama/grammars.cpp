#include "grammars.h"

#include <algorithm>

#include "llama-grammar.h"

namespace zse {

namespace {

constexpr size_t kMostKept = 16, kLongestKept = size_t{256} << 10;  // grammars, and bytes of one's text

}  // namespace

void GrammarDeleter::operator()(llama_grammar* grammar) const { llama_grammar_free_impl(grammar); }

GrammarPtr Grammars::of(const llama_vocab* vocab, const std::string& gbnf) {
  const auto is_it = [&](const auto& kept) { return kept.first == gbnf; };
  std::shared_ptr<const llama_grammar> kept;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(), is_it);
    if (found != kept_.end()) {
      kept_.splice(kept_.begin(), kept_, found);
      kept = found->second;
    }
  }
  if (kept) return GrammarPtr(llama_grammar_clone_impl(*kept));
  // It may be stopped: nothing waits for it.
  GrammarPtr made(llama_grammar_init_impl(vocab, gbnf.c_str(), "root", false, nullptr, 0, nullptr, 0));
  if (!made || gbnf.size() > kLongestKept) return made;
  kept.reset(llama_grammar_clone_impl(*made), GrammarDeleter());
  const std::lock_guard<std::mutex> lock(mutex_);
  kept_.remove_if(is_it);
  kept_.emplace_front(gbnf, std::move(kept));
  if (kept_.size() > kMostKept) kept_.pop_back();
  return made;
}

}  // namespace zse
