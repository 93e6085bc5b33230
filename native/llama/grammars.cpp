#include "grammars.h"

#include "llama-grammar.h"

namespace zse {

namespace {

constexpr size_t kLongestKept = size_t{256} << 10;  // bytes of a grammar's text

}  // namespace

void GrammarDeleter::operator()(llama_grammar* grammar) const { llama_grammar_free_impl(grammar); }

GrammarPtr Grammars::of(const llama_vocab* vocab, const std::string& gbnf) {
  if (const auto kept = kept_.find(gbnf).second) return GrammarPtr(llama_grammar_clone_impl(*kept));
  // It may be stopped.
  GrammarPtr made(llama_grammar_init_impl(vocab, gbnf.c_str(), "root", false, nullptr, 0, nullptr, 0));
  if (!made || gbnf.size() > kLongestKept) return made;
  kept_.keep(gbnf, {llama_grammar_clone_impl(*made), GrammarDeleter()});
  return made;
}

}  // namespace zse
