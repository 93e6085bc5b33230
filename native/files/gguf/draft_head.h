// Owns what a GGUF file says of a head that guesses the model's next tokens (multi-token prediction), so that llama.cpp is asked to load it only where it is
// one that is used here. Whether all of it is there, and fits, llama.cpp looks at itself, loaded or not. Pure; any thread.
#pragma once

#include <string>

#include "header.h"

namespace zse::gguf {

struct DraftHead {
  bool usable = false;
  std::string problem;  // why one that is there is not; empty where there is none, or none that is known here
};

DraftHead draft_head_of(const Header& header);

}  // namespace zse::gguf
