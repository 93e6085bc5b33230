// Owns a file mapped into memory for reading. Immutable once open, but for keep(); any thread.
//
// A file that another process cuts short meanwhile reads as zeros from there on (map_guard.h), so whoever has read asks check_whole()
// before the result goes anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "bytes.h"
#include "map_guard.h"

namespace zse {

class FileMap {
 public:
  /** Throws EngineError MODEL_NOT_FOUND or BAD_MODEL. An empty file gives an empty map. */
  static std::shared_ptr<FileMap> open(const std::string& path);
  ~FileMap();
  FileMap(const FileMap&) = delete;
  FileMap& operator=(const FileMap&) = delete;

  Bytes bytes() const { return {data_, size_}; }

  /**
   * Throws BAD_MODEL where the file is no longer as long as it was: some of what was read may be zeros that it never held. The message
   * begins with the path, if it is given.
   */
  void check_whole(const std::string& path = "") const;

  /** Makes the first `size` bytes a copy, so that what is checked stays what it was. While it does, nobody else may look. Throws as read(). */
  void keep(uint64_t size);

  /** Copies a range, past the mapping: cheaper than touching its pages where all of it is wanted once. Throws BAD_MODEL where it fails. */
  void read(uint64_t offset, uint64_t size, uint8_t* out) const;

  /** Says that a range will not be read again soon: its pages leave this process, not the page cache. */
  void forget(uint64_t offset, uint64_t size) const;

 private:
  FileMap(const uint8_t* data, size_t size, int file) : data_(data), size_(size), file_(file), guard_(data, size) {}

  const uint8_t* data_;
  size_t size_;
  int file_;  // descriptor; -1 on Windows
  MapGuard guard_;
};

}  // namespace zse
