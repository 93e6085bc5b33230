// Owns the JavaScript face of inspecting a model file (NativeInspection of lib/addon/file-contract.ts): a promise, since telling the layout of large
// INT4 tensors reads them. JavaScript thread, but for the inspection itself, which libuv's pool does.
#pragma once

#include <napi.h>

namespace zse {

/** inspect(path) → promise */
Napi::Value inspect(const Napi::CallbackInfo& info);

}  // namespace zse
