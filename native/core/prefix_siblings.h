// Owns what the disk tier of the prompt cache does about files of other models: the folder's limit is for all of them, and whoever
// opened a model once may never open it again. Called on the file thread.
#pragma once

#include <cstdint>
#include <filesystem>

namespace zse {

/**
 * Removes files in the folders beside `own`, the latest used last, until they hold at most `allowed` bytes together; folders that become
 * empty go, too. Touches nothing but what the cache itself has named. Another process may be using, writing or removing the same files:
 * one that is gone when it is wanted is computed again.
 */
void trim_siblings(const std::filesystem::path& own, uint64_t allowed);

/** Whether a file is what a process left that died while writing a prefix. */
bool is_stale_temporary(const std::filesystem::path& path);

}  // namespace zse
