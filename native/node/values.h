// Owns the crossing between JavaScript values and the plain structs of native/core, once each way. lib/addon/contract.ts is the contract;
// lib/options has checked what comes in. JavaScript thread.
#pragma once

#include <napi.h>

#include <exception>
#include <vector>

#include "base/recommended_sampling.h"
#include "core/events.h"
#include "core/info.h"
#include "core/options.h"
#include "core/request.h"
#include "core/stats.h"

namespace zse {

EngineOptions engine_options_from_js(const Napi::Object& value);
RequestSpec request_from_js(const Napi::Object& value);
Question question_from_js(const Napi::Object& value);

/** A batch of lib/addon/contract.ts: every event's payload, in order, and what else there is of it, streamId, kind and tokens, in `heads`. */
Napi::Array payloads_to_js(Napi::Env env, const std::vector<Event>& events);
/** The events' log-probabilities at the same places; undefined where none of them has any. */
Napi::Value logprobs_to_js(Napi::Env env, const std::vector<Event>& events);
/** Of the tokens that events tell: pairs of the event's place and the token, flat; undefined where there are none. */
Napi::Value drawn_to_js(Napi::Env env, const std::vector<Event>& events);
constexpr size_t kNumbersOfAnEvent = 3;
void write_heads(const std::vector<Event>& events, uint32_t* heads);
Napi::Array devices_to_js(Napi::Env env, const std::vector<DeviceInfo>& devices);
Napi::Object sampling_to_js(Napi::Env env, const RecommendedSampling& sampling);
Napi::Object stats_to_js(Napi::Env env, const EngineStats& stats);

/** A JavaScript Error with the code as a property: EngineError's own, ENGINE_FAILED for anything else. */
Napi::Error error_to_js(Napi::Env env, const std::exception& error);

}  // namespace zse
