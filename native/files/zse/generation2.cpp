#include "generation2.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/crc32.h"
#include "base/refuse.h"
#include "value_reader.h"

namespace zse {

namespace {

constexpr uint64_t kHeaderBytes = 64, kTableRowBytes = 32;
constexpr uint32_t kMostSections = 16;
constexpr std::array<const char*, 5> kSectionNames = {"CONFIG", "TOKENIZER", "WEIGHT_INDEX", "WEIGHT_DATA", "KERNELS"};
enum SectionType : uint32_t { kConfig, kTokenizer, kWeightIndex, kWeightData, kKernels };

using SectionTable = std::array<std::optional<Section>, kSectionNames.size()>;

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

void check_section(const Section& section, Bytes file, uint64_t row, uint64_t table_end) {
  const auto [offset, size] = section.range;
  const std::string place = section.name + " (bytes " + std::to_string(offset) + " and " + std::to_string(size) + " more)";
  if (!file.holds(offset, size)) {
    refuse(row, "section " + place + " reaches over the end of the file, which has " + std::to_string(file.size) + " bytes");
  }
  if (offset < table_end) refuse(row, "section " + place + " begins inside the section table");
  if (!section.crc32) return;
  const uint32_t computed = crc32(file.part(offset, size));
  if (computed != *section.crc32) {
    refuse(offset, "the checksum of section " + section.name + " is wrong: the file is damaged; copy or download it again");
  }
}

SectionTable read_sections(Bytes file) {
  if (file.size < kHeaderBytes) {
    refuse(file.size, "the file ends inside the 64-byte header; it is cut off: copy or download it again");
  }
  const auto version = load<uint32_t>(file.data + 4);
  const auto total_size = load<uint64_t>(file.data + 8);
  const auto flags = load<uint32_t>(file.data + 16);
  const auto count = load<uint32_t>(file.data + 20);
  if (version != 1) refuse(4, "the format version is " + std::to_string(version) + "; version 1 is the only one known");
  if (total_size != file.size) {
    refuse(8, "the header says that the file has " + std::to_string(total_size) + " bytes, and it has " +
                  std::to_string(file.size) + "; copy or download it again");
  }
  if (count > kMostSections || kHeaderBytes + count * kTableRowBytes > file.size) {
    refuse(20, std::to_string(count) + " sections do not fit the file, or are more than 16");
  }

  SectionTable sections;
  std::vector<const Section*> in_order;
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t row = kHeaderBytes + i * kTableRowBytes;
    const uint8_t* at = file.data + row;
    const auto type = load<uint32_t>(at);
    if (type >= sections.size()) refuse(row, "the section type " + std::to_string(type) + " is unknown");
    if (sections[type]) refuse(row, std::string("section ") + kSectionNames[type] + " is listed twice");
    const auto stored_crc = load<uint32_t>(at + 20);
    Section section{kSectionNames[type], {load<uint64_t>(at + 4), load<uint64_t>(at + 12)}, {}};
    if (stored_crc != 0 || type != kWeightData) section.crc32 = stored_crc;  // zero over the weights: not computed
    check_section(section, file, row, kHeaderBytes + count * kTableRowBytes);
    sections[type] = std::move(section);
  }
  for (const auto& section : sections) {
    if (section) in_order.push_back(&*section);
  }
  std::sort(in_order.begin(), in_order.end(),
            [](const Section* a, const Section* b) { return a->range.offset < b->range.offset; });
  for (size_t i = 1; i < in_order.size(); i++) {
    const Range &before = in_order[i - 1]->range, &after = in_order[i]->range;
    if (before.offset + before.size > after.offset) {
      refuse(after.offset, "sections " + in_order[i - 1]->name + " and " + in_order[i]->name + " overlap");
    }
  }
  for (const SectionType type : {kConfig, kWeightIndex, kWeightData}) {
    if (!sections[type]) refuse(kHeaderBytes, std::string("section ") + kSectionNames[type] + " is missing");
  }
  if (static_cast<bool>(flags & 1) != sections[kTokenizer].has_value()) {
    refuse(16, "the header's flags and the section table disagree on whether there is a tokenizer");
  }
  return sections;
}

RopeScaling read_rope_scaling(ValueReader& values) {
  RopeScaling scaling;
  std::string older_type;
  const auto numbers = [&](const char* what, std::vector<double>& out) {
    out.clear();
    values.list(what, [&] { out.push_back(values.number("a rope factor")); });
  };
  values.map("rope_scaling", [&](std::string_view key) {
    if (values.next_is_null()) return values.skip();
    if (key == "rope_type")
      scaling.type = values.text("rope_type");
    else if (key == "type")
      older_type = values.text("rope_scaling's type");
    else if (key == "factor")
      scaling.factor = values.number("rope_scaling's factor");
    else if (key == "low_freq_factor")
      scaling.low_freq_factor = values.number("low_freq_factor");
    else if (key == "high_freq_factor")
      scaling.high_freq_factor = values.number("high_freq_factor");
    else if (key == "original_max_position_embeddings")
      scaling.original_max_position_embeddings = values.number("original_max_position_embeddings");
    else if (key == "attention_factor")
      scaling.attention_factor = values.number("attention_factor");
    else if (key == "beta_fast")
      scaling.beta_fast = values.number("beta_fast");
    else if (key == "beta_slow")
      scaling.beta_slow = values.number("beta_slow");
    else if (key == "mscale")
      scaling.mscale = values.number("mscale");
    else if (key == "mscale_all_dim")
      scaling.mscale_all_dim = values.number("mscale_all_dim");
    else if (key == "truncate")
      scaling.truncate = values.boolean("truncate");
    else if (key == "long_factor")
      numbers("long_factor", scaling.long_factor);
    else if (key == "short_factor")
      numbers("short_factor", scaling.short_factor);
    else
      values.skip();
  });
  if (scaling.type.empty()) scaling.type = older_type;
  return scaling;
}

void read_quant(ValueReader& values, ModelConfig::Quant& quant) {
  values.map("quant", [&](std::string_view key) {
    if (key == "method")
      quant.method = values.integer("quant's method");
    else if (key == "bits")
      quant.bits = values.integer("quant's bits");
    else if (key == "group_size")
      quant.group_size = values.integer("quant's group_size");
    else if (key == "tiled_weights")
      quant.tiled_weights = values.boolean("tiled_weights");
    else
      values.skip();
  });
}

void read_gguf_metadata(ValueReader& values, ModelConfig& config) {
  values.map("gguf_metadata", [&](std::string_view key) {
    if (values.next_is_text()) {
      config.gguf_metadata.emplace_back(key, std::string(values.text("a value of gguf_metadata")));
    } else if (values.next_is_flag()) {
      config.gguf_metadata.emplace_back(key, values.boolean("a value of gguf_metadata"));
    } else {
      values.skip();
    }
  });
}

ModelConfig read_config(Bytes file, Range range) {
  ModelConfig config;
  config.arch = "llama";
  ValueReader values(file, range, "CONFIG");
  values.map("CONFIG", [&](std::string_view key) {
    if (values.next_is_null()) return values.skip();
    if (key == "arch")
      config.arch = values.text("arch");
    else if (key == "num_layers")
      config.num_layers = values.integer("num_layers");
    else if (key == "num_heads")
      config.num_heads = values.integer("num_heads");
    else if (key == "num_kv_heads")
      config.num_kv_heads = values.integer("num_kv_heads");
    else if (key == "head_dim")
      config.head_dim = values.integer("head_dim");
    else if (key == "hidden_size")
      config.hidden_size = values.integer("hidden_size");
    else if (key == "intermediate_size")
      config.intermediate_size = values.integer("intermediate_size");
    else if (key == "vocab_size")
      config.vocab_size = values.integer("vocab_size");
    else if (key == "max_seq_len")
      config.max_seq_len = values.integer("max_seq_len");
    else if (key == "rope_theta")
      config.rope_theta = values.number("rope_theta");
    else if (key == "rms_norm_eps")
      config.rms_norm_eps = values.number("rms_norm_eps");
    else if (key == "rope_scaling")
      config.rope_scaling = read_rope_scaling(values);
    else if (key == "sliding_window")
      config.sliding_window = values.integer("sliding_window");
    else if (key == "tie_word_embeddings")
      config.tie_word_embeddings = values.boolean("tie_word_embeddings");
    else if (key == "final_logit_softcapping")
      config.final_logit_softcapping = values.number("final_logit_softcapping");
    else if (key == "attn_logit_softcapping")
      config.attn_logit_softcapping = values.number("attn_logit_softcapping");
    else if (key == "quant")
      read_quant(values, config.quant);
    else if (key == "gguf_metadata")
      read_gguf_metadata(values, config);
    else
      values.skip();
  });
  values.finish();
  check_config(config, range.offset);
  return config;
}

/** An index entry as it is written. */
struct Entry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  int64_t group_size = 128;
  Range data, scales, zeros;  // within WEIGHT_DATA
};

Entry read_entry(ValueReader& values) {
  Entry entry;
  const auto place = [&](uint64_t& into, const char* what) {
    const uint64_t at = values.offset();
    const int64_t value = values.integer(what);
    if (value < 0) refuse(at, std::string(what) + " is " + std::to_string(value) + ", below zero (WEIGHT_INDEX)");
    into = static_cast<uint64_t>(value);
  };
  values.map("an entry of WEIGHT_INDEX", [&](std::string_view key) {
    if (key == "name")
      entry.name = values.text("a tensor's name");
    else if (key == "dtype")
      entry.dtype = values.text("dtype");
    else if (key == "group_size")
      entry.group_size = values.integer("group_size");
    else if (key == "data_offset")
      place(entry.data.offset, "data_offset");
    else if (key == "data_nbytes")
      place(entry.data.size, "data_nbytes");
    else if (key == "scale_offset")
      place(entry.scales.offset, "scale_offset");
    else if (key == "scale_nbytes")
      place(entry.scales.size, "scale_nbytes");
    else if (key == "zeros_offset")
      place(entry.zeros.offset, "zeros_offset");
    else if (key == "zeros_nbytes")
      place(entry.zeros.size, "zeros_nbytes");
    else if (key == "shape") {
      entry.shape.clear();
      values.list("shape", [&] {
        if (entry.shape.size() == 4) values.refuse_here("a tensor has more than 4 dimensions");
        entry.shape.push_back(values.integer("a dimension"));
      });
    } else
      values.skip();
  });
  return entry;
}

/** Bytes of a tiled INT4 matrix: tiles of 64 rows by 16 columns, half a byte each. */
uint64_t tiled_bytes(const Tensor& tensor) {
  return static_cast<uint64_t>((tensor.rows() + 63) / 64) * static_cast<uint64_t>((tensor.columns() + 15) / 16) * 512;
}

Tensor to_tensor(Entry entry, uint64_t at, const Range& weights) {
  const std::string what = "tensor " + quoted(entry.name);
  Tensor tensor;
  tensor.name = std::move(entry.name);
  tensor.entry_offset = at;
  if (tensor.name.empty()) refuse(at, "an entry of WEIGHT_INDEX has no name");
  const auto elements = static_cast<uint64_t>(checked_elements(entry.shape, at, what));
  tensor.shape = std::move(entry.shape);

  uint64_t data = 0, scales = 0, zeros = 0;
  if (entry.dtype == "float16") {
    tensor.coding = Coding::kF16;
    data = elements * 2;
  } else if (entry.dtype == "int4" || entry.dtype == "int8") {
    const bool is_int4 = entry.dtype == "int4";
    tensor.coding = is_int4 ? Coding::kInt4Flat : Coding::kInt8Flat;
    if (entry.group_size <= 0 || entry.group_size > 65536 || entry.group_size % 2 != 0) {
      refuse(at, what + " has group_size " + std::to_string(entry.group_size) + "; it must be even, 2 to 65536");
    }
    tensor.group_size = entry.group_size;
    const auto group = static_cast<uint64_t>(entry.group_size);
    const uint64_t groups = (elements + group - 1) / group;
    data = groups * group / (is_int4 ? 2 : 1);
    scales = groups * 2;
    zeros = is_int4 ? groups * 2 : 0;
    if (is_int4) {
      tensor.evidence = LayoutEvidence::kRank;
      const uint64_t tiled = tensor.shape.size() == 2 ? tiled_bytes(tensor) : 0;
      if (tiled != 0 && entry.data.size == tiled) {  // which of the two it is when both fit is for layout.h to say
        tensor.evidence = tiled == data ? LayoutEvidence::kNone : LayoutEvidence::kSize;
        tensor.layout = tiled == data ? Layout::kRowMajor : Layout::kTiled;
        data = tiled;
        if (tensor.layout == Layout::kTiled && tensor.columns() % 2 != 0) {
          refuse(
              at,
              what + " is tiled with an odd row length; the writer loses a part of such tensors, convert the model again");
        }
      } else if (tiled != 0) {
        tensor.evidence = LayoutEvidence::kSize;
      }
    }
  } else {
    refuse(at, what + " has the unknown dtype " + quoted(entry.dtype) + "; float16, int4 and int8 are known");
  }

  const auto place = [&](Range& given, uint64_t wanted, const char* part) {
    if (given.size != wanted) {
      refuse(at, what + " has " + std::to_string(given.size) + " bytes of " + part + ", and its shape needs " +
                     std::to_string(wanted));
    }
    if (wanted == 0) return Range{};
    if (!Bytes{nullptr, weights.size}.holds(given.offset, given.size)) {
      refuse(at, what + " has " + part + " outside WEIGHT_DATA: " + std::to_string(given.offset) + " and " +
                     std::to_string(given.size) + " more of " + std::to_string(weights.size) + " bytes");
    }
    return Range{weights.offset + given.offset, given.size};
  };
  tensor.data = place(entry.data, data, "data");
  tensor.scales = place(entry.scales, scales, "scales");
  tensor.zeros = place(entry.zeros, zeros, "zeros");
  return tensor;
}

std::vector<Tensor> read_index(Bytes file, Range index, Range weights) {
  std::vector<Tensor> tensors;
  ValueReader values(file, index, "WEIGHT_INDEX");
  values.list("WEIGHT_INDEX", [&] {
    const uint64_t at = values.offset();
    tensors.push_back(to_tensor(read_entry(values), at, weights));
  });
  values.finish();
  return tensors;
}

TokenizerData read_tokenizer(Bytes file, Range range) {
  TokenizerData tokenizer;
  tokenizer.file = file;
  ValueReader values(file, range, "TOKENIZER");
  const auto ids = [&](const char* what, std::vector<std::pair<std::string_view, int64_t>>& into) {
    into.clear();
    values.map(what, [&](std::string_view text) { into.emplace_back(text, values.integer("a token's id")); });
  };
  values.map("TOKENIZER", [&](std::string_view key) {
    if (values.next_is_null()) return values.skip();
    if (key == "vocab")
      ids("vocab", tokenizer.vocab);
    else if (key == "added_tokens")
      ids("added_tokens", tokenizer.added);
    else if (key == "merges") {
      tokenizer.merges.clear();
      values.list("merges", [&] {
        std::array<std::string_view, 2> pair;
        size_t count = 0;
        values.list("a merge", [&] {
          if (count == 2) values.refuse_here("a merge has more than two parts");
          pair[count++] = values.text("a part of a merge");
        });
        if (count != 2) values.refuse_here("a merge has less than two parts");
        tokenizer.merges.emplace_back(pair[0], pair[1]);
      });
    } else if (key == "special_tokens") {
      values.map("special_tokens", [&](std::string_view which) {
        if (values.next_is_null()) return values.skip();
        if (which == "bos_id")
          tokenizer.bos_id = values.integer("bos_id");
        else if (which == "eos_id")
          tokenizer.eos_id = values.integer("eos_id");
        else if (which == "pad_id")
          tokenizer.pad_id = values.integer("pad_id");
        else if (which == "unk_id")
          tokenizer.unk_id = values.integer("unk_id");
        else
          values.skip();
      });
    } else
      values.skip();
  });
  values.finish();
  return tokenizer;
}

}  // namespace

ZseContents parse_generation2(Bytes file) {
  ZseContents contents;
  contents.generation = 2;
  const SectionTable sections = read_sections(file);
  contents.config = read_config(file, sections[kConfig]->range);
  contents.tensors = read_index(file, sections[kWeightIndex]->range, sections[kWeightData]->range);
  if (sections[kTokenizer]) contents.tokenizer = read_tokenizer(file, sections[kTokenizer]->range);
  for (const auto& section : sections) {
    if (section) contents.sections.push_back(*section);
  }
  std::sort(contents.sections.begin(), contents.sections.end(),
            [](const Section& a, const Section& b) { return a.range.offset < b.range.offset; });
  return contents;
}

}  // namespace zse
