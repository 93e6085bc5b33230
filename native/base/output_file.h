// Owns a file that is there whole or not at all: written under a temporary name beside its place, brought to disk, then renamed. What
// is not committed is removed, whatever ended it short of the process itself being killed. One thread at a time.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace zse {

class OutputFile {
 public:
  /** Throws EngineError BAD_OPTION when there is a file already and `overwrite` is false, ENGINE_FAILED when it cannot be made. */
  OutputFile(std::string path, bool overwrite);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /** Throws ENGINE_FAILED when it cannot be written, on a full disk say. */
  void write(std::string_view bytes);
  void pad_to(uint64_t size);
  uint64_t size() const { return size_; }

  /** Puts the file in its place. Throws as the constructor does. */
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_, temporary_;
  bool overwrite_;
  std::FILE* file_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace zse
