// Owns what it means that a part of a prompt was computed at another place: in another prompt, say, that has a longer line before it. Plain values.
#pragma once

#include <vector>

#include "ids.h"

namespace zse {

/** Tokens that are the same in what is held and in a prompt, at different places or behind different tokens. */
struct MovedChunk {
  Position from = 0;  // in what is held
  Position at = 0;    // in the prompt
  int tokens = 0;
};
/** Of one prompt: in its order, none within another. */
using MovedChunks = std::vector<MovedChunk>;

inline int tokens_of(const MovedChunks& chunks) {
  int tokens = 0;
  for (const MovedChunk& chunk : chunks) tokens += chunk.tokens;
  return tokens;
}

}  // namespace zse
