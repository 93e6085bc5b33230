#include "model.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/cpu_quota.h"
#include "base/error.h"
#include "common.h"
#include "devices.h"
#include "files/gguf/check.h"
#include "files/gguf/draft_head.h"
#include "files/model_kind.h"
#include "ggml_abort.h"
#include "llama-model.h"
#include "llama-vocab.h"
#include "llama_log.h"
#include "shown_tokens.h"
#include "template_choice.h"
#include "tokenize/nfc.h"
#include "zse_model.h"

namespace zse {

namespace {

struct CheckedFile {
  FileKind kind;
  uint64_t bytes;  // of all its parts
};

/** What kind of model a file is, told by its content and never by its name; throws where it is none that can be loaded. */
CheckedFile check_file(const std::string& path) {
  const auto file = FileMap::open(path);
  const FileKind kind = kind_of_model(path, file->bytes());
  return {kind, kind == FileKind::kGguf ? gguf::check_file(path) : file->bytes().size};
}

/** Of a file that may be loaded: whether it has a head that guesses for it, where one is wanted. A .zse file has none. */
gguf::DraftHead draft_head_of(const std::string& path, FileKind kind, const EngineOptions& options) {
  if (kind != FileKind::kGguf || options.draft_tokens == 0 || options.deterministic || !options.draft_model.empty())
    return {};
  const auto file = FileMap::open(path);
  try {
    return gguf::draft_head_of(gguf::read_header(*file));
  } catch (const gguf::FileError& error) {  // it was cut short since it was checked
    file->check_whole(path);
    gguf::refuse(path, error);
  }
}

std::string metadata(const llama_model* model, const char* key) {
  std::string value(256, '\0');
  int length = llama_model_meta_val_str(model, key, value.data(), value.size());
  if (length < 0) return {};
  if (static_cast<size_t>(length) >= value.size()) {
    value.resize(length + 1);
    length = llama_model_meta_val_str(model, key, value.data(), value.size());
  }
  value.resize(std::max(0, length));
  return value;
}

#ifdef __linux__
std::string text_of_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}
#endif

/** The physical cores, or fewer where this process may not use them all, or not all the time. */
int default_threads() {
  const int physical = common_cpu_get_num_physical_cores();
  int usable = static_cast<int>(std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) usable = CPU_COUNT(&cores);  // taskset, or a container's
  if (const int quota = quota_cores(text_of_file); quota > 0) usable = usable > 0 ? std::min(usable, quota) : quota;
#endif
  return std::max(1, usable > 0 ? std::min(physical, usable) : physical);
}

const char* name_of(enum llama_pooling_type pooling) {
  switch (pooling) {
    case LLAMA_POOLING_TYPE_MEAN: return "mean";
    case LLAMA_POOLING_TYPE_CLS: return "cls";
    case LLAMA_POOLING_TYPE_LAST: return "last";
    case LLAMA_POOLING_TYPE_RANK: return "rank";
    default: return "none";
  }
}

/** What a file says of the token that ends a text. load() overrides it, so llama.cpp's vocabulary does not know it any more. */
bool says_end_token(const llama_model* model) {
  const std::string said = metadata(model, "tokenizer.ggml.add_eos_token");
  if (!said.empty()) return said == "true";
  return llama_vocab_type(llama_model_get_vocab(model)) == LLAMA_VOCAB_TYPE_UGM;  // as llama.cpp takes it then
}

/**
 * Whether RAM has room for the file and as much again. On the CPU most weights are put into another order while they are loaded, and a
 * mapped file stays resident beside them; only where RAM is short is mapping better, since its pages can be given up.
 */
bool fits_twice(uint64_t bytes) { return bytes <= machine_memory() / 2; }

}  // namespace

std::shared_ptr<const Model> Model::load(const std::string& path, const EngineOptions& options,
                                         const LoadProgress& progress) {
  init_backends();
  const auto [kind, bytes] = check_file(path);
  DeviceChoice choice = choose_devices(options);

  struct Watcher {
    const LoadProgress& progress;
    bool stopped = false;
  } watcher{progress};
  llama_model_params params = llama_model_default_params();
  params.devices = choice.devices.empty() ? nullptr : choice.devices.data();
  params.n_gpu_layers = choice.gpu_layers;
  if (choice.gpu_layers == 0 && fits_twice(bytes)) params.load_mode = LLAMA_LOAD_MODE_NONE;
  params.progress_callback_user_data = &watcher;
  params.progress_callback = [](float fraction, void* data) {
    auto* w = static_cast<Watcher*>(data);
    if (!w->progress(fraction)) w->stopped = true;
    return !w->stopped;
  };

  // Some files say so for training; after a prompt it would end the reply before it begins. Here neither tokenizer nor template add one.
  llama_model_kv_override overrides[2] = {};
  std::snprintf(overrides[0].key, sizeof overrides[0].key, "tokenizer.ggml.add_eos_token");
  overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_BOOL;
  overrides[0].val_bool = false;
  params.kv_overrides = overrides;  // the second, without a key, ends the list

  const gguf::DraftHead head = draft_head_of(path, kind, options);
  params.load_mtp = head.usable;
  GpuFit fit;
  if (choice.gpu_layers < 0 && kind == FileKind::kGguf) fit.apply(path, options, params);  // it reads GGUF files only

  clear_logged_errors();
  const AbortGuard guard(AbortBlame::kFile);
  llama_model* model =
      kind == FileKind::kGguf ? llama_model_load_from_file(path.c_str(), params) : load_zse_model(path, params);
  if (!model) {
    if (watcher.stopped) throw EngineError("CLOSED", "the model was closed while it was loading");
    const std::string reason = logged_errors();
    throw EngineError("BAD_MODEL", "\"" + path + "\" could not be loaded: " +
                                       (reason.empty() ? "llama.cpp gave no reason (ZSE_LOG=info shows its log)" : reason));
  }
  std::shared_ptr<Model> loaded(new Model(model, path, options, params.n_gpu_layers));
  loaded->info_.device = choice.name;
  loaded->info_.draft_head = head.usable;
  loaded->info_.unused_head = head.problem;
  if (!llama_model_has_decoder(model) || llama_model_has_encoder(model) || llama_model_is_diffusion(model) ||
      llama_vocab_n_tokens(loaded->vocab()) == 0) {
    throw EngineError("UNSUPPORTED", "\"" + path + "\" (architecture \"" + loaded->info_.architecture +
                                         "\") neither generates text token by token nor embeds texts; zStream runs "
                                         "decoder-only language models, and encoders");
  }
  loaded->adapters_.load(model, options.adapters);
  return loaded;
}

Model::Model(llama_model* model, const std::string& path, const EngineOptions& options, int gpu_layers) : model_(model) {
  char description[256] = {};
  llama_model_desc(model, description, sizeof description);
  info_.path = path;
  info_.name = metadata(model, "general.name");
  if (info_.name.empty()) info_.name = std::filesystem::u8path(path).stem().u8string();
  info_.architecture = metadata(model, "general.architecture");
  info_.description = description;
  info_.parameters = static_cast<double>(llama_model_n_params(model));
  info_.size_bytes = static_cast<double>(llama_model_size(model));
  info_.layers = llama_model_n_layer(model);
  info_.embedding_size = llama_model_n_embd(model);
  info_.vocabulary_size = llama_vocab_n_tokens(vocab());
  info_.trained_context_size = llama_model_n_ctx_train(model);
  info_.generates = model->hparams.causal_attn;
  info_.pooling = name_of(model->hparams.pooling_type);
  info_.vector_size = llama_model_n_embd_out(model);
  adds_end_ = says_end_token(model);
  info_.context_size =
      options.context_size > 0 ? options.context_size : std::clamp(info_.trained_context_size, 1, kDefaultContextSize);
  // Where tokens see those behind them, a place beyond those that were trained may be none at all.
  if (!info_.generates) info_.context_size = std::clamp(info_.context_size, 1, std::max(1, info_.trained_context_size));
  info_.max_streams = options.max_streams;
  info_.kv_type = options.kv_type;
  info_.threads = options.threads > 0 ? options.threads : default_threads();
  info_.gpu_layers = gpu_layers < 0 ? info_.layers + 1 : std::min(gpu_layers, info_.layers + 1);
  info_.deterministic = options.deterministic;
  info_.moves_chunks = options.prompt_cache.enabled && options.prompt_cache.moved;
  info_.adapters = options.adapters;
  info_.draft_model = options.draft_model;
  info_.rotates_by_context = metadata(model, (info_.architecture + ".rope.scaling.type").c_str()) == "longrope";
  info_.normalizer = metadata(model, kNormalizerKey);
  info_.sampling = recommended_sampling([model](const char* key) { return metadata(model, key); });
  info_.fills_in_the_middle = llama_vocab_fim_pre(vocab()) != LLAMA_TOKEN_NULL &&
                              llama_vocab_fim_suf(vocab()) != LLAMA_TOKEN_NULL &&
                              llama_vocab_fim_mid(vocab()) != LLAMA_TOKEN_NULL;
  info_.guesses_pre_tokenizer =
      metadata(model, "tokenizer.ggml.model") == "gpt2" && metadata(model, "tokenizer.ggml.pre").empty();
  const ChatTemplateChoice choice = choose_chat_template(*this);
  info_.template_source = choice.from_model ? "model" : "fallback";
  info_.template_name = choice.name;
  info_.template_text = choice.source;
  shown_.resize(info_.vocabulary_size);
  first_bytes_.resize(info_.vocabulary_size);
  for (Token token = 0; token < info_.vocabulary_size; token++) {
    shown_[token] = llama_vocab_is_control(vocab(), token) && is_shown_tag(llama_vocab_get_text(vocab(), token));
    longest_piece_ = std::max(longest_piece_, std::strlen(llama_vocab_get_text(vocab(), token)));
    const std::string& piece = vocab()->token_to_piece(token);
    if (llama_vocab_is_eog(vocab(), token)) {
      end_tokens_.push_back(token);
    } else if (!piece.empty()) {
      first_bytes_[token] = static_cast<uint8_t>(piece.front());
    }
    if (llama_vocab_is_control(vocab(), token) && !llama_vocab_is_eog(vocab(), token)) control_tokens_.push_back(token);
  }
}

std::vector<Token> Model::tokenize(const std::string& text, bool add_special, bool parse_special) const {
  return common_tokenize(vocab(), text, add_special, parse_special);
}

std::vector<Token> Model::tokenize_whole(const std::string& text) const {
  std::vector<Token> tokens = tokenize(text, true, false);
  const auto type = llama_vocab_type(vocab());  // the others have no end, or one of their own
  const bool has_end = type == LLAMA_VOCAB_TYPE_SPM || type == LLAMA_VOCAB_TYPE_BPE || type == LLAMA_VOCAB_TYPE_UGM;
  const Token end = llama_vocab_eos(vocab());
  if (adds_end_ && has_end && end != LLAMA_TOKEN_NULL) tokens.push_back(end);
  return tokens;
}

std::string Model::normalized(const std::string& text) const { return normalizes() ? normalize_nfc(text) : text; }

bool Model::pads_texts() const { return vocab()->get_add_space_prefix(); }

void Model::append_piece(Token token, std::string& out, bool special) const {
  char buffer[128];
  const bool shown = special || shown_[token];
  int length = llama_token_to_piece(vocab(), token, buffer, sizeof buffer, 0, shown);
  if (length >= 0) {
    out.append(buffer, length);
    return;
  }
  const size_t start = out.size();
  out.resize(start - length);
  length = llama_token_to_piece(vocab(), token, out.data() + start, -length, 0, shown);
  out.resize(start + std::max(0, length));
}

}  // namespace zse
