// Owns what parsing a .zse file of either generation gives. Plain data; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "config.h"
#include "tensor.h"
#include "tokenizer.h"

namespace zse {

/** A part of the file, for people: generation 2's sections, generation 1's header, tokenizer and tensor data. */
struct Section {
  std::string name;
  Range range;
  std::optional<uint32_t> crc32;  // stored and verified; none where the file has none (zero stands for "not computed")
};

struct ZseOpenOptions {
  std::optional<Layout> int4_layout;  // read all 2-D INT4 tensors of generation 2 so, whatever their codes say
};

struct ZseContents {
  int generation = 0;
  std::vector<Section> sections;
  ModelConfig config;
  std::vector<Tensor> tensors;  // in the index's order; generation 1's scales are folded into their tensors
  std::optional<TokenizerData> tokenizer;
  std::string source_model;  // generation 1's, or ""
};

/**
 * Throws BAD_MODEL where ranges of tensors overlap or two have one name: what both generations promise of their index, and what
 * bounds the memory that a file can ask for by its own size.
 */
void check_index(const std::vector<Tensor>& tensors);

/** Throws BAD_MODEL for a configuration that no model has; `offset` is of the configuration in the file. */
void check_config(const ModelConfig& config, uint64_t offset);

/** Dimensions and their product, checked: 1 to 4 of them, each 1 or more, 2^40 elements at most. `what` names the tensor. */
int64_t checked_elements(const std::vector<int64_t>& shape, uint64_t offset, const std::string& what);

}  // namespace zse
