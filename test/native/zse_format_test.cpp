// What the reader of .zse files promises, on files that the format's own writers made (test/fixtures/zse): every value is what those
// writers stored, and a damaged file is refused with the place in it. ZSE_FIXTURES in the environment names another folder of such files.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "base/half.h"
#include "check.h"
#include "files/zse/value_reader.h"
#include "files/zse/zse_file.h"
#include "files/zse_to_gguf/gguf_plan.h"
#include "files/zse_to_gguf/gguf_tokenizer.h"
#include "files/zse_to_gguf/rope_scaling.h"

extern "C" {
#include "hash/sha256/sha256.h"
}

using namespace zse;
using Expected = nlohmann::json;

namespace {

namespace fs = std::filesystem;

fs::path fixtures() {
  const char* given = std::getenv("ZSE_FIXTURES");
  return given ? given : ZSE_FIXTURES;
}

std::string contents_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

Bytes view(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

std::string sha256_of(const std::vector<uint8_t>& bytes) {
  unsigned char digest[SHA256_DIGEST_SIZE];
  sha256_hash(digest, bytes.data(), bytes.size());
  std::string hex;
  for (const unsigned char byte : digest) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", byte);
    hex += two;
  }
  return hex;
}

std::vector<std::string> fixture_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fixtures())) {
    if (entry.path().extension() == ".zse") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  REQUIRE(!names.empty());
  return names;
}

struct Fixture {
  std::string bytes;
  Expected expected;
  explicit Fixture(const std::string& name)
      : bytes(contents_of(fixtures() / (name + ".zse"))),
        expected(Expected::parse(contents_of(fixtures() / (name + ".expected.json")))) {}
};

GgufPlanOptions no_tokenizer_needed() {
  GgufPlanOptions options;
  options.without_tokenizer = true;
  return options;
}

std::string canonical(const std::string& name) { return name.rfind("model.", 0) == 0 ? name.substr(6) : name; }

std::vector<uint8_t> floats_of(const Tensor& tensor, Bytes file) {
  std::vector<uint8_t> out(static_cast<size_t>(tensor.elements()) * 4);
  std::vector<float> row(static_cast<size_t>(tensor.columns()));
  RowReader reader(tensor, file);
  for (int64_t r = 0; r < tensor.rows(); r++) {
    reader.decode(r, row.data());
    std::memcpy(out.data() + static_cast<size_t>(r) * row.size() * 4, row.data(), row.size() * 4);
  }
  return out;
}

std::vector<uint8_t> blocks_of(const Tensor& tensor, Bytes file, GgmlType type, const GgufTensor* order) {
  const uint64_t size = row_bytes(type, tensor.columns());
  std::vector<uint8_t> out(static_cast<size_t>(tensor.rows()) * size);
  RowReader reader(tensor, file);
  for (int64_t r = 0; r < tensor.rows(); r++) {
    reader.encode(order ? order->source_row(r) : r, type, out.data() + static_cast<uint64_t>(r) * size);
  }
  return out;
}

/** What opening says of bytes: "" when they open, else code and message. */
std::pair<std::string, std::string> refusal(const std::string& bytes) {
  try {
    plan_gguf(ZseFile::parse(view(bytes)), no_tokenizer_needed());
    return {};
  } catch (const EngineError& e) {
    return {e.code(), e.what()};
  }
}

void put_u32(std::string& bytes, uint32_t value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof value); }

}  // namespace

TEST("every value of every fixture is what its writer stored") {
  for (const std::string& name : fixture_names()) {
    const Fixture fixture(name);
    const auto file = ZseFile::parse(view(fixture.bytes));
    size_t seen = 0;
    for (const Expected& wanted : fixture.expected["tensors"]) {
      const Tensor* tensor = file->find(canonical(wanted["name"]));
      if (!tensor) {
        CHECK_EQ(name + ": " + wanted["name"].get<std::string>(), "a tensor of the file");
        continue;
      }
      seen++;
      const std::string label = name + " " + tensor->name + " ";
      CHECK_EQ(label + sha256_of(floats_of(*tensor, file->bytes())), label + wanted["sha256_f32"].get<std::string>());
    }
    CHECK_EQ(seen, file->tensors().size());
  }
}

TEST("quantized weights become ggml's blocks without loss where the layout allows it") {
  int checked = 0, permuted = 0;
  for (const std::string& name : fixture_names()) {
    const Fixture fixture(name);
    const auto file = ZseFile::parse(view(fixture.bytes));
    const GgufPlan plan = plan_gguf(file, no_tokenizer_needed());
    for (const Expected& wanted : fixture.expected["tensors"]) {
      const Tensor* tensor = file->find(canonical(wanted["name"]));
      const auto found = std::find_if(plan.tensors.begin(), plan.tensors.end(),
                                      [&](const GgufTensor& one) { return one.source == tensor; });
      const std::string label = name + " " + tensor->name + " ";
      if (!wanted.contains("ggml") || wanted["ggml"].is_null()) {
        const bool quantized = tensor->coding != Coding::kF16 && tensor->coding != Coding::kF32;
        if (found != plan.tensors.end())
          CHECK_EQ(label + (found->exact ? "exact" : "rounded"), label + (quantized ? "rounded" : "exact"));
        continue;
      }
      const Expected& ggml = wanted["ggml"];
      const TypeChoice choice = choose_type(*tensor);
      CHECK_EQ(label + to_string(choice.type), label + ggml["type"].get<std::string>());
      CHECK(choice.exact);
      CHECK_EQ(label + sha256_of(blocks_of(*tensor, file->bytes(), choice.type, nullptr)),
               label + ggml["sha256"].get<std::string>());
      checked++;
      if (!ggml.contains("sha256_after_llama_row_permutation")) continue;
      REQUIRE(found != plan.tensors.end());
      CHECK_EQ(label + sha256_of(blocks_of(*tensor, file->bytes(), choice.type, &*found)),
               label + ggml["sha256_after_llama_row_permutation"].get<std::string>());
      permuted++;
    }
  }
  CHECK(checked > 50);
  CHECK(permuted > 8);
}

TEST("tiled and row-major INT4 are told apart in every fixture, whatever its flag says") {
  for (const std::string& name : fixture_names()) {
    const Fixture fixture(name);
    const auto file = ZseFile::parse(view(fixture.bytes));
    for (const Expected& wanted : fixture.expected["tensors"]) {
      if (!wanted.contains("stored_layout") || wanted["stored_layout"].is_null()) continue;
      const Tensor* tensor = file->find(canonical(wanted["name"]));
      REQUIRE(tensor);
      CHECK_EQ(name + " " + to_string(tensor->layout), name + " " + wanted["stored_layout"].get<std::string>());
      CHECK(tensor->evidence == LayoutEvidence::kFingerprint || tensor->evidence == LayoutEvidence::kSize);
    }
  }
}

TEST("every malformed file is refused, with the place in it") {
  int cases = 0;
  for (const char* list : {"malformed-v2.json", "malformed-v1.json"}) {
    const Expected all = Expected::parse(contents_of(fixtures() / list));
    const std::string base = contents_of(fixtures() / all["base"].get<std::string>());
    CHECK_EQ(refusal(base).second, "");
    for (const Expected& one : all["cases"]) {
      std::string bytes = base;
      for (const Expected& edit : one["edits"]) {
        const auto at = edit[0].get<size_t>();
        const auto hex = edit[1].get<std::string>();
        for (size_t i = 0; i < hex.size(); i += 2)
          bytes.at(at + i / 2) = static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
      }
      if (!one["truncate_to"].is_null()) bytes.resize(one["truncate_to"].get<size_t>());
      if (one.contains("append_hex") && !one["append_hex"].is_null()) {
        const auto hex = one["append_hex"].get<std::string>();
        for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
      }
      const auto [code, message] = refusal(bytes);
      const auto name = one["name"].get<std::string>();
      CHECK_EQ(one["required"].get<std::string>(), "refuse");
      CHECK_EQ(name + " " + code, name + (name == "arch-unknown" ? " UNSUPPORTED" : " BAD_MODEL"));
      const bool says_where = message.find("at byte ") == 0 || code == "UNSUPPORTED";
      if (!says_where) CHECK_EQ(name + ": " + message, "a message that names the place");
      if (std::getenv("ZSE_SHOW_MESSAGES")) std::cout << list << " " << name << ": " << message << "\n";
      cases++;
    }
  }
  CHECK_EQ(cases, 60);
}

TEST("a file cut off anywhere is refused") {
  for (const char* name : {"v2-llamaedge-int4-tiled", "v1-llamaedge-int4"}) {
    const std::string whole = contents_of(fixtures() / (std::string(name) + ".zse"));
    for (size_t size = 0; size < whole.size(); size += 1 + size / 60) {
      const auto code = refusal(whole.substr(0, size)).first;
      if (code != "BAD_MODEL") CHECK_EQ(std::string(name) + " cut at " + std::to_string(size) + " " + code, "BAD_MODEL");
    }
  }
}

TEST("a damaged byte never ends the process, and what opens can be read") {
  std::mt19937_64 random(check::seed());
  const std::vector<std::string> names = fixture_names();
  for (int round = 0; round < 300; round++) {
    std::string bytes = contents_of(fixtures() / (names[random() % names.size()] + ".zse"));
    for (uint64_t i = 0, count = 1 + random() % 8; i < count; i++)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      const auto file = ZseFile::parse(view(bytes));
      for (const GgufTensor& tensor : plan_gguf(file, no_tokenizer_needed()).tensors) {
        if (!tensor.source) continue;
        std::vector<uint8_t> row(row_bytes(tensor.type, tensor.columns));
        RowReader reader(*tensor.source, file->bytes());
        for (int64_t r = 0; r < tensor.rows; r++) reader.encode(tensor.source_row(r), tensor.type, row.data(), tensor.add);
      }
    } catch (const EngineError& e) {
      CHECK(e.code() == "BAD_MODEL" || e.code() == "UNSUPPORTED");
    }
  }
}

TEST("a weight that is not finite is refused, and the message says where it is") {
  std::string bytes = contents_of(fixtures() / "v2-llama-int8.zse");
  const auto intact = ZseFile::parse(view(bytes));
  const Tensor* tensor = intact->find("layers.0.mlp.up_proj.weight");
  REQUIRE(tensor);
  const uint16_t infinite = 0x7C00;
  std::memcpy(bytes.data() + tensor->scales.offset + 6, &infinite, 2);
  const auto file = ZseFile::parse(view(bytes));
  std::string message;
  try {
    blocks_of(*file->find(tensor->name), file->bytes(), GgmlType::kQ8_0, nullptr);
  } catch (const EngineError& e) {
    message = e.what();
  }
  CHECK(message.find("at byte " + std::to_string(tensor->scales.offset + 6) + ": a scale of tensor \"" + tensor->name) == 0);
}

TEST("a LoRA adapter and other files are named as what they are") {
  CHECK_EQ(refusal(std::string("ZLRA") + std::string(100, '\0')).first, "UNSUPPORTED");
  CHECK_EQ(refusal("GGUF is something else").first, "BAD_MODEL");
  CHECK_EQ(refusal("").first, "BAD_MODEL");
}

TEST("a layout that is asked for is used, and a layout that both fit follows the rest") {
  const std::string bytes = contents_of(fixtures() / "v2-qwen2-int4-rowmajor.zse");
  ZseOpenOptions options;
  options.int4_layout = Layout::kTiled;
  const auto forced = ZseFile::parse(view(bytes), options);
  for (const Tensor& tensor : forced->tensors()) {
    if (tensor.coding == Coding::kInt4Flat)
      CHECK(tensor.layout == Layout::kTiled && tensor.evidence == LayoutEvidence::kForced);
  }
  // A matrix of equal values has only codes 0, and fits both.
  std::string constant = bytes;
  const auto intact = ZseFile::parse(view(bytes));
  const Tensor* tensor = intact->find("layers.0.self_attn.o_proj.weight");
  REQUIRE(tensor);
  std::memset(constant.data() + tensor->data.offset, 0, tensor->data.size);
  const auto file = ZseFile::parse(view(constant));
  CHECK(file->find(tensor->name)->layout == Layout::kRowMajor);
  CHECK(file->find(tensor->name)->evidence == LayoutEvidence::kMajority);
  // Codes that miss 0 and 15 in both readings were not made by the known quantizer.
  std::memset(constant.data() + tensor->data.offset, 0x77, tensor->data.size);
  CHECK(refusal(constant).second.find("neither the row-major nor the tiled layout") != std::string::npos);
}

TEST("a model with a wrong label is refused by what gives it away") {
  const std::string good = contents_of(fixtures() / "v1-llamaedge-int4.zse");
  std::string bytes = good;
  const std::string from = "\"model.norm.weight\"", to = "\"mlp.experts.0.xy\" ";  // of the same length
  CHECK_EQ(from.size(), to.size());
  bytes.replace(bytes.find(from), from.size(), to);
  const auto [code, message] = refusal(bytes);
  CHECK_EQ(code, "UNSUPPORTED");
  CHECK(message.find("mlp.experts.0.xy") != std::string::npos && message.find("mixture of experts") != std::string::npos);
}

TEST("a rotary scaling that would not be applied as the model means it is refused") {
  const auto refused = [](const std::string& gguf, const char* type, auto&& change) {
    ModelConfig config;
    config.arch = gguf;
    config.rope_scaling.emplace();
    config.rope_scaling->type = type;
    config.rope_scaling->factor = 4;
    change(config);
    GgufPlan plan;
    try {
      add_rope_scaling(config, gguf, 160, plan);
      return std::string();
    } catch (const EngineError& e) {
      return e.code();
    }
  };
  const auto nothing = [](ModelConfig&) {};
  for (const char* gguf : {"llama", "qwen2"}) {
    for (const char* type : {"linear", "yarn", "dynamic", "default"}) CHECK_EQ(refused(gguf, type, nothing), "");
  }
  CHECK_EQ(refused("llama", "ntk", nothing), "UNSUPPORTED");
  for (const char* type : {"longrope", "llama3"}) CHECK_EQ(refused("qwen2", type, nothing), "UNSUPPORTED");
  for (const char* type : {"yarn", "linear", "dynamic"}) CHECK_EQ(refused("phi3", type, nothing), "UNSUPPORTED");
  CHECK_EQ(refused("gemma2", "linear", nothing), "UNSUPPORTED");
  const auto yarn = [&](auto&& change) {
    return refused("llama", "yarn", [&](ModelConfig& config) { change(*config.rope_scaling); });
  };
  CHECK_EQ(yarn([](RopeScaling& scaling) { scaling.beta_fast = 32; }), "");
  CHECK_EQ(yarn([](RopeScaling& scaling) { scaling.beta_fast = 16; }), "UNSUPPORTED");
  CHECK_EQ(yarn([](RopeScaling& scaling) { scaling.beta_slow = 2; }), "UNSUPPORTED");
  CHECK_EQ(yarn([](RopeScaling& scaling) { scaling.truncate = false; }), "UNSUPPORTED");
  CHECK_EQ(yarn([](RopeScaling& scaling) { scaling.factor.reset(); }), "BAD_MODEL");
  CHECK_EQ(yarn([](RopeScaling& scaling) { scaling.attention_factor = -1; }), "BAD_MODEL");
}

TEST("what generation 1 keeps of a configuration and llama.cpp cannot apply is refused") {
  const auto with = [](const char* name, const std::string& from, const std::string& to) {
    std::string bytes = contents_of(fixtures() / name);
    CHECK_EQ(from.size(), to.size());
    REQUIRE(bytes.find(from) != std::string::npos);
    bytes.replace(bytes.find(from), from.size(), to);
    return refusal(bytes);
  };
  const auto in_text = [](const char* key, const char* value) { return std::string("\\\"") + key + "\\\": " + value; };
  const auto gemma = [&](const char* key, const char* from, const char* to) {
    return with("v1-gemma2-int8.zse", in_text(key, from), in_text(key, to));
  };
  CHECK_EQ(gemma("attn_logit_softcapping", "10.0", "null").first, "UNSUPPORTED");
  CHECK_EQ(gemma("query_pre_attn_scalar", "32", "16").first, "UNSUPPORTED");
  CHECK_EQ(with("v1-gemma2-int8.zse", "gelu_pytorch_tanh", "gelu_pytorch_tank").first, "UNSUPPORTED");
  const auto phi = [&](const char* key, const char* from, const char* to) {
    return with("v1-phi3partial-int8.zse", in_text(key, from), in_text(key, to));
  };
  CHECK_EQ(phi("partial_rotary_factor", "0.75", "1.75").first, "BAD_MODEL");
  CHECK_EQ(phi("partial_rotary_factor", "0.75", "0.50").first, "BAD_MODEL");  // the factors are of another number
  const auto [code, message] = with("v1-phi3partial-int8.zse", "longrope", "yarnyarn");
  CHECK_EQ(code, "UNSUPPORTED");
  CHECK(message.find("yarnyarn") != std::string::npos && message.find("longrope") != std::string::npos);
}

TEST("a token that is wrong is named with its place in the file") {
  // Generation 2: the byte of its text. The id of "<unk>" becomes that of a row that the embedding matrix does not have.
  std::string bytes = contents_of(fixtures() / "v2-mistral-int8.zse");
  std::string entry = "\x21";
  put_u32(entry, 5);
  entry += "<unk>\x10";
  const size_t at = bytes.find(entry);
  REQUIRE(at != std::string::npos);
  const auto file = ZseFile::parse(view(bytes));
  TokenizerData tokenizer = *file->tokenizer();
  const auto message = [&](const TokenizerData& data) {
    std::vector<std::string> notes;
    try {
      make_gguf_tokenizer(data, "llama", 1024, 160, notes);
      return std::string();
    } catch (const EngineError& e) {
      return e.code() + " " + e.what();
    }
  };
  CHECK_EQ(message(tokenizer), "");
  tokenizer.vocab[0].second = 1 << 20;
  CHECK_EQ(message(tokenizer).find("BAD_MODEL at byte " + std::to_string(at + 5) +
                                   ": the tokenizer is unusable (vocab): token \"<unk>\" has id 1048576"),
           size_t{0});
  const std::string byte_level = contents_of(fixtures() / "v2-llama-int8.zse");
  const auto pairs = ZseFile::parse(view(byte_level));
  tokenizer = *pairs->tokenizer();
  tokenizer.merges[7].second = {};
  const auto place = static_cast<size_t>(tokenizer.merges[7].first.data() - byte_level.data());
  CHECK_EQ(message(tokenizer).find("BAD_MODEL at byte " + std::to_string(place) + ": the tokenizer is unusable (merges[7])"),
           size_t{0});
  // Generation 1: the place in tokenizer.json.
  const std::string other = contents_of(fixtures() / "v1-llama-int4.zse");
  const auto first = ZseFile::parse(view(other));
  tokenizer = *first->tokenizer();
  tokenizer.vocab[3].second = -1;
  CHECK(message(tokenizer).find("(tokenizer.json, model.vocab): token \"" + std::string(tokenizer.vocab[3].first) +
                                "\" has id -1") != std::string::npos);
}

TEST("halves convert exactly one way and to the nearest the other") {
  for (uint32_t half = 0; half < 0x10000; half++) {
    const float value = half_to_float(static_cast<uint16_t>(half));
    if (std::isnan(value)) continue;
    CHECK_EQ(float_to_half(value), half);
  }
  std::mt19937_64 random(check::seed());
  for (int i = 0; i < 200000; i++) {
    const auto half = static_cast<uint16_t>(random() % 0x7BFF);
    const float below = half_to_float(half), above = half_to_float(static_cast<uint16_t>(half + 1));
    const float middle = below + (above - below) / 2;
    CHECK_EQ(float_to_half(middle), half % 2 == 0 ? half : half + 1);
    CHECK_EQ(float_to_half(std::nextafter(middle, 0.0f)), half);
    CHECK_EQ(float_to_half(std::nextafter(middle, 1e9f)), half + 1);
  }
}

TEST("tagged values: nested, long and wrong ones") {
  const auto reads = [](const std::string& bytes, auto&& read) {
    ValueReader values(view(bytes), {0, bytes.size()}, "test");
    try {
      read(values);
      values.finish();
      return true;
    } catch (const EngineError& e) {
      CHECK_EQ(e.code(), "BAD_MODEL");
      return false;
    }
  };
  const auto skip = [](ValueReader& values) { values.skip(); };
  const auto nested = [](int depth) {
    std::string bytes;
    for (int i = 0; i < depth; i++) {
      bytes += '\x30';
      put_u32(bytes, 1);
    }
    return bytes + '\0';
  };
  CHECK(reads(nested(32), skip));
  CHECK(!reads(nested(33), skip));
  CHECK(!reads(nested(100000), skip));
  std::string text = "\x21";
  put_u32(text, 3);
  CHECK(reads(text + "abc", skip));
  CHECK(!reads(text + "ab", skip));
  CHECK(!reads(text + "abcd", skip));
  CHECK(!reads(text + "\xED\xA0\x80", skip));  // half of a surrogate pair
  std::string number = "\x10";
  const int64_t ten = 10;
  number.append(reinterpret_cast<const char*>(&ten), 8);
  double value = 0;
  CHECK(reads(number, [&](ValueReader& values) { value = values.number("it"); }));
  CHECK_EQ(value, 10.0);
  std::string count = "\x30";
  put_u32(count, 0xFFFFFFFF);
  CHECK(!reads(count + std::string(100, '\0'), skip));
}
