// Owns what is told of an open model and of the devices that there are. Plain values.
#pragma once

#include <string>
#include <vector>

#include "base/recommended_sampling.h"
#include "options.h"

namespace zse {

struct ModelInfo {
  std::string path, name, architecture, description;
  double parameters = 0, size_bytes = 0;
  int layers = 0, embedding_size = 0, vocabulary_size = 0, trained_context_size = 0;
  int context_size = 0, max_streams = 0, threads = 0, gpu_layers = 0;
  std::string device;
  std::string kv_type = "f16";  // of keys and values
  double kv_bytes = 0;          // of the KV cache of all streams, once it is full
  std::string template_source, template_name, template_text;
  std::string normalizer;              // "NFC" where texts must be normalized so before they are tokenized, or ""
  bool guesses_pre_tokenizer = false;  // the file does not say how texts are cut before they are tokenized
  bool fills_in_the_middle = false;    // the vocabulary has the tokens of InfillInput
  bool generates = true;               // text, token by token; otherwise it is an encoder, which embeds and nothing else
  std::string
      pooling;  // what makes one vector of a text's: "mean", "cls", "last", "rank", or "none" where the file says none
  int vector_size = 0;  // numbers of a text's vector
  bool deterministic = false;
  bool moves_chunks =
      false;  // what is in the cache may not be what the model computes for its text (PromptCacheOptions::moved)
  RecommendedSampling sampling;
  std::vector<AdapterFile> adapters;  // that it was opened with
  std::string draft_model;            // path of the smaller model that guesses for it, or ""
  bool draft_head = false;            // the file's own head guesses for it
  std::string unused_head;            // why the head that the file has does not, or ""
  /** longrope: llama.cpp rotates keys by one of two sets of factors, whichever goes with the size of the context. */
  bool rotates_by_context = false;
};

struct DeviceInfo {
  std::string name, description, kind, backend;
  double memory_free = 0, memory_total = 0;
};

}  // namespace zse
