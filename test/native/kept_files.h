// What the tests of the cache's folder share: prefixes to write, what the file thread has done, and what lies in a folder.
#pragma once

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench.h"
#include "check.h"
#include "kv/prefix_files.h"

namespace zse {

constexpr size_t kLargestImage = 1 << 20;

inline std::shared_ptr<const SavedPrefix> prefix_of(int tokens, int salt, size_t image_bytes) {
  auto prefix = std::make_shared<SavedPrefix>();
  std::vector<Token> content = make_prompt(tokens, salt);
  content[0] = salt;
  prefix->content = Prompt(std::move(content));
  auto image = std::make_shared<SlotImage>(image_bytes);
  std::memset(image->data(), salt, image_bytes);
  prefix->image = std::move(image);
  return prefix;
}

/** The same with checkpoints at these places, of so many bytes each. */
inline std::shared_ptr<const SavedPrefix> prefix_with(std::vector<int> places, int tokens, int salt, size_t bytes) {
  auto prefix = std::make_shared<SavedPrefix>(*prefix_of(tokens, salt, bytes));
  for (const int place : places) {
    auto state = std::make_shared<SlotImage>(bytes);
    std::memset(state->data(), place, bytes);
    prefix->checkpoints.push_back({place, std::move(state)});
  }
  return prefix;
}

inline std::unique_ptr<PrefixFiles> open_files(const std::string& dir, uint64_t limit) {
  return std::make_unique<PrefixFiles>(dir, CacheKey{}, limit, kLargestImage, [] {});
}

/** Waits until the file thread has done so many jobs. */
inline std::vector<PrefixFileOutcome> outcomes(PrefixFiles& files, size_t count) {
  std::vector<PrefixFileOutcome> all;
  for (int i = 0; i < 10000 && all.size() < count; i++) {
    for (PrefixFileOutcome& outcome : files.take_outcomes()) all.push_back(std::move(outcome));
    if (all.size() < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(all.size() == count);
  return all;
}

inline std::filesystem::path only_file(const std::string& dir) {
  std::filesystem::path found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file()) found = entry.path();
  }
  return found;
}

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline bool same_bytes(const SlotImage& a, const SlotImage& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace zse
