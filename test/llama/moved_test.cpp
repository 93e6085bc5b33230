// Chunks of a slot that are given other places are as if they had been computed there: what follows them sees the same keys, turned by as much as they
// were moved. Rotations are relative, so a text with nothing before it may begin at any place.
#include <cmath>

#include "check.h"
#include "core/moved.h"
#include "llama/devices.h"
#include "llama/llama_decoder.h"
#include "llama/model.h"

using namespace zse;

namespace {

constexpr int kContext = 512, kSlots = 3, kTokens = 100;

EngineOptions options(const std::string& kv_type) {
  EngineOptions options;
  options.context_size = kContext;
  options.max_streams = kSlots;
  options.threads = 1;
  options.gpu_layers = 0;
  options.device = "cpu";
  options.kv_type = kv_type;
  options.prompt_cache.moved = true;
  return options;
}

std::shared_ptr<const Model> load(const EngineOptions& options) {
  init_backends();
  return Model::load(ZSE_DEMO_MODEL, options, [](float) { return true; });
}

struct Engine {
  explicit Engine(const std::string& kv_type = "f16") : model(load(options(kv_type))), decoder(model) {}

  Token token(int i) const { return (i * 37 + i * i + 3) % model->info().vocabulary_size; }
  void compute(SlotId slot, int at, int first, int count) {
    Batch batch;
    for (int i = 0; i < count; i++) batch.push_back({slot, at + i, token(first + i), false});
    REQUIRE(decoder.decode(batch, [] { return false; }) == DecodeStatus::kOk);
  }
  /** The likeliest tokens that come after another at this place, and what they are likely. */
  std::vector<TokenLogprob> after(SlotId slot, int at) {
    REQUIRE(decoder.decode({{slot, at, token(999), true}}, [] { return false; }) == DecodeStatus::kOk);
    std::vector<TokenLogprob> top = decoder.logprobs_at(0, 0, 5).top;
    decoder.take_back(slot, at);
    return top;
  }

  std::shared_ptr<const Model> model;
  LlamaDecoder decoder;
};

double difference(const std::vector<TokenLogprob>& a, const std::vector<TokenLogprob>& b) {
  REQUIRE(a.size() == 5 && b.size() == 5);
  if (a[0].token != b[0].token) return 1e9;
  return std::abs(static_cast<double>(a[0].logprob) - static_cast<double>(b[0].logprob));
}

}  // namespace

TEST("a chunk is at its new place what it was, for each type of keys") {
  for (const auto& [kv_type, bound] : {std::pair("f16", 0.05), std::pair("q8_0", 0.2)}) {
    Engine engine(kv_type);
    engine.compute(0, 0, 0, kTokens);
    const auto before = engine.after(0, kTokens);
    for (const int shift : {1, 7, 300}) {
      engine.decoder.clear_slot(1);
      engine.compute(1, 0, 0, kTokens);
      engine.decoder.set_aside(1, 0, {{0, shift, kTokens}});
      engine.decoder.put_back(1, {0, shift, kTokens});
      CHECK(difference(engine.after(1, shift + kTokens), before) < bound);
    }
    CHECK(difference(engine.after(0, kTokens), before) == 0);  // nothing moved in other slots
  }
}

TEST("chunks that change their order, onto each other's places, are each what they were") {
  Engine engine;
  engine.compute(0, 0, 0, 2 * kTokens);
  engine.decoder.set_aside(0, 0, {{kTokens, 10, kTokens}, {0, 10 + kTokens, kTokens}});
  engine.decoder.put_back(0, {kTokens, 10, kTokens});
  engine.decoder.put_back(0, {0, 10 + kTokens, kTokens});
  // The first part saw nothing before it, so behind a slot of the second alone, it is as if it had been loaded there.
  engine.compute(1, 0, 0, 2 * kTokens);
  engine.decoder.set_aside(1, 0, {{kTokens, 0, kTokens}, {0, kTokens, kTokens}});
  engine.decoder.put_back(1, {kTokens, 0, kTokens});
  engine.decoder.put_back(1, {0, kTokens, kTokens});
  CHECK(difference(engine.after(0, 10 + 2 * kTokens), engine.after(1, 2 * kTokens)) < 0.05);
}

TEST("what was computed before a chunk is seen by what follows it, and the chunk is what it was") {
  Engine engine;
  engine.compute(0, 0, 0, 20);
  engine.compute(0, 20, 100, kTokens);
  engine.decoder.set_aside(0, 20, {{20, 30, kTokens}});
  engine.compute(0, 20, 300, 10);
  engine.decoder.put_back(0, {20, 30, kTokens});
  CHECK(engine.after(0, 30 + kTokens).size() == 5);
  // An image of it is one of so many tokens.
  const auto copy = engine.decoder.begin_save(0);
  REQUIRE(copy != nullptr);
  copy->finish();
  const auto loaded = engine.decoder.begin_load(1, copy->image(), 30 + kTokens);
  REQUIRE(loaded != nullptr);
  loaded->finish();
  CHECK(difference(engine.after(0, 30 + kTokens), engine.after(1, 30 + kTokens)) < 0.05);
}

TEST("what is aside takes cells until it is put back or forgotten, and then no more") {
  Engine engine;
  for (int round = 0; round < 20; round++) {
    for (SlotId slot = 0; slot < kSlots; slot++) {
      engine.decoder.clear_slot(slot);
      engine.compute(slot, 0, 0, 250);
      engine.compute(slot, 250, 250, 250);
      engine.decoder.set_aside(slot, 10, {{10, 20, 200}, {300, 260, 200}});
      if (round % 2 == 0) engine.decoder.drop_aside(slot);
    }
    for (SlotId slot = 0; slot < kSlots; slot++) {
      if (round % 2 == 0) engine.compute(slot, 10, 0, 250);
    }
  }
}
