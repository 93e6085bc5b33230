// Owns the JavaScript face of one conversion (NativeConversion of lib/addon/file-contract.ts): a thread of its own, its progress, its end with the
// environment it lives in. JavaScript thread, but for run().
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/thread.h"
#include "event_channel.h"
#include "files/convert.h"

namespace zse {

class ConversionWrap : public Napi::ObjectWrap<ConversionWrap> {
 public:
  static Napi::Function define(Napi::Env env);

  /** new Conversion(input, output, options, onProgress, onEnd) */
  explicit ConversionWrap(const Napi::CallbackInfo& info);
  ~ConversionWrap() override;

 private:
  void cancel(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  void run();
  void end_with(std::optional<EngineError> error);
  void deliver(Napi::Env env);
  void shut_down();
  static void on_environment_exit(void* self);

  napi_env env_;
  std::string input_, output_;
  ConvertOptions options_;
  Napi::FunctionReference on_progress_, on_end_;

  // Written by the thread; what stands after `ended_` is read once that is set.
  std::atomic<double> fraction_{0};
  std::atomic<bool> cancelled_{false}, ended_{false};
  ConvertReport report_;
  std::optional<EngineError> error_;

  std::unique_ptr<EventChannel> channel_;
  Thread thread_;
};

}  // namespace zse
