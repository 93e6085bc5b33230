#include "compute_threads.h"

#include <atomic>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/start_thread.h"
#include "devices.h"
#include "ggml-cpu.h"
#include "ggml_abort.h"
#include "llama.h"

namespace zse {

ComputeThreads start_compute_threads(int count) {
  auto* new_pool = cpu_function<decltype(ggml_threadpool_new)>("ggml_threadpool_new");
  auto* free_pool = cpu_function<decltype(ggml_threadpool_free)>("ggml_threadpool_free");
  if (count < 2 || !new_pool || !free_pool) return nullptr;
  const AbortGuard guard(AbortBlame::kEngine);
  ggml_threadpool_params params = ggml_threadpool_params_default(count);
  ggml_threadpool* pool = new_pool(&params);
  if (!pool) throw no_threads("computing with " + std::to_string(count) + " of them");
  return {pool, free_pool};
}

struct PoolWork::Job {
  const int count;
  const std::function<void(int)>& piece;
  std::atomic<int> next{0};
};

PoolWork::PoolWork(ComputeThreads pool, int threads)
    : pool_(std::move(pool)), backend_(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr)) {
  auto* use_pool = cpu_function<decltype(ggml_backend_cpu_set_threadpool)>("ggml_backend_cpu_set_threadpool");
  auto* use_threads = cpu_function<decltype(ggml_backend_cpu_set_n_threads)>("ggml_backend_set_n_threads");
  if (!backend_ || !use_pool || !use_threads) {
    ggml_backend_free(backend_);
    throw EngineError("ENGINE_FAILED", "the CPU backend cannot be used: it lets nobody choose its threads");
  }
  use_pool(backend_, pool_.get());
  use_threads(backend_, threads);
  constexpr size_t kNodes = 1;
  const size_t bytes = ggml_tensor_overhead() + ggml_graph_overhead_custom(kNodes, false) + 64;
  context_ = ggml_init({bytes, nullptr, false});
  graph_ = ggml_new_graph_custom(context_, kNodes, false);
  ggml_build_forward_expand(
      graph_, ggml_custom_4d(context_, GGML_TYPE_F32, 1, 1, 1, 1, nullptr, 0, &PoolWork::run, GGML_N_TASKS_MAX, this));
}

PoolWork::~PoolWork() {
  ggml_free(context_);
  ggml_backend_free(backend_);
}

void PoolWork::run(ggml_tensor*, int, int, void* self) {
  Job& job = *static_cast<PoolWork*>(self)->job_;
  for (int i = job.next++; i < job.count; i = job.next++) job.piece(i);
}

void PoolWork::for_each(int count, const std::function<void(int)>& piece) {
  Job job{count, piece};
  job_ = &job;
  ggml_backend_graph_compute(backend_, graph_);
  job_ = nullptr;
}

}  // namespace zse
