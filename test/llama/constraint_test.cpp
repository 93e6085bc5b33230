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

namespace {

/** A text in a class of its own behind a thought, as templates with tags have it. */
ConstraintSpec thinking(const char* grammar) {
  ConstraintSpec spec;
  spec.grammar = grammar;
  spec.source = "grammar";
  spec.rests_in_thoughts = true;
  spec.thought_start = "<think>";
  spec.thought_ends = {"</think>", "<tool_call>"};
  spec.control_tokens = {"<think>", "</think>", "<tool_call>"};
  return spec;
}

Token token_of(const Model& model, const char* text) {
  const std::vector<Token> tokens = model.tokenize(text, false, true);
  REQUIRE(tokens.size() == 1);
  return tokens[0];
}

}  // namespace

TEST(
    "a thought ends with its own tag alone: neither spelled by other tokens, nor as the tag of a call where none may come") {
  const std::shared_ptr<const Model> model = demo();
  Grammars grammars;
  for (const bool calls : {false, true}) {
    ConstraintSpec spec = thinking(R"(root ::= "{}")");
    spec.holds_calls = calls;
    Constraint constraint(model, spec, grammars);
    constraint.accept(token_of(*model, "<think>"));
    CHECK(constraint.must_go_on());
    CHECK_EQ(constraint.allows(token_of(*model, "<tool_call>")), calls);
    for (const char* piece : {"</", "think"}) {
      CHECK(constraint.allows(token_of(*model, piece)));
      constraint.accept(token_of(*model, piece));
    }
    const Token last = token_of(*model, ">");
    CHECK(!constraint.allows(last));
    std::vector<float> logits(model->info().vocabulary_size, 0.0f);
    logits[last] = 20;
    const std::vector<llama_token_data> found = constraint.find_allowed(logits.data());
    CHECK(!found.empty());
    CHECK(std::none_of(found.begin(), found.end(), [&](const auto& one) { return one.id == last; }));
    CHECK(constraint.allows(token_of(*model, "</think>")));
    constraint.accept(token_of(*model, "</think>"));
    CHECK(!constraint.must_go_on());
    CHECK(!constraint.allows(token_of(*model, "think")));
    CHECK(constraint.allows(token_of(*model, "{")));
  }
}

TEST("the tag of a thought within a text that is held is text, and its budget closes nothing") {
  const std::shared_ptr<const Model> model = demo();
  Grammars grammars;
  ConstraintSpec spec = thinking(R"(root ::= "{" [^}\n]* "}")");
  spec.may_think = false;
  spec.thought_tokens = 0;
  Constraint constraint(model, spec, grammars);
  std::vector<float> logits(model->info().vocabulary_size, 0.0f);
  for (const char* piece : {"{", "<think>", "think"}) {
    CHECK(constraint.allows(token_of(*model, piece)));
    constraint.accept(token_of(*model, piece));
    CHECK(!constraint.forced(logits.data()).has_value());
  }
  constraint.accept(token_of(*model, "}"));
  CHECK(constraint.complete());
}
