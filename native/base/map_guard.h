// Owns what happens where a mapped file is shorter than it was when it was mapped, because another process cut it: the system raises
// SIGBUS on the thread that touches a lost page, which ends the process. Here the lost pages become zeros, the map is marked, and whoever
// reads asks the mark before believing what was read. Faults elsewhere go where they went before. Any thread; not on Windows,
// where a file that is open for reading cannot be cut short.
#pragma once

#include <atomic>
#include <cstddef>

namespace zse {

/** Guards one mapping while it lives. */
class MapGuard {
 public:
  /** Marks nothing where too many are guarded at once: then a lost page is SIGBUS, as it would be without. */
  MapGuard(const void* begin, size_t size);
  ~MapGuard();
  MapGuard(const MapGuard&) = delete;
  MapGuard& operator=(const MapGuard&) = delete;

  /** True once a page was touched that the file no longer had, or that the disk did not give. */
  bool lost_pages() const;

 private:
  int slot_ = -1;
};

}  // namespace zse
