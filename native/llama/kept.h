// Owns the last results of work that is asked for again and again, by what they were made of. Any thread: nothing is made under the lock.
#pragma once

#include <algorithm>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace zse {

template <class Value>
class Kept {
 public:
  /** `most`: how many are kept. */
  explicit Kept(size_t most) : most_(most) {}

  /** Whether there is one, and it, which may be null itself. */
  std::pair<bool, std::shared_ptr<const Value>> find(const std::string& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const auto& one) { return one.first == key; });
    if (found == kept_.end()) return {false, nullptr};
    kept_.splice(kept_.begin(), kept_, found);
    return {true, found->second};
  }

  void keep(std::string key, std::shared_ptr<const Value> value) {
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_.remove_if([&](const auto& one) { return one.first == key; });
    kept_.emplace_front(std::move(key), std::move(value));
    if (kept_.size() > most_) kept_.pop_back();
  }

 private:
  const size_t most_;
  std::mutex mutex_;
  std::list<std::pair<std::string, std::shared_ptr<const Value>>> kept_;  // the last one first
};

}  // namespace zse
