#include "file_map.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>

#include "error.h"
#include "refuse.h"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace zse {

namespace {

[[noreturn]] void cannot_open(const std::string& path, const std::string& reason) {
  throw EngineError("MODEL_NOT_FOUND", "\"" + path + "\" cannot be opened: " + reason +
                                           "; check that this user may read the file and its folders");
}

[[noreturn]] void cannot_map(const std::string& path, const std::string& reason) {
  throw EngineError("BAD_MODEL", "\"" + path + "\" cannot be mapped into memory: " + reason);
}

/** Refuses what is no file: a directory has no bytes, a pipe would be waited for, a device has no end. */
void check_regular(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(std::filesystem::u8path(path), error);
  switch (status.type()) {
    case std::filesystem::file_type::regular: break;
    case std::filesystem::file_type::not_found:
      throw EngineError("MODEL_NOT_FOUND", "there is no file \"" + path + "\"; give the path of a .gguf or .zse model file");
    case std::filesystem::file_type::directory:
      throw EngineError("BAD_MODEL", "\"" + path + "\" is a directory; give the path of the .gguf or .zse file inside it");
    default:
      if (error) break;  // opening it says why
      throw EngineError("BAD_MODEL", "\"" + path + "\" is not a regular file; give the path of a .gguf or .zse file");
  }
}

}  // namespace

#ifdef _WIN32

std::shared_ptr<FileMap> FileMap::open(const std::string& path) {
  check_regular(path);
  const std::wstring wide = std::filesystem::u8path(path).wstring();
  const HANDLE file = CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr);
  if (file == INVALID_HANDLE_VALUE) cannot_open(path, "Windows error " + std::to_string(GetLastError()));
  LARGE_INTEGER size{};
  GetFileSizeEx(file, &size);
  const void* data = nullptr;
  if (size.QuadPart > 0) {
    const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (mapping) data = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    if (mapping) CloseHandle(mapping);
  }
  const std::string reason = "Windows error " + std::to_string(GetLastError());
  CloseHandle(file);
  if (size.QuadPart > 0 && !data) cannot_map(path, reason);
  return std::shared_ptr<FileMap>(new FileMap(static_cast<const uint8_t*>(data), static_cast<size_t>(size.QuadPart), -1));
}

FileMap::~FileMap() {
  if (data_) UnmapViewOfFile(data_);
}

void FileMap::check_whole(const std::string&) const {}

void FileMap::keep(uint64_t) {}

void FileMap::read(uint64_t offset, uint64_t size, uint8_t* out) const { std::memcpy(out, data_ + offset, size); }

void FileMap::forget(uint64_t, uint64_t) const {}

#else

std::shared_ptr<FileMap> FileMap::open(const std::string& path) {
  check_regular(path);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // not to wait for a pipe's writer
  if (file < 0) cannot_open(path, std::strerror(errno));
  struct stat status{};
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(file);
    cannot_map(path, "it is no longer the file that it was a moment ago");
  }
  const auto size = static_cast<size_t>(status.st_size);
  void* data = size > 0 ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : nullptr;
  if (data == MAP_FAILED) {
    const std::string reason = std::strerror(errno);
    ::close(file);
    cannot_map(path, reason);
  }
  return std::shared_ptr<FileMap>(new FileMap(static_cast<const uint8_t*>(data), size, file));
}

FileMap::~FileMap() {
  if (data_) munmap(const_cast<uint8_t*>(data_), size_);
  ::close(file_);
}

void FileMap::check_whole(const std::string& path) const {
  // A cut within a page raises no signal: the rest of that page reads as zeros.
  struct stat status{};
  const bool shorter = fstat(file_, &status) != 0 || static_cast<uint64_t>(status.st_size) < size_;
  if (!shorter && !guard_.lost_pages()) return;
  throw EngineError("BAD_MODEL", (path.empty() ? "" : "\"" + path + "\": ") +
                                     (shorter ? "the file was cut short by another program while it was read; copy or "
                                                "download it again"
                                              : "a part of the file could not be read from its disk"));
}

void FileMap::keep(uint64_t size) {
  if (size == 0) return;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t whole = std::min<uint64_t>((size + page - 1) / page * page, size_);
  auto* place = const_cast<uint8_t*>(data_);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (mmap(place, whole, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) throw std::bad_alloc();
  read(0, whole, place);
}

void FileMap::read(uint64_t offset, uint64_t size, uint8_t* out) const {
  while (size > 0) {
    const ssize_t got = pread(file_, out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      refuse(offset, got < 0 ? std::strerror(errno) : "the file ends here now, and was longer when it was opened");
    offset += static_cast<uint64_t>(got);
    out += got;
    size -= static_cast<uint64_t>(got);
  }
}

void FileMap::forget(uint64_t offset, uint64_t size) const {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t first = (offset + page - 1) / page * page;  // pages that hold something else stay
  const uint64_t end = (offset + size) / page * page;
  if (first < end) madvise(const_cast<uint8_t*>(data_) + first, end - first, MADV_DONTNEED);
}

#endif

}  // namespace zse
