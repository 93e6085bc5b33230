// Owns the prefix cache's folder on disk, and the thread that reads and writes it, so that decoding never waits for a disk.
// The decode thread hands over jobs and later collects outcomes. What is worth writing is decided there (prefix_cache), what makes place for
// it here: only who sees the whole folder knows.
//
// A file (prefix_file) is written under a temporary name, flushed to the disk and renamed; it is removed when anything about it is wrong.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "base/thread.h"
#include "core/ids.h"
#include "core/prompt.h"
#include "model_record.h"
#include "prefix_file.h"
#include "saved_prefix.h"
#include "sealed_file.h"

namespace zse {

/** Names a file: Prompt::hash() of its tokens, or, with an app's key, what only that makes of it. */
using PrefixFileId = uint64_t;

struct PrefixFileInfo {
  PrefixFileId id = 0;
  Prompt content;
  int prompt_tokens = 0;
  Checkpoints checkpoints;                 // their places alone
  uint64_t bytes = 0;                      // of the whole file
  std::filesystem::file_time_type used{};  // when it was written or read last; of what scan() finds
};

/** What became of a job. */
struct PrefixFileOutcome {
  PrefixFileId id = 0;
  bool was_read = false;                      // else written
  bool ok = false;                            // written, or `prefix` is there
  std::shared_ptr<const SavedPrefix> prefix;  // what was read
  std::vector<PrefixFileId> displaced;        // files that made place for what was written
};

class PrefixFiles {
 public:
  /** Whose files they are. */
  struct Of {
    std::string model;           // path of its file: once that is gone, so are these (model_record)
    std::optional<AeadKey> key;  // with it everything that is written is sealed (sealed_file)
  };

  /**
   * Makes the folder and starts the thread. `limit`: bytes of all files in `dir`, whichever models they are of. `largest_image`: bytes that no
   * image exceeds. `wake` is called on that thread when there are outcomes to take.
   * Throws EngineError BAD_OPTION when the folder cannot be made or written.
   */
  PrefixFiles(const std::string& dir, const CacheKey& key, uint64_t limit, size_t largest_image, std::function<void()> wake)
      : PrefixFiles(dir, key, limit, largest_image, std::move(wake), Of()) {}
  PrefixFiles(const std::string& dir, const CacheKey& key, uint64_t limit, size_t largest_image, std::function<void()> wake,
              const Of& of);

  /** Finishes what was begun, and removes what was to go; writes that are still waiting when `kCloseTime` has passed are given up. */
  ~PrefixFiles();

  uint64_t limit() const { return limit_; }
  /** Of what lay in `dir` at the beginning and is of the same model's file: what this key, or this app's key, is not of. */
  uint64_t unusable_bytes() const { return unusable_bytes_; }

  /** Every good file of this key of no more than so many tokens; bad ones are removed. Before the first job. */
  std::vector<PrefixFileInfo> scan(size_t most_tokens = SIZE_MAX);

  /** Of the file that a prefix will be. */
  PrefixFileInfo info_of(const SavedPrefix& prefix) const;

  /** What was used longest ago, of any key, makes place. */
  void write(std::shared_ptr<const SavedPrefix> prefix);
  void read(PrefixFileId id);
  /** After what is being written of it. */
  void remove(PrefixFileId id);
  /** How many files were given to remove() so far, and how many of those are gone from the disk. */
  uint64_t removals_asked() const;
  uint64_t removals_done() const;
  /** Of those, how many the system would not let go; and what was the matter with the last one. */
  uint64_t removals_failed() const;
  std::string failed_removal() const;

  std::vector<PrefixFileOutcome> take_outcomes();

  /** Bytes of images that wait to be written: the memory that a slow disk costs. */
  size_t waiting_bytes() const;

  static constexpr auto kCloseTime = std::chrono::seconds(2);

 private:
  enum class Kind { kWrite, kRead, kRemove };
  struct Job {
    Kind kind;
    PrefixFileId id;
    std::shared_ptr<const SavedPrefix> prefix;
  };

  PrefixFileId id_of(const Prompt& content) const;
  void push(Job job);
  void run();
  std::error_code make_folder() const;
  bool make_room(uint64_t bytes, std::vector<PrefixFileId>& displaced) const;
  std::filesystem::path path_of(PrefixFileId id) const;
  bool write_file(PrefixFileId id, const SavedPrefix& prefix, std::vector<PrefixFileId>& displaced) const;
  std::shared_ptr<const SavedPrefix> read_file(PrefixFileId id) const;

  const CacheKey key_;
  const std::optional<CacheSecret> secret_;
  const uint64_t limit_;
  const size_t largest_image_;
  const std::function<void()> wake_;
  std::filesystem::path folder_;
  std::unique_ptr<ModelRecord> record_;
  uint64_t unusable_bytes_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<PrefixFileOutcome> outcomes_;
  size_t waiting_bytes_ = 0;
  uint64_t removals_asked_ = 0, removals_done_ = 0, removals_failed_ = 0;
  std::string failed_removal_;
  bool closing_ = false;
  Clock::time_point give_up_;

  Thread thread_;
};

}  // namespace zse
