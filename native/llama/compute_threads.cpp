#include "compute_threads.h"

#include <string>

#include "base/start_thread.h"
#include "ggml_abort.h"
#include "llama.h"

namespace zse {

namespace {

// The CPU backend may be a library of its own, chosen when the program starts, so its functions are asked for by name.
template <class Function>
Function* cpu_function(const char* name) {
  ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (!device) return nullptr;
  return reinterpret_cast<Function*>(ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name));
}

}  // namespace

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

}  // namespace zse
