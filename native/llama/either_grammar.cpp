#include "either_grammar.h"

#include <algorithm>
#include <cctype>

namespace zse {

namespace {

bool names(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_'; }

/** The end of what begins at `at` and is no part of a name: a literal, a set of characters, a comment, a token, a repetition; else one character. */
size_t end_of_other(const std::string& text, size_t at) {
  const auto behind = [&](char end, bool escapes) {
    size_t i = at + 1;
    while (i < text.size() && text[i] != end) i += escapes && text[i] == '\\' ? 2 : 1;
    return std::min(i + 1, text.size());
  };
  switch (text[at]) {
    case '"': return behind('"', true);
    case '[': return behind(']', true);
    case '<': return behind('>', true);
    case '{': return behind('}', false);
    case '#': return behind('\n', false);
    default: return at + 1;
  }
}

/** Every rule with this in front of its name. */
std::string renamed(const std::string& grammar, const std::string& prefix) {
  std::string out;
  for (size_t at = 0; at < grammar.size();) {
    const size_t from = at;
    if (names(grammar[at])) {
      while (at < grammar.size() && names(grammar[at])) at++;
      out += prefix;
    } else {
      at = end_of_other(grammar, at);
    }
    out.append(grammar, from, at - from);
  }
  return out;
}

}  // namespace

bool has_rule(const std::string& grammar, const std::string& name) {
  const std::string defined = name + " ::=";
  return grammar.compare(0, defined.size(), defined) == 0 || grammar.find("\n" + defined) != std::string::npos;
}

std::string only_grammar(const RootedGrammar& one) {
  return "root ::= [ \\n]{0,2} a-" + one.root + "\n" + renamed(one.grammar, "a-");
}

std::string either_grammar(const RootedGrammar& one, const RootedGrammar& other) {
  return "root ::= [ \\n]{0,2} (a-" + one.root + " | b-" + other.root + ")\n" + renamed(one.grammar, "a-") + "\n" +
         renamed(other.grammar, "b-");
}

}  // namespace zse
