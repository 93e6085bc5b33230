#include "event_channel.h"

#include <utility>

namespace zse {

// `deliver` belongs to the thread-safe function, which may outlive this object by a queued call.
EventChannel::EventChannel(Napi::Env env, Deliver deliver) : env_(env) {
  auto* owned = new Deliver(std::move(deliver));
  const napi_value name = Napi::String::New(env, "zstream events");
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, name, 0, 1, owned, &EventChannel::finalize, owned, &EventChannel::call_js, &function_);
  if (status != napi_ok) {
    delete owned;
    throw Napi::Error::New(env, "the event channel could not be made");
  }
}

EventChannel::~EventChannel() { napi_release_threadsafe_function(function_, napi_tsfn_abort); }

void EventChannel::wake() { napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking); }

void EventChannel::keep_alive(bool yes) {
  if (yes == alive_) return;
  alive_ = yes;
  if (yes) {
    napi_ref_threadsafe_function(env_, function_);
  } else {
    napi_unref_threadsafe_function(env_, function_);
  }
}

void EventChannel::call_js(napi_env env, napi_value, void* context, void*) {
  if (!env) return;  // the environment is being torn down
  try {
    try {
      (*static_cast<Deliver*>(context))(Napi::Env(env));
    } catch (const Napi::Error& error) {
      napi_fatal_exception(env, error.Value());  // as if thrown from a listener: uncaughtException, not a crash
    }
  } catch (...) {
    // A worker that is being terminated runs no JavaScript any more: not even the error can be made. Its end is under way.
  }
}

void EventChannel::finalize(napi_env, void* deliver, void*) { delete static_cast<Deliver*>(deliver); }

}  // namespace zse
