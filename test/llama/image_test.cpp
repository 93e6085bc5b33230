// An image of a slot is only what it says it is: forged ones are refused before they do anything, whatever number in them is wrong, and
// what cannot be told from a good one still ends. Each batch of cases runs in a child process of its own, for one that crashes or hangs.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>

#include "check.h"
#include "llama/devices.h"
#include "llama/llama_decoder.h"
#include "llama/model.h"
#include "llama/sampler.h"

using namespace zse;
namespace fs = std::filesystem;

namespace {

constexpr int kContext = 128, kTokens = 40;
constexpr int kSlots = 3, kOther = 1, kTarget = 2;  // the image is of slot 0

std::shared_ptr<const Model> load(const std::string& path, const std::string& kv_type) {
  init_backends();
  EngineOptions options;
  options.context_size = kContext;
  options.max_streams = kSlots;
  options.threads = 1;  // a pool would not outlive the fork
  options.gpu_layers = 0;
  options.device = "cpu";
  options.kv_type = kv_type;
  return Model::load(path, options, [](float) { return true; });
}

std::vector<std::string> models() {
  std::vector<std::string> paths = {ZSE_DEMO_MODEL};
  for (const auto& entry : fs::directory_iterator(ZSE_FIXTURES)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".zse" || name.find("-notok") != std::string::npos) continue;  // without a tokenizer
    paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/** Those; and one whose keys and values may be quantized, with each type. */
std::vector<std::pair<std::string, std::string>> models_and_types() {
  std::vector<std::pair<std::string, std::string>> all;
  for (const std::string& path : models()) all.emplace_back(path, "f16");
  for (const char* kv_type : {"q8_0", "q4_0"}) all.emplace_back(ZSE_DEMO_MODEL, kv_type);
  return all;
}

/** A decoder with something in slots 0 and kOther. */
struct Filled {
  std::shared_ptr<const Model> model;
  LlamaDecoder decoder;
  std::vector<Token> tokens;
  std::shared_ptr<const SlotImage> image;

  explicit Filled(const std::string& path, const std::string& kv_type = "f16") : model(load(path, kv_type)), decoder(model) {
    const int vocabulary = model->info().vocabulary_size;
    for (int i = 0; i < kTokens; i++) tokens.push_back((i * 7 + 3) % vocabulary);
    for (const SlotId slot : {0, kOther}) {
      Batch batch;
      for (int i = 0; i < kTokens; i++) batch.push_back({slot, i, tokens[static_cast<size_t>(i)], false});
      REQUIRE(decoder.decode(batch, [] { return false; }) == DecodeStatus::kOk);
    }
    const auto copy = decoder.begin_save(0);
    REQUIRE(copy != nullptr);
    copy->finish();
    image = copy->image();
  }

  /** The token that follows, or nothing; the slot is as before. */
  std::optional<Token> next(SlotId slot) {
    SamplingParams params;
    params.temperature = 0;
    const auto sampler = decoder.make_sampler(params, {}, nullptr);
    const auto before = decoder.begin_save(slot);  // a window of attention lets go of tokens, and cannot be cut
    REQUIRE(before != nullptr);
    before->finish();
    REQUIRE(decoder.decode({{slot, kTokens, tokens[0], true}}, [] { return false; }) == DecodeStatus::kOk);
    const std::optional<Token> token = decoder.sample(*sampler, 0);
    const auto again = decoder.begin_load(slot, before->image(), kTokens);
    REQUIRE(again != nullptr);
    again->finish();
    return token;
  }

  /** True when it was taken. */
  bool put(const std::vector<uint8_t>& bytes, int count = kTokens) {
    auto forged = std::make_shared<SlotImage>(bytes.size());
    if (!bytes.empty()) std::memcpy(forged->data(), bytes.data(), bytes.size());
    const auto copy = decoder.begin_load(kTarget, forged, count);
    if (!copy) return false;
    copy->finish();
    if (copy->sound()) return true;
    decoder.clear_slot(kTarget);
    return false;
  }
  std::vector<uint8_t> sound() const { return {image->data(), image->data() + image->size()}; }
};

void set(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  if (at + sizeof value <= bytes.size()) std::memcpy(&bytes[at], &value, sizeof value);
}

std::vector<uint8_t> mutated(const std::vector<uint8_t>& sound, std::mt19937_64& random) {
  std::vector<uint8_t> bytes = sound;
  const uint32_t values[] = {0,   1,   2,    3,     kTokens - 1, kTokens,    kTokens + 1, kContext,
                             255, 256, 1000, 65536, 0x7FFFFFFF,  0x80000000, 0xFFFFFFFF};
  const auto any_value = [&] {
    return random() % 4 == 0 ? static_cast<uint32_t>(random()) : values[random() % std::size(values)];
  };
  const size_t head = std::min<size_t>(bytes.size(), 40 + kTokens * 12);
  for (uint64_t times = 1 + random() % 3; times > 0; times--) {
    switch (random() % 8) {
      case 0:
      case 1:
      case 2: set(bytes, random() % (head / 4) * 4, any_value()); break;  // counts and positions
      case 3: set(bytes, random() % bytes.size(), any_value()); break;
      case 4: bytes.resize(random() % bytes.size() + 1); break;
      case 5: bytes.resize(bytes.size() + 1 + random() % 100, static_cast<uint8_t>(random())); break;
      case 6: {  // one cell's position as another's
        const size_t from = 16 + random() % kTokens * 12, to = 16 + random() % kTokens * 12;
        if (std::max(from, to) + 4 <= bytes.size()) std::memcpy(&bytes[to], &bytes[from], 4);
        break;
      }
      case 7:
        if (head < bytes.size())
          std::fill_n(&bytes[head], std::min<size_t>(2 + random() % 64, bytes.size() - head), uint8_t{0xFF});
        break;
    }
  }
  return bytes;
}

#ifdef NDEBUG
constexpr int kOwnAssert = -1;
#else
constexpr int kOwnAssert =
    SIGABRT;  // llama.cpp's kernels assert that their numbers are numbers, in builds like this one alone
#endif

/** Runs it in a child that may crash, hang or take memory. `allowed`: a signal that it may end with. */
void in_child(const std::string& what, const std::function<void()>& body, int allowed = -1) {
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    alarm(300);
    const rlimit processor{120, 121};
    setrlimit(RLIMIT_CPU, &processor);
    check::failures_of_test() = 0;
    try {
      body();
    } catch (const std::exception& error) {
      std::cerr << what << ": " << error.what() << std::endl;
      _exit(1);
    }
    _exit(check::failures_of_test() == 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status) && WTERMSIG(status) == allowed) return;
  if (status != 0) check::fail(__FILE__, __LINE__, what + " ended with status " + std::to_string(status));
}

}  // namespace

TEST("an image is put back as it was, in another slot too") {
  for (const auto& [path, kv_type] : models_and_types()) {
    in_child(path + ", " + kv_type, [&, path = path, kv_type = kv_type] {
      Filled it(path, kv_type);
      const auto expected = it.next(kOther);
      REQUIRE(expected.has_value());
      REQUIRE(it.put(it.sound()));
      CHECK_EQ(it.next(kTarget).value_or(-1), *expected);
      CHECK(it.decoder.image_bytes(kTarget) == it.image->size());
      CHECK(it.image->size() <= it.decoder.largest_image());
    });
  }
}

TEST("an empty image, one of fewer or more tokens and one without an end are refused") {
  for (const std::string& path : models()) {
    in_child(path, [&] {
      Filled it(path);
      CHECK(!it.put({}));
      CHECK(!it.put(it.sound(), kTokens - 1));
      CHECK(!it.put(it.sound(), kTokens + 1));
      CHECK(!it.put(it.sound(), 1));
      auto longer = it.sound();
      longer.push_back(0);
      CHECK(!it.put(longer));
      auto shorter = it.sound();
      shorter.pop_back();
      CHECK(!it.put(shorter));
      // The image of a slot that holds nothing, given out for one of 40 tokens.
      it.decoder.clear_slot(0);
      const auto empty = it.decoder.begin_save(0);
      REQUIRE(empty != nullptr);
      empty->finish();
      CHECK(!it.put({empty->image()->data(), empty->image()->data() + empty->image()->size()}));
    });
  }
}

TEST("forged images neither crash nor hang, and one that is taken has the cells of its tokens (random)") {
  std::mt19937_64 seeds(check::seed());
  for (const auto& [path, kv_type] : models_and_types()) {
    const uint64_t seed = seeds();
    in_child(path + ", " + kv_type + ", with seed " + std::to_string(seed), [&, path = path, kv_type = kv_type] {
      std::mt19937_64 random(seed);
      Filled it(path, kv_type);
      const auto expected = it.next(kOther);
      const std::vector<uint8_t> sound = it.sound();
      int taken = 0;
      for (int number = 0; number < 300; number++) {
        if (!it.put(mutated(sound, random))) continue;
        taken++;
        CHECK_EQ(it.decoder.image_bytes(kTarget), sound.size());
        it.next(kTarget);  // ends, with a token or none
        it.decoder.clear_slot(kTarget);
        CHECK(it.next(kOther) == expected);  // and nothing of it reaches another
      }
      CHECK(taken < 300);
      REQUIRE(it.put(sound));
      CHECK(it.next(kTarget) == expected);
    });
  }
}

TEST("numbers that are none, wherever they are in an image, are not taken") {
  for (const std::string& path : models()) {
    in_child(path, [&] {
      Filled it(path);
      std::mt19937_64 random(check::seed());
      const std::vector<uint8_t> sound = it.sound();
      int taken = 0;
      const size_t head = 16 + kTokens * 12 + 100;  // beyond the cells; what hits a type or a size is refused as well
      for (int i = 0; i < 100; i++) {
        std::vector<uint8_t> bytes = sound;
        const size_t at = (head + random() % (bytes.size() - head - 4)) / 2 * 2;
        bytes[at] = 0x00;
        bytes[at + 1] = random() % 2 == 0 ? 0x7C : 0xFE;  // infinity, or not a number, as halves are
        taken += it.put(bytes);
      }
      // Of two caches the second one's cells lie among the numbers; their old slot's number is read by nobody.
      CHECK(taken <= (path.find("gemma2") == std::string::npos ? 0 : 20));
      CHECK(it.put(sound));
    });
  }
}

TEST("a scale of quantized keys or values that is no number is not taken, and an image of another type is not") {
  for (const std::string kv_type : {"q8_0", "q4_0"}) {
    in_child(kv_type, [&] {
      Filled it(ZSE_DEMO_MODEL, kv_type);
      std::mt19937_64 random(check::seed());
      const std::vector<uint8_t> sound = it.sound();
      // Before the counts of the other slots' buffers, which are 0, stand the values of the last layer: blocks that begin with their scale.
      const size_t block = ggml_type_size(kv_type_of(kv_type)), end = sound.size() - sizeof(uint32_t) * (kSlots - 1);
      for (int i = 0; i < 100; i++) {
        std::vector<uint8_t> bytes = sound;
        const size_t at = end - (1 + random() % (kTokens * 4)) * block;
        bytes[at] = 0x00;
        bytes[at + 1] = random() % 2 == 0 ? 0x7C : 0xFE;
        CHECK(!it.put(bytes));
      }
      CHECK(it.put(sound));
      for (const std::string other : {"f16", "q8_0", "q4_0"}) {
        if (other == kv_type) continue;
        Filled another(ZSE_DEMO_MODEL, other);
        CHECK(!another.put(sound));
      }
    });
  }
}

TEST("a model whose weights are no numbers gives no token, and ends") {
  const fs::path path = fs::temp_directory_path() / ("zstream-nan-" + std::to_string(getpid()) + ".gguf");
  std::ifstream in(ZSE_DEMO_MODEL, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  for (const double share : {0.3, 0.001}) {
    std::string bytes = all.str();
    const auto count = static_cast<size_t>(static_cast<double>(bytes.size()) * share);
    std::fill(bytes.end() - static_cast<std::ptrdiff_t>(count), bytes.end(), '\xFF');
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    in_child(
        path.string(),
        [&] {
          Filled it(path.string());
          for (const float temperature : {0.0f, 0.8f}) {
            SamplingParams params;
            params.temperature = temperature;
            const auto sampler = it.decoder.make_sampler(params, {}, nullptr);
            REQUIRE(it.decoder.decode({{0, kTokens, it.tokens[0], true}}, [] { return false; }) == DecodeStatus::kOk);
            CHECK(!it.decoder.sample(*sampler, 0).has_value());
            REQUIRE(it.decoder.cut_slot(0, kTokens));
          }
        },
        kOwnAssert);
  }
  fs::remove(path);
}
