// Owns spreading independent pieces of work over threads. The caller's thread works too and returns when all is done.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace zse {

/** As many as there are cores where `wanted` is 0. */
inline int worker_count(int wanted) {
  return wanted > 0 ? wanted : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/** Calls work(i) for each i below `count`, in any order. One of the exceptions thrown, if any, is thrown on; the rest of the work is left. */
template <typename F>
void parallel_for(size_t count, int threads, F&& work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr failure;
  const auto run = [&] {
    try {
      for (size_t i = next++; i < count && !failed; i = next++) work(i);
    } catch (...) {
      if (!failed.exchange(true)) failure = std::current_exception();
    }
  };
  std::vector<std::thread> helpers;
  const size_t wanted = std::min<size_t>(static_cast<size_t>(std::max(1, threads)), count);
  try {
    for (size_t i = 1; i < wanted; i++) helpers.emplace_back(run);
  } catch (const std::system_error&) {  // no more threads to be had: those there are do it
  }
  run();
  for (std::thread& helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace zse
