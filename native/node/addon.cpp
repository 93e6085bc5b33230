// Owns the addon's entry point: what `require` of the .node file gives (NativeAddon of lib/addon/contract.ts), in every environment
// (main thread, worker_threads) that loads it. JavaScript thread.
#include <napi.h>

#ifndef _WIN32
#include <dlfcn.h>
#endif

#include "conversion_wrap.h"
#include "cpu/cpu_level.h"
#include "engine_wrap.h"
#include "inspect.h"
#include "llama/devices.h"
#include "values.h"

namespace {

// Node unloads an addon when the last worker that loaded it ends. Compute threads and thread-local data of ours and of
// ggml's may still be on their way out then, so the library stays mapped for the life of the process.
void stay_loaded() {
#ifndef _WIN32
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&stay_loaded), &self) && self.dli_fname) {
    dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
  }
#endif
}

Napi::Value devices(const Napi::CallbackInfo& info) { return zse::devices_to_js(info.Env(), zse::list_devices()); }

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
