#include "values.h"

#include <algorithm>
#include <map>
#include <string>
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
  kAnswerError,
  kReasoning,
  kToolCall,
  kHidden,
  kMalformedCall,
  kPrompt
};
static_assert(std::variant_size_v<EventPayload> == kPrompt + 1, "EventPayload and NativeEventKind must agree");

double number(const Napi::Object& object, const char* key) { return object.Get(key).As<Napi::Number>().DoubleValue(); }
int integer(const Napi::Object& object, const char* key) { return object.Get(key).As<Napi::Number>().Int32Value(); }
float real(const Napi::Object& object, const char* key) { return static_cast<float>(number(object, key)); }
bool boolean(const Napi::Object& object, const char* key) { return object.Get(key).ToBoolean().Value(); }

std::string text_or_none(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

/** lib/options has seen to the size; a key that is not all of its bytes would be one that can be guessed. */
AeadKey key_from_js(const Napi::Value& given) {
  const Napi::Uint8Array bytes = given.As<Napi::Uint8Array>();
  AeadKey key;
  if (bytes.ByteLength() != key.size()) throw Napi::TypeError::New(given.Env(), "a key must have 32 bytes");
  std::copy_n(bytes.Data(), key.size(), key.begin());
  return key;
}

std::vector<std::string> strings(const Napi::Object& object, const char* key) {
  const Napi::Array array = object.Get(key).As<Napi::Array>();
  std::vector<std::string> all(array.Length());
  for (uint32_t i = 0; i < all.size(); i++) all[i] = array.Get(i).As<Napi::String>().Utf8Value();
  return all;
}

std::vector<SamplerKind> samplers(const Napi::Object& object, const char* key) {
  // SAMPLERS of lib/options/samplers.ts.
  static const std::map<std::string, SamplerKind> kinds = {{"penalties", SamplerKind::kPenalties},
                                                           {"dry", SamplerKind::kDry},
                                                           {"topNSigma", SamplerKind::kTopNSigma},
                                                           {"topK", SamplerKind::kTopK},
                                                           {"typicalP", SamplerKind::kTypicalP},
                                                           {"topP", SamplerKind::kTopP},
                                                           {"minP", SamplerKind::kMinP},
                                                           {"xtc", SamplerKind::kXtc},
                                                           {"temperature", SamplerKind::kTemperature},
                                                           {"infill", SamplerKind::kInfill},
                                                           {"adaptiveP", SamplerKind::kAdaptiveP}};
  std::vector<SamplerKind> all;
  for (const std::string& name : strings(object, key)) all.push_back(kinds.at(name));
  return all;
}

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

std::vector<int32_t> integers_from_js(const Napi::Value& value) {
  const Napi::Int32Array array = value.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
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

EngineOptions engine_options_from_js(const Napi::Object& value) {
  EngineOptions options;
  options.context_size = integer(value, "contextSize");
  options.max_streams = integer(value, "maxStreams");
  options.max_queue = integer(value, "maxQueue");
  options.threads = integer(value, "threads");
  options.gpu_layers = integer(value, "gpuLayers");
  options.device = value.Get("device").As<Napi::String>();
  options.kv_type = value.Get("kvType").As<Napi::String>();
  options.latency_target_ms = number(value, "latencyTargetMs");
  options.deterministic = boolean(value, "deterministic");
  if (const Napi::Value given = value.Get("speculate"); given.IsObject()) {
    options.draft_tokens = integer(given.As<Napi::Object>(), "tokens");
    options.draft_model = text_or_none(given.As<Napi::Object>(), "draftModel");
  }
  if (value.Has("replayRows")) options.replay_rows = integer(value, "replayRows");
  if (const Napi::Value adapters = value.Get("adapters"); adapters.IsArray()) {
    const Napi::Array all = adapters.As<Napi::Array>();
    for (uint32_t i = 0; i < all.Length(); i++) {
      const Napi::Object one = all.Get(i).As<Napi::Object>();
      options.adapters.push_back({text_or_none(one, "name"), text_or_none(one, "path"), real(one, "scale")});
    }
  }
  const Napi::Object cache = value.Get("promptCache").As<Napi::Object>();
  options.prompt_cache.enabled = boolean(cache, "enabled");
  options.prompt_cache.ram_bytes = static_cast<uint64_t>(number(cache, "ram"));
  options.prompt_cache.moved = boolean(cache, "moved");
  options.prompt_cache.dir = cache.Get("dir").As<Napi::String>();
  options.prompt_cache.disk_bytes = static_cast<uint64_t>(number(cache, "disk"));
  if (const Napi::Value given = cache.Get("key"); given.IsTypedArray()) {
    options.prompt_cache.key = key_from_js(given);
  }
  return options;
}

namespace {

/** NativeReplyShape of lib/addon/contract.ts. */
void read_shape(const Napi::Object& shape, ChatInput& chat) {
  chat.tools_json = text_or_none(shape, "tools");
  const std::string choice = text_or_none(shape, "toolChoice");
  if (choice == "none") chat.tool_choice = ToolChoice::kNone;
  if (choice == "required") chat.tool_choice = ToolChoice::kRequired;
  const Napi::Value parallel = shape.Get("parallelToolCalls");
  if (parallel.IsBoolean()) chat.parallel_calls = parallel.As<Napi::Boolean>();
  const Napi::Value thinking = shape.Get("thinking");
  if (thinking.IsBoolean()) chat.thinking = thinking.As<Napi::Boolean>().Value();
  const Napi::Value budget = shape.Get("reasoningBudget");
  if (budget.IsNumber()) chat.reasoning_budget = budget.As<Napi::Number>().Int32Value();
  chat.template_arguments_json = text_or_none(shape, "templateArguments");
  chat.continue_final_message = boolean(shape, "continueFinalMessage");
}

RequestInput input_from_js(const Napi::Object& value) {
  const Napi::Value messages = value.Get("messages"), given = value.Get("reply");
  TextShape text_shape;
  if (given.IsObject()) {
    const Napi::Object shape = given.As<Napi::Object>();
    text_shape = {text_or_none(shape, "jsonSchema"), text_or_none(shape, "grammar")};
  }
  const Napi::Value prompt = value.Get("prompt");
  if (prompt.IsTypedArray()) return TokensInput{integers_from_js(prompt), std::move(text_shape)};
  const Napi::Value suffix = value.Get("suffix");
  if (suffix.IsString()) {
    return InfillInput{prompt.As<Napi::String>(), suffix.As<Napi::String>(), std::move(text_shape)};
  }
  if (prompt.IsString()) return TextInput{prompt.As<Napi::String>(), std::move(text_shape)};
  ChatInput chat;
  chat.messages_json = messages.As<Napi::String>();
  chat.shape = std::move(text_shape);
  if (given.IsObject()) read_shape(given.As<Napi::Object>(), chat);
  return chat;
}

EmbedQuestion embed_from_js(const Napi::Object& value) {
  EmbedQuestion question;
  const Napi::Array texts = value.Get("embed").As<Napi::Array>();
  for (uint32_t i = 0; i < texts.Length(); i++) {
    const Napi::Value text = texts.Get(i);
    if (text.IsString()) {
      question.texts.emplace_back(text.As<Napi::String>().Utf8Value());
    } else {
      question.texts.emplace_back(integers_from_js(text));
    }
  }
  question.dimensions = integer(value, "dimensions");
  question.normalize = boolean(value, "normalize");
  question.truncate = boolean(value, "truncate");
  return question;
}

/** An id as callers have it: 16 digits, base 16. lib/model-cache has checked it. */
CacheQuestion cache_question_from_js(const Napi::Object& value) {
  using Act = CacheQuestion::Act;
  constexpr std::pair<const char*, Act> kActs[] = {
      {"list", Act::kList},     {"pin", Act::kPin},       {"unpin", Act::kUnpin},  {"evict", Act::kEvict},
      {"export", Act::kExport}, {"import", Act::kImport}, {"enough", Act::kEnough}};
  CacheQuestion question;
  const std::string act = value.Get("cache").As<Napi::String>();
  for (const auto& [name, one] : kActs) {
    if (act == name) question.act = one;
  }
  if (const Napi::Value id = value.Get("id"); id.IsString())
    question.id = std::stoull(id.As<Napi::String>().Utf8Value(), nullptr, 16);
  if (const Napi::Value tokens = value.Get("tokens"); tokens.IsTypedArray()) question.tokens = integers_from_js(tokens);
  if (const Napi::Value path = value.Get("path"); path.IsString()) question.path = path.As<Napi::String>();
  if (const Napi::Value ticket = value.Get("ticket"); ticket.IsNumber()) question.ticket = ticket.As<Napi::Number>();
  if (const Napi::Value key = value.Get("key"); key.IsTypedArray()) {
    question.key.emplace(key_from_js(key));
  } else if (key.IsNull()) {
    question.key.emplace();
  }
  return question;
}

}  // namespace

Question question_from_js(const Napi::Object& value) {
  if (value.Get("cache").IsString()) return cache_question_from_js(value);
  const Napi::Value text = value.Get("tokenize"), tokens = value.Get("detokenize");
  if (text.IsString())
    return TokenizeQuestion{text.As<Napi::String>(), boolean(value, "special"), boolean(value, "addSpecial")};
  if (tokens.IsTypedArray()) return DetokenizeQuestion{integers_from_js(tokens), boolean(value, "special")};
  if (value.Get("embed").IsArray()) return embed_from_js(value);
  if (const Napi::Value query = value.Get("rerank"); query.IsString()) {
    return RerankQuestion{query.As<Napi::String>(), strings(value, "documents"), boolean(value, "truncate")};
  }
  return RenderQuestion{std::get<ChatInput>(input_from_js(value.Get("render").As<Napi::Object>()))};
}

RequestSpec request_from_js(const Napi::Object& value) {
  RequestSpec request;
  request.input = input_from_js(value);
  StreamSettings& settings = request.settings;
  settings.max_tokens = integer(value, "maxTokens");
  settings.high_water_mark = integer(value, "highWaterMark");
  settings.stall_timeout_ms = integer(value, "stallTimeoutMs");
  settings.prompt_logprobs = boolean(value, "promptLogprobs");
  settings.tell_tokens = boolean(value, "tellTokens");
  settings.prepares = boolean(value, "prepares");
  if (const Napi::Value adapters = value.Get("adapters"); adapters.IsArray()) {
    const Napi::Array all = adapters.As<Napi::Array>();
    for (uint32_t i = 0; i < all.Length(); i++) {
      const Napi::Object one = all.Get(i).As<Napi::Object>();
      settings.adapters.push_back({text_or_none(one, "name"), real(one, "scale")});
    }
  }
  if (const Napi::Value given = value.Get("speculate"); given.IsObject()) {
    settings.draft_tokens = integer(given.As<Napi::Object>(), "tokens");
    settings.draft_match = integer(given.As<Napi::Object>(), "match");
  }
  if (const Napi::Value prediction = value.Get("prediction"); prediction.IsTypedArray()) {
    request.prediction = integers_from_js(prediction);
  } else {
    request.prediction = text_or_none(value, "prediction");
  }
  if (const Napi::Value replay = value.Get("replay"); replay.IsArray()) {
    const Napi::Array tokens = replay.As<Napi::Array>();
    for (uint32_t i = 0; i < tokens.Length(); i++) settings.replay.push_back(tokens.Get(i).As<Napi::Number>().Int32Value());
  }

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
  sampling.repeat_last_n = integer(value, "repeatLastN");
  sampling.xtc_probability = real(value, "xtcProbability");
  sampling.xtc_threshold = real(value, "xtcThreshold");
  sampling.dry_multiplier = real(value, "dryMultiplier");
  sampling.dry_base = real(value, "dryBase");
  sampling.dry_allowed_length = integer(value, "dryAllowedLength");
  sampling.dry_penalty_last_n = integer(value, "dryPenaltyLastN");
  sampling.dry_sequence_breakers = strings(value, "drySequenceBreakers");
  sampling.dynatemp_range = real(value, "dynatempRange");
  sampling.dynatemp_exponent = real(value, "dynatempExponent");
  sampling.mirostat = integer(value, "mirostat");
  sampling.mirostat_tau = real(value, "mirostatTau");
  sampling.mirostat_eta = real(value, "mirostatEta");
  sampling.adaptive_target = real(value, "adaptiveTarget");
  sampling.adaptive_decay = real(value, "adaptiveDecay");
  sampling.min_keep = integer(value, "minKeep");
  sampling.samplers = samplers(value, "samplers");
  sampling.ignore_eos = boolean(value, "ignoreEos");
  sampling.min_tokens = integer(value, "minTokens");
  sampling.logprobs = boolean(value, "logprobs");
  sampling.top_logprobs = integer(value, "topLogprobs");
  const Napi::Value seed = value.Get("seed");
  if (seed.IsNumber()) {
    sampling.seed = seed.As<Napi::Number>().Uint32Value();
    sampling.seed_given = true;
  }
  request.stops = strings(value, "stop");
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

Napi::Object sampling_to_js(Napi::Env env, const RecommendedSampling& sampling) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [option, value] : sampling.numbers) object.Set(option, value);
  if (sampling.samplers.empty()) return object;
  Napi::Array samplers = Napi::Array::New(env, sampling.samplers.size());
  uint32_t i = 0;
  for (const std::string& name : sampling.samplers) samplers.Set(i++, name);
  object.Set("samplers", samplers);
  return object;
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
  object.Set("draftedTokens", static_cast<double>(stats.drafted_tokens.load()));
  object.Set("acceptedTokens", static_cast<double>(stats.accepted_tokens.load()));
  object.Set("spills", static_cast<double>(stats.spills.load()));
  object.Set("embedding", stats.embedding.load());
  object.Set("embeddedTokens", static_cast<double>(stats.embedded_tokens.load()));
  object.Set("embeddingBytes", static_cast<double>(stats.embedding_bytes.load()));
  object.Set("cacheRamBytes", static_cast<double>(stats.cache_ram_bytes.load()));
  object.Set("cacheDiskBytes", static_cast<double>(stats.cache_disk_bytes.load()));
  object.Set("cacheUnusableBytes", static_cast<double>(stats.cache_unusable_bytes.load()));
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
