#include "prefix_sources.h"

#include <algorithm>
#include <utility>

namespace zse {

void PrefixSources::take_fetched(const Sequences& sequences) {
  const auto done = [&](StreamId id) {
    Sequence* sequence = sequences.find(id);
    if (!sequence || !sequence->fetching || sequence->slot >= 0) return true;
    if (cache_.fetching(*sequence->fetching)) return false;
    if (std::shared_ptr<const SavedPrefix> prefix = find(*sequence).prefix) sequence->found = std::move(prefix);
    return true;
  };
  fetching_.erase(std::remove_if(fetching_.begin(), fetching_.end(), done), fetching_.end());
}

std::optional<Clock::time_point> PrefixSources::next_deadline(const Sequences& sequences) const {
  std::optional<Clock::time_point> first;
  for (const StreamId id : fetching_) {
    const Sequence* sequence = sequences.find(id);
    const auto deadline = sequence && sequence->fetching ? cache_.fetched_by(*sequence->fetching) : std::nullopt;
    if (deadline && (!first || *deadline < *first)) first = deadline;
  }
  return first;
}

/**
 * What a prefix is looked for to begin: all that is prefilled. In deterministic mode only the prompt, since a reply's tokens were computed one
 * by one, and another stream may have had the same ones as pieces of its prompt. Of what is replayed too: each token's logits are needed.
 */
const Prompt& PrefixSources::sought(const Sequence& sequence) const {
  return cache_.rule().grain == 1 && !sequence.again.empty() ? sequence.again : sequence.prompt;
}

/** None for a prompt whose log-probabilities are told: what is not computed has none. */
PrefixSources::Source PrefixSources::find(const Sequence& sequence) {
  if (sequence.computes_all()) return {};
  const Prompt& wanted = sought(sequence);
  Source best;
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    const KvSlots::Slot& it = slots_[slot];
    const bool busy = it.owner != 0;
    const int tokens = slots_.usable(slot, cache_.rule(), wanted);
    // Without the cache only choices of one request share: the same prompt, at the same time.
    if (!cache_.enabled() && !(busy && it.content.common_prefix(wanted) == wanted.size())) continue;
    if (busy && tokens < kWorthKeeping) continue;
    const bool cheaper = tokens == best.tokens && best.slot >= 0 && slots_[best.slot].owner != 0 && !busy;
    if (tokens > best.tokens || cheaper) best = {tokens, slot, nullptr, {}};
  }
  if (!cache_.enabled()) return best;
  PrefixCache::InRam saved = cache_.find(wanted);
  if (const auto& found = sequence.found) {  // RAM may have had to let go of it
    const int tokens = cache_.rule().usable(*found, wanted);
    if (tokens > saved.tokens) saved = {tokens, found};
  }
  if (saved.tokens >= std::max(best.tokens + 1, kWorthKeeping)) best = {saved.tokens, -1, std::move(saved.prefix), {}};
  if (cache_.moves()) look_for_moved(sequence, best);
  return best;
}

MovedChunks PrefixSources::moved_in(const Sequence& sequence, const Prompt& held, int held_from, int kept) const {
  if (held.size() > cache_.rule().slot_size) return {};
  if (!sequence.chunks) sequence.chunks = std::make_unique<ChunkIndex>(sequence.prompt);
  return sequence.chunks->find(held, static_cast<size_t>(held_from), static_cast<size_t>(kept));
}

/**
 * What a running stream holds is not moved, nor what it shares with a free slot: its cells would move under it. Of a prompt that is computed the first
 * time alone: what was lost is computed as it was.
 */
void PrefixSources::look_for_moved(const Sequence& sequence, Source& best) const {
  const Prompt& prompt = sequence.prompt;
  int most = best.tokens + kWorthKeeping;  // to be worth what it costs in exactness
  if (!sequence.again.empty() || most >= static_cast<int>(prompt.size())) return;
  const auto look = [&](const Prompt& held, int tokens, int shared, SlotId slot, auto prefix) {
    MovedChunks moved = moved_in(sequence, held, std::max(tokens, shared), tokens);
    const int taken = tokens + tokens_of(moved);
    if (taken <= most || (slot >= 0 && !slots_.worth_taking(slot, taken))) return;
    most = taken;
    best = {tokens, slot, std::move(prefix), std::move(moved)};
  };
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    const KvSlots::Slot& it = slots_[slot];
    if (it.owner != 0) continue;
    look(it.content, slots_.usable(slot, cache_.rule(), prompt), it.shared, slot, std::shared_ptr<const SavedPrefix>());
  }
  cache_.each_in_ram([&](const std::shared_ptr<const SavedPrefix>& prefix) {
    look(prefix->content, cache_.rule().usable(*prefix, prompt), 0, -1, prefix);
  });
  if (sequence.found) {
    look(sequence.found->content, cache_.rule().usable(*sequence.found, prompt), 0, -1, sequence.found);
  }
}

bool PrefixSources::computed_soon(const Sequence& sequence, const Sequences& sequences, int have) const {
  if (!cache_.rule().can_cut || sequence.computes_all()) return false;
  const Prompt& wanted = sought(sequence);
  const int size = static_cast<int>(wanted.size());
  for (const Sequence* other : sequences.active()) {
    if (!other->prefilling()) continue;
    const Prompt& theirs = sought(*other);
    const int tokens = cache_.rule().usable({theirs, static_cast<int>(theirs.size()), {}}, 0, wanted);
    const bool enough = cache_.enabled() ? tokens * 2 >= size : theirs == wanted;
    if (enough && tokens >= kWorthKeeping && tokens > have && other->in_cache < tokens) return true;
  }
  return false;
}

bool PrefixSources::on_disk(Sequence& sequence, int have) {
  if (sequence.computes_all()) return false;
  if (sequence.fetching) return cache_.fetching(*sequence.fetching);
  PrefixCache::OnDisk file = cache_.find_file(sought(sequence));
  if (cache_.moves() && sequence.again.empty()) {
    cache_.each_file(false, [&](const PrefixFileInfo& info) {
      const int kept = cache_.rule().usable(info, sequence.prompt);
      const int tokens = kept + tokens_of(moved_in(sequence, info.content, kept, kept));
      if (tokens > file.tokens) file = {tokens, info.id};
    });
  }
  if (file.tokens < have + kWorthKeeping) return false;
  sequence.fetching = file.id;
  sequence.to_fetch = file.tokens;
  cache_.fetch(file.id);
  fetching_.push_back(sequence.id());
  return true;
}

namespace {

/** How far a prompt is the same as what is held somewhere. */
struct Longest {
  size_t tokens = 0;
  bool ended = false;    // what was held ended there
  size_t by_others = 0;  // with other adapters
  int reusable = 0;      // by the rule
};

}  // namespace

PrefixBreak PrefixSources::explain(const Sequence& sequence, int reused) const {
  const Prompt& prompt = sequence.prompt;
  const auto size = static_cast<int>(prompt.size());
  if (reused >= size - 1) return {size, PrefixEnd::kWhole};
  if (!cache_.enabled() || sequence.computes_all()) return {reused, PrefixEnd::kOff};
  Longest longest;
  const auto look = [&](const Prompt& content, auto reusable) {
    const size_t same = content.common_tokens(prompt);
    if (content.variant() != prompt.variant()) {
      longest.by_others = std::max(longest.by_others, same);
      return;
    }
    if (same > longest.tokens) longest.ended = false;
    if (same >= longest.tokens) longest.ended |= same == content.size();
    longest.tokens = std::max(longest.tokens, same);
    // No more of it than is the same, so most are not asked.
    if (same > static_cast<size_t>(longest.reusable)) longest.reusable = std::max(longest.reusable, reusable());
  };
  const auto look_at = [&](const HeldPrefix& held) {
    look(held.content, [&] { return cache_.rule().usable(held, prompt); });
  };
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    look(slots_[slot].content, [&] { return slots_.usable(slot, cache_.rule(), prompt); });
  }
  cache_.each_in_ram([&](const auto& prefix) { look_at(*prefix); });
  cache_.each_file(false, [&](const PrefixFileInfo& info) { look_at(info); });
  if (sequence.found) look_at(*sequence.found);

  const int at = std::max(static_cast<int>(longest.tokens), reused);
  if (sequence.fetching && reused < sequence.to_fetch) return {std::max(at, sequence.to_fetch), PrefixEnd::kLost};
  if (memory_.longest(prompt) > static_cast<size_t>(at)) return {at, PrefixEnd::kEvicted};
  if (longest.by_others > static_cast<size_t>(at)) return {at, PrefixEnd::kAdapter};
  // Where little is lost by it, what the person changed says more; of what is known as a whole there is nothing else to say.
  const int cut_off = std::min(at, size - 1) - longest.reusable;
  if (cut_off >= kWorthKeeping || (cut_off > 0 && at >= size - 1)) return {at, PrefixEnd::kCoarse};
  if (at >= size - 1) return {size, PrefixEnd::kShort};  // all of it is known, and not worth a copy
  if (at == 0) return {0, PrefixEnd::kNew};
  return {at, longest.ended ? PrefixEnd::kContinued : PrefixEnd::kDiffers};
}

}  // namespace zse
