// Owns making hostile .zse files of both generations out of sound ones. What is mutated is the tree of values (generation 2) or the
// JSON (generation 1); lengths, offsets and checksums are made right again, so that a mistake is met behind them.
#pragma once

#include <string>

#include "random.h"

namespace fuzz {

/** Whether it is a .zse file that can be mutated so. */
bool is_zse(const std::string& whole);

std::string mutate_zse(const std::string& whole, Random& random);

}  // namespace fuzz
