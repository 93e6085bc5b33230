// Owns the crossing between JavaScript values and the plain structs of native/core, once each way. lib/native.ts is the contract;
// lib/options.ts has validated what comes in. JavaScript thread.
#pragma once

#include <napi.h>

#include <exception>
#include <vector>

#include "core/types.h"

namespace zse {

EngineOptions engine_options_from_js(const Napi::Object& value);
RequestSpec request_from_js(const Napi::Object& value);

/** The flat batch of lib/native.ts: [streamId, kind, payload, tokens] for each event. */
/** Every event's payload, in order. What else there is of an event goes into `heads`, three numbers each. */
Napi::Array payloads_to_js(Napi::Env env, const std::vector<Event>& events);
constexpr size_t kNumbersOfAnEvent = 3;
void write_heads(const std::vector<Event>& events, uint32_t* heads);
Napi::Array devices_to_js(Napi::Env env, const std::vector<DeviceInfo>& devices);
Napi::Object stats_to_js(Napi::Env env, const EngineStats& stats);

/** A JavaScript Error with the code as a property: EngineError's own, ENGINE_FAILED for anything else. */
Napi::Error error_to_js(Napi::Env env, const std::exception& error);

}  // namespace zse
