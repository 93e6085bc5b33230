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

#ifdef __linux__
#include <pthread.h>
#endif

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
  find_clocks(threads);
}

#ifdef __linux__

// Each thread finds its own: all take part in a node of ours.
void PoolWork::find_clocks(int threads) {
  clocks_.assign(static_cast<size_t>(threads), CLOCK_THREAD_CPUTIME_ID);
  finds_clocks_ = true;
  ggml_backend_graph_compute(backend_, graph_);
  finds_clocks_ = false;
}

double PoolWork::cpu_ms() const {
  double sum = 0;
  for (const clockid_t clock : clocks_) {
    timespec time;
    if (clock_gettime(clock, &time) != 0) return -1;
    sum += 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
  }
  return sum;
}

#else

void PoolWork::find_clocks(int) {}
double PoolWork::cpu_ms() const { return -1; }

#endif

PoolWork::~PoolWork() {
  ggml_free(context_);
  ggml_backend_free(backend_);
}

void PoolWork::run(ggml_tensor*, [[maybe_unused]] int thread, int, void* self) {
  auto& work = *static_cast<PoolWork*>(self);
#ifdef __linux__
  if (work.finds_clocks_) {
    pthread_getcpuclockid(pthread_self(), &work.clocks_[static_cast<size_t>(thread)]);
    return;
  }
#endif
  Job& job = *work.job_;
  for (int i = job.next++; i < job.count; i = job.next++) job.piece(i);
}

void PoolWork::for_each(int count, const std::function<void(int)>& piece) {
  Job job{count, piece};
  job_ = &job;
  ggml_backend_graph_compute(backend_, graph_);
  job_ = nullptr;
}

}  // namespace zse
