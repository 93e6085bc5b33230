// Owns the limit of the prompt cache's folder, which is for all models and processes that use it: whoever wrote something once may never
// come again. Called on the file thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace zse {

/**
 * Removes the files that were used longest ago, whoever's they are, until all, those that are being written too, hold at most `limit` bytes,
 * and returns their paths; a model's folder that becomes empty goes, too, and so does what a process left that died while writing. Nothing
 * else is removed where that cannot be enough: others are writing so much. Touches nothing but what the cache itself has named. Another process
 * may be using, writing or removing the same files: one that is gone when it is wanted is computed again.
 */
struct Trimmed {
  std::vector<std::filesystem::path> removed;
  bool within = false;  // the limit
};
Trimmed trim_folder(const std::filesystem::path& folder, uint64_t limit);

/** Whether it has the name and the kind of a file that the cache writes. */
bool is_prefix_file(const std::filesystem::directory_entry& entry);
/** The same of one that is not whole yet: "<name of a prefix>.<who writes it>.tmp". */
bool is_being_written(const std::filesystem::directory_entry& entry);
/** The same of a model's folder. */
bool is_key_folder(const std::filesystem::directory_entry& entry);

}  // namespace zse
