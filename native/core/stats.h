// Owns the gauges and counters of one engine. The decode thread writes nearly all of them, any thread reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace zse {

/** Gauges and counters of one model; written by the decode thread, read by any. */
struct EngineStats {
  std::atomic<int> queued{0}, prefilling{0}, decoding{0}, parked{0}, free_slots{0};
  std::atomic<int64_t> submitted{0};     // by the JavaScript thread; some may still be on their way to the scheduler
  std::atomic<int64_t> long_prompts{0};  // of those, such that take long and are not prepared yet
  std::atomic<bool> submitting{false};   // its turn of the event loop is not over: it may submit more
  std::atomic<int64_t> steps{0}, generated_tokens{0}, prefilled_tokens{0}, aborted_steps{0};
  std::atomic<int> spilled{0};              // of the parked, those whose slot is lent
  std::atomic<int64_t> spills{0};           // times that a slot was lent
  std::atomic<int64_t> exchanges{0};        // of those, the times that two streams' images changed places
  std::atomic<int64_t> recomputed{0};       // times that what it held was computed again, since RAM had no room for an image
  std::atomic<int64_t> cached_tokens{0};    // prompt tokens that were not computed again
  std::atomic<int64_t> drafted_tokens{0};   // guessed, and computed before it was known whether they come
  std::atomic<int64_t> accepted_tokens{0};  // of those, the ones that came
  std::atomic<int> embedding{0};            // texts whose vectors are wanted, those under way included
  std::atomic<int64_t> embedded_tokens{0};  // of texts, those computed
  std::atomic<int64_t> embedding_bytes{0};  // of memory that embedding has taken
  std::atomic<int64_t> cache_ram_bytes{0}, cache_disk_bytes{0}, spilled_bytes{0};
  std::atomic<int64_t> cache_unusable_bytes{
      0};  // on disk, of the same model's file, but not of this engine: of another key, say
};

}  // namespace zse
