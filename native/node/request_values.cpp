#include "request_values.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace zse {

namespace {

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

std::vector<int32_t> integers_from_js(const Napi::Value& value) {
  const Napi::Int32Array array = value.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

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

}  // namespace zse
