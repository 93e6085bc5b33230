#include "map_guard.h"

#ifdef _WIN32

namespace zse {
MapGuard::MapGuard(const void*, size_t) {}
MapGuard::~MapGuard() = default;
bool MapGuard::lost_pages() const { return false; }
}  // namespace zse

#else

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace zse {

namespace {

constexpr int kMostMaps = 256;

// Read by the signal handler, so lock-free: a slot is taken, then its end is set, then its beginning; a beginning of 0 guards nothing.
struct Slot {
  std::atomic<bool> taken{false}, lost{false};
  std::atomic<uintptr_t> begin{0}, end{0};
};
Slot slots[kMostMaps];
static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

struct sigaction before;  // written before the handler is set
uintptr_t page_size = 4096;

/** Puts zeros in place of what is lost, from the page of `address` to the end of its map. False where no map of ours has it. */
bool put_zeros(uintptr_t address) {
  for (Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire), end = slot.end.load(std::memory_order_relaxed);
    if (begin == 0 || address < begin || address >= end) continue;
    slot.lost.store(true);
    const uintptr_t page = address / page_size * page_size;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    return mmap(reinterpret_cast<void*>(page), end - page, PROT_READ, flags, -1, 0) != MAP_FAILED;
  }
  return false;
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const bool ours = put_zeros(reinterpret_cast<uintptr_t>(info->si_addr));
  errno = error;
  if (ours) return;  // the instruction is run again
  if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    sigaction(SIGBUS, &before, nullptr);  // and the same fault again ends the process, as it would have
  }
}

// Set once and never taken back: another handler may have been put on top of it.
void set_handler() {
  static const bool done = [] {
    page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    sigaction(SIGBUS, nullptr, &before);
    struct sigaction action{};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, nullptr) == 0;
  }();
  static_cast<void>(done);
}

}  // namespace

MapGuard::MapGuard(const void* begin, size_t size) {
  if (size == 0) return;
  set_handler();
  for (int i = 0; i < kMostMaps; i++) {
    if (slots[i].taken.exchange(true)) continue;
    slot_ = i;
    slots[i].lost = false;
    slots[i].end = reinterpret_cast<uintptr_t>(begin) + size;
    slots[i].begin = reinterpret_cast<uintptr_t>(begin);
    return;
  }
}

MapGuard::~MapGuard() {
  if (slot_ < 0) return;
  slots[slot_].begin = 0;
  slots[slot_].taken = false;
}

bool MapGuard::lost_pages() const { return slot_ >= 0 && slots[slot_].lost; }

}  // namespace zse

#endif
