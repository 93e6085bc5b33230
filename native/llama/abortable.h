// Owns when a llama.cpp context gives up what it computes: ggml asks for that between the nodes of a graph, and our kernels ask within them
// (native/kernels), on every compute thread at once.
#pragma once

#include <atomic>

#include "core/decoder.h"
#include "llama.h"

namespace zse {

/**
 * What a context asks. Once it has heard yes it stays with that until the call has ended: a kernel that stopped in the middle of a node leaves a result that is no
 * result, though the answer may change meanwhile (a short prompt joins a step only while that is young).
 */
class Abortable {
 public:
  Abortable() = default;
  Abortable(const Abortable&) = delete;  // contexts know its address
  Abortable& operator=(const Abortable&) = delete;

  /** Of a context that ends before this does. */
  void install(llama_context_params& params) {
    params.abort_callback = [](void* self) { return static_cast<Abortable*>(self)->wanted(); };
    params.abort_callback_data = this;
  }

  /** As long as it lives, contexts ask `check`, which outlives it; nobody where that is null. */
  class Call {
   public:
    Call(Abortable& of, const AbortCheck* check) : of_(of) {
      of.said_.store(false, std::memory_order_relaxed);
      of.check_ = check;
    }
    ~Call() { of_.check_ = nullptr; }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    /**
     * Whether anything was given up. Asked when all has been computed: in the last node a thread may hear yes after the one has asked that ggml goes by, which then
     * takes the graph for whole.
     */
    bool gave_up() const { return of_.said_.load(std::memory_order_relaxed); }

   private:
    Abortable& of_;
  };

  /** As llama_decode, whose results are there when it returns: 2 where it was given up, which `check` is asked about, if any. */
  int decode(llama_context* context, const llama_batch& batch, const AbortCheck* check) {
    const Call call(*this, check);
    const int result = llama_decode(context, batch);
    if (result != 0) return result;
    // On a GPU the call only queues the work; waiting here keeps the measured time of a step, and so the planner, honest.
    llama_synchronize(context);
    return call.gave_up() ? 2 : 0;
  }

 private:
  bool wanted() {
    if (!check_) return false;
    if (said_.load(std::memory_order_relaxed)) return true;
    if (!(*check_)()) return false;
    said_.store(true, std::memory_order_relaxed);
    return true;
  }

  const AbortCheck* check_ = nullptr;  // set and read in one call: compute threads begin after it and end before it
  std::atomic<bool> said_{false};
};

}  // namespace zse
