#include "prefix_cache.h"

#include <algorithm>
#include <utility>

namespace zse {

namespace {

constexpr size_t kMostWaitingBytes = size_t{256} << 20;  // images that a slow disk may keep in memory; more are not written
constexpr int kMostFailedWrites = 3;                     // then the disk is full or gone, and left alone for
constexpr auto kDiskRest = std::chrono::minutes(1);
constexpr auto kLongestFetch = std::chrono::seconds(10);  // a network's disk may never answer

}  // namespace

PrefixCache::PrefixCache(const PromptCacheOptions& options, ReuseRule rule, std::unique_ptr<PrefixFiles> files,
                         EngineStats& stats)
    : options_(options), rule_(rule), stats_(stats), files_(std::move(files)) {
  if (!files_) return;
  stats_.cache_unusable_bytes = static_cast<int64_t>(files_->unusable_bytes());
  for (PrefixFileInfo& info : files_->scan(rule_.slot_size)) {
    disk_bytes_ += info.bytes;
    const PrefixFileId id = info.id;
    on_disk_[id] = {std::move(info), false};
  }
  count();
}

PrefixCache::InRam PrefixCache::find(const Prompt& prompt) {
  InRam best;
  auto found = prefixes_.end();
  for (auto next = prefixes_.begin(); next != prefixes_.end(); ++next) {
    const int tokens = rule_.usable(**next, prompt);
    if (tokens > best.tokens) {
      best = {tokens, *next};
      found = next;
    }
  }
  if (best.tokens > 0) prefixes_.splice(prefixes_.begin(), prefixes_, found);
  for (const auto& [id, prefix] : pinned_) {
    const int tokens = rule_.usable(*prefix, prompt);
    if (tokens > best.tokens) best = {tokens, prefix};
  }
  return best;
}

PrefixCache::OnDisk PrefixCache::find_file(const Prompt& prompt) const {
  OnDisk best;
  for (const auto& [id, file] : on_disk_) {
    if (file.writing) continue;
    const int tokens = rule_.usable(file.info, prompt);
    if (tokens > best.tokens) best = {tokens, id};
  }
  return best;
}

const PrefixFileInfo* PrefixCache::latest_file() const {
  const auto latest = std::max_element(on_disk_.begin(), on_disk_.end(),
                                       [](const auto& a, const auto& b) { return a.second.info.used < b.second.info.used; });
  if (latest == on_disk_.end() || latest->second.info.bytes > options_.ram_bytes / 2) return nullptr;
  return &latest->second.info;
}

std::shared_ptr<const SavedPrefix> PrefixCache::in_ram(const Prompt& content) const {
  std::shared_ptr<const SavedPrefix> found;
  each_in_ram([&](const std::shared_ptr<const SavedPrefix>& prefix) {
    if (!found && prefix->content == content) found = prefix;
  });
  return found;
}

void PrefixCache::fetch(PrefixFileId id) {
  if (fetching_.emplace(id, Clock::now()).second) files_->read(id);
}

bool PrefixCache::fetching(PrefixFileId id) const {
  const std::optional<Clock::time_point> deadline = fetched_by(id);
  return deadline && Clock::now() < *deadline;
}

std::optional<Clock::time_point> PrefixCache::fetched_by(PrefixFileId id) const {
  const auto found = fetching_.find(id);
  if (found == fetching_.end()) return {};
  return found->second + kLongestFetch;
}

bool PrefixCache::wants(const HeldPrefix& held) const {
  if (!options_.enabled || options_.ram_bytes == 0 || held.content.size() < kWorthKeeping) return false;
  const auto covers = [&](const auto& prefix) { return rule_.covers(*prefix, held); };
  return std::none_of(prefixes_.begin(), prefixes_.end(), covers) &&
         std::none_of(pinned_.begin(), pinned_.end(), [&](const auto& entry) { return covers(entry.second); });
}

bool PrefixCache::wants_file(const HeldPrefix& held) const {
  if (!files_ || held.content.size() < kWorthKeeping || Clock::now() < disk_rests_until_) return false;
  if (files_->waiting_bytes() > kMostWaitingBytes) return false;
  return std::none_of(on_disk_.begin(), on_disk_.end(),
                      [&](const auto& entry) { return rule_.covers(entry.second.info, held); });
}

/** Lets go of those that it names, among the ones that are not pinned. False: there were none. */
template <class Which>
bool PrefixCache::remove_from_ram(Which which) {
  const size_t before = prefixes_.size();
  prefixes_.remove_if([&](const auto& prefix) {
    if (!which(*prefix)) return false;
    ram_bytes_ -= prefix->bytes();
    return true;
  });
  return prefixes_.size() < before;
}

void PrefixCache::insert(std::shared_ptr<const SavedPrefix> prefix) {
  remove_from_ram([&](const SavedPrefix& other) { return rule_.covers(*prefix, other); });
  ram_bytes_ += prefix->bytes();
  prefixes_.push_front(std::move(prefix));
}

void PrefixCache::write(std::shared_ptr<const SavedPrefix> prefix) {
  PrefixFileInfo info = files_->info_of(*prefix);
  if (on_disk_.count(info.id) != 0 || info.bytes > files_->limit()) return;
  const PrefixFileId id = info.id;
  on_disk_[id] = {std::move(info), true};
  files_->write(std::move(prefix));
}

bool PrefixCache::pin(std::shared_ptr<const SavedPrefix> prefix) {
  const uint64_t id = prefix->content.hash();
  if (pinned(id)) return true;
  if (pinned_bytes_ + prefix->bytes() > most_pinned()) return false;
  remove_from_ram(
      [&](const SavedPrefix& other) { return other.content == prefix->content; });  // it is there twice otherwise
  pinned_bytes_ += prefix->bytes();
  pinned_.emplace(id, std::move(prefix));
  trim();
  return true;
}

/** Null: it was not pinned. */
std::shared_ptr<const SavedPrefix> PrefixCache::take_pinned(uint64_t id) {
  const auto found = pinned_.find(id);
  if (found == pinned_.end()) return nullptr;
  std::shared_ptr<const SavedPrefix> prefix = std::move(found->second);
  pinned_bytes_ -= prefix->bytes();
  pinned_.erase(found);
  return prefix;
}

bool PrefixCache::unpin(uint64_t id) {
  std::shared_ptr<const SavedPrefix> prefix = take_pinned(id);
  if (!prefix) return false;
  insert(std::move(prefix));
  trim();
  return true;
}

bool PrefixCache::drop(uint64_t id) {
  bool dropped = take_pinned(id) != nullptr;
  dropped |= remove_from_ram([&](const SavedPrefix& prefix) { return prefix.content.hash() == id; });
  const auto file = std::find_if(on_disk_.begin(), on_disk_.end(), [&](const auto& entry) {
    return !entry.second.unwanted && entry.second.info.content.hash() == id;
  });
  if (file != on_disk_.end()) {
    dropped = true;
    fetching_.erase(file->first);  // what is read of it now is not taken in
    if (file->second.writing) {
      file->second.unwanted = true;
      files_->remove(file->first);
    } else {
      remove_file(file->first);
    }
  }
  count();
  return dropped;
}

void PrefixCache::reject(const SavedPrefix& prefix) {
  take_pinned(prefix.content.hash());
  remove_from_ram([&](const SavedPrefix& other) { return other.content == prefix.content; });
  if (files_) {
    const PrefixFileId id = files_->info_of(prefix).id;
    if (on_disk_.count(id) != 0) remove_file(id);
  }
  count();
}

bool PrefixCache::reserve(size_t bytes) {
  if (!can_reserve(bytes)) return false;
  reserved(bytes);
  return true;
}

bool PrefixCache::reserve_in_exchange(size_t bytes, size_t freed) {
  if (reserved_bytes_ - freed > options_.ram_bytes - pinned_bytes_) return false;
  reserved(bytes);
  return true;
}

void PrefixCache::reserved(size_t bytes) {
  reserved_bytes_ += bytes;
  evict();
  count();
}

void PrefixCache::release(size_t bytes) {
  reserved_bytes_ -= bytes;
  count();
}

void PrefixCache::hold_checkpoints(size_t bytes) {
  checkpoint_bytes_ = bytes;
  evict();
  count();
}

void PrefixCache::update() {
  if (files_) {
    for (PrefixFileOutcome& outcome : files_->take_outcomes()) {
      if (outcome.was_read) {
        if (fetching_.erase(outcome.id) == 0) continue;  // it was let go of meanwhile
        if (outcome.ok) {
          insert(std::move(outcome.prefix));
        } else {
          drop_file(outcome.id);  // it was bad, and is gone
        }
        continue;
      }
      for (const PrefixFileId id : outcome.displaced) drop_file(id);
      const auto written = on_disk_.find(outcome.id);
      if (written == on_disk_.end()) continue;
      failed_writes_ = outcome.ok ? 0 : failed_writes_ + 1;
      if (failed_writes_ >= kMostFailedWrites) disk_rests_until_ = Clock::now() + kDiskRest;
      if (!outcome.ok || written->second.unwanted) {
        drop_file(outcome.id);
        continue;
      }
      written->second.writing = false;
      disk_bytes_ += written->second.info.bytes;
      // What the new one begins with is not needed by itself any more.
      std::vector<PrefixFileId> superseded;
      for (const auto& [id, file] : on_disk_) {
        if (id != outcome.id && !file.writing && rule_.covers(written->second.info, file.info)) superseded.push_back(id);
      }
      for (const PrefixFileId id : superseded) remove_file(id);
    }
  }
  count();
}

void PrefixCache::trim() {
  evict();
  count();
}

void PrefixCache::evict() {
  const size_t others = reserved_bytes_ + checkpoint_bytes_ + pinned_bytes_;
  const size_t limit = options_.ram_bytes - std::min<size_t>(others, options_.ram_bytes);
  while (ram_bytes_ > limit) {
    ram_bytes_ -= prefixes_.back()->bytes();
    prefixes_.pop_back();
  }
}

void PrefixCache::remove_file(PrefixFileId id) {
  files_->remove(id);
  drop_file(id);
}

void PrefixCache::drop_file(PrefixFileId id) {
  const auto found = on_disk_.find(id);
  if (found == on_disk_.end()) return;
  if (!found->second.writing) disk_bytes_ -= found->second.info.bytes;
  on_disk_.erase(found);
}

void PrefixCache::count() {
  stats_.cache_ram_bytes = static_cast<int64_t>(ram_bytes_ + pinned_bytes_ + checkpoint_bytes_);
  stats_.cache_disk_bytes = static_cast<int64_t>(disk_bytes_);
  stats_.spilled_bytes = static_cast<int64_t>(reserved_bytes_);
}

}  // namespace zse
