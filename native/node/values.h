// Owns the JavaScript values of what an addon tells beside events: devices, counters, recommended sampling, errors. JavaScript thread.
#pragma once

#include <napi.h>

#include <exception>
#include <vector>

#include "base/recommended_sampling.h"
#include "core/info.h"
#include "core/stats.h"

namespace zse {

Napi::Array devices_to_js(Napi::Env env, const std::vector<DeviceInfo>& devices);
Napi::Object sampling_to_js(Napi::Env env, const RecommendedSampling& sampling);
Napi::Object stats_to_js(Napi::Env env, const EngineStats& stats);

/** A JavaScript Error with the code as a property: EngineError's own, ENGINE_FAILED for anything else. */
Napi::Error error_to_js(Napi::Env env, const std::exception& error);

}  // namespace zse
