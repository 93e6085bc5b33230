// Owns a file mapped into memory for reading. Immutable once open; any thread.
//
// A file that another process cuts short while it is mapped raises SIGBUS where its lost pages are touched, here as in every
// program that maps files. The size is checked once, at opening.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "bytes.h"

namespace zse {

class FileMap {
 public:
  /** Throws EngineError MODEL_NOT_FOUND or BAD_MODEL. An empty file gives an empty map. */
  static std::shared_ptr<const FileMap> open(const std::string& path);
  ~FileMap();
  FileMap(const FileMap&) = delete;
  FileMap& operator=(const FileMap&) = delete;

  Bytes bytes() const { return {data_, size_}; }

  /** Copies a range, past the mapping: cheaper than touching its pages where all of it is wanted once. Throws BAD_MODEL where it fails. */
  void read(uint64_t offset, uint64_t size, uint8_t* out) const;

  /** Says that a range will not be read again soon: its pages leave this process, not the page cache. */
  void forget(uint64_t offset, uint64_t size) const;

 private:
  FileMap(const uint8_t* data, size_t size, int file) : data_(data), size_(size), file_(file) {}

  const uint8_t* data_;
  size_t size_;
  int file_;  // descriptor; -1 on Windows
};

}  // namespace zse
