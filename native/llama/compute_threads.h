// Owns the threads that ggml computes with on the CPU: one pool for all contexts of a model, whose steps come one after the other. Without a pool of
// its own, a context starts and ends its threads in every step. Decode thread.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#ifdef __linux__
#include <time.h>
#endif

#include "ggml-backend.h"

struct ggml_cgraph;
struct ggml_context;
struct ggml_threadpool;

namespace zse {

/** Null where one thread is enough, or the backend has no pools. */
using ComputeThreads = std::shared_ptr<ggml_threadpool>;

/** Throws EngineError ENGINE_FAILED where the system gives no such threads. */
ComputeThreads start_compute_threads(int count);

/**
 * Work of ours on those threads between two graphs, while they spin for the next one: a graph of one node whose function is ours. Threads of our own
 * would wait for a core until the pool's have given theirs back.
 */
class PoolWork {
 public:
  /** Throws EngineError ENGINE_FAILED. */
  PoolWork(ComputeThreads pool, int threads);
  ~PoolWork();

  /**
   * Milliseconds that the pool's threads and the one that computes with them have had of processors so far, all together; below 0 where the system does
   * not tell (other than Linux).
   */
  double cpu_ms() const;

  /** Calls piece(i) for each i below `count`, on whichever thread is free. It must not throw, and has 1 MB of stack at least. */
  void for_each(int count, const std::function<void(int)>& piece);

 private:
  struct Job;
  static void run(ggml_tensor* node, int thread, int threads, void* self);
  void find_clocks(int threads);

  ComputeThreads pool_;
  ggml_backend_t backend_;
  ggml_context* context_;
  ggml_cgraph* graph_;
  Job* job_ = nullptr;
#ifdef __linux__
  std::vector<clockid_t> clocks_;  // of each thread
  bool finds_clocks_ = false;
#endif
};

}  // namespace zse
