// What a grammar leaves is what it allows: looking at the likeliest tokens and at their first bytes alone changes nothing.
#include "llama/constraint.h"

#include <algorithm>
#include <limits>
#include <random>

#include "check.h"
#include "demo_model.h"
#include "llama/model.h"

using namespace zse;

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

/** Literals, classes, negated ones, code points of one to four bytes, rules that end, and such as go on for ever. */
const char* const kGrammars[] = {
    R"(root ::= "{\"field_1\": " ("true" | "false" | "null") ", \"name\": \"" [^"\\\x7F\x00-\x1F]* "\"}")",
    R"(root ::= "[" ([0-9] | [1-9] [0-9]{0,3}) ("," [0-9]{1,4})* "]")",
    R"(root ::= ([a-f] | "é" | "🙂" | [α-ω])+)",
    R"(root ::= [^a-z]* "end")",
    R"(root ::= . . .? "!")",
    R"(root ::= "ja" | "jawohl" | "" )",
    R"(root ::= item+
item ::= "- " [^\n]+ "\n")",
};

}  // namespace

TEST("what a grammar leaves may follow, and the likeliest token that may follow is left (random)") {
  const std::shared_ptr<const Model> model = demo();
  const int vocabulary = model->info().vocabulary_size;
  std::mt19937_64 random(check::seed());
  Grammars grammars;  // the second copy of one is of the first
  for (const char* const grammar : kGrammars) {
    for (int round = 0; round < (check::kSanitized ? 1 : 6); round++) {
      ConstraintSpec spec;
      spec.grammar = grammar;
      spec.source = "grammar";
      Constraint constraint(model, spec, grammars);
      for (int step = 0; step < 25; step++) {
        std::normal_distribution<float> normal(-10, 4);
        std::vector<float> logits(vocabulary);
        for (float& logit : logits) logit = normal(random);
        std::vector<Token> allowed;
        for (Token token = 0; token < vocabulary; token++) {
          if (constraint.allows(token)) allowed.push_back(token);
        }
        std::vector<float> given = logits;
        const std::vector<llama_token_data> found = constraint.find_allowed(given.data());
        CHECK_EQ(found.empty(), allowed.empty());
        if (allowed.empty()) break;
        for (const llama_token_data& one : found) {
          CHECK_EQ(one.logit, logits[one.id]);
          CHECK_EQ(given[one.id], logits[one.id]);
          CHECK(std::binary_search(allowed.begin(), allowed.end(), one.id));
        }
        const Token likeliest =
            *std::max_element(allowed.begin(), allowed.end(), [&](Token a, Token b) { return logits[a] < logits[b]; });
        CHECK(std::any_of(found.begin(), found.end(), [&](const auto& one) { return one.id == likeliest; }));
        const Token next = random() % 2 == 0 ? likeliest : allowed[random() % allowed.size()];
        if (llama_vocab_is_eog(model->vocab(), next)) break;
        constraint.accept(next);
      }
    }
  }
}
