#include "checkpoint_places.h"

#include <algorithm>

#include "kv/prefix_cache.h"
#include "kv/saved_prefix.h"

namespace zse {

namespace {

constexpr int kFarthest = 2048;   // between two of them: of a long document a part may be the same
constexpr int kBeforeTheEnd = 4;  // of a text: what is asked next may go on otherwise

}  // namespace

std::vector<int> checkpoint_places(const std::vector<int>& message_starts, int prompt_tokens, int grain) {
  std::vector<int> wanted;
  if (message_starts.empty()) {
    wanted.push_back(prompt_tokens - kBeforeTheEnd);
  } else {
    wanted.push_back(message_starts.front());
    const size_t count = message_starts.size();
    for (size_t i = count - std::min<size_t>(count, 2); i < count; i++) wanted.push_back(message_starts[i]);
  }
  std::vector<int> places;
  int last = 0;
  const auto add = [&](int place) {
    place = place / grain * grain;
    if (place < kWorthKeeping || place >= prompt_tokens || place - last < std::max(kCheckpointsApart, grain)) return;
    last = place;
    places.push_back(place);
  };
  for (const int place : wanted) {
    while (place - last > kFarthest + kCheckpointsApart) add(last + kFarthest);
    add(place);
  }
  return places;
}

}  // namespace zse
