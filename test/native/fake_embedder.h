// An embedder without weights: a text's vector is made of all its tokens and their places, so a token lost, doubled or put into the wrong place
// changes it. It checks what llama.cpp would not forgive: positions with gaps, more texts and tokens than there is room for.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "check.h"
#include "core/embedder.h"

namespace zse {

class FakeEmbedder final : public Embedder {
 public:
  static constexpr int kWidth = 4;

  int texts = 4, tokens = 100, batch = 32;
  bool cuttable = true;
  int us_per_token = 0;
  int fail_compute = -1;    // the computation that fails
  int throw_compute = -1;   // the one that finds no memory
  Token not_a_number = -1;  // texts with this token have no vector
  std::function<void()> during_compute;
  int computes = 0;
  std::vector<Batch> history;

  static std::vector<float> vector_of(const std::vector<Token>& text, const VectorShape& shape = {}) {
    std::vector<float> numbers(kWidth, 0);
    for (size_t i = 0; i < text.size(); i++) {
      numbers[i % kWidth] += static_cast<float>(text[i]) * static_cast<float>(i + 1);
    }
    if (shape.dimensions > 0) numbers.resize(static_cast<size_t>(shape.dimensions));
    if (shape.normalize) numbers[0] = -numbers[0];  // so that a test sees it
    return numbers;
  }

  int max_texts() const override { return texts; }
  int max_tokens() const override { return tokens; }
  int max_batch_tokens() const override { return batch; }
  int width() const override { return kWidth; }
  bool cuts_texts() const override { return cuttable; }
  size_t memory_bytes() const override { return 1000; }
  std::string failure() const override { return "the fake was told to fail"; }

  DecodeStatus compute(const Batch& given, const AbortCheck& abort) override {
    REQUIRE(!given.empty());
    CHECK(static_cast<int>(given.size()) <= batch);
    const int number = computes++;
    if (number == throw_compute) throw EngineError("ENGINE_FAILED", "no memory for a context");
    if (during_compute) during_compute();
    for (int piece = 0; piece < 4; piece++) {
      if (abort()) return DecodeStatus::kAborted;
      const auto time = std::chrono::microseconds(us_per_token * static_cast<int>(given.size()) / 4);
      if (us_per_token > 0) std::this_thread::sleep_for(time);
    }
    if (number == fail_compute) return DecodeStatus::kFailed;
    history.push_back(given);
    size_t held = 0;
    for (const BatchToken& token : given) {
      CHECK(token.slot >= 0 && token.slot < texts);
      std::vector<Token>& text = places_[token.slot];
      CHECK_EQ(token.position, static_cast<Position>(text.size()));
      text.push_back(token.token);
    }
    for (const auto& [place, text] : places_) held += text.size();
    CHECK(held <= static_cast<size_t>(tokens));
    return DecodeStatus::kOk;
  }

  std::optional<std::vector<float>> take(SlotId place, const VectorShape& shape) override {
    const std::vector<Token> text = std::move(places_[place]);
    places_.erase(place);
    if (std::find(text.begin(), text.end(), not_a_number) != text.end()) return {};
    return vector_of(text, shape);
  }

  void drop(SlotId place) override { places_.erase(place); }

  bool all_places_empty() const { return places_.empty(); }

 private:
  std::map<SlotId, std::vector<Token>> places_;
};

}  // namespace zse
