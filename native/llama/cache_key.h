// Owns the question whose keys and values may be used for whom: one key for a model file, its template, and everything that changes
// what a slot's image means. Decode thread, once for each open model.
#pragma once

#include "core/info.h"
#include "kv/prefix_files.h"

namespace zse {

/**
 * A hash of the file (its size and time of change, its first 16 MiB, where the metadata lies, and 256 samples spread over the rest), of
 * the chat template, and of the settings that an image depends on: device, number of slots, type of the KV cache, deterministic mode,
 * llama.cpp's build.
 * Hashing all of a large file would take longer than what the cache saves; whoever changes weights and keeps size and time the
 * same must empty the folder.
 */
CacheKey cache_key(const ModelInfo& info);

/** The same without what differs from machine to machine, though the file is the same: its time of change, and where it lies. For exported prefixes. */
CacheKey portable_cache_key(const ModelInfo& info);

/** Of the sizes and times of change of the model's files as they are now: another one than at loading, and a key made now would be of other files. */
uint64_t files_stamp(const ModelInfo& info);

}  // namespace zse
