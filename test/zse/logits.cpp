// Loads models and prints the logits of a prompt's last position: how test/addon/zse.test.ts compares what a .zse file computes with what it
// should. Reads lines "<flags> <token ids, with commas> <path>" from its input, where flags is "as-is" or "f32" (weights as float32, of
// .zse files), and answers each with one line of JSON: {"logits": [...]} or {"code", "message"}.
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "llama.h"
#include "llama/devices.h"
#include "llama/zse_model.h"
#include "nlohmann/json.hpp"

namespace {

struct ModelDeleter {
  void operator()(llama_model* model) const { llama_model_free(model); }
};
struct ContextDeleter {
  void operator()(llama_context* context) const { llama_free(context); }
};

nlohmann::json logits(const std::string& path, bool as_f32, std::vector<llama_token> tokens) {
  const bool is_gguf = path.size() > 5 && path.substr(path.size() - 5) == ".gguf";
  llama_model_params params = llama_model_default_params();
  zse::GgufPlanOptions options;
  options.weights_as_f32 = as_f32;
  options.without_tokenizer = true;
  const std::unique_ptr<llama_model, ModelDeleter> model(is_gguf ? llama_model_load_from_file(path.c_str(), params)
                                                                 : zse::load_zse_model(path, params, options));
  if (!model) return {{"code", "BAD_MODEL"}, {"message", "llama.cpp could not load it"}};
  llama_context_params context_params = llama_context_default_params();
  context_params.n_ctx = 128;
  context_params.type_k = context_params.type_v = GGML_TYPE_F32;  // nothing but the weights shall be rounded
  context_params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  context_params.n_threads = context_params.n_threads_batch = 1;
  const std::unique_ptr<llama_context, ContextDeleter> context(llama_init_from_model(model.get(), context_params));
  if (!context ||
      llama_decode(context.get(), llama_batch_get_one(tokens.data(), static_cast<int32_t>(tokens.size()))) != 0) {
    return {{"code", "ENGINE_FAILED"}, {"message", "llama.cpp could not compute"}};
  }
  const float* last = llama_get_logits_ith(context.get(), -1);
  return {{"logits", std::vector<float>(last, last + llama_vocab_n_tokens(llama_model_get_vocab(model.get())))}};
}

}  // namespace

int main() {
  zse::init_backends();
  std::string flags, ids, path;
  while (std::cin >> flags >> ids && std::getline(std::cin >> std::ws, path)) {
    std::vector<llama_token> tokens;
    std::stringstream list(ids);
    for (std::string one; std::getline(list, one, ',');) tokens.push_back(std::stoi(one));
    try {
      std::cout << logits(path, flags == "f32", tokens).dump() << std::endl;
    } catch (const zse::EngineError& e) {
      std::cout << nlohmann::json{{"code", e.code()}, {"message", e.what()}}.dump() << std::endl;
    }
  }
}
