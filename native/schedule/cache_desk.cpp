#include "cache_desk.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "reply/text_assembler.h"

namespace zse {

namespace {

constexpr size_t kShownTokens = 24;

/** To a tenth: small models' prefixes are of less than one. */
std::string megabytes(uint64_t bytes) {
  const uint64_t tenths = (bytes * 10 + (1 << 19)) >> 20;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB";
}

EngineError not_kept() {
  return {"BAD_OPTION", "no such prefix is kept: cache.list() has those that are; one of less than " +
                            std::to_string(kWorthKeeping) + " tokens, and one that a stream is using, is not among them"};
}

/** `what`: a file, and what the system said. */
EngineError still_there(const std::string& what) {
  return {"BAD_OPTION", "not all is forgotten: the system does not let go of a file in promptCache.dir, " + what +
                            ". Remove it, or an engine that is opened later may find it"};
}

}  // namespace

EngineError no_room_in_ram(uint64_t bytes) {
  return {"OVERLOADED", "this prefix takes " + megabytes(bytes) + ", more than promptCache.ram leaves; give more"};
}

/** Whoever waited for something to be computed waits no longer, once that is said to be enough. */
void CacheDesk::add(CacheCommand command) {
  if (command.question.act == CacheQuestion::Act::kEnough) {
    for (Waiting& it : waiting_) {
      if (it.command.question.ticket == command.question.ticket) it.command.question.ticket = 0;
    }
  }
  waiting_.push_back({std::move(command)});
}

void CacheDesk::withdraw(uint32_t question) {
  const auto is_it = [&](const Waiting& it) { return it.command.control->number == question; };
  waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), is_it), waiting_.end());
}

void CacheDesk::fail_all(const std::string& code, const std::string& message, Outbox& outbox) {
  for (const Waiting& it : std::exchange(waiting_, {}))
    outbox.answer(AnswerErrorEvent{it.command.control->number, code, message});
}

void CacheDesk::work(bool flowing, Outbox& outbox, const Export& export_prefix) {
  for (Waiting& it : std::exchange(waiting_, {})) {
    const uint32_t number = it.command.control->number;
    try {
      std::optional<CacheAnswer> said = answer(it, flowing, export_prefix);
      if (said) {
        outbox.answer(AnswerEvent{number, std::move(*said)});
      } else if (!it.handed_on) {
        waiting_.push_back(std::move(it));
      }
    } catch (const EngineError& e) {
      outbox.answer(AnswerErrorEvent{number, e.code(), e.what()});
    }
  }
}

std::optional<CacheAnswer> CacheDesk::answer(Waiting& waiting, bool flowing, const Export& export_prefix) {
  CacheCommand& command = waiting.command;
  const CacheQuestion& question = command.question;
  if (!cache_.enabled()) throw EngineError("BAD_OPTION", "nothing is kept: promptCache is false");
  switch (question.act) {
    case CacheQuestion::Act::kList: return CacheAnswer{list(true)};
    case CacheQuestion::Act::kEnough: return CacheAnswer{};
    case CacheQuestion::Act::kEvict:
      if (!waiting.evicted) {
        waiting.failed_removals = cache_.failed_removals();
        waiting.evicted = evict(question);
        waiting.removals = cache_.removals();
      }
      if (!cache_.removed(waiting.removals)) return {};  // what is said to be gone is gone from the disk as well
      if (cache_.failed_removals() > waiting.failed_removals) throw still_there(cache_.failed_removal());
      return CacheAnswer{std::move(*waiting.evicted)};
    case CacheQuestion::Act::kImport: import(command.imported); return CacheAnswer{{entry_of(*command.imported)}};
    case CacheQuestion::Act::kUnpin:
      for (const auto& [id, prefix] : cache_.all_pinned()) {
        if (!is_wanted(question, prefix->content)) continue;
        const std::shared_ptr<const SavedPrefix> kept = prefix;
        cache_.unpin(id);
        return CacheAnswer{{entry_of(*kept)}};
      }
      throw EngineError("BAD_OPTION", "no such prefix is pinned: cache.list() tells which are");
    default: break;
  }
  const Found found = find(question, true);
  if (!found && question.ticket != 0) return {};
  if (!found) throw not_kept();
  const std::shared_ptr<const SavedPrefix> image = image_of(found, waiting, flowing);
  if (!image) return {};
  if (question.act == CacheQuestion::Act::kExport) {
    waiting.handed_on = true;
    export_prefix(command.control, question, entry_of(*image), image);
    return {};
  }
  if (!cache_.pin(image)) {
    throw EngineError("OVERLOADED", "this prefix takes " + megabytes(image->bytes()) + ", and pinned ones may take " +
                                        megabytes(cache_.most_pinned()) +
                                        " together, half of promptCache.ram; unpin another, or give more RAM");
  }
  return CacheAnswer{{entry_of(*image)}};
}

bool CacheDesk::is_wanted(const CacheQuestion& question, const Prompt& content) const {
  if (question.id) return content.hash() == *question.id;
  const size_t wanted = question.tokens.size();
  // Of a prompt that is prepared, the last token may not have been computed.
  return wanted >= kWorthKeeping && content.common_prefix(Prompt(question.tokens)) + 1 >= wanted;
}

/** The shortest that has it all: what follows may be somebody's conversation. */
CacheDesk::Found CacheDesk::find(const CacheQuestion& question, bool whole) const {
  Found best;
  const auto consider = [&](const Prompt& content, auto make) {
    if (!is_wanted(question, content) || (best && best.size <= content.size())) return;
    best = make();
    best.size = content.size();
    best.hash = content.hash();
  };
  cache_.each_in_ram([&](const auto& prefix) { consider(prefix->content, [&] { return Found{prefix, -1, {}, 0, 0}; }); });
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    if (slots_[slot].owner != 0 || slots_[slot].content.size() < kWorthKeeping) continue;
    consider(slots_[slot].content, [&] { return Found{nullptr, slot, {}, 0, 0}; });
  }
  cache_.each_file(
      whole, [&](const PrefixFileInfo& info) { consider(info.content, [&] { return Found{nullptr, -1, info.id, 0, 0}; }); });
  return best;
}

std::shared_ptr<const SavedPrefix> CacheDesk::image_of(const Found& found, Waiting& waiting, bool flowing) {
  if (found.image) return found.image;
  if (found.file) {
    if (cache_.fetching(*found.file)) return nullptr;
    if (waiting.fetched) {
      throw EngineError(
          "OVERLOADED",
          "this prefix could not be brought from disk: promptCache.ram has no room for it, or the disk is slow");
    }
    waiting.fetched = true;
    cache_.fetch(*found.file);
    return nullptr;
  }
  if (flowing && !saver_.is_quick(found.slot) && !saver_.displaced(found.slot, true)) return nullptr;
  std::shared_ptr<const SavedPrefix> image;  // what was copied in pieces is there now
  cache_.each_in_ram([&](const auto& prefix) {
    if (prefix->content.hash() == found.hash) image = prefix;
  });
  if (!image) image = slots_.save(found.slot);
  if (!image) throw EngineError("OVERLOADED", "there is no memory for a copy of this prefix");
  return image;
}

// ---- what is there ---------------------------------------------------------------------------------------------------

std::vector<CacheEntry> CacheDesk::list(bool whole) const {
  std::map<uint64_t, CacheEntry> entries;
  const auto at = [&](const Prompt& content) -> CacheEntry& {
    const auto [it, added] = entries.try_emplace(content.hash());
    if (added) it->second = entry_of(content);
    return it->second;
  };
  for (SlotId slot = 0; slot < slots_.size(); slot++) {
    const KvSlots::Slot& it = slots_[slot];
    if (it.content.size() < kWorthKeeping || it.owner != 0) continue;
    CacheEntry& entry = at(it.content);
    entry.in_slot = true;
    entry.bytes = slots_.image_bytes(slot);
  }
  cache_.each_file(whole, [&](const PrefixFileInfo& info) {
    CacheEntry& entry = at(info.content);
    entry.on_disk = true;
    entry.bytes = info.bytes;
  });
  cache_.each_in_ram([&](const auto& prefix) {
    CacheEntry& entry = at(prefix->content);
    entry.in_ram = true;
    entry.bytes = prefix->bytes();
  });
  std::vector<CacheEntry> list;
  list.reserve(entries.size());
  for (auto& [id, entry] : entries) list.push_back(std::move(entry));
  return list;
}

CacheEntry CacheDesk::entry_of(const Prompt& content) const {
  CacheEntry entry;
  entry.id = content.hash();
  entry.tokens = static_cast<int>(content.size());
  entry.pinned = cache_.pinned(entry.id);
  for (size_t i = 0; i < std::min(content.size(), kShownTokens); i++) decoder_.append_name(content[i], entry.text);
  entry.text.resize(complete_utf8_prefix(entry.text));
  return entry;
}

/** As list() tells it: a copy that was made for a file is kept nowhere. */
CacheEntry CacheDesk::entry_of(const SavedPrefix& prefix) const {
  CacheEntry entry = entry_of(prefix.content);
  for (CacheEntry& kept : list(true)) {
    if (kept.id == entry.id) return std::move(kept);
  }
  entry.bytes = prefix.bytes();
  return entry;
}

// ---- what changes it -------------------------------------------------------------------------------------------------

/** Empties a slot that no stream has. False: one has it, or it is empty. */
bool CacheDesk::clear_free(SlotId slot) {
  if (slots_[slot].owner != 0 || slots_[slot].content.empty()) return false;
  saver_.forget(slot);
  slots_.clear(slot);
  return true;
}

/** What a stream is using stays. */
std::vector<CacheEntry> CacheDesk::evict(const CacheQuestion& question) {
  const bool all = !question.id && question.tokens.empty();
  std::optional<uint64_t> id = question.id;
  if (const Found found = all || id ? Found() : find(question, false)) {
    id = found.hash;
  }
  std::vector<CacheEntry> gone;
  for (CacheEntry& entry : list(false)) {
    if (!all && entry.id != id) continue;
    bool dropped = cache_.drop(entry.id);
    for (SlotId slot = 0; slot < slots_.size(); slot++) {
      if (slots_[slot].content.hash() == entry.id) dropped |= clear_free(slot);
    }
    if (dropped) gone.push_back(std::move(entry));
  }
  if (gone.empty() && !all) throw not_kept();
  // What is too short to be listed is somebody's text all the same.
  for (SlotId slot = 0; all && slot < slots_.size(); slot++) clear_free(slot);
  return gone;
}

void CacheDesk::import(const std::shared_ptr<const SavedPrefix>& prefix) {
  // Also where a longer one covers it: it is answered with its id, which is to be good for pin().
  if (!cache_.in_ram(prefix->content) && cache_.can_reserve(prefix->bytes())) {
    cache_.insert(prefix);
    cache_.trim();
  }
  if (!cache_.in_ram(prefix->content)) throw no_room_in_ram(prefix->bytes());
  head_start_.offer(prefix->content);
  if (cache_.wants_file(*prefix)) cache_.write(prefix);
}

}  // namespace zse
