// Owns prefixes outside the KV cache: images of slots in RAM, the index of those on disk, and their limits. What it does not do
// is decide who uses them (admission) and touch files (prefix_files). Decode thread only.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "core/ids.h"
#include "core/options.h"
#include "core/prompt.h"
#include "core/stats.h"
#include "prefix_files.h"
#include "saved_prefix.h"

namespace zse {

/** A prefix shorter than this is computed sooner than copied, and not worth keeping. */
constexpr int kWorthKeeping = 64;

class PrefixCache {
 public:
  struct InRam {
    int tokens = 0;  // of the prompt that need not be computed
    std::shared_ptr<const SavedPrefix> prefix;
  };
  struct OnDisk {
    int tokens = 0;
    PrefixFileId id = 0;
  };

  /** `files` may be null: nothing goes to disk. */
  PrefixCache(const PromptCacheOptions& options, ReuseRule rule, std::unique_ptr<PrefixFiles> files, EngineStats& stats);

  bool enabled() const { return options_.enabled; }
  const ReuseRule& rule() const { return rule_; }
  /** Whether parts of what is kept are used at other places. */
  bool moves() const { return options_.enabled && options_.moved; }

  /** The longest usable prefix in RAM; tokens 0 when there is none. */
  InRam find(const Prompt& prompt);
  /** The longest on disk, of which only the tokens are in memory. */
  OnDisk find_file(const Prompt& prompt) const;

  /** Tells each prefix in RAM, the pinned ones first. */
  template <class Tell>
  void each_in_ram(Tell tell) const {
    for (const auto& [id, prefix] : pinned_) tell(prefix);
    for (const auto& prefix : prefixes_) tell(prefix);
  }
  /** Tells what is known of each file; `whole`: only of those that are written to their end. */
  template <class Tell>
  void each_file(bool whole, Tell tell) const {
    for (const auto& [id, file] : on_disk_) {
      if (!file.unwanted && !(whole && file.writing)) tell(file.info);
    }
  }

  /** Of the files that were there at the beginning, the one used last; if half of RAM has room for it. Null: there is none. */
  const PrefixFileInfo* latest_file() const;
  /** Null: RAM has none of this content. */
  std::shared_ptr<const SavedPrefix> in_ram(const Prompt& content) const;

  /** Begins to read a file into RAM; when fetching() is over, find() has it, unless it was bad. */
  void fetch(PrefixFileId id);
  bool fetching(PrefixFileId id) const;
  /** When it is given up to wait for that, and fetching() is over though the disk has not answered. */
  std::optional<Clock::time_point> fetched_by(PrefixFileId id) const;

  /** True when keeping this in RAM would add something. */
  bool wants(const HeldPrefix& held) const;
  /** True when writing it to disk would. */
  bool wants_file(const HeldPrefix& held) const;
  void insert(std::shared_ptr<const SavedPrefix> prefix);
  void write(std::shared_ptr<const SavedPrefix> prefix);
  // What is kept is named here by Prompt::hash() of its content; a file may have another name.

  /** Keeps it whatever comes, as long as the cache lives. False: what is pinned would be more than half of RAM. */
  bool pin(std::shared_ptr<const SavedPrefix> prefix);
  /** It may be let go of again. False: it was not pinned. */
  bool unpin(uint64_t id);
  bool pinned(uint64_t id) const { return pinned_.count(id) != 0; }
  /** Most bytes that may be pinned. */
  size_t most_pinned() const { return options_.ram_bytes / 2; }
  /** Lets go of it in RAM and on disk, also while it is being written or read. False: there was nothing. */
  bool drop(uint64_t id);
  /** Of the files that were let go of so far, how many; and whether so many are gone from the disk. */
  uint64_t removals() const { return files_ ? files_->removals_asked() : 0; }
  bool removed(uint64_t removals) const { return !files_ || files_->removals_done() >= removals; }
  /** Of those that are done, how many files are there still; and which was the last, and why. */
  uint64_t failed_removals() const { return files_ ? files_->removals_failed() : 0; }
  std::string failed_removal() const { return files_ ? files_->failed_removal() : ""; }
  const std::map<uint64_t, std::shared_ptr<const SavedPrefix>>& all_pinned() const { return pinned_; }

  /** The image is not what it says: it is used no more, and its file is removed. */
  void reject(const SavedPrefix& prefix);

  /** Room for the image of a stream's slot that is lent to a new one; cached prefixes make way. False: the limit is reached. */
  bool reserve(size_t bytes);
  bool can_reserve(size_t bytes) const {
    const size_t ram = options_.ram_bytes - pinned_bytes_;
    return reserved_bytes_ <= ram && bytes <= ram - reserved_bytes_;
  }
  /**
   * The same where another stream comes back for the slot, and its own image, of `freed` bytes, makes place afterwards. That may be larger
   * or smaller: streams grow. So one image too many is allowed for, or nobody could come back once RAM is full. False: it has that already.
   */
  bool reserve_in_exchange(size_t bytes, size_t freed);
  void release(size_t bytes);

  /** Whether the checkpoints of all slots may be so many bytes: half of RAM at most, and what spilled streams leave. */
  bool has_room_for_checkpoints(size_t bytes) const {
    return options_.enabled && bytes <= options_.ram_bytes / 2 && can_reserve(bytes);
  }
  /** They are so many now: cached prefixes make way. */
  void hold_checkpoints(size_t bytes);

  /** Takes in what the file thread has done. */
  void update();
  /** Drops what is over the limit in RAM: after admission, so that what was just fetched could be used. */
  void trim();

 private:
  struct File {
    PrefixFileInfo info;
    bool writing = false;
    bool unwanted = false;  // it goes as soon as it is written
  };
  std::shared_ptr<const SavedPrefix> take_pinned(uint64_t id);
  template <class Which>
  bool remove_from_ram(Which which);
  void reserved(size_t bytes);
  void evict();
  void remove_file(PrefixFileId id);
  void drop_file(PrefixFileId id);  // it is no more
  void count();

  const PromptCacheOptions options_;
  const ReuseRule rule_;
  EngineStats& stats_;
  std::unique_ptr<PrefixFiles> files_;

  std::list<std::shared_ptr<const SavedPrefix>> prefixes_;  // the latest used first
  std::map<uint64_t, std::shared_ptr<const SavedPrefix>> pinned_;
  size_t pinned_bytes_ = 0;
  size_t ram_bytes_ = 0, reserved_bytes_ = 0, checkpoint_bytes_ = 0;
  std::map<PrefixFileId, File> on_disk_;
  uint64_t disk_bytes_ = 0;
  std::map<PrefixFileId, Clock::time_point> fetching_;  // since when
  int failed_writes_ = 0;                               // in a row
  Clock::time_point disk_rests_until_;
};

}  // namespace zse
