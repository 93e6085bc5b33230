#include "event_values.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <variant>

#include "values.h"

namespace zse {

namespace {

// NativeEventKind of lib/addon/contract.ts, in the same order as EventPayload's alternatives but for Error/StreamError's name.
enum EventKind {
  kText,
  kProgress,
  kFinish,
  kStreamError,
  kLoadProgress,
  kReady,
  kLoadError,
  kClosed,
  kAnswer,
  kAnswerError,
  kReasoning,
  kToolCall,
  kHidden,
  kMalformedCall,
  kPrompt
};
static_assert(std::variant_size_v<EventPayload> == kPrompt + 1, "EventPayload and NativeEventKind must agree");

Napi::Object error_object(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", code);
  object.Set("message", message);
  return object;
}

const char* reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kToolCalls: return "toolCalls";
    case FinishReason::kCancelled: return "cancelled";
  }
  return "stop";
}

const char* reason_name(PrefixEnd reason) {
  switch (reason) {
    case PrefixEnd::kWhole: return "whole";
    case PrefixEnd::kNew: return "new";
    case PrefixEnd::kContinued: return "continued";
    case PrefixEnd::kDiffers: return "differs";
    case PrefixEnd::kEvicted: return "evicted";
    case PrefixEnd::kAdapter: return "adapter";
    case PrefixEnd::kCoarse: return "coarse";
    case PrefixEnd::kShort: return "short";
    case PrefixEnd::kLost: return "lost";
    case PrefixEnd::kOff: return "off";
  }
  return "off";
}

// Most text is ASCII, which V8 takes over without decoding it.
Napi::Value string_to_js(Napi::Env env, const std::string& text) {
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  napi_value value = nullptr;
  const napi_status status = ascii ? napi_create_string_latin1(env, text.data(), text.size(), &value)
                                   : napi_create_string_utf8(env, text.data(), text.size(), &value);
  NAPI_THROW_IF_FAILED(env, status, Napi::Value());
  return {env, value};
}

Napi::Int32Array integers_to_js(Napi::Env env, const std::vector<int32_t>& numbers) {
  Napi::Int32Array array = Napi::Int32Array::New(env, numbers.size());
  std::copy(numbers.begin(), numbers.end(), array.Data());
  return array;
}

Napi::Object logprob_to_js(Napi::Env env, const TokenLogprob& one) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", one.token);
  napi_value bytes = nullptr;
  const napi_status status = napi_create_string_latin1(env, one.bytes.data(), one.bytes.size(), &bytes);
  NAPI_THROW_IF_FAILED(env, status, object);
  object.Set("bytes", bytes);
  if (!one.name.empty()) object.Set("name", one.name);
  object.Set("logprob", static_cast<double>(one.logprob));
  return object;
}

// One overload for each kind of event.
struct PayloadToJs {
  Napi::Env env;

  Napi::Value operator()(const TextEvent& event) const { return string_to_js(env, event.text); }

  Napi::Value operator()(const ReasoningEvent& event) const { return string_to_js(env, event.text); }
  Napi::Value operator()(const HiddenEvent&) const { return env.Undefined(); }
  Napi::Value operator()(const PromptEvent&) const { return env.Undefined(); }

  Napi::Value operator()(const ToolCallEvent& event) const {
    Napi::Object object = Napi::Object::New(env);
    object.Set("index", event.index);
    if (event.id) object.Set("id", *event.id);
    if (event.name) object.Set("name", *event.name);
    object.Set("argumentsDelta", string_to_js(env, event.arguments));
    return object;
  }

  Napi::Value operator()(const MalformedCallEvent& event) const {
    Napi::Object object = Napi::Object::New(env);
    object.Set("text", string_to_js(env, event.text));
    object.Set("reason", event.reason);
    return object;
  }

  Napi::Value operator()(const ProgressEvent& event) const {
    Napi::Object object = Napi::Object::New(env);
    object.Set("processedTokens", event.processed);
    object.Set("promptTokens", event.total);
    object.Set("cachedTokens", event.cached);
    return object;
  }

  Napi::Value operator()(const FinishEvent& event) const {
    Napi::Object usage = Napi::Object::New(env);
    usage.Set("promptTokens", event.usage.prompt_tokens);
    usage.Set("completionTokens", event.usage.completion_tokens);
    usage.Set("totalTokens", event.usage.prompt_tokens + event.usage.completion_tokens);
    usage.Set("cachedTokens", event.usage.cached_tokens);
    if (event.usage.reasoning_tokens > 0) usage.Set("reasoningTokens", event.usage.reasoning_tokens);
    if (event.usage.accepted_prediction_tokens) {
      usage.Set("acceptedPredictionTokens", *event.usage.accepted_prediction_tokens);
      usage.Set("rejectedPredictionTokens", *event.usage.rejected_prediction_tokens);
    }

    Napi::Object itl = Napi::Object::New(env);
    itl.Set("p50", event.timings.itl_p50_ms);
    itl.Set("p99", event.timings.itl_p99_ms);
    itl.Set("max", event.timings.itl_max_ms);
    Napi::Object timings = Napi::Object::New(env);
    timings.Set("queueMs", event.timings.queue_ms);
    timings.Set("prefillMs", event.timings.prefill_ms);
    if (event.timings.ttft_ms) timings.Set("ttftMs", *event.timings.ttft_ms);
    timings.Set("itlMs", itl);
    timings.Set("tokensPerSecond", event.timings.tokens_per_second);
    timings.Set("pausedMs", event.timings.paused_ms);
    if (event.timings.drafted_tokens > 0) {
      timings.Set("draftedTokens", event.timings.drafted_tokens);
      timings.Set("acceptedTokens", event.timings.accepted_tokens);
    }
    if (const auto& broke = event.timings.prefix) {
      Napi::Object prefix = Napi::Object::New(env);
      prefix.Set("brokeAt", broke->at);
      prefix.Set("reason", reason_name(broke->reason));
      if (!broke->text.empty()) prefix.Set("text", string_to_js(env, broke->text));
      if (broke->moved > 0) prefix.Set("movedTokens", broke->moved);
      timings.Set("prefix", prefix);
    }

    Napi::Object object = Napi::Object::New(env);
    object.Set("reason", reason_name(event.reason));
    if (event.stop_string) object.Set("stopString", *event.stop_string);
    if (!event.warning.empty()) object.Set("warning", event.warning);
    object.Set("seed", static_cast<double>(event.seed));
    object.Set("usage", usage);
    object.Set("timings", timings);
    return object;
  }

  Napi::Value operator()(const ErrorEvent& event) const { return error_object(env, event.code, event.message); }
  Napi::Value operator()(const LoadErrorEvent& event) const { return error_object(env, event.code, event.message); }
  Napi::Value operator()(const LoadProgressEvent& event) const { return Napi::Number::New(env, event.fraction); }
  Napi::Value operator()(const ClosedEvent&) const { return env.Undefined(); }

  Napi::Value operator()(const AnswerEvent& event) const {
    Napi::Object object = Napi::Object::New(env);
    object.Set("question", static_cast<double>(event.question));
    std::visit([&](const auto& answer) { put(object, answer); }, event.answer);
    return object;
  }
  void put(Napi::Object& object, const TokensAnswer& answer) const {
    object.Set("tokens", integers_to_js(env, answer.tokens));
  }
  void put(Napi::Object& object, const PiecesAnswer& answer) const {
    Napi::Uint8Array bytes = Napi::Uint8Array::New(env, answer.bytes.size());
    std::copy(answer.bytes.begin(), answer.bytes.end(), bytes.Data());
    object.Set("bytes", bytes);
    object.Set("ends", integers_to_js(env, answer.ends));
    object.Set("padding", answer.padding);
  }
  void put(Napi::Object& object, const PromptAnswer& answer) const {
    object.Set("prompt", string_to_js(env, answer.text));
    object.Set("tokens", integers_to_js(env, answer.tokens));
  }
  void put(Napi::Object& object, const VectorsAnswer& answer) const {
    const auto width = static_cast<size_t>(answer.width);
    Napi::Float32Array vectors = Napi::Float32Array::New(env, answer.vectors.size() * width);
    float* next = vectors.Data();
    for (const std::vector<float>& vector : answer.vectors) next = std::copy(vector.begin(), vector.end(), next);
    object.Set("vectors", vectors);
    object.Set("width", answer.width);
    object.Set("tokens", integers_to_js(env, answer.tokens));
  }
  void put(Napi::Object& object, const CacheAnswer& answer) const {
    Napi::Array entries = Napi::Array::New(env, answer.entries.size());
    for (uint32_t i = 0; i < answer.entries.size(); i++) {
      const CacheEntry& it = answer.entries[i];
      Napi::Object entry = Napi::Object::New(env);
      char id[17];
      std::snprintf(id, sizeof id, "%016llx", static_cast<unsigned long long>(it.id));
      entry.Set("id", std::string(id));
      entry.Set("tokens", it.tokens);
      entry.Set("bytes", static_cast<double>(it.bytes));
      Napi::Array places = Napi::Array::New(env);
      if (it.in_slot) places.Set(places.Length(), "slot");
      if (it.in_ram) places.Set(places.Length(), "ram");
      if (it.on_disk) places.Set(places.Length(), "disk");
      entry.Set("in", places);
      entry.Set("pinned", it.pinned);
      entry.Set("text", string_to_js(env, it.text));
      entries.Set(i, entry);
    }
    object.Set("entries", entries);
  }
  Napi::Value operator()(const AnswerErrorEvent& event) const {
    Napi::Object object = error_object(env, event.code, event.message);
    object.Set("question", static_cast<double>(event.question));
    return object;
  }

  Napi::Value operator()(const ReadyEvent& event) const {
    const ModelInfo& info = event.info;
    Napi::Object chat_template = Napi::Object::New(env);
    chat_template.Set("source", info.template_source);
    chat_template.Set("name", info.template_name);
    chat_template.Set("text", info.template_text);
    Napi::Object object = Napi::Object::New(env);
    object.Set("path", info.path);
    object.Set("name", info.name);
    object.Set("architecture", info.architecture);
    object.Set("description", info.description);
    object.Set("parameters", info.parameters);
    object.Set("sizeBytes", info.size_bytes);
    object.Set("layers", info.layers);
    object.Set("embeddingSize", info.embedding_size);
    object.Set("vocabularySize", info.vocabulary_size);
    object.Set("trainedContextSize", info.trained_context_size);
    object.Set("contextSize", info.context_size);
    object.Set("maxStreams", info.max_streams);
    object.Set("threads", info.threads);
    object.Set("gpuLayers", info.gpu_layers);
    object.Set("device", info.device);
    object.Set("kvType", info.kv_type);
    object.Set("kvCacheBytes", info.kv_bytes);
    object.Set("chatTemplate", chat_template);
    if (!info.normalizer.empty()) object.Set("normalizer", info.normalizer);
    object.Set("guessesPreTokenizer", info.guesses_pre_tokenizer);
    object.Set("fillsInTheMiddle", info.fills_in_the_middle);
    object.Set("generates", info.generates);
    object.Set("pooling", info.pooling);
    object.Set("vectorSize", info.vector_size);
    object.Set("deterministic", info.deterministic);
    object.Set("sampling", sampling_to_js(env, info.sampling));
    Napi::Array adapters = Napi::Array::New(env, info.adapters.size());
    for (uint32_t i = 0; i < info.adapters.size(); i++) {
      Napi::Object adapter = Napi::Object::New(env);
      adapter.Set("name", info.adapters[i].name);
      adapter.Set("scale", static_cast<double>(info.adapters[i].scale));
      adapters.Set(i, adapter);
    }
    object.Set("adapters", adapters);
    if (!info.draft_model.empty()) object.Set("draftModel", info.draft_model);
    if (info.draft_head) object.Set("draftHead", true);
    if (!info.unused_head.empty()) object.Set("unusedHead", info.unused_head);
    return object;
  }
};

}  // namespace

Napi::Array payloads_to_js(Napi::Env env, const std::vector<Event>& events) {
  Napi::Array payloads = Napi::Array::New(env, events.size());
  uint32_t i = 0;
  for (const Event& event : events) payloads.Set(i++, std::visit(PayloadToJs{env}, event.payload));
  return payloads;
}

Napi::Value logprobs_to_js(Napi::Env env, const std::vector<Event>& events) {
  const bool any = std::any_of(events.begin(), events.end(), [](const Event& event) { return event.logprobs != nullptr; });
  if (!any) return env.Undefined();
  Napi::Array all = Napi::Array::New(env, events.size());
  for (uint32_t i = 0; i < events.size(); i++) {
    if (!events[i].logprobs) continue;
    Napi::Array tokens = Napi::Array::New(env, events[i].logprobs->size());
    uint32_t index = 0;
    for (const TokenLogprobs& logprobs : *events[i].logprobs) {
      Napi::Object token = logprob_to_js(env, logprobs.chosen);
      Napi::Array top = Napi::Array::New(env, logprobs.top.size());
      uint32_t place = 0;
      for (const TokenLogprob& one : logprobs.top) top.Set(place++, logprob_to_js(env, one));
      token.Set("top", top);
      tokens.Set(index++, token);
    }
    all.Set(i, tokens);
  }
  return all;
}

Napi::Value drawn_to_js(Napi::Env env, const std::vector<Event>& events) {
  size_t count = 0;
  for (const Event& event : events) count += event.drawn.size();
  if (count == 0) return env.Undefined();
  Napi::Int32Array pairs = Napi::Int32Array::New(env, 2 * count);
  int32_t* next = pairs.Data();
  for (size_t i = 0; i < events.size(); i++) {
    for (const Token token : events[i].drawn) {
      *next++ = static_cast<int32_t>(i);
      *next++ = token;
    }
  }
  return pairs;
}

void write_heads(const std::vector<Event>& events, uint32_t* heads) {
  for (const Event& event : events) {
    *heads++ = static_cast<uint32_t>(event.stream);
    *heads++ = static_cast<uint32_t>(event.payload.index());
    *heads++ = static_cast<uint32_t>(event.tokens);
  }
}

}  // namespace zse
