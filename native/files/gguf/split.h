// Owns what a GGUF file is a part of: a model split by llama.cpp's tool into "name-00001-of-00003.gguf" and the others, of which the first
// is opened. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "header.h"

namespace zse::gguf {

struct Split {
  uint32_t number = 1, count = 1;  // the first part is number 1; a whole model is part 1 of 1
};

/** What the metadata say. @throws FileError for numbers that are none of a part */
Split split_of(const Header& header);

/** "this is part 2 of 3": for whoever has to say so. */
std::string label_of(const Split& split);

/** Where the parts are, the first first. Empty where the path does not end as the first part's name must. */
std::vector<std::string> parts_of(const std::string& path, const Split& split);

/** What part 1's name ends in. */
std::string first_ending(const Split& split);

/** Where part 1 of the same model should be, for people; in words where the name tells nothing. */
std::string first_part_of(const std::string& path, const Split& split);

}  // namespace zse::gguf
