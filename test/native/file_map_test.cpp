#include "base/file_map.h"
#include "base/error.h"

#include <filesystem>
#include <fstream>
#include <numeric>

#include "check.h"
#include "temporary_folder.h"

#ifndef _WIN32

using zse::EngineError;
using zse::FileMap;
using zse::TemporaryFolder;

namespace {

constexpr size_t kSize = 1 << 20;

std::string write_file(const TemporaryFolder& folder) {
  const std::string path = folder.path() + "/model";
  std::ofstream(path, std::ios::binary) << std::string(kSize, 'x');
  return path;
}

uint64_t sum_of(zse::Bytes bytes) { return std::accumulate(bytes.data, bytes.data + bytes.size, uint64_t{0}); }

bool is_whole(const FileMap& map) {
  try {
    map.check_whole();
    return true;
  } catch (const EngineError& error) {
    CHECK_EQ(error.code(), "BAD_MODEL");
    return false;
  }
}

}  // namespace

TEST("a mapped file that is cut short reads as zeros from there on, and says so, wherever it was cut") {
  const TemporaryFolder folder;
  for (const size_t left : {size_t{0}, size_t{1}, size_t{4096}, size_t{5000}, kSize / 2, kSize - 1}) {
    const std::string path = write_file(folder);
    const auto map = FileMap::open(path);
    CHECK(is_whole(*map));
    std::filesystem::resize_file(path, left);
    CHECK_EQ(sum_of(map->bytes()), left * 'x');
    CHECK(!is_whole(*map));
  }
}

TEST("what is kept of a mapped file stays when the file is cut short") {
  const TemporaryFolder folder;
  const std::string path = write_file(folder);
  const auto map = FileMap::open(path);
  map->keep(5000);
  std::filesystem::resize_file(path, 100);
  const uint64_t kept = sum_of(map->bytes().part(0, 5000));
  CHECK_EQ(kept, uint64_t{5000} * 'x');
  CHECK_EQ(static_cast<int>(map->bytes().data[kSize - 1]), 0);
  CHECK(!is_whole(*map));
}

TEST("maps of files that stay whole are not marked by another's loss") {
  const TemporaryFolder folder, other;
  const std::string path = write_file(folder);
  const auto cut = FileMap::open(path), whole = FileMap::open(write_file(other));
  std::filesystem::resize_file(path, 0);
  CHECK_EQ(sum_of(cut->bytes()), uint64_t{0});
  CHECK_EQ(sum_of(whole->bytes()), uint64_t{kSize} * 'x');
  CHECK(!is_whole(*cut));
  CHECK(is_whole(*whole));
}

#endif
