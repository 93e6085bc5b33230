#include "values.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/error.h"

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
  kAnswerError
};
static_assert(std::variant_size_v<EventPayload> == kAnswerError + 1, "EventPayload and NativeEventKind must agree");

double number(const Napi::Object& object, const char* key) { return object.Get(key).As<Napi::Number>().DoubleValue(); }
int integer(const Napi::Object& object, const char* key) { return object.Get(key).As<Napi::Number>().Int32Value(); }
float real(const Napi::Object& object, const char* key) { return static_cast<float>(number(object, key)); }
bool boolean(const Napi::Object& object, const char* key) { return object.Get(key).ToBoolean().Value(); }

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
    case FinishReason::kCancelled: return "cancelled";
  }
  return "stop";
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

// One overload for each kind of event.
struct PayloadToJs {
  Napi::Env env;

  Napi::Value operator()(const TextEvent& event) const { return string_to_js(env, event.text); }

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

    Napi::Object itl = Napi::Object::New(env);
    itl.Set("p50", event.timings.itl_p50_ms);
    itl.Set("p99", event.timings.itl_p99_ms);
    itl.Set("max", event.timings.itl_max_ms);
    Napi::Object timings = Napi::Object::New(env);
    timings.Set("queueMs", event.timings.queue_ms);
    timings.Set("prefillMs", event.timings.prefill_ms);
    timings.Set("ttftMs", event.timings.ttft_ms);
    timings.Set("itlMs", itl);
    timings.Set("tokensPerSecond", event.timings.tokens_per_second);
    timings.Set("pausedMs", event.timings.paused_ms);

    Napi::Object object = Napi::Object::New(env);
    object.Set("reason", reason_name(event.reason));
    if (event.stop_string) object.Set("stopString", *event.stop_string);
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
    Napi::Int32Array tokens = Napi::Int32Array::New(env, event.tokens.size());
    std::copy(event.tokens.begin(), event.tokens.end(), tokens.Data());
    Napi::Object object = Napi::Object::New(env);
    object.Set("question", static_cast<double>(event.question));
    object.Set("tokens", tokens);
    return object;
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
    object.Set("chatTemplate", chat_template);
    if (!info.normalizer.empty()) object.Set("normalizer", info.normalizer);
    object.Set("guessesPreTokenizer", info.guesses_pre_tokenizer);
    object.Set("deterministic", info.deterministic);
    return object;
  }
};

}  // namespace

EngineOptions engine_options_from_js(const Napi::Object& value) {
  EngineOptions options;
  options.context_size = integer(value, "contextSize");
  options.max_streams = integer(value, "maxStreams");
  options.max_queue = integer(value, "maxQueue");
  options.threads = integer(value, "threads");
  options.gpu_layers = integer(value, "gpuLayers");
  options.device = value.Get("device").As<Napi::String>();
  options.latency_target_ms = number(value, "latencyTargetMs");
  options.deterministic = boolean(value, "deterministic");
  const Napi::Object cache = value.Get("promptCache").As<Napi::Object>();
  options.prompt_cache.enabled = boolean(cache, "enabled");
  options.prompt_cache.ram_bytes = static_cast<uint64_t>(number(cache, "ram"));
  options.prompt_cache.dir = cache.Get("dir").As<Napi::String>();
  options.prompt_cache.disk_bytes = static_cast<uint64_t>(number(cache, "disk"));
  return options;
}

RequestSpec request_from_js(const Napi::Object& value) {
  RequestSpec request;
  const Napi::Value messages = value.Get("messages");
  if (messages.IsString()) {
    request.input = ChatInput{messages.As<Napi::String>(), boolean(value, "continueFinalMessage")};
  } else {
    request.input = TextInput{value.Get("prompt").As<Napi::String>()};
  }
  StreamSettings& settings = request.settings;
  settings.max_tokens = integer(value, "maxTokens");
  settings.high_water_mark = integer(value, "highWaterMark");
  settings.stall_timeout_ms = integer(value, "stallTimeoutMs");

  SamplingParams& sampling = settings.sampling;
  sampling.temperature = real(value, "temperature");
  sampling.top_p = real(value, "topP");
  sampling.top_k = integer(value, "topK");
  sampling.min_p = real(value, "minP");
  sampling.typical_p = real(value, "typicalP");
  sampling.top_n_sigma = real(value, "topNSigma");
  sampling.presence_penalty = real(value, "presencePenalty");
  sampling.frequency_penalty = real(value, "frequencyPenalty");
  sampling.repeat_penalty = real(value, "repeatPenalty");
  sampling.ignore_eos = boolean(value, "ignoreEos");
  const Napi::Value seed = value.Get("seed");
  if (seed.IsNumber()) {
    sampling.seed = seed.As<Napi::Number>().Uint32Value();
    sampling.seed_given = true;
  }
  const Napi::Array stop = value.Get("stop").As<Napi::Array>();
  for (uint32_t i = 0; i < stop.Length(); i++) request.stops.push_back(stop.Get(i).As<Napi::String>());
  const Napi::Array bias = value.Get("logitBias").As<Napi::Array>();
  for (uint32_t i = 0; i + 1 < bias.Length(); i += 2) {
    sampling.logit_bias.emplace_back(bias.Get(i).As<Napi::Number>().Int32Value(),
                                     bias.Get(i + 1).As<Napi::Number>().FloatValue());
  }
  return request;
}

Napi::Array payloads_to_js(Napi::Env env, const std::vector<Event>& events) {
  Napi::Array payloads = Napi::Array::New(env, events.size());
  uint32_t i = 0;
  for (const Event& event : events) payloads.Set(i++, std::visit(PayloadToJs{env}, event.payload));
  return payloads;
}

void write_heads(const std::vector<Event>& events, uint32_t* heads) {
  for (const Event& event : events) {
    *heads++ = static_cast<uint32_t>(event.stream);
    *heads++ = static_cast<uint32_t>(event.payload.index());
    *heads++ = static_cast<uint32_t>(event.tokens);
  }
}

Napi::Array devices_to_js(Napi::Env env, const std::vector<DeviceInfo>& devices) {
  Napi::Array array = Napi::Array::New(env, devices.size());
  uint32_t i = 0;
  for (const DeviceInfo& device : devices) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", device.name);
    object.Set("description", device.description);
    object.Set("kind", device.kind);
    object.Set("backend", device.backend);
    object.Set("memoryFreeBytes", device.memory_free);
    object.Set("memoryTotalBytes", device.memory_total);
    array.Set(i++, object);
  }
  return array;
}

Napi::Object stats_to_js(Napi::Env env, const EngineStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("queued", stats.queued.load());
  object.Set("prefilling", stats.prefilling.load());
  object.Set("decoding", stats.decoding.load());
  object.Set("parked", stats.parked.load());
  object.Set("spilled", stats.spilled.load());
  object.Set("freeSlots", stats.free_slots.load());
  object.Set("steps", static_cast<double>(stats.steps.load()));
  object.Set("generatedTokens", static_cast<double>(stats.generated_tokens.load()));
  object.Set("prefilledTokens", static_cast<double>(stats.prefilled_tokens.load()));
  object.Set("abortedSteps", static_cast<double>(stats.aborted_steps.load()));
  object.Set("cachedTokens", static_cast<double>(stats.cached_tokens.load()));
  object.Set("spills", static_cast<double>(stats.spills.load()));
  object.Set("cacheRamBytes", static_cast<double>(stats.cache_ram_bytes.load()));
  object.Set("cacheDiskBytes", static_cast<double>(stats.cache_disk_bytes.load()));
  object.Set("spilledBytes", static_cast<double>(stats.spilled_bytes.load()));
  return object;
}

Napi::Error error_to_js(Napi::Env env, const std::exception& error) {
  const auto* known = dynamic_cast<const EngineError*>(&error);
  Napi::Error value = Napi::Error::New(env, error.what());
  value.Set("code", Napi::String::New(env, known ? known->code() : "ENGINE_FAILED"));
  return value;
}

}  // namespace zse
