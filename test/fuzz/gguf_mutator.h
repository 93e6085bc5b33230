// Owns making hostile GGUF files out of a sound one: values at the edge, wrong types, keys and tensors that are missing, doubled, renamed or
// reshaped, with the rest of the file kept consistent, so that a mistake is met deep inside and not at the first length.
#pragma once

#include <string>

#include "random.h"

namespace fuzz {

/** The mutated file. `whole` is a GGUF file that GgufMutator::read takes. */
std::string mutate_gguf(const std::string& whole, Random& random);

}  // namespace fuzz
