// Owns a file of the prompt cache while it is being written: a name of its own, its full size from the beginning, so that the folder's limit
// counts it, and a lock that ends with the process, so that others know what a killed one has left. File thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

namespace zse {

class TemporaryFile {
 public:
  /** Makes the file beside `target`, for its owner alone. Null where that cannot be. */
  static std::unique_ptr<TemporaryFile> make(const std::filesystem::path& target, uint64_t bytes);

  /** Removes it, unless publish() gave it its name. */
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  bool write(const void* bytes, size_t size);

  /** Onto the disk, not only into the system's cache: a rename must not outlive the bytes. */
  bool flush();

  /** Gives the flushed file its target's name. Whoever counts the folder must not meanwhile: hold its FolderLock. */
  bool publish();

 private:
  TemporaryFile(std::filesystem::path target, std::filesystem::path path, int descriptor);
  void close();

  const std::filesystem::path target_, path_;
  int descriptor_;
  bool published_ = false;
};

/** Whether this is the name of a file that is being written, or was. */
bool is_temporary(const std::filesystem::path& path);

/** Removes a temporary file whose process has ended. False: somebody is writing it. */
bool remove_abandoned(const std::filesystem::path& path);

/** While it lives no other process makes room in the folder or takes it; waited for only briefly, since a process may be stopped. */
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

/**
 * Opens a file for reading: a regular one only, never waiting for another (a FIFO's) or following a link, and, where files have owners, only
 * one that this user has written and nobody else can write. -1 otherwise.
 */
int open_own_file(const std::filesystem::path& path);
/** The same of a regular file, whoever's it is: one that a caller has named. */
int open_any_file(const std::filesystem::path& path);

}  // namespace zse
