// Owns a grammar that is one of two: GBNF texts, whose rules keep apart. Pure; any thread.
#pragma once

#include <string>

namespace zse {

struct RootedGrammar {
  std::string grammar;  // GBNF
  std::string root;     // the rule to begin with
};

/** What either of them allows, behind a space or line breaks. Both are grammars that llama.cpp has made. */
std::string either_grammar(const RootedGrammar& one, const RootedGrammar& other);

/** What one of them allows, alike. */
std::string only_grammar(const RootedGrammar& one);

/** Whether there is such a rule. */
bool has_rule(const std::string& grammar, const std::string& name);

}  // namespace zse
