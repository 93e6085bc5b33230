// Owns what an engine is opened with; lib/addon/contract.ts has the same. Plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/aead.h"

namespace zse {

/** Where prefixes of earlier streams are kept for later ones. */
struct PromptCacheOptions {
  bool enabled = true;
  uint64_t ram_bytes = uint64_t{256} << 20;  // images of slots, those of spilled streams included
  std::string dir;                           // empty: nothing on disk
  uint64_t disk_bytes = uint64_t{4} << 30;
  std::optional<AeadKey> key;  // what is on disk is sealed with it
  bool moved = false;  // parts of a prompt are taken over from other places, too: not what computing them anew would give
};

/** A LoRA adapter that streams may ask for. */
struct AdapterFile {
  std::string name, path;
  float scale = 1;  // where a stream names no other
};

struct EngineOptions {
  int context_size = 0;  // tokens per stream; 0: min(trained, 4096)
  int max_streams = 4;
  int max_queue = 64;
  int threads = 0;      // 0: physical cores
  int gpu_layers = -1;  // -1: as many as fit
  std::string device = "auto";
  std::string kv_type = "f16";  // of keys and values; the others are ggml's "q8_0" and "q4_0"
  double latency_target_ms = 150;
  bool deterministic = false;
  int draft_tokens = 0;     // that one step checks, of all streams together, with rows of logits of their own; 0: none
  std::string draft_model;  // path of a smaller model that guesses them, too; empty: there is none
  int replay_rows = 0;      // of logits, beyond one for each stream: so many tokens of lost replies are replayed at once
  std::vector<AdapterFile> adapters;
  PromptCacheOptions prompt_cache;

  /** Of logits, beside one for each stream: no step replays and drafts at once. */
  int more_rows() const { return std::max(replay_rows, draft_tokens); }
};

}  // namespace zse
