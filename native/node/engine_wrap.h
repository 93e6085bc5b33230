// Owns the JavaScript face of one engine (NativeEngine of lib/addon/contract.ts): its methods, its events, and its end with the
// environment it lives in. JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>
#include <set>

#include "core/events.h"
#include "engine/engine.h"
#include "event_channel.h"

namespace zse {

class EngineWrap : public Napi::ObjectWrap<EngineWrap> {
 public:
  static Napi::Function define(Napi::Env env);

  /**
   * Ends every engine of this environment and joins its threads. For the process's "exit" event: process.exit() runs no cleanup
   * hooks on the main thread, and C++'s static objects must not be destroyed under threads that use them.
   */
  static void shut_down_all(Napi::Env env);

  /** new Model(path, options, onEvents) */
  explicit EngineWrap(const Napi::CallbackInfo& info);
  ~EngineWrap() override;

 private:
  void submit(const Napi::CallbackInfo& info);
  void end_turn(const Napi::CallbackInfo& info);
  void ack(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  void end_reasoning(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void ask(const Napi::CallbackInfo& info);
  void withdraw(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);

  void deliver(Napi::Env env);
  Napi::Uint32Array heads_for(Napi::Env env, size_t events);
  bool follow(const std::vector<Event>& events);
  void shut_down();
  static void on_environment_exit(void* self);

  napi_env env_;
  Napi::FunctionReference on_events_;
  Napi::Reference<Napi::Uint32Array> heads_;
  bool loading_ = true;
  bool closing_ = false;
  int active_streams_ = 0, open_questions_ = 0;

  // Destroyed in reverse order: the engine joins its threads before the channel that they wake goes.
  std::unique_ptr<EventChannel> channel_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace zse
