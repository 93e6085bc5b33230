#include "inbox.h"

#include <algorithm>
#include <utility>

namespace zse {

void Inbox::push(Command command) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (const auto* submit = std::get_if<SubmitCommand>(&command); submit && !submit->request.settings.prepares) {
      shortest_prompt_ = std::min(shortest_prompt_.load(), static_cast<int>(submit->request.prepared.prompt.size()));
    }
    commands_.push_back(std::move(command));
  }
  changed_.notify_one();
}

void Inbox::close() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closing_.store(true, std::memory_order_release);
  }
  changed_.notify_one();
}

std::vector<Command> Inbox::take() {
  std::lock_guard<std::mutex> lock(mutex_);
  shortest_prompt_ = INT_MAX;
  return std::exchange(commands_, {});
}

void Inbox::wait(std::optional<Clock::time_point> deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto ready = [this] { return !commands_.empty() || closing(); };
  if (deadline) {
    changed_.wait_until(lock, *deadline, ready);
  } else {
    changed_.wait(lock, ready);
  }
}

}  // namespace zse
