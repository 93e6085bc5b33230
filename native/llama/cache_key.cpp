#include "cache_key.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "build-info.h"
#include "devices.h"
#include "llama.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace zse {

namespace {

constexpr uint64_t kHead = 16 << 20;
constexpr uint64_t kSamples = 256, kSampleBytes = 4096;

// Of the files' layout, of the settings that context_params() fixes, and of how our kernels round: to be raised when one of them changes.
constexpr char kVersion[] = "zstream prefix 8";

struct Hash {
  XXH3_state_t* state = XXH3_createState();
  Hash() { XXH3_128bits_reset(state); }
  ~Hash() { XXH3_freeState(state); }
  void add(const void* bytes, size_t size) { XXH3_128bits_update(state, bytes, size); }
  void add(const std::string& text) {
    add(static_cast<uint64_t>(text.size()));
    add(text.data(), text.size());
  }
  void add(uint64_t number) { add(&number, sizeof number); }
};

void add_time(Hash& hash, const std::filesystem::path& path) {
  std::error_code ignored;
  hash.add(static_cast<uint64_t>(std::filesystem::last_write_time(path, ignored).time_since_epoch().count()));
}

void add_file(Hash& hash, const std::string& name, bool with_time) {
  namespace fs = std::filesystem;
  const fs::path path = fs::u8path(name);
  std::error_code ignored;
  const uint64_t size = fs::file_size(path, ignored);
  hash.add(size);
  if (with_time) add_time(hash, path);
  std::ifstream file(path, std::ios::binary);
  std::vector<char> buffer(kSampleBytes);
  const auto add_range = [&](uint64_t from, uint64_t length) {
    file.clear();
    file.seekg(static_cast<std::streamoff>(from));
    while (length > 0 &&
           file.read(buffer.data(), static_cast<std::streamsize>(std::min(length, kSampleBytes))).gcount() > 0) {
      hash.add(buffer.data(), static_cast<size_t>(file.gcount()));
      length -= static_cast<uint64_t>(file.gcount());
    }
  };
  add_range(0, std::min(size, kHead));
  if (size <= kHead) return;
  for (uint64_t i = 0; i < kSamples; i++) add_range(kHead + (size - kHead) / kSamples * i, kSampleBytes);
  add_range(size - kSampleBytes, kSampleBytes);
}

/** The parts of a split GGUF, whose first is opened by name ("x-00001-of-00003.gguf"); any other file alone. */
std::vector<std::string> files_of(const std::string& path) {
  constexpr size_t kDigits = 5, kEnd = 5;  // ".gguf"
  if (path.size() < kDigits + kEnd) return {path};
  const std::string digits = path.substr(path.size() - kDigits - kEnd, kDigits);
  if (digits.find_first_not_of("0123456789") != std::string::npos) return {path};
  const int count = std::stoi(digits);
  std::vector<char> buffer(path.size() + 1);
  if (llama_split_prefix(buffer.data(), buffer.size(), path.c_str(), 0, count) <= 0) return {path};
  const std::string prefix = buffer.data();
  std::vector<std::string> files;
  for (int i = 0; i < count; i++) {
    llama_split_path(buffer.data(), buffer.size(), prefix.c_str(), i, count);
    files.push_back(buffer.data());
  }
  return files;
}

/** Whether llama.cpp may turn the heads of a quantized cache (llama-kv-cache.cpp). What it turned means nothing where it does not. */
bool turns_heads(const ModelInfo& info) {
  if (info.kv_type == "f16") return false;
  const char* disabled = std::getenv("LLAMA_ATTN_ROT_DISABLE");
  return disabled == nullptr || std::atoi(disabled) == 0;
}

CacheKey key_of(const ModelInfo& info, bool with_time) {
  Hash hash;
  hash.add(std::string(kVersion));
  hash.add(std::string(llama_build_info()));
  hash.add(info.device);
  hash.add(info.kv_type);
  hash.add(static_cast<uint64_t>(turns_heads(info)));
  hash.add(static_cast<uint64_t>(info.max_streams));
  hash.add(static_cast<uint64_t>(info.gpu_layers));
  // Other cuts of a prompt, other shares of the work, and other instructions round differently: where that must not show, they are kept apart.
  hash.add(static_cast<uint64_t>(info.deterministic ? info.threads : 0));
  hash.add(info.deterministic ? cpu_instructions() : std::string());
  hash.add(static_cast<uint64_t>(info.rotates_by_context ? info.context_size : 0));
  hash.add(static_cast<uint64_t>(info.moves_chunks));  // what is not exact is for those alone who asked for it
  hash.add(info.template_text);
  for (const std::string& file : files_of(info.path)) add_file(hash, file, with_time);
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(hash.state));
  CacheKey key;
  std::copy(std::begin(canonical.digest), std::end(canonical.digest), key.begin());
  return key;
}

}  // namespace

CacheKey cache_key(const ModelInfo& info) { return key_of(info, true); }

CacheKey portable_cache_key(const ModelInfo& info) { return key_of(info, false); }

uint64_t files_stamp(const ModelInfo& info) {
  Hash hash;
  for (const std::string& file : files_of(info.path)) {
    std::error_code ignored;
    const std::filesystem::path path = std::filesystem::u8path(file);
    hash.add(static_cast<uint64_t>(std::filesystem::file_size(path, ignored)));
    add_time(hash, path);
  }
  return XXH3_128bits_digest(hash.state).low64;
}

}  // namespace zse
