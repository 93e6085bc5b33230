// A draft model without weights: it knows what the fake model will say, and errs now and then. It checks what llama.cpp would not forgive: guesses
// for what it has not read, and positions with gaps.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "check.h"
#include "core/draft_model.h"
#include "fake_decoder.h"

namespace zse {

class FakeDraftModel final : public DraftModel {
 public:
  explicit FakeDraftModel(const FakeDecoder& decoder) : decoder_(decoder) {}

  int wrong_one_in = 0;     // 0: never
  int fails_one_in = 0;     // reads and drafts; 0: never
  size_t reach = SIZE_MAX;  // tokens of a new text that it reads
  int read_us = 0;          // that each of them takes
  bool follows = false;     // steps, as a model's own head does it, and reads nothing
  int reads = 0, passes = 0, followed = 0;
  size_t read_tokens = 0;

  int behind(SlotId slot, const std::vector<Token>& known) override {
    Held& held = held_[slot];
    if (follows) return held.begun && is_end_of(held, known, known.size()) ? 0 : 1;
    const size_t offered = known.size() < held.from ? 0 : known.size() - held.from;
    size_t same = 0;
    while (same < std::min(offered, held.tokens.size()) && held.tokens[same] == known[held.from + same]) same++;
    held.tokens.resize(same);
    if (same == 0 || offered - same > reach) {
      held = {{}, known.size() - std::min(known.size(), reach)};
    }
    return static_cast<int>(known.size() - held.from - held.tokens.size());
  }

  bool read(const std::vector<DraftWish>& wishes, int most, const AbortCheck& abort) override {
    reads++;
    CHECK(most > 0 && !wishes.empty());
    if (follows) {
      for (const DraftWish& wish : wishes) asked_.insert(wish.slot);
      return false;
    }
    if (abort() || fails(reads)) return false;
    for (const DraftWish& wish : wishes) {
      Held& held = held_[wish.slot];
      while (most > 0 && held.from + held.tokens.size() < wish.known->size()) {
        held.tokens.push_back((*wish.known)[held.from + held.tokens.size()]);
        read_tokens++;
        most--;
        if (read_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(read_us));
      }
    }
    return true;
  }

  int rides_along() const override { return follows ? 0 : 2; }

  void draft(const std::vector<DraftWish>& wishes, const AbortCheck&) override {
    passes++;
    for (const DraftWish& wish : wishes) {
      CHECK(wish.draft->empty() && wish.most > 0);
      Held& held = held_[wish.slot];
      const size_t held_tokens = held.from + held.tokens.size();
      CHECK(held_tokens <= wish.known->size() && held_tokens + static_cast<size_t>(rides_along()) >= wish.known->size());
      if (fails(passes)) {
        held = {};
        continue;
      }
      if (!follows)
        held.tokens.insert(held.tokens.end(), wish.known->begin() + static_cast<std::ptrdiff_t>(held_tokens),
                           wish.known->end());
      std::vector<Token> text = *wish.known;
      text.push_back(wish.last);
      if (!follows) held.tokens.push_back(wish.last);
      const uint32_t seed = decoder_.seed_of(*wish.known);
      while (static_cast<int>(wish.draft->size()) < wish.most) {
        Token token = decoder_.model.next(text, seed);
        if (wrong_one_in > 0 && text.size() % static_cast<size_t>(wrong_one_in) == 0)
          token = 1 + token % (FakeModel::kVocabulary - 1);
        wish.draft->push_back(token);
        text.push_back(token);
      }
      if (!follows) held.tokens.insert(held.tokens.end(), wish.draft->begin(), wish.draft->end() - 1);
      asked_.insert(wish.slot);
    }
  }

  void pass_over(SlotId slot) override {
    if (follows) held_[slot] = {};
  }

  void computed(const std::vector<ComputedReply>& replies, const AbortCheck&) override {
    size_t next = 0;  // of the batch
    for (const ComputedReply& reply : replies) {
      CHECK(reply.tokens > 0 && reply.index >= next);
      next = reply.index + static_cast<size_t>(reply.tokens);
      if (!follows) continue;
      const std::vector<Token>& known = *reply.known;
      const size_t tokens = static_cast<size_t>(reply.tokens);
      CHECK(known.size() > tokens);
      for (size_t i = 0; i < tokens; i++) {
        CHECK_EQ(decoder_.last_batch[reply.index + i].token, known[known.size() - tokens + i]);
        CHECK(decoder_.last_batch[reply.index + i].slot == reply.slot && decoder_.last_batch[reply.index + i].output);
      }
      Held& held = held_[reply.slot];
      followed += held.begun || asked_.count(reply.slot) > 0;
      if (held.begun && is_end_of(held, known, known.size() - tokens)) {
        held.tokens.insert(held.tokens.end(), known.end() - reply.tokens, known.end());
      } else {
        held = {{}, known.size(), asked_.count(reply.slot) > 0};
      }
    }
    asked_.clear();
  }

 private:
  struct Held {
    std::vector<Token> tokens;
    size_t from = 0;
    bool begun = false;  // to be followed
  };
  static bool is_end_of(const Held& held, const std::vector<Token>& known, size_t end) {
    return held.from + held.tokens.size() == end && end <= known.size() &&
           std::equal(held.tokens.begin(), held.tokens.end(), known.begin() + static_cast<std::ptrdiff_t>(held.from));
  }
  bool fails(int count) const { return fails_one_in > 0 && count % fails_one_in == 0; }

  const FakeDecoder& decoder_;
  std::map<SlotId, Held> held_;
  std::set<SlotId> asked_;  // in the step under way
};

}  // namespace zse
