#include "gguf_mutator.h"

#include <cstring>

#include "files/gguf/header.h"
#include "ggml.h"

namespace fuzz {

namespace {

using zse::gguf::Header;
using Type = zse::gguf::Type;

struct Entry {
  std::string key;
  Type type;
  bool is_array;
  uint64_t count;
  std::string bytes;
};

struct Part {
  std::string name;
  std::vector<uint64_t> shape;
  uint32_t type;
  std::string data;
  uint64_t offset_error = 0;
};

struct File {
  uint32_t version = 3;
  std::vector<Entry> entries;
  std::vector<Part> parts;
};

template <class Number>
void put(std::string& out, Number value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, const std::string& text) {
  put<uint64_t>(out, text.size());
  out += text;
}

File read(const std::string& whole) {
  const Header header = Header::parse(whole);
  File file;
  file.version = header.version();
  for (const auto& [key, value] : header.metadata()) {
    file.entries.push_back({std::string(key), value.type, value.is_array, value.count, std::string(value.bytes)});
  }
  for (const auto& tensor : header.tensors()) {
    file.parts.push_back({std::string(tensor.name),
                          {tensor.shape.begin(), tensor.shape.begin() + tensor.rank},
                          tensor.type,
                          whole.substr(tensor.offset, tensor.size)});
  }
  return file;
}

std::string write(const File& file) {
  std::string out = "GGUF";
  put<uint32_t>(out, file.version);
  put<uint64_t>(out, file.parts.size());
  put<uint64_t>(out, file.entries.size());
  for (const Entry& entry : file.entries) {
    put_text(out, entry.key);
    if (entry.is_array) {
      put<uint32_t>(out, 9);
      put<uint32_t>(out, static_cast<uint32_t>(entry.type));
      put<uint64_t>(out, entry.count);
    } else {
      put<uint32_t>(out, static_cast<uint32_t>(entry.type));
    }
    out += entry.bytes;
  }
  uint64_t offset = 0;
  for (const Part& part : file.parts) {
    put_text(out, part.name);
    put<uint32_t>(out, static_cast<uint32_t>(part.shape.size()));
    for (const uint64_t length : part.shape) put(out, length);
    put(out, part.type);
    put(out, offset + part.offset_error);
    offset += (part.data.size() + 31) / 32 * 32;
  }
  out.resize((out.size() + 31) / 32 * 32);
  for (const Part& part : file.parts) {
    out += part.data;
    out.resize((out.size() + 31) / 32 * 32);
  }
  return out;
}

/** What llama.cpp asks for, after the architecture's name and a point. */
const std::vector<std::string>& suffixes() {
  static const std::vector<std::string> all = {"vocab_size",
                                               "context_length",
                                               "embedding_length",
                                               "embedding_length_out",
                                               "block_count",
                                               "feed_forward_length",
                                               "nextn_predict_layers",
                                               "leading_dense_block_count",
                                               "expert_count",
                                               "expert_used_count",
                                               "expert_group_count",
                                               "expert_group_used_count",
                                               "expert_feed_forward_length",
                                               "expert_shared_count",
                                               "expert_weights_scale",
                                               "use_parallel_residual",
                                               "pooling_type",
                                               "logit_scale",
                                               "decoder_start_token_id",
                                               "decoder_block_count",
                                               "attention.head_count",
                                               "attention.head_count_kv",
                                               "attention.max_alibi_bias",
                                               "attention.clamp_kqv",
                                               "attention.key_length",
                                               "attention.value_length",
                                               "attention.key_length_swa",
                                               "attention.value_length_swa",
                                               "attention.layer_norm_epsilon",
                                               "attention.layer_norm_rms_epsilon",
                                               "attention.group_norm_epsilon",
                                               "attention.causal",
                                               "attention.sliding_window",
                                               "attention.sliding_window_pattern",
                                               "attention.scale",
                                               "attention.temperature_length",
                                               "attn_logit_softcapping",
                                               "final_logit_softcapping",
                                               "router_logit_softcapping",
                                               "rope.dimension_count",
                                               "rope.dimension_count_swa",
                                               "rope.dimension_sections",
                                               "rope.freq_base",
                                               "rope.freq_base_swa",
                                               "rope.scale_linear",
                                               "rope.scaling.type",
                                               "rope.scaling.factor",
                                               "rope.scaling.attn_factor",
                                               "rope.scaling.original_context_length",
                                               "rope.scaling.finetuned",
                                               "rope.scaling.yarn_log_multiplier",
                                               "rope.scaling.yarn_beta_fast",
                                               "rope.scaling.yarn_ext_factor",
                                               "ssm.conv_kernel",
                                               "ssm.inner_size",
                                               "ssm.state_size",
                                               "ssm.time_step_rank",
                                               "ssm.group_count",
                                               "tensor_data_layout",
                                               "residual_scale",
                                               "embedding_scale",
                                               "interleave_moe_layer_step",
                                               "full_attention_interval",
                                               "shortconv.l_cache"};
  return all;
}

const std::vector<std::string>& tokenizer_keys() {
  static const std::vector<std::string> all = {"model",
                                               "pre",
                                               "tokens",
                                               "token_type",
                                               "token_type_count",
                                               "scores",
                                               "merges",
                                               "bos_token_id",
                                               "eos_token_id",
                                               "eot_token_id",
                                               "eom_token_id",
                                               "unknown_token_id",
                                               "seperator_token_id",
                                               "padding_token_id",
                                               "mask_token_id",
                                               "add_bos_token",
                                               "add_eos_token",
                                               "add_sep_token",
                                               "add_space_prefix",
                                               "remove_extra_whitespaces",
                                               "precompiled_charsmap",
                                               "fim_pre_token_id",
                                               "fim_suf_token_id",
                                               "fim_mid_token_id",
                                               "fim_pad_token_id",
                                               "fim_rep_token_id",
                                               "fim_sep_token_id",
                                               "suppress_tokens"};
  return all;
}

const std::vector<std::string>& architectures() {
  static const std::vector<std::string> all = {"llama",
                                               "qwen2",
                                               "phi3",
                                               "gemma2",
                                               "gemma",
                                               "gemma3",
                                               "qwen2moe",
                                               "qwen3",
                                               "qwen3moe",
                                               "falcon",
                                               "gpt2",
                                               "gptneox",
                                               "mpt",
                                               "starcoder2",
                                               "bert",
                                               "bloom",
                                               "stablelm",
                                               "phi2",
                                               "plamo",
                                               "orion",
                                               "internlm2",
                                               "minicpm",
                                               "mamba",
                                               "mamba2",
                                               "xverse",
                                               "command-r",
                                               "dbrx",
                                               "olmo",
                                               "olmo2",
                                               "olmoe",
                                               "openelm",
                                               "arctic",
                                               "deepseek",
                                               "deepseek2",
                                               "chatglm",
                                               "glm4",
                                               "bitnet",
                                               "t5",
                                               "t5encoder",
                                               "jais",
                                               "nemotron",
                                               "exaone",
                                               "rwkv6",
                                               "rwkv7",
                                               "granite",
                                               "granitemoe",
                                               "cohere2",
                                               "smollm3",
                                               "lfm2",
                                               "gpt-oss",
                                               "clip",
                                               "mistral3",
                                               "wavtokenizer-dec",
                                               "plm",
                                               "bailingmoe",
                                               "dots1",
                                               "arcee",
                                               "ernie4_5",
                                               "hunyuan-moe",
                                               "hunyuan-dense",
                                               "llada",
                                               "dream",
                                               "nonsense",
                                               ""};
  return all;
}

const std::vector<std::string>& words() {
  static const std::vector<std::string> all = {"llama",
                                               "gpt2",
                                               "bert",
                                               "t5",
                                               "rwkv",
                                               "plamo2",
                                               "gemma4",
                                               "whitespace",
                                               "hybriddna",
                                               "test",
                                               "no_vocab",
                                               "none",
                                               "",
                                               "default",
                                               "llama-bpe",
                                               "qwen2",
                                               "falcon",
                                               "deepseek-llm",
                                               "gpt-2",
                                               "chatglm-bpe",
                                               "tekken",
                                               "kimi-k2",
                                               "grok-2",
                                               "linear",
                                               "yarn",
                                               "longrope",
                                               "dynamic",
                                               "{% for i in range(3) %}{{ i }}{% endfor %}",
                                               "{{ messages[0].content }}",
                                               "{% if %}",
                                               "{{",
                                               "{% macro a() %}{% endmacro %}{{ a() }}",
                                               "{{ (((((((((((((((((((1))))))))))))))))))) }}",
                                               "<0x0A>",
                                               "<|im_start|>",
                                               "<s>",
                                               "\xff\xfe",
                                               std::string("a\0b", 3)};
  return all;
}

std::string random_value(Type type, Random& random) {
  std::string bytes;
  if (type == Type::kString) {
    put_text(bytes, random.pick(words()));
  } else if (type == Type::kFloat32) {
    static const std::vector<float> floats = {0,     -0.f,  1,         -1,        1e-30f,     1e30f,
                                              1e-6f, 10000, 0.f / 0.f, 1.f / 0.f, -1.f / 0.f, 8};
    put(bytes, random.pick(floats));
  } else if (type == Type::kBool) {
    bytes = static_cast<char>(random.below(3));
  } else {
    put(bytes, random.edge());
    bytes.resize(width_of(type));
  }
  return bytes;
}

Type random_type(Random& random) {
  static const std::vector<Type> types = {Type::kUint32, Type::kUint32,  Type::kInt32,  Type::kFloat32,
                                          Type::kBool,   Type::kString,  Type::kUint64, Type::kUint8,
                                          Type::kUint16, Type::kFloat64, Type::kInt8,   Type::kInt64};
  return random.pick(types);
}

Entry random_entry(const std::string& key, Random& random) {
  Entry entry{key, random_type(random), random.one_in(4), 1, {}};
  if (entry.is_array) entry.count = random.below(random.one_in(4) ? 600 : 8);
  for (uint64_t i = 0; i < entry.count; i++) entry.bytes += random_value(entry.type, random);
  return entry;
}

std::string some_key(const File& file, Random& random) {
  if (random.one_in(3)) return "tokenizer.ggml." + random.pick(tokenizer_keys());
  static const std::vector<std::string> general = {"general.architecture",
                                                   "general.alignment",
                                                   "general.name",
                                                   "general.file_type",
                                                   "split.count",
                                                   "split.no",
                                                   "split.tensors.count",
                                                   "tokenizer.chat_template",
                                                   "tokenizer.chat_template.tool_use"};
  if (random.one_in(6)) return random.pick(general);
  std::string architecture = "llama";
  for (const Entry& entry : file.entries) {
    if (entry.key == "general.architecture" && entry.bytes.size() > 8) architecture = entry.bytes.substr(8);
  }
  return architecture + "." + random.pick(suffixes());
}

/** A value of the right type: what passes the checks of types and is wrong all the same. */
void change_value(Entry& entry, Random& random) {
  if (entry.type == Type::kString && entry.is_array) {  // a token or a merge
    std::vector<std::string> texts;
    for (uint64_t at = 0; at + 8 <= entry.bytes.size();) {
      uint64_t length;
      std::memcpy(&length, entry.bytes.data() + at, 8);
      texts.push_back(entry.bytes.substr(at + 8, length));
      at += 8 + length;
    }
    if (texts.empty()) return;
    std::string& text = texts[random.below(texts.size())];
    switch (random.below(6)) {
      case 0: text.clear(); break;
      case 1: text = random.pick(texts); break;
      case 2: text = random.pick(words()); break;
      case 3: text = std::string(random.below(5000), random.one_in(2) ? ' ' : 'x'); break;
      case 4: random.scramble(text, 0, text.size()); break;
      case 5:
        if (random.one_in(2))
          texts.resize(random.below(texts.size() + 1));
        else
          texts.push_back(random.pick(words()));
        break;
    }
    entry.bytes.clear();
    for (const std::string& one : texts) put_text(entry.bytes, one);
    entry.count = texts.size();
  } else if (entry.type == Type::kString) {
    std::string text = entry.bytes.substr(8);
    if (random.one_in(2))
      text = random.pick(words());
    else
      for (uint64_t i = random.below(8); i < 8; i++) random.scramble(text, 0, text.size());
    entry.bytes.clear();
    put_text(entry.bytes, text);
  } else if (entry.is_array) {
    const uint64_t width = width_of(entry.type);
    if (random.one_in(4)) {
      entry.count = random.below(entry.count + 2);
      entry.bytes.resize(entry.count * width);
    }
    for (uint64_t i = random.below(4); i < 4 && entry.count > 0; i++) {
      entry.bytes.replace(random.below(entry.count) * width, width, random_value(entry.type, random));
    }
  } else {
    entry.bytes = random_value(entry.type, random);
  }
}

uint64_t bytes_of(const Part& part) {
  if (part.type >= GGML_TYPE_COUNT || ggml_blck_size(static_cast<ggml_type>(part.type)) <= 0) return part.data.size();
  uint64_t elements = 1;
  for (const uint64_t length : part.shape) elements *= length;
  const uint64_t blocks = elements / ggml_blck_size(static_cast<ggml_type>(part.type));
  const uint64_t bytes = blocks * ggml_type_size(static_cast<ggml_type>(part.type));
  return bytes < (1 << 24) ? bytes : part.data.size();
}

void change_part(File& file, Random& random) {
  if (file.parts.empty()) return;
  Part& part = file.parts[random.below(file.parts.size())];
  switch (random.below(9)) {
    case 0: part.type = static_cast<uint32_t>(random.one_in(4) ? random.edge() : random.below(GGML_TYPE_COUNT)); break;
    case 1:
      if (!part.shape.empty()) part.shape[random.below(part.shape.size())] = random.edge();
      break;
    case 2:
      if (!part.shape.empty()) std::swap(part.shape[0], part.shape[random.below(part.shape.size())]);
      break;
    case 3:
      if (random.one_in(2) || part.shape.empty())
        part.shape.push_back(random.one_in(2) ? 1 : random.edge());
      else
        part.shape.pop_back();
      break;
    case 4: std::swap(part.name, file.parts[random.below(file.parts.size())].name); break;
    case 5: random.scramble(part.name, 0, part.name.size()); break;
    case 6: file.parts.erase(file.parts.begin() + static_cast<long>(random.below(file.parts.size()))); return;
    case 7: part.offset_error = random.edge(); return;
    case 8:
      for (int i = 0; i < 64; i++) random.scramble(part.data, 0, part.data.size());
      break;
  }
  // What the description says is there, so that only the description is at fault.
  if (!random.one_in(4)) part.data.resize(bytes_of(part));
}

}  // namespace

std::string mutate_gguf(const std::string& whole, Random& random) {
  if (random.one_in(6)) {  // bytes, as they come
    std::string bytes = whole;
    const uint64_t header = Header::parse(whole).size();
    for (uint64_t i = random.below(6); i < 6; i++)
      random.scramble(bytes, 0, random.one_in(8) ? bytes.size() : std::min<uint64_t>(header, bytes.size()));
    if (random.one_in(4)) bytes.resize(random.below(bytes.size() + 1));
    return bytes;
  }
  File file = read(whole);
  for (uint64_t i = random.below(3); i < 3; i++) {
    const uint64_t at = random.below(file.entries.size());
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2: change_value(file.entries[at], random); break;
      case 3: {  // a number among those that the hyperparameters are
        std::vector<size_t> numbers;
        for (size_t e = 0; e < file.entries.size(); e++) {
          if (!file.entries[e].is_array && file.entries[e].type != Type::kString) numbers.push_back(e);
        }
        if (!numbers.empty()) change_value(file.entries[random.pick(numbers)], random);
        break;
      }
      case 4: file.entries[at] = random_entry(file.entries[at].key, random); break;
      case 5: file.entries.erase(file.entries.begin() + static_cast<long>(at)); break;
      case 6:
      case 7: {
        Entry entry = random_entry(some_key(file, random), random);
        for (Entry& other : file.entries) {
          if (other.key == entry.key && !random.one_in(8)) other.key += "_";
        }
        file.entries.push_back(std::move(entry));
        break;
      }
      case 8: change_part(file, random); break;
      case 9: {
        if (!random.one_in(3)) {
          change_part(file, random);
          break;
        }
        std::string before = "llama";
        const std::string after = random.pick(architectures());
        for (Entry& entry : file.entries) {
          if (entry.key == "general.architecture" && entry.bytes.size() > 8) {
            before = entry.bytes.substr(8);
            entry.bytes.clear();
            put_text(entry.bytes, after);
          }
        }
        for (Entry& entry : file.entries) {
          if (entry.key.compare(0, before.size() + 1, before + ".") == 0) entry.key.replace(0, before.size(), after);
        }
        break;
      }
    }
    if (file.entries.empty()) break;
  }
  return write(file);
}

}  // namespace fuzz
