// Owns the addon's entry point: what `require` of the .node file gives (NativeAddon of lib/addon/contract.ts), in every environment
// (main thread, worker_threads) that loads it. JavaScript thread.
#include <napi.h>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "conversion_wrap.h"
#include "cpu/cpu_level.h"
#include "engine_wrap.h"
#include "inspect.h"
#include "llama/devices.h"
#include "llama/gpu_libraries.h"
#include "values.h"

namespace {

// Node unloads an addon when the last worker that loaded it ends. Compute threads and thread-local data of ours and of
// ggml's may still be on their way out then, so the library stays mapped for the life of the process.
void stay_loaded() {
#ifdef _WIN32
  HMODULE self;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                     reinterpret_cast<LPCWSTR>(&stay_loaded), &self);
#else
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&stay_loaded), &self) && self.dli_fname) {
    dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
  }
#endif
}

Napi::Value devices(const Napi::CallbackInfo& info) { return zse::devices_to_js(info.Env(), zse::list_devices()); }

Napi::Value use_gpu_library(const Napi::CallbackInfo& info) {
  try {
    const size_t devices = zse::use_gpu_library(info[0].As<Napi::String>().Utf8Value());
    info.This().As<Napi::Object>().Set("systemInfo", zse::system_info());
    return Napi::Number::New(info.Env(), static_cast<double>(devices));
  } catch (const std::exception& error) {
    throw zse::error_to_js(info.Env(), error);
  }
}

void on_process_exit(const Napi::CallbackInfo& info) { zse::EngineWrap::shut_down_all(info.Env()); }

Napi::Object init(Napi::Env env, Napi::Object exports) {
  stay_loaded();
  exports.Set("version", ZSE_VERSION);
  exports.Set("llamaVersion", ZSE_LLAMA_VERSION);
  try {
    exports.Set("systemInfo", zse::system_info());  // registers the level
    exports.Set("cpuLevel", zse::cpu_level());
  } catch (const std::exception& error) {
    throw zse::error_to_js(env, error);
  }
  exports.Set("devices", Napi::Function::New(env, devices, "devices"));
  exports.Set("useGpuLibrary", Napi::Function::New(env, use_gpu_library, "useGpuLibrary"));
  exports.Set("Engine", zse::EngineWrap::define(env));
  exports.Set("inspect", Napi::Function::New(env, zse::inspect, "inspect"));
  exports.Set("Conversion", zse::ConversionWrap::define(env));
  const Napi::Object process = env.Global().Get("process").As<Napi::Object>();
  process.Get("on").As<Napi::Function>().Call(
      process, {Napi::String::New(env, "exit"), Napi::Function::New(env, on_process_exit, "zstreamExit")});
  return exports;
}

}  // namespace

NODE_API_MODULE(zstream, init)
