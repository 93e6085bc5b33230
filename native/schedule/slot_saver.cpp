#include "slot_saver.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace zse {

SlotSaver::SlotSaver(KvSlots& slots, PrefixCache& cache, size_t copied_at_once)
    : slots_(slots), cache_(cache), copied_at_once_(copied_at_once) {}

bool SlotSaver::displaced(SlotId slot, bool flowing) {
  if (saving_ && saving_->save.slot == slot) {
    if (flowing) return false;
    finish();
    return true;
  }
  if (!flowing || is_quick(slot)) {
    if (const std::optional<Saving> saving = begin(slot, true)) keep(*saving);
    return true;
  }
  if (saving_) {
    const Destinations to = destinations(slot, true);
    return !to.ram && !to.disk;
  }
  saving_ = begin(slot, true);
  return !saving_;
}

void SlotSaver::save_ahead() {
  const SlotId next = slots_.least_valuable();
  if (next < 0 || slots_[next].considered) return;
  slots_.mark_considered(next);
  if (!is_quick(next)) saving_ = begin(next, true);
}

bool SlotSaver::write_one() {
  // The latest used first: where the engine closes there may be no time for all.
  std::vector<SlotId> free;
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    if (slots_[slot].owner == 0 && !slots_[slot].content.empty()) free.push_back(slot);
  }
  std::sort(free.begin(), free.end(), [this](SlotId a, SlotId b) { return slots_[a].released > slots_[b].released; });
  for (auto next = free.begin(); next != free.end() && !saving_; ++next) saving_ = begin(*next, false);
  return saving_.has_value();
}

// ---- what a stream has left ------------------------------------------------------------------------------------------

/** Where a free slot's content should be kept, if keeping it adds anything there. */
SlotSaver::Destinations SlotSaver::destinations(SlotId slot, bool in_ram) const {
  const KvSlots::Slot& it = slots_[slot];
  if (it.abandoned) return {};
  const bool to_ram = in_ram && !it.kept && cache_.wants(it) && cache_.can_reserve(slots_.image_bytes(slot));
  return {to_ram, !it.written && cache_.wants_file(it)};
}

std::optional<SlotSaver::Saving> SlotSaver::begin(SlotId slot, bool in_ram) {
  const Destinations to = destinations(slot, in_ram);
  if (in_ram) slots_.mark_kept(slot);  // or it cannot be
  if (to.disk) slots_.mark_written(slot);
  if (!to.ram && !to.disk) return {};
  std::optional<KvSlots::Save> save = slots_.begin_save(slot);
  if (!save) return {};
  return Saving{std::move(*save), to, {}};
}

void SlotSaver::keep(const Saving& saving) {
  saving.save.copy->finish();
  if (saving.to.disk) cache_.write(saving.save.prefix);
  if (saving.to.ram) {
    cache_.insert(saving.save.prefix);
    cache_.trim();
  }
}

// ---- what a parked stream goes on with -------------------------------------------------------------------------------

/** Begins an image that is as large as the room that is reserved for it. */
std::optional<KvSlots::Save> SlotSaver::begin_reserved(SlotId slot, const Lending& lending) {
  const size_t bytes = slots_.image_bytes(slot);
  if (!(lending.returning != 0 ? cache_.reserve_in_exchange(bytes, lending.freed) : cache_.reserve(bytes))) return {};
  std::optional<KvSlots::Save> save = slots_.begin_save(slot);
  if (save && save->prefix->bytes() == bytes) return save;
  cache_.release(bytes);
  return {};
}

void SlotSaver::begin_lending(SlotId slot, const Lending& lending) {
  if (std::optional<KvSlots::Save> save = begin_reserved(slot, lending)) saving_ = Saving{std::move(*save), {}, lending};
}

std::shared_ptr<const SavedPrefix> SlotSaver::image_to_lend(SlotId slot, const Lending& lending) {
  const std::optional<KvSlots::Save> save = begin_reserved(slot, lending);
  if (!save) return nullptr;
  save->copy->finish();
  return save->prefix;
}

// ---- ends ------------------------------------------------------------------------------------------------------------

std::shared_ptr<const SavedPrefix> SlotSaver::finish() {
  const Saving saving = *std::exchange(saving_, std::nullopt);
  if (saving.lends.stream == 0) {
    keep(saving);
    return nullptr;
  }
  saving.save.copy->finish();
  return saving.save.prefix;
}

void SlotSaver::forget(SlotId slot) {
  if (!saving_ || saving_->save.slot != slot) return;
  if (saving_->lends.stream != 0) cache_.release(saving_->save.prefix->bytes());
  saving_.reset();
}

}  // namespace zse
