// Owns the limit of the prompt cache's folder, which is for all models and processes that use it: whoever wrote something once may never
// come again. Called on the file thread.
#pragma once

#include <cstdint>
#include <filesystem>

namespace zse {

/**
 * Removes the files that were used longest ago, whoever's they are, until all hold at most `limit` bytes; a model's folder that becomes
 * empty goes, too. Touches nothing but what the cache itself has named. Another process may be using, writing or removing the same files:
 * one that is gone when it is wanted is computed again.
 */
void trim_folder(const std::filesystem::path& folder, uint64_t limit);

/** Whether a file is what a process left that died while writing a prefix. */
bool is_stale_temporary(const std::filesystem::path& path);

}  // namespace zse
