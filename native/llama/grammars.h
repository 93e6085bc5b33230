// Owns the grammars of the last requests, ready to be copied: to read the one of a schema takes ten times as long as to copy it. Any thread.
#pragma once

#include <memory>
#include <string>

#include "kept.h"

struct llama_grammar;
struct llama_vocab;

namespace zse {

struct GrammarDeleter {
  void operator()(llama_grammar* grammar) const;
};
using GrammarPtr = std::unique_ptr<llama_grammar, GrammarDeleter>;

class Grammars {
 public:
  /** A grammar of GBNF, at its beginning. Null where it is none; throws what llama.cpp throws, and WorkStopped. */
  GrammarPtr of(const llama_vocab* vocab, const std::string& gbnf);

 private:
  Kept<llama_grammar> kept_{16};
};

}  // namespace zse
