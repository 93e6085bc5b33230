// Owns the threads that ggml computes with on the CPU: one pool for all contexts of a model, whose steps come one after the other. Without a pool of
// its own, a context starts and ends its threads in every step. Decode thread.
#pragma once

#include <memory>

struct ggml_threadpool;

namespace zse {

/** Null where one thread is enough, or the backend has no pools. */
using ComputeThreads = std::shared_ptr<ggml_threadpool>;

/** Throws EngineError ENGINE_FAILED where the system gives no such threads. */
ComputeThreads start_compute_threads(int count);

}  // namespace zse
