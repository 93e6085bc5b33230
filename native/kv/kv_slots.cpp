#include "kv_slots.h"

#include <algorithm>
#include <climits>
#include <new>
#include <utility>

#include "base/assert.h"

namespace zse {

namespace {

constexpr size_t kMostCheckpoints = 8;  // of a slot: of the last turns, and the first

Checkpoints up_to(const Checkpoints& checkpoints, int tokens) {
  Checkpoints some;
  for (const Checkpoint& checkpoint : checkpoints) {
    if (checkpoint.tokens <= tokens) some.push_back(checkpoint);
  }
  return some;
}

}  // namespace

KvSlots::KvSlots(Decoder& decoder) : decoder_(decoder), slots_(decoder.max_slots()), free_(decoder.max_slots()) {}

SlotId KvSlots::least_valuable(SlotId but) const {
  SlotId best = -1;
  for (SlotId slot = 0; slot < size(); slot++) {
    if (slots_[slot].owner != 0 || slot == but) continue;
    if (slots_[slot].content.empty()) return slot;
    const auto value = [this](SlotId it) { return std::pair(!slots_[it].abandoned, slots_[it].released); };
    if (best < 0 || value(slot) < value(best)) best = slot;
  }
  return best;
}

int KvSlots::count_free() const {
  return static_cast<int>(std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.owner == 0; }));
}

bool KvSlots::agree(SlotId slot, StreamId owner, int in_cache, const Prompt& prompt) const {
  const Slot& it = slots_[slot];
  const size_t tokens = static_cast<size_t>(in_cache);
  return it.owner == owner && it.content.size() == tokens && it.prompt_tokens <= in_cache &&
         it.content.common_prefix(prompt) == std::min(tokens, prompt.size());
}

void KvSlots::take(SlotId slot, StreamId owner) {
  ZSE_ASSERT(slots_[slot].owner == 0 && owner != 0, "a slot belongs to one stream at most");
  slots_[slot].owner = owner;
  slots_[slot].abandoned = false;
  free_--;
  ZSE_ASSERT(free_ == count_free(), "as many slots are free as are counted");
}

void KvSlots::release(SlotId slot, bool abandoned) {
  ZSE_ASSERT(slots_[slot].owner != 0, "a slot is released once");
  if (!slots_[slot].aside.empty()) decoder_.drop_aside(slot);
  slots_[slot].aside.clear();
  slots_[slot].owner = 0;
  slots_[slot].abandoned = abandoned;
  slots_[slot].released = ++releases_;
  slots_[slot].used = std::filesystem::file_time_type::clock::now();
  free_++;
  ZSE_ASSERT(free_ == count_free(), "as many slots are free as are counted");
}

void KvSlots::extend(SlotId slot, Variant variant, const Token* tokens, int count, bool of_prompt) {
  Slot& it = slots_[slot];
  ZSE_ASSERT(it.owner != 0 && count > 0, "a step adds to the slots of streams alone");
  if (it.content.empty()) it.content.clear(variant);
  ZSE_ASSERT(it.content.variant() == variant, "what a slot holds was computed by one variant of the model");
  it.content.append(tokens, static_cast<size_t>(count));
  it.written = it.kept = it.considered = false;
  if (of_prompt) it.prompt_tokens = static_cast<int>(it.content.size());
}

bool KvSlots::take_back(SlotId slot) {
  if (decoder_.take_back(slot, static_cast<int>(slots_[slot].content.size()))) return true;
  forget(slots_[slot]);
  return false;
}

/** The table's part of clear(). */
void KvSlots::forget(Slot& slot) {
  slot.content.clear();
  slot.prompt_tokens = slot.shared = 0;
  slot.aside.clear();
  set_checkpoints(slot, {});
}

void KvSlots::clear(SlotId slot) {
  decoder_.clear_slot(slot);
  forget(slots_[slot]);
  slots_[slot].written = slots_[slot].kept = slots_[slot].considered = false;
}

int KvSlots::usable(SlotId slot, const ReuseRule& rule, const Prompt& prompt) const {
  const Slot& it = slots_[slot];
  if (it.content.empty()) return 0;
  return rule.usable(it, decoder_.cut_from(slot, static_cast<int>(it.content.size())), prompt);
}

void KvSlots::set_checkpoints(Slot& slot, Checkpoints checkpoints) {
  checkpoint_bytes_ -= bytes_of(slot.checkpoints);
  slot.checkpoints = std::move(checkpoints);
  checkpoint_bytes_ += bytes_of(slot.checkpoints);
}

bool KvSlots::add_checkpoint(SlotId slot) try {
  Slot& it = slots_[slot];
  const int tokens = static_cast<int>(it.content.size());
  ZSE_ASSERT(last_checkpoint(slot) < tokens, "a slot is cut at places within what it holds, in order");
  std::shared_ptr<const SlotImage> state = decoder_.save_checkpoint(slot);
  if (!state) return false;
  checkpoint_bytes_ += state->size();
  it.checkpoints.push_back({tokens, std::move(state)});
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

int KvSlots::last_checkpoint(SlotId slot) const {
  const Checkpoints& checkpoints = slots_[slot].checkpoints;
  return checkpoints.empty() ? 0 : checkpoints.back().tokens;
}

void KvSlots::thin_checkpoints(SlotId slot) {
  Slot& it = slots_[slot];
  if (it.checkpoints.size() < kMostCheckpoints) return;
  Checkpoints fewer = it.checkpoints;
  fewer.erase(fewer.begin() + 1);
  set_checkpoints(it, std::move(fewer));
}

bool KvSlots::drop_checkpoints(SlotId but) {
  SlotId victim = -1;
  const auto value = [this](SlotId it) { return std::pair(slots_[it].owner != 0, slots_[it].released); };
  for (SlotId slot = 0; slot < size(); slot++) {
    if (slot == but || slots_[slot].checkpoints.empty()) continue;
    if (victim < 0 || value(slot) < value(victim)) victim = slot;
  }
  if (victim < 0) return false;
  set_checkpoints(slots_[victim], {});
  return true;
}

bool KvSlots::cut(SlotId slot, int tokens) {
  Slot& it = slots_[slot];
  ZSE_ASSERT(static_cast<size_t>(tokens) <= it.content.size(), "a slot is cut within what it holds");
  if (static_cast<size_t>(tokens) == it.content.size()) return true;
  const auto at = std::find_if(it.checkpoints.begin(), it.checkpoints.end(),
                               [&](const Checkpoint& checkpoint) { return checkpoint.tokens == tokens; });
  const bool freely = tokens >= decoder_.cut_from(slot, static_cast<int>(it.content.size()));
  const bool done =
      freely || at == it.checkpoints.end() ? decoder_.cut_slot(slot, tokens) : decoder_.cut_slot_at(slot, tokens, at->state);
  if (!done) {
    forget(it);
    return false;
  }
  it.content.cut(tokens);
  set_checkpoints(it, up_to(it.checkpoints, tokens));
  it.prompt_tokens = std::min(it.prompt_tokens, tokens);
  it.shared = std::min(it.shared, tokens);
  return true;
}

void KvSlots::set_aside(SlotId slot, int tokens, MovedChunks chunks) {
  Slot& it = slots_[slot];
  ZSE_ASSERT(it.aside.empty(), "a slot is taken apart once");
  for (const MovedChunk& chunk : chunks) {
    ZSE_ASSERT(chunk.from >= std::max(tokens, it.shared) && chunk.at >= tokens, "what others have, or stays, is not moved");
    ZSE_ASSERT(static_cast<size_t>(chunk.from + chunk.tokens) <= it.content.size(), "a slot has what is moved");
  }
  decoder_.set_aside(slot, tokens, chunks);
  it.content.cut(static_cast<size_t>(tokens));
  set_checkpoints(it, up_to(it.checkpoints, tokens));
  it.prompt_tokens = std::min(it.prompt_tokens, tokens);
  it.shared = std::min(it.shared, tokens);
  it.aside = std::move(chunks);
}

int KvSlots::until_moved(SlotId slot) const {
  const Slot& it = slots_[slot];
  return it.aside.empty() ? INT_MAX : it.aside.front().at - static_cast<int>(it.content.size());
}

int KvSlots::put_back(SlotId slot, const Prompt& prompt) {
  Slot& it = slots_[slot];
  ZSE_ASSERT(until_moved(slot) == 0, "a chunk is put back when its place has come");
  const MovedChunk chunk = it.aside.front();
  it.aside.erase(it.aside.begin());
  decoder_.put_back(slot, chunk);
  extend(slot, prompt.variant(), prompt.tokens().data() + chunk.at, chunk.tokens, true);
  return chunk.tokens;
}

bool KvSlots::copy(SlotId from, SlotId to, int tokens) {
  clear(to);
  const Slot& source = slots_[from];
  const bool freely = tokens >= decoder_.cut_from(from, static_cast<int>(source.content.size()));
  if (!freely || !decoder_.share_slot(from, to, tokens)) {
    const std::shared_ptr<const SavedPrefix> saved = save(from);
    return saved && load(to, *saved) && cut(to, tokens);
  }
  ZSE_ASSERT(static_cast<size_t>(tokens) <= source.content.size(), "no more is copied than there is");
  slots_[to].content.assign_prefix(source.content, tokens);
  slots_[to].prompt_tokens = std::min(source.prompt_tokens, tokens);
  slots_[to].shared = tokens;
  slots_[from].shared = std::max(slots_[from].shared, tokens);
  set_checkpoints(slots_[to], up_to(source.checkpoints, tokens));
  return true;
}

std::optional<KvSlots::Save> KvSlots::begin_save(SlotId slot) const try {
  std::unique_ptr<SlotCopy> copy = decoder_.begin_save(slot);
  if (!copy) return {};
  auto prefix = std::make_shared<SavedPrefix>();
  prefix->content = slots_[slot].content;
  prefix->prompt_tokens = slots_[slot].prompt_tokens;
  prefix->image = copy->image();
  prefix->checkpoints = slots_[slot].checkpoints;
  if (slots_[slot].owner == 0) prefix->used = slots_[slot].used;
  return Save{slot, std::move(prefix), std::move(copy)};
} catch (const std::bad_alloc&) {
  return {};
}

std::shared_ptr<const SavedPrefix> KvSlots::save(SlotId slot) const {
  const std::optional<Save> save = begin_save(slot);
  if (!save) return nullptr;
  save->copy->finish();
  return save->prefix;
}

std::unique_ptr<SlotCopy> KvSlots::begin_load(SlotId slot, const SavedPrefix& prefix) {
  clear(slot);
  return decoder_.begin_load(slot, prefix.image, static_cast<int>(prefix.content.size()));
}

void KvSlots::end_load(SlotId slot, const SavedPrefix& prefix) {
  ZSE_ASSERT(slots_[slot].content.empty(), "a slot counts as empty until what is loaded is there");
  slots_[slot].content = prefix.content;
  slots_[slot].prompt_tokens = prefix.prompt_tokens;
  set_checkpoints(slots_[slot], prefix.checkpoints);
}

bool KvSlots::load(SlotId slot, const SavedPrefix& prefix) {
  const std::unique_ptr<SlotCopy> copy = begin_load(slot, prefix);
  if (!copy) return false;
  copy->finish();
  if (!copy->sound()) {
    clear(slot);
    return false;
  }
  end_load(slot, prefix);
  return true;
}

}  // namespace zse
