#include "model_record.h"

#include <cerrno>
#include <chrono>
#include <system_error>

#include "prefix_folder.h"
#include "temporary_file.h"

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#else
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace fs = std::filesystem;

namespace zse {

namespace {

constexpr char kName[] = "model.path";
constexpr size_t kLongest = 32768;  // bytes: longer than a path of any system
constexpr auto kKept = std::chrono::hours(7 * 24);

#ifdef _WIN32
int open_record(const fs::path& path) {
  // Opened so, nobody can remove it before it is closed.
  return _wopen(path.c_str(), _O_CREAT | _O_RDWR | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
}
int read_some(int descriptor, char* out, size_t size) { return _read(descriptor, out, static_cast<unsigned>(size)); }
bool write_all(int descriptor, const std::string& text) {
  return _chsize_s(descriptor, 0) == 0 && _lseek(descriptor, 0, SEEK_SET) == 0 &&
         _write(descriptor, text.data(), static_cast<unsigned>(text.size())) == static_cast<int>(text.size());
}
void close_record(int descriptor) { _close(descriptor); }
#else
int open_record(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, S_IRUSR | S_IWUSR);
  struct stat status{};
  if (descriptor < 0) return -1;
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) return descriptor;
  ::close(descriptor);
  return -1;
}
ssize_t read_some(int descriptor, char* out, size_t size) { return ::read(descriptor, out, size); }
bool write_all(int descriptor, const std::string& text) {
  return ::ftruncate(descriptor, 0) == 0 && ::lseek(descriptor, 0, SEEK_SET) == 0 &&
         ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}
void close_record(int descriptor) { ::close(descriptor); }
#endif

std::string text_of(int descriptor) {
  std::string text(kLongest, '\0');
  const auto size = read_some(descriptor, text.data(), text.size());
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

/** As records have it; empty: it is no file. */
std::string path_of(const std::string& model) {
  std::error_code error;
  if (model.empty() || !fs::is_regular_file(fs::u8path(model), error)) return "";
  std::string path = fs::absolute(fs::u8path(model), error).u8string();
  return error || path.size() >= kLongest ? "" : path;
}

/** Not there, as far as anybody can say: a folder that may not be looked into, or a disk that fails, may hold it. */
bool is_gone(const std::string& model) {
  if (model.empty() || model.size() >= kLongest || model.find('\0') != std::string::npos) return false;
  const fs::path path = fs::u8path(model);
  std::error_code error;
  return path.is_absolute() && fs::status(path, error).type() == fs::file_type::not_found;
}

/** Removes the record, if nobody holds it. On Windows it cannot be removed then. */
bool remove_record(const fs::path& record) {
  std::error_code error;
#ifdef _WIN32
  return fs::remove(record, error);
#else
  const int descriptor = open_own_file(record);
  if (descriptor < 0) return false;
  const bool removed = flock(descriptor, LOCK_EX | LOCK_NB) == 0 && fs::remove(record, error);
  ::close(descriptor);
  return removed;
#endif
}

}  // namespace

ModelRecord::ModelRecord(const fs::path& folder, const std::string& model) {
  std::error_code error;
  const std::string path = path_of(model);
  if (path.empty()) return;
  descriptor_ = open_record(folder / kName);
  if (descriptor_ < 0) return;
#ifndef _WIN32
  // Not waited for: who has the other kind of lock is removing it, and holds the folder's. A file system without locks has no removal either.
  while (flock(descriptor_, LOCK_SH | LOCK_NB) != 0 && errno == EINTR) {
  }
#endif
  if (text_of(descriptor_) != path) write_all(descriptor_, path);
  fs::last_write_time(folder / kName, fs::file_time_type::clock::now(), error);
}

ModelRecord::~ModelRecord() {
  if (descriptor_ >= 0) close_record(descriptor_);
}

void remove_folders_of_gone(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator key(folder, error), end; !error && key != end; key.increment(error)) {
    if (!is_key_folder(*key)) continue;
    const fs::path record = key->path() / kName;
    std::error_code failed;
    const auto used = fs::last_write_time(record, failed);
    if (failed || fs::file_time_type::clock::now() - used < kKept) continue;
    const int descriptor = open_own_file(record);
    if (descriptor < 0) continue;
    const std::string model = text_of(descriptor);
    close_record(descriptor);
    if (!is_gone(model) || !remove_record(record)) continue;
    std::error_code inner, ignored;
    for (fs::directory_iterator next(key->path(), inner); !inner && next != end; next.increment(inner)) {
      if (is_being_written(*next)) {
        remove_abandoned(next->path());
      } else if (is_prefix_file(*next)) {
        fs::remove(next->path(), ignored);
      }
    }
    fs::remove(key->path(), ignored);  // fails where somebody else has put something
  }
}

uint64_t bytes_in_other_folders(const fs::path& folder, const std::string& model) {
  const std::string path = path_of(model);
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator key(folder.parent_path(), error), end; !path.empty() && !error && key != end;
       key.increment(error)) {
    if (!is_key_folder(*key) || key->path() == folder) continue;
    const int descriptor = open_own_file(key->path() / kName);
    if (descriptor < 0) continue;
    const bool same = text_of(descriptor) == path;
    close_record(descriptor);
    std::error_code inner;
    for (fs::directory_iterator next(key->path(), inner); same && !inner && next != end; next.increment(inner)) {
      std::error_code gone;
      const uint64_t size = is_prefix_file(*next) ? next->file_size(gone) : 0;
      if (!gone) bytes += size;
    }
  }
  return bytes;
}

void remove_if_empty(const fs::path& folder) {
  std::error_code error;
  if (fs::remove(folder, error)) return;
  for (fs::directory_iterator next(folder, error), end; !error && next != end; next.increment(error)) {
    if (next->path().filename() != kName) return;
  }
  if (!error && remove_record(folder / kName)) fs::remove(folder, error);
}

}  // namespace zse
