#include "inspect.h"

#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "files/inspect.h"
#include "values.h"

namespace zse {

namespace {

Napi::Object section_to_js(Napi::Env env, const InspectedSection& section) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", section.name);
  object.Set("offset", static_cast<double>(section.offset));
  object.Set("bytes", static_cast<double>(section.size));
  if (section.crc32) object.Set("crc32", static_cast<double>(*section.crc32));
  return object;
}

Napi::Object weights_to_js(Napi::Env env, const InspectedWeights& weights) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", weights.kind);
  object.Set("coding", weights.coding);
  object.Set("groupSize", static_cast<double>(weights.group_size));
  if (!weights.layout.empty()) {
    object.Set("layout", weights.layout);
    object.Set("layoutEvidence", weights.layout_evidence);
  }
  if (!weights.loads_as.empty()) {
    object.Set("loadsAs", weights.loads_as);
    object.Set("lossless", weights.lossless);
  }
  object.Set("tensors", weights.tensors);
  object.Set("parameters", static_cast<double>(weights.parameters));
  object.Set("bytes", static_cast<double>(weights.bytes));
  return object;
}

template <class Item, class Convert>
Napi::Array list_to_js(Napi::Env env, const std::vector<Item>& items, Convert convert) {
  Napi::Array array = Napi::Array::New(env, items.size());
  for (uint32_t i = 0; i < items.size(); i++) array.Set(i, convert(env, items[i]));
  return array;
}

Napi::Object to_js(Napi::Env env, const Inspection& found) {
  const auto object_of = [&](std::initializer_list<std::pair<const char*, uint64_t>> numbers) {
    Napi::Object object = Napi::Object::New(env);
    for (const auto& [key, number] : numbers) object.Set(key, static_cast<double>(number));
    return object;
  };
  Napi::Object tokenizer = object_of({{"tokens", found.tokens}, {"merges", found.merges}});
  tokenizer.Set("model", found.tokenizer);
  tokenizer.Set("preTokenizer", found.pre_tokenizer);
  if (!found.bos.empty()) tokenizer.Set("bos", found.bos);
  if (!found.eos.empty()) tokenizer.Set("eos", found.eos);
  tokenizer.Set("addsBos", found.adds_bos);
  tokenizer.Set("nfc", found.nfc);

  Napi::Object chat_template = object_of({{"bytes", found.template_bytes}});
  chat_template.Set("source", found.template_source);
  chat_template.Set("name", found.template_name);

  Napi::Object object = Napi::Object::New(env);
  object.Set("format", found.format);
  object.Set("version", found.version);
  object.Set("name", found.name);
  object.Set("architecture", found.architecture);
  if (!found.source_model.empty()) object.Set("sourceModel", found.source_model);
  object.Set("bytes", static_cast<double>(found.size));
  object.Set("parameters", static_cast<double>(found.parameters));
  object.Set("shape", object_of({{"layers", found.layers},
                                 {"width", found.width},
                                 {"heads", found.heads},
                                 {"kvHeads", found.kv_heads},
                                 {"headSize", found.head_size},
                                 {"feedForward", found.feed_forward},
                                 {"vocabulary", found.vocabulary},
                                 {"context", found.context}}));
  object.Set("tiedEmbeddings", found.tied);
  object.Set("sections", list_to_js(env, found.sections, section_to_js));
  object.Set("weights", list_to_js(env, found.weights, weights_to_js));
  object.Set("tokenizer", tokenizer);
  object.Set("chatTemplate", chat_template);
  object.Set("sampling", sampling_to_js(env, found.sampling));
  if (!found.refusal.empty()) object.Set("refusal", found.refusal);
  object.Set("notes",
             list_to_js(env, found.notes, [](Napi::Env e, const std::string& note) { return Napi::String::New(e, note); }));
  return object;
}

class InspectWorker : public Napi::AsyncWorker {
 public:
  InspectWorker(Napi::Env env, std::string path)
      : Napi::AsyncWorker(env), path_(std::move(path)), deferred_(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      found_ = inspect_file(path_);
    } catch (const EngineError& error) {
      error_ = error;
    } catch (const std::exception& error) {
      error_ = EngineError("ENGINE_FAILED", std::string("the file could not be inspected: ") + error.what());
    }
  }
  void OnOK() override {
    if (error_) {
      deferred_.Reject(error_to_js(Env(), *error_).Value());
    } else {
      deferred_.Resolve(to_js(Env(), found_));
    }
  }

 private:
  std::string path_;
  Napi::Promise::Deferred deferred_;
  Inspection found_;
  std::optional<EngineError> error_;
};

}  // namespace

Napi::Value inspect(const Napi::CallbackInfo& info) {
  auto* worker = new InspectWorker(info.Env(), info[0].As<Napi::String>());  // destroys itself when it is done
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace zse
