// Owns reading what JavaScript asks into the plain structs of native/core: settings of an engine, requests, questions. lib/addon/contract.ts is
// the contract; lib/options has checked all of it. JavaScript thread.
#pragma once

#include <napi.h>

#include "core/options.h"
#include "core/request.h"

namespace zse {

EngineOptions engine_options_from_js(const Napi::Object& value);
RequestSpec request_from_js(const Napi::Object& value);
Question question_from_js(const Napi::Object& value);

}  // namespace zse
