// Owns how a graph's compute threads share the pieces of a node that takes long: whoever is done takes the next one, until there are none or the graph is
// given up. On all compute threads.
#pragma once

#include <cstdint>

#include "ggml-cpu-impl.h"

/**
 * Whether the graph's abort callback says so by now: our patch to ggml-cpu.c, which alone knows the callback. ggml asks it between nodes only, and some
 * take tens of milliseconds. Whoever heard yes may leave its node as it is. The callback stays with a yes until the graph has ended, and whoever computes the graph
 * then knows of it, even where ggml did not ask again (native/llama/abortable.h): nothing of the results is used.
 */
extern "C" bool zse_abort_wanted(const ggml_threadpool* threadpool);

namespace zse::kernels {

/** All threads wait for each other, and see what any has written. take_turns() follows. */
static inline void meet_for_turns(const ggml_compute_params* params) {
  if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
  ggml_barrier(params->threadpool);
}

/** Calls `work` with each number below `count` once, on one of the threads; with fewer where the graph is given up. */
template <class Work>
static void take_turns(const ggml_compute_params* params, int64_t count, const Work& work) {
  for (int64_t item = params->ith; item < count; item = ggml_threadpool_chunk_add(params->threadpool, 1)) {
    if (zse_abort_wanted(params->threadpool)) return;
    work(item);
  }
}

}  // namespace zse::kernels
