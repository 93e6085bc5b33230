#include "values.h"

#include <string>

#include "base/error.h"

namespace zse {

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
