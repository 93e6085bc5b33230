#include "vocabulary.h"

#include <stdexcept>

#include "ggml-backend.h"
#include "gguf.h"
#include "llama-model-loader.h"
#include "llama-vocab.h"
#include "llama.h"

// What the reader of models needs beside vocabularies: devices and split files.
ggml_backend_dev_t ggml_backend_dev_by_type(enum ggml_backend_dev_type) { return nullptr; }
int32_t llama_split_path(char*, size_t, const char*, int32_t, int32_t) { return 0; }
int32_t llama_split_prefix(char*, size_t, const char*, int32_t, int32_t) { return 0; }

namespace {

void make_dna(gguf_context* file) {
  const int64_t key = gguf_find_key(file, "tokenizer.ggml.tokens");
  std::vector<std::string> tokens;
  for (size_t i = 0; i < gguf_get_arr_n(file, key); i++) tokens.emplace_back(gguf_get_arr_str(file, key, i));
  size_t last = tokens.size() - 100;
  for (const char* text : {"<dna>", "</dna>", "<oov>"}) tokens[last++] = text;
  for (int kmer = 0; kmer < 64; kmer++) {
    std::string text;
    for (int i = 0; i < 6; i++) text += "ACGT"[(kmer >> (2 * (i % 3))) & 3];
    tokens[last++] = text + "\xee\x80\x80";  // llama.cpp's mark of such tokens
  }
  std::vector<const char*> texts;
  for (const std::string& text : tokens) texts.push_back(text.c_str());
  gguf_set_arr_str(file, "tokenizer.ggml.tokens", texts.data(), texts.size());
}

void change(gguf_context* file, const std::string& what) {
  const std::string value = what.substr(what.find('=') + 1);
  if (what.rfind("pre=", 0) == 0) {
    gguf_set_val_str(file, "tokenizer.ggml.pre", value.c_str());
  } else if (what.rfind("model=", 0) == 0) {
    gguf_set_val_str(file, "tokenizer.ggml.model", value.c_str());
  } else if (what.rfind("name=", 0) == 0) {
    gguf_set_val_str(file, "general.name", value.c_str());
  } else if (what == "merges=0") {
    const char* merge = "zz zz";
    gguf_set_arr_str(file, "tokenizer.ggml.merges", &merge, 1);
  } else if (what == "dna") {
    make_dna(file);
  } else {
    throw std::runtime_error("no such change: " + what);
  }
}

void be_quiet(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

}  // namespace

Vocabulary::Vocabulary(const std::string& path, const std::vector<std::string>& changes) {
  ggml_log_set(be_quiet, nullptr);
  llama_log_set(be_quiet, nullptr);
  gguf_init_params params = {true, nullptr};
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_from_file(path.c_str(), params), gguf_free);
  if (!file) throw std::runtime_error("cannot be read: " + path);
  for (const std::string& what : changes) change(file.get(), what);

  std::vector<std::string> splits;
  llama_model_loader loader(file.get(), nullptr, nullptr, "", splits, nullptr, LLAMA_LOAD_MODE_NONE, false, true, false,
                            nullptr, nullptr);
  vocab_ = std::make_unique<llama_vocab>();
  vocab_->load(loader, LLM_KV(loader.get_arch()));

  constexpr int looked_for = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED | LLAMA_TOKEN_ATTR_UNKNOWN;
  for (uint32_t id = 0; id < vocab_->n_tokens(); id++) {
    const auto& token = vocab_->get_token_data(static_cast<llama_token>(id));
    if ((token.attr & looked_for) != 0) special_.push_back(token.text);
  }
}

Vocabulary::~Vocabulary() = default;

std::vector<int> Vocabulary::tokens(const std::string& text, bool add_special, bool parse_special) const {
  return vocab_->tokenize(text, add_special, parse_special);
}
