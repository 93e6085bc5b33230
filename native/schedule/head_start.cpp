#include "head_start.h"

#include <utility>

namespace zse {

namespace {

constexpr StreamId kOwner = -1;  // of the slot, while it is filled: no stream

}  // namespace

HeadStart::HeadStart(KvSlots& slots, PrefixCache& cache) : slots_(slots), cache_(cache) {
  const PrefixFileInfo* const latest = cache_.latest_file();
  if (!latest) return;
  wanted_ = latest->content;
  file_ = latest->id;
  cache_.fetch(*file_);
}

void HeadStart::offer(const Prompt& content) {
  if (under_way()) return;
  wanted_ = content;
  file_.reset();
}

void HeadStart::look() {
  if (!wanted_ || under_way() || (file_ && cache_.fetching(*file_))) return;
  prefix_ = cache_.in_ram(*std::exchange(wanted_, std::nullopt));
  const SlotId slot = slots_.least_valuable();
  if (!prefix_ || slot < 0 || !slots_[slot].content.empty() || is_in_a_slot(prefix_->content)) return prefix_.reset();
  copy_ = slots_.begin_load(slot, *prefix_);
  if (!copy_) {
    cache_.reject(*prefix_);
    return prefix_.reset();
  }
  slots_.take(slot, kOwner);
  slot_ = slot;
}

void HeadStart::advance(Clock::time_point until) {
  if (cache_.in_ram(prefix_->content) != prefix_) return give_up();  // somebody may have had it evicted, to be nowhere
  if (!copy_->advance_until(until)) return;
  if (!copy_->sound()) {
    cache_.reject(*prefix_);
    return give_up();
  }
  copy_.reset();
  slots_.end_load(slot_, *std::exchange(prefix_, nullptr));
  slots_.release(slot_);
}

void HeadStart::give_up() {
  wanted_.reset();
  prefix_.reset();
  if (!copy_) return;
  copy_.reset();
  slots_.clear(slot_);
  slots_.release(slot_);
}

/** Somebody was quicker. */
bool HeadStart::is_in_a_slot(const Prompt& content) const {
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    if (slots_[slot].content.common_prefix(content) == content.size()) return true;
  }
  return false;
}

}  // namespace zse
