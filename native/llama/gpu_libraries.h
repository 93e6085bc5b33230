// Owns the GPU backends that come as libraries in packages of their own. They are taken from the path that is given and from nowhere else: ggml's
// own loader would look in the working directory too. Any thread.
#pragma once

#include <string>

namespace zse {

/**
 * Loads the library at `path` (absolute, UTF-8) and adds its backend to those that models choose from. It stays loaded.
 * @return how many devices it has here; 0 where there is no such GPU, or no driver. Then nothing is added.
 * Throws EngineError BAD_OPTION where the path is not absolute, UNSUPPORTED where the library cannot be loaded or is of another version.
 */
size_t use_gpu_library(const std::string& path);

}  // namespace zse
