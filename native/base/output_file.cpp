#include "output_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

#ifdef _WIN32
#include <io.h>
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "error.h"

namespace zse {

namespace {

namespace fs = std::filesystem;

/** Makes a file that was not there before. */
std::FILE* create(const std::string& path) {
#ifdef _WIN32
  return _wfopen(fs::u8path(path).c_str(), L"wbx");
#else
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  return descriptor < 0 ? nullptr : ::fdopen(descriptor, "wb");
#endif
}

bool to_disk(std::FILE* file) {
  if (std::fflush(file) != 0) return false;
#ifdef _WIN32
  return _commit(_fileno(file)) == 0;
#else
  return ::fsync(::fileno(file)) == 0;
#endif
}

/** So that the name survives a power cut too; some file systems cannot do it for folders, and lose nothing by it. */
void folder_to_disk(const fs::path& folder) {
#ifndef _WIN32
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
#else
  (void)folder;
#endif
}

/** What to do where no file can be made at a path. */
std::string remedy(const std::string& path) {
  std::error_code error;
  const fs::path folder = fs::u8path(path).parent_path();
  if (!folder.empty() && !fs::exists(folder, error) && !error) return "make the folder \"" + folder.u8string() + "\" first";
  return "give a path in a folder that is there and that this user may write";
}

}  // namespace

OutputFile::OutputFile(std::string path, bool overwrite) : path_(std::move(path)), overwrite_(overwrite) {
  std::error_code error;
  const fs::file_status status = fs::status(fs::u8path(path_), error);
  if (fs::exists(status) && status.type() != fs::file_type::regular) {
    throw EngineError("BAD_OPTION",
                      "\"" + path_ + "\" is there and is not a regular file; give the path of the file to write");
  }
  if (fs::exists(status) && !overwrite_) {
    throw EngineError("BAD_OPTION", "\"" + path_ + "\" is there already; give another path, or --force to overwrite it");
  }
  temporary_ = path_ + "." + std::to_string(std::random_device{}()) + ".part";
  file_ = create(temporary_);
  if (!file_) {
    const std::string reason = std::strerror(errno);
    temporary_.clear();
    throw EngineError("ENGINE_FAILED", "\"" + path_ + "\" cannot be written: " + reason + "; " + remedy(path_));
  }
}

OutputFile::~OutputFile() {
  if (file_) std::fclose(file_);
  std::error_code error;
  if (!temporary_.empty()) fs::remove(fs::u8path(temporary_), error);
}

void OutputFile::fail(const char* what) const {
  const std::string reason = std::strerror(errno);
  throw EngineError("ENGINE_FAILED",
                    "\"" + path_ + "\" could not be " + what + ": " + reason + "; nothing of it was left behind");
}

void OutputFile::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail("written");
  size_ += bytes.size();
}

void OutputFile::pad_to(uint64_t size) {
  static const std::string zeros(4096, '\0');
  while (size_ < size) write(std::string_view(zeros).substr(0, std::min<uint64_t>(size - size_, zeros.size())));
}

void OutputFile::commit() {
  if (!to_disk(file_)) fail("written to disk");
  const int closed = std::fclose(file_);
  file_ = nullptr;
  if (closed != 0) fail("written to disk");
  const fs::path place = fs::u8path(path_), temporary = fs::u8path(temporary_);
  std::error_code error;
  if (!overwrite_ && fs::exists(fs::symlink_status(place, error))) {
    throw EngineError("BAD_OPTION",
                      "\"" + path_ + "\" has appeared in the meantime; give another path, or --force to overwrite it");
  }
  fs::rename(temporary, place, error);
  if (error) {
    throw EngineError("ENGINE_FAILED", "\"" + path_ + "\" could not be put in its place: " + error.message());
  }
  temporary_.clear();
  folder_to_disk(place.parent_path());
}

}  // namespace zse
