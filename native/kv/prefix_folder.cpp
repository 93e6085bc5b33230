#include "prefix_folder.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "model_record.h"
#include "temporary_file.h"

namespace fs = std::filesystem;

namespace zse {

namespace {

bool is_hex(const std::string& text, size_t length) {
  return text.size() == length && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool has_name_of_prefix(const fs::path& path) { return path.extension() == ".kv" && is_hex(path.stem().u8string(), 16); }

struct File {
  fs::path path;
  fs::file_time_type used;
  uint64_t bytes;
};

}  // namespace

bool is_prefix_file(const fs::directory_entry& entry) {
  std::error_code ignored;
  return has_name_of_prefix(entry.path()) && entry.is_regular_file(ignored) && !entry.is_symlink(ignored);
}

bool is_being_written(const fs::directory_entry& entry) {
  std::error_code ignored;
  return is_temporary(entry.path()) && has_name_of_prefix(entry.path().stem().stem()) && entry.is_regular_file(ignored) &&
         !entry.is_symlink(ignored);
}

bool is_key_folder(const fs::directory_entry& entry) {
  std::error_code ignored;
  return is_hex(entry.path().filename().u8string(), 32) && entry.is_directory(ignored) && !entry.is_symlink(ignored);
}

Trimmed trim_folder(const fs::path& folder, uint64_t limit) {
  std::vector<File> files;
  uint64_t total = 0, being_written = 0;
  std::error_code error;
  for (fs::directory_iterator key(folder, error), end; !error && key != end; key.increment(error)) {
    if (!is_key_folder(*key)) continue;
    std::error_code inner;
    for (fs::directory_iterator next(key->path(), inner); !inner && next != end; next.increment(inner)) {
      std::error_code gone;
      const bool temporary = is_being_written(*next);
      if (temporary ? remove_abandoned(next->path()) : !is_prefix_file(*next)) continue;
      const File file{next->path(), next->last_write_time(gone), next->file_size(gone)};
      if (gone) continue;
      total += file.bytes;
      if (temporary) {
        being_written += file.bytes;
      } else {
        files.push_back(file);
      }
    }
  }
  Trimmed trimmed;
  if (being_written > limit) return trimmed;
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  for (const File& file : files) {
    if (total <= limit) break;
    std::error_code failed;
    fs::remove(file.path, failed);
    if (failed) continue;
    remove_if_empty(file.path.parent_path());
    total -= file.bytes;
    trimmed.removed.push_back(file.path);
  }
  trimmed.within = total <= limit;
  return trimmed;
}

}  // namespace zse
