// Owns the decision whether a GGUF file may be given to llama.cpp. llama.cpp trusts much of what a file says: some of it ends the
// process (GGML_ASSERT, GGML_ABORT), some is read out of range, some takes minutes. What is refused here is what was found to do
// so, by reading it and by scripts/fuzz.mjs. Any thread; imports nothing of llama.cpp's but ggml's table of types.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "header.h"
#include "split.h"

namespace zse {
class FileMap;
}

namespace zse::gguf {

/** The header of an open file, kept: it stays what it was if the file is cut short. @throws FileError, EngineError BAD_MODEL */
Header read_header(FileMap& file);

/**
 * Refuses a GGUF file that llama.cpp could not load without harm. The other parts of a split model are read too. Returns the bytes of all.
 * @throws EngineError BAD_MODEL, with the byte in the file and what is wrong there
 */
uint64_t check_file(const std::string& path);

/** Throws EngineError BAD_MODEL that says so, with the file's name. */
[[noreturn]] void refuse(const std::string& path, const FileError& error);

/** Of a split model: the headers of the parts after the first, and the files that these point into. */
struct OtherParts {
  std::vector<std::shared_ptr<FileMap>> maps;
  std::vector<Header> headers;
  uint64_t bytes = 0;
};

/**
 * Reads the parts that llama.cpp takes beside this one; none of a model that is whole.
 * @throws EngineError BAD_MODEL where `path` is not part 1, or where another part is missing, or not what its name says
 */
OtherParts read_other_parts(const std::string& path, const Split& split);

/** The same as check_file() for metadata and tensors that are in memory. @throws FileError */
void check(const Header& header, const std::vector<Header>& others = {});

}  // namespace zse::gguf
