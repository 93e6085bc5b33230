#include "temporary_file.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <sys/stat.h>
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace fs = std::filesystem;

namespace zse {

namespace {

constexpr int kTries = 100;
constexpr char kExtension[] = ".tmp";

uint64_t process_id() {
#ifdef _WIN32
  return GetCurrentProcessId();
#else
  return static_cast<uint64_t>(getpid());
#endif
}

#ifndef _WIN32
/** Where the file system knows no locks: this long after the last write its process is taken to have ended. */
constexpr auto kStale = std::chrono::minutes(10);

enum class Lock { kTaken, kHeld, kUnknown };
Lock try_lock(int descriptor) {
  while (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Lock::kHeld;
    if (errno != EINTR) return Lock::kUnknown;
  }
  return Lock::kTaken;
}
#endif

}  // namespace

TemporaryFile::TemporaryFile(fs::path target, fs::path path, int descriptor)
    : target_(std::move(target)), path_(std::move(path)), descriptor_(descriptor) {}

std::unique_ptr<TemporaryFile> TemporaryFile::make(const fs::path& target, uint64_t bytes) {
  static std::atomic<uint64_t> files{0};
  for (int i = 0; i < kTries; i++) {
    fs::path path = target;
    path += "." + std::to_string(process_id()) + "-" + std::to_string(++files) + kExtension;
#ifdef _WIN32
    // Opened so, nobody can remove it before it is closed.
    const int descriptor =
        _wopen(path.c_str(), _O_CREAT | _O_EXCL | _O_WRONLY | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
    if (descriptor < 0 && errno == EEXIST) continue;
    if (descriptor < 0) return nullptr;
    std::unique_ptr<TemporaryFile> file(new TemporaryFile(target, std::move(path), descriptor));
    if (_chsize_s(descriptor, static_cast<int64_t>(bytes)) != 0) return nullptr;
#else
    const int descriptor = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (descriptor < 0 && errno == EEXIST) continue;  // of a process that had this number before
    if (descriptor < 0) return nullptr;
    std::unique_ptr<TemporaryFile> file(new TemporaryFile(target, std::move(path), descriptor));
    // Between these two another process may have taken it for an abandoned one.
    if (try_lock(descriptor) == Lock::kHeld) continue;
    struct stat status{};
    if (fstat(descriptor, &status) != 0 || status.st_nlink == 0) continue;
    if (ftruncate(descriptor, static_cast<off_t>(bytes)) != 0) return nullptr;
#endif
    return file;
  }
  return nullptr;
}

TemporaryFile::~TemporaryFile() {
  std::error_code ignored;
#ifndef _WIN32
  if (!published_) fs::remove(path_, ignored);  // while it is locked
#endif
  close();
#ifdef _WIN32
  if (!published_) fs::remove(path_, ignored);
#endif
}

bool TemporaryFile::write(const void* bytes, size_t size) {
  const char* next = static_cast<const char*>(bytes);
  constexpr size_t kMost = size_t{1} << 30;  // that every system takes at once
  while (size > 0) {
#ifdef _WIN32
    const int written = _write(descriptor_, next, static_cast<unsigned>(size < kMost ? size : kMost));
#else
    const ssize_t written = ::write(descriptor_, next, size < kMost ? size : kMost);
    if (written < 0 && errno == EINTR) continue;
#endif
    if (written <= 0) return false;
    next += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

bool TemporaryFile::flush() {
#ifdef _WIN32
  return _commit(descriptor_) == 0;
#else
  return fsync(descriptor_) == 0;
#endif
}

bool TemporaryFile::publish() {
#ifdef _WIN32
  close();  // an open file cannot be renamed
#endif
  std::error_code error;
  fs::rename(path_, target_, error);
  published_ = !error;
#ifndef _WIN32
  const int folder = ::open(target_.parent_path().c_str(), O_RDONLY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    ::close(folder);
  }
#endif
  return published_;
}

void TemporaryFile::close() {
  if (descriptor_ < 0) return;
#ifdef _WIN32
  _close(descriptor_);
#else
  ::close(descriptor_);
#endif
  descriptor_ = -1;
}

bool is_temporary(const fs::path& path) { return path.extension() == kExtension; }

bool remove_abandoned(const fs::path& path) {
  std::error_code error;
#ifdef _WIN32
  return fs::remove(path, error);
#else
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return false;
  const Lock lock = try_lock(descriptor);
  bool abandoned = lock == Lock::kTaken;
  if (lock == Lock::kUnknown) {
    abandoned = fs::file_time_type::clock::now() - fs::last_write_time(path, error) > kStale && !error;
  }
  if (abandoned) abandoned = fs::remove(path, error);
  ::close(descriptor);
  return abandoned;
#endif
}

FolderLock::FolderLock(const fs::path& folder) {
#ifdef _WIN32
  (void)folder;  // there what two processes write at the same time may exceed the limit until the next file is written
#else
  descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) return;
  for (int i = 0; i < kTries && try_lock(descriptor_) == Lock::kHeld; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
#endif
}

FolderLock::~FolderLock() {
#ifndef _WIN32
  if (descriptor_ >= 0) ::close(descriptor_);
#endif
}

namespace {

#ifndef _WIN32
int open_regular(const fs::path& path, int flags, bool own) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
  if (descriptor < 0) return -1;
  struct stat status{};
  const bool regular = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  const bool is_own = regular && status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  if (own ? is_own : regular) return descriptor;
  ::close(descriptor);
  return -1;
}
#endif

}  // namespace

int open_own_file(const fs::path& path) {
#ifdef _WIN32
  return open_any_file(path);
#else
  return open_regular(path, O_NOFOLLOW, true);
#endif
}

int open_any_file(const fs::path& path) {
#ifdef _WIN32
  return _wopen(path.c_str(), _O_RDONLY | _O_BINARY | _O_NOINHERIT);
#else
  return open_regular(path, 0, false);
#endif
}

}  // namespace zse
