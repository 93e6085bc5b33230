// Owns the sequences of all open streams, and knows at any time who is computed, who pauses and who waits, in the order in which each is
// wanted. So a step looks at the few that are in it, not at the thousands that merely wait. Decode thread only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/prompt.h"
#include "sequence.h"

namespace zse {

class Sequences {
 public:
  Sequence& add(PreparedRequest request);
  void erase(Sequence& sequence);

  bool empty() const { return all_.empty(); }
  /** Null when there is none of that id. */
  Sequence* find(StreamId id) const;
  /** The oldest; there must be one. */
  Sequence& oldest() const { return *all_.begin()->second; }
  int count(SequenceState state) const { return counts_[static_cast<size_t>(state)]; }

  // ---- the transitions of Sequence: nobody else makes them, so that the orders below are always right ----

  void begin_prefill(Sequence& sequence);
  void begin_decode(Sequence& sequence);
  void park(Sequence& sequence, Clock::time_point now);
  void lend(Sequence& sequence, std::shared_ptr<const SavedPrefix> image, const Prompt& content, int of_prompt);
  /** It has credit again; one that does not pause goes on as it was. */
  void resume(Sequence& sequence, Clock::time_point now);

  // ---- orders: of each, the first, or the one that comes after another, which may have left it meanwhile; null at the end ----

  /** New streams, who has waited longest first. */
  Sequence* next_queued(Sequence* after = nullptr) const { return next(queued_, after); }
  /** Spilled ones whose readers are back, who has waited longest first. */
  Sequence* next_returning(Sequence* after = nullptr) const { return next(returning_, after); }
  /** Parked ones that have a slot, the longest parked first. */
  Sequence* next_parked(Sequence* after = nullptr) const { return next(parked_, after); }
  /** The first one parked after this point in time. */
  Sequence* parked_after(Clock::time_point time) const;

  /** Prefilling and decoding, those whose prefix is being copied into their slot too; the oldest first. */
  std::vector<Sequence*> active() const;

  /** One whose reader has taken nothing for too long, if there is one. */
  Sequence* stalled(Clock::time_point now) const;
  std::optional<Clock::time_point> next_stall() const;

  /** How often one was parked. */
  uint64_t parkings() const { return parkings_; }

  /** How many sequences were looked at so far: what must not grow with those that wait. */
  uint64_t visited() const { return visited_; }

 private:
  struct OlderFirst {
    bool operator()(const Sequence* a, const Sequence* b) const { return a->arrival < b->arrival; }
  };
  struct LongestWaitingFirst {
    bool operator()(const Sequence* a, const Sequence* b) const {
      return std::pair(a->waits_since(), a->arrival) < std::pair(b->waits_since(), b->arrival);
    }
  };
  struct LongestParkedFirst {
    using is_transparent = void;
    bool operator()(const Sequence* a, const Sequence* b) const {
      return std::pair(a->parked_at(), a->arrival) < std::pair(b->parked_at(), b->arrival);
    }
    bool operator()(Clock::time_point time, const Sequence* b) const { return time < b->parked_at(); }
    bool operator()(const Sequence* a, Clock::time_point time) const { return a->parked_at() < time; }
  };
  struct FirstToStallFirst {
    bool operator()(const Sequence* a, const Sequence* b) const {
      return std::pair(*a->stall_deadline(), a->arrival) < std::pair(*b->stall_deadline(), b->arrival);
    }
  };

  template <class Order>
  Sequence* next(const Order& order, Sequence* after) const {
    const auto found = after ? order.upper_bound(after) : order.begin();
    return found == order.end() ? nullptr : visit(*found);
  }
  Sequence* visit(Sequence* sequence) const {
    visited_++;
    return sequence;
  }
  template <class Change>
  void change(Sequence& sequence, Change change);
  void file(Sequence& sequence);
  void take_out(Sequence& sequence);
  bool orders_agree() const;

  std::map<StreamId, std::unique_ptr<Sequence>> all_;
  std::set<Sequence*, OlderFirst> active_;
  std::set<Sequence*, LongestWaitingFirst> queued_, returning_;
  std::set<Sequence*, LongestParkedFirst> parked_;
  std::set<Sequence*, FirstToStallFirst> stalling_;
  std::array<int, 5> counts_{};
  uint64_t arrivals_ = 0;  // streams taken in
  uint64_t parkings_ = 0;
  mutable uint64_t visited_ = 0;
};

}  // namespace zse
