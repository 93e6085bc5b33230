// Checkpoints of models whose memory cannot be cut: a slot, or its image, goes on from one as if nothing had come after it, whatever other slots
// compute meanwhile; and a state that somebody has forged is refused, or costs its own slot alone.
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

#include "check.h"
#include "llama/devices.h"
#include "llama/llama_decoder.h"
#include "llama/model.h"
#include "memory_models.h"

using namespace zse;
namespace fs = std::filesystem;

namespace {

constexpr int kCut = 90, kTokens = 140;

#ifdef NDEBUG
constexpr bool kComputesForged = true;
#else
constexpr bool kComputesForged =
    false;  // llama.cpp's kernels assert that their numbers are finite, in builds like this one alone
#endif

/** The model in a file that goes with it. */
class Temporary {
 public:
  explicit Temporary(MemoryKind kind)
      : path_(fs::temp_directory_path() /
              ("zstream-memory-" + std::to_string(getpid()) + "-" + std::to_string(static_cast<int>(kind)) + ".gguf")) {
    MemoryModel(kind, path_.string());
    init_backends();
    EngineOptions options;
    options.context_size = 256;
    options.max_streams = 3;
    options.threads = 1;
    options.gpu_layers = 0;
    options.device = "cpu";
    model = Model::load(path_.string(), options, [](float) { return true; });
  }
  ~Temporary() { fs::remove(path_); }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  std::shared_ptr<const Model> model;

 private:
  const fs::path path_;
};

constexpr MemoryKind kKinds[] = {MemoryKind::kHybrid, MemoryKind::kRecurrent, MemoryKind::kSliding};

Token token_at(int position, int salt) { return (position * 7 + salt * 31 + 3) % 1000; }

/** Computes tokens `from` to `to` of a text, in pieces of that many. */
void compute(LlamaDecoder& decoder, SlotId slot, int from, int to, int salt, int piece = 50) {
  for (int at = from; at < to;) {
    Batch batch;
    const int end = std::min(to, at + piece);
    for (; at < end; at++) batch.push_back({slot, at, token_at(at, salt), false});
    REQUIRE(decoder.decode(batch, [] { return false; }) == DecodeStatus::kOk);
  }
}

/** The log-probability of a token behind so many: the same to the last bit where the slot holds the same. */
float score(LlamaDecoder& decoder, SlotId slot, int tokens, int salt) {
  REQUIRE(decoder.decode({{slot, tokens, token_at(tokens, salt), true}}, [] { return false; }) == DecodeStatus::kOk);
  return decoder.logprobs_at(0, 5, 0).chosen.logprob;
}

std::shared_ptr<const SlotImage> checkpoint_of(LlamaDecoder& decoder, SlotId slot) {
  std::shared_ptr<const SlotImage> state = decoder.save_checkpoint(slot);
  REQUIRE(state != nullptr);
  return state;
}

}  // namespace

TEST("a slot that is cut at its checkpoint goes on as one that never had more") {
  for (const MemoryKind kind : kKinds) {
    const Temporary it(kind);
    LlamaDecoder decoder(it.model);
    compute(decoder, 1, 0, kCut, 1);
    const float expected = score(decoder, 1, kCut, 2);
    compute(decoder, 0, 0, kCut, 1);
    const auto state = checkpoint_of(decoder, 0);
    CHECK_EQ(state->size(), decoder.checkpoint_bytes(0));
    for (int round = 0; round < 3; round++) {
      compute(decoder, 0, kCut, kTokens + round, 1 + round);
      compute(decoder, 2, round * 20, round * 20 + 20, 9);  // others' steps may move states about
      REQUIRE(decoder.cut_slot_at(0, kCut, state));
      CHECK_EQ(score(decoder, 0, kCut, 2), expected);
      REQUIRE(decoder.cut_slot_at(0, kCut, state));
    }
  }
}

TEST("an image is cut at its checkpoint in another slot, and is whole though others compute while it is copied") {
  for (const MemoryKind kind : kKinds) {
    const Temporary it(kind);
    LlamaDecoder decoder(it.model);
    compute(decoder, 1, 0, kCut, 1);
    const float at_cut = score(decoder, 1, kCut, 2);
    decoder.clear_slot(1);
    compute(decoder, 0, 0, kCut, 1);
    const auto state = checkpoint_of(decoder, 0);
    compute(decoder, 0, kCut, kTokens, 1);

    int others = 0;
    const auto in_pieces = [&](SlotCopy& copy) {
      while (!copy.advance(1000)) {
        if (others < 200) compute(decoder, 2, others, others + 1, 9);
        others++;
      }
      CHECK(copy.sound());
    };
    const auto saved = decoder.begin_save(0);
    REQUIRE(saved != nullptr);
    in_pieces(*saved);
    const float at_end = score(decoder, 0, kTokens, 3);
    const auto load = [&] {
      const auto copy = decoder.begin_load(1, saved->image(), kTokens);
      REQUIRE(copy != nullptr);
      in_pieces(*copy);
    };
    load();
    CHECK_EQ(score(decoder, 1, kTokens, 3), at_end);
    decoder.clear_slot(1);
    load();
    REQUIRE(decoder.cut_slot_at(1, kCut, state));
    CHECK_EQ(score(decoder, 1, kCut, 2), at_cut);
    CHECK(others > 0 || kind == MemoryKind::kRecurrent);
  }
}

TEST(
    "a state of other tokens, of another size or of no numbers is refused, and a forged one reaches no other slot "
    "(random)") {
  std::mt19937_64 random(check::seed());
  for (const MemoryKind kind : kKinds) {
    const Temporary it(kind);
    LlamaDecoder decoder(it.model);
    compute(decoder, 1, 0, kCut, 1);
    const auto copy = decoder.begin_save(1);
    REQUIRE(copy != nullptr);
    copy->finish();
    const float expected = score(decoder, 1, kCut, 2);
    const auto unchanged = [&] {
      const auto again = decoder.begin_load(1, copy->image(), kCut);
      REQUIRE(again != nullptr);
      again->finish();
      return score(decoder, 1, kCut, 2) == expected;
    };
    compute(decoder, 0, 0, kCut, 1);
    const auto sound = checkpoint_of(decoder, 0);
    compute(decoder, 0, kCut, kTokens, 1);
    const auto whole = decoder.begin_save(0);
    REQUIRE(whole != nullptr);
    whole->finish();
    const auto put = [&](const std::vector<uint8_t>& bytes, int tokens) {
      const auto load = decoder.begin_load(2, whole->image(), kTokens);
      REQUIRE(load != nullptr);
      load->finish();
      auto forged = std::make_shared<SlotImage>(bytes.size());
      if (!bytes.empty()) std::memcpy(forged->data(), bytes.data(), bytes.size());
      return decoder.cut_slot_at(2, tokens, forged);
    };
    const std::vector<uint8_t> good(sound->data(), sound->data() + sound->size());
    CHECK(put(good, kCut));
    CHECK(!put(good, kCut - 1));
    CHECK(!put(good, kCut + 1));
    CHECK(!put({}, kCut));
    CHECK(!put({good.begin(), good.end() - 1}, kCut));
    std::vector<uint8_t> longer = good;
    longer.push_back(0);
    CHECK(!put(longer, kCut));
    std::vector<uint8_t> not_numbers = good;
    std::fill(not_numbers.end() - 8, not_numbers.end(), uint8_t{0xFF});
    CHECK(!put(not_numbers, kCut));
    for (int round = 0; round < 200; round++) {
      std::vector<uint8_t> bytes = good;
      for (uint64_t times = 1 + random() % 3; times > 0; times--) {
        const uint32_t values[] = {0, 1, kCut - 1, kCut, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
        const uint32_t value = random() % 3 == 0 ? static_cast<uint32_t>(random()) : values[random() % std::size(values)];
        const size_t head = std::min<size_t>(bytes.size() - 4, 40 + 16 * 12);
        const size_t at = random() % 4 == 0 ? random() % (bytes.size() - 4) : random() % head / 4 * 4;
        std::memcpy(&bytes[at], &value, sizeof value);
        if (random() % 5 == 0) bytes.resize(1 + random() % bytes.size());
        if (bytes.size() < 8) break;
      }
      if (put(bytes, kCut) && kComputesForged) score(decoder, 2, kCut, 2);  // ends, with whatever number
      decoder.clear_slot(2);
      CHECK(unchanged());
    }
    CHECK(put(good, kCut));
    CHECK_EQ(score(decoder, 2, kCut, 2), expected);
  }
}
