// Owns the one way from the engine's threads to JavaScript: a single thread-safe function. StreamQueue sees to it that no two
// calls are ever pending. It keeps the event loop alive only while it is told that somebody waits.
#pragma once

#include <napi.h>

#include <functional>

namespace zse {

class EventChannel {
 public:
  /** `deliver` runs on the JavaScript thread, once for every wake-up. */
  EventChannel(Napi::Env env, std::function<void(Napi::Env)> deliver);

  /** JavaScript thread, when no other thread can call wake() any more. Nothing is delivered after it. */
  ~EventChannel();

  /** Any thread; never waits. */
  void wake();

  /** JavaScript thread: whether the event loop, and so the process, must stay alive for news. */
  void keep_alive(bool yes);

 private:
  using Deliver = std::function<void(Napi::Env)>;
  static void call_js(napi_env env, napi_value callback, void* context, void* data);
  static void finalize(napi_env env, void* deliver, void* hint);

  napi_env env_;
  napi_threadsafe_function function_ = nullptr;
  bool alive_ = true;
};

}  // namespace zse
