// Owns how a request is announced to the decode thread, which waits for those of the same turn of the event loop. JavaScript thread.
#pragma once

#include "stats.h"

namespace zse {

/**
 * Hands a request on by `prepare`. It is announced first: its prompt may be with the decode thread before `prepare` returns, and that would not wait for
 * those that follow. Where `prepare` throws, there is no request.
 */
template <class Prepare>
void announce(EngineStats& stats, Prepare prepare) {
  stats.submitting = true;
  stats.submitted++;
  try {
    prepare();
  } catch (...) {
    stats.submitted--;
    throw;
  }
}

}  // namespace zse
