#include "prefix_folder.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <vector>

namespace fs = std::filesystem;

namespace zse {

namespace {

bool is_hex(const std::string& text, size_t length) {
  return text.size() == length && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool is_key_folder(const fs::directory_entry& entry) {
  std::error_code ignored;
  return is_hex(entry.path().filename().u8string(), 32) && entry.is_directory(ignored) && !entry.is_symlink(ignored);
}

bool has_name_of_prefix(const fs::path& path) { return path.extension() == ".kv" && is_hex(path.stem().u8string(), 16); }

constexpr auto kStaleTemporary = std::chrono::minutes(10);

struct File {
  fs::path path;
  fs::file_time_type used;
  uint64_t bytes;
};

bool is_stale_temporary(const fs::path& path) {
  std::error_code error;
  return path.extension() == ".tmp" && has_name_of_prefix(path.stem().stem()) &&
         fs::file_time_type::clock::now() - fs::last_write_time(path, error) > kStaleTemporary && !error;
}

}  // namespace

bool is_prefix_file(const fs::directory_entry& entry) {
  std::error_code ignored;
  return has_name_of_prefix(entry.path()) && entry.is_regular_file(ignored) && !entry.is_symlink(ignored);
}

std::vector<fs::path> trim_folder(const fs::path& folder, uint64_t limit) {
  std::vector<File> files;
  uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator key(folder, error), end; !error && key != end; key.increment(error)) {
    if (!is_key_folder(*key)) continue;
    std::error_code inner;
    for (fs::directory_iterator next(key->path(), inner); !inner && next != end; next.increment(inner)) {
      std::error_code gone;
      if (is_stale_temporary(next->path())) fs::remove(next->path(), gone);
      if (!is_prefix_file(*next)) continue;
      const File file{next->path(), next->last_write_time(gone), next->file_size(gone)};
      if (gone) continue;
      total += file.bytes;
      files.push_back(file);
    }
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  std::vector<fs::path> removed;
  for (const File& file : files) {
    if (total <= limit) break;
    std::error_code failed, ignored;
    fs::remove(file.path, failed);
    if (failed) continue;
    fs::remove(file.path.parent_path(), ignored);  // fails as long as there is anything in it
    total -= file.bytes;
    removed.push_back(file.path);
  }
  return removed;
}

}  // namespace zse
