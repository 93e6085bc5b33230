// Owns the file in each model's folder of the prompt cache that says which model it is of, so that what is left of models that are gone goes too.
// Whoever uses the folder holds it. Called where a folder is opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace zse {

class ModelRecord {
 public:
  /** Writes it into the folder, where it is not there, and holds it. Nothing where `model`, a path, is no file. */
  ModelRecord(const std::filesystem::path& folder, const std::string& model);
  ~ModelRecord();
  ModelRecord(const ModelRecord&) = delete;
  ModelRecord& operator=(const ModelRecord&) = delete;

 private:
  int descriptor_ = -1;
};

/**
 * Removes what the cache has written into folders whose model's file is gone, unless somebody uses them, or has begun to within a week: a disk
 * that is not plugged in has no files either. `folder`: of the whole cache, with its FolderLock held.
 */
void remove_folders_of_gone(const std::filesystem::path& folder);

/** Bytes of the prefixes of a model's file that lie beside its folder, in those of other keys. */
uint64_t bytes_in_other_folders(const std::filesystem::path& folder, const std::string& model);

/** Removes a model's folder in which nothing but its record is, unless somebody uses it. */
void remove_if_empty(const std::filesystem::path& folder);

}  // namespace zse
