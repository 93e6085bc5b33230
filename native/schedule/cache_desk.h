// Owns what callers do with the prefixes that are kept: list them, pin them, let go of them, take them out to a file and in from one. What has to be copied
// out of a slot or read first is waited for, between the steps that are computed anyhow. Decode thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/decoder.h"
#include "core/events.h"
#include "core/inbox.h"
#include "head_start.h"
#include "kv/kv_slots.h"
#include "kv/prefix_cache.h"
#include "outbox.h"
#include "slot_saver.h"

namespace zse {

/** What to say where a prefix of so many bytes is more than RAM may hold. */
EngineError no_room_in_ram(uint64_t bytes);

class CacheDesk {
 public:
  /** Writes a prefix to a file, on another thread, and answers the question with its entry. */
  using Export =
      std::function<void(std::shared_ptr<QuestionControl>, CacheQuestion, CacheEntry, std::shared_ptr<const SavedPrefix>)>;

  CacheDesk(KvSlots& slots, PrefixCache& cache, SlotSaver& saver, HeadStart& head_start, const Decoder& decoder)
      : slots_(slots), cache_(cache), saver_(saver), head_start_(head_start), decoder_(decoder) {}

  void add(CacheCommand command);
  void withdraw(uint32_t question);
  void fail_all(const std::string& code, const std::string& message, Outbox& outbox);

  /** Answers what can be answered now. `flowing`: streams decode, so what takes long is copied in pieces, and answered later. */
  void work(bool flowing, Outbox& outbox, const Export& export_prefix);

 private:
  /** A prefix in one of its places. */
  struct Found {
    std::shared_ptr<const SavedPrefix> image;  // in RAM, or
    SlotId slot = -1;                          // in a free slot, or
    std::optional<PrefixFileId> file;          // on disk
    size_t size = 0;                           // tokens
    uint64_t hash = 0;                         // of them
    explicit operator bool() const { return image || slot >= 0 || file; }
  };
  struct Waiting {
    CacheCommand command;
    bool fetched = false;                              // from disk: once is enough
    bool handed_on = false;                            // to who answers it
    std::optional<std::vector<CacheEntry>> evicted{};  // what was let go of; its files are
    uint64_t removals = 0;                             // gone when so many have been removed
    uint64_t failed_removals = 0;                      // before that
  };
  /** What answers one; nothing: it waits. Throws EngineError. */
  std::optional<CacheAnswer> answer(Waiting& waiting, bool flowing, const Export& export_prefix);
  /** `whole`: of files, those alone that are written to their end. */
  std::vector<CacheEntry> list(bool whole) const;
  bool is_wanted(const CacheQuestion& question, const Prompt& content) const;
  Found find(const CacheQuestion& question, bool whole) const;
  /** Its image, once it is in RAM. Throws EngineError OVERLOADED where there is no room for it. */
  std::shared_ptr<const SavedPrefix> image_of(const Found& found, Waiting& waiting, bool flowing);
  CacheEntry entry_of(const Prompt& content) const;
  CacheEntry entry_of(const SavedPrefix& prefix) const;
  std::vector<CacheEntry> evict(const CacheQuestion& question);
  bool clear_free(SlotId slot);
  void import(const std::shared_ptr<const SavedPrefix>& prefix);

  KvSlots& slots_;
  PrefixCache& cache_;
  SlotSaver& saver_;
  HeadStart& head_start_;
  const Decoder& decoder_;
  std::vector<Waiting> waiting_;
};

}  // namespace zse
