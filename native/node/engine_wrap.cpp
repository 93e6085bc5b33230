#include "engine_wrap.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/error.h"
#include "core/ids.h"
#include "core/options.h"
#include "core/stats.h"
#include "event_values.h"
#include "request_values.h"
#include "values.h"

namespace zse {

namespace {

constexpr size_t kFewEvents = 64;

/** What the addon keeps for each environment: the models whose engines are alive. */
struct OpenModels {
  std::set<EngineWrap*> models;
};

/** Runs `body`; what C++ throws in it is thrown into JavaScript with its code, never into Node. */
template <class Body>
auto with_js_errors(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw error_to_js(env, error);
  }
}

}  // namespace

Napi::Function EngineWrap::define(Napi::Env env) {
  env.SetInstanceData(new OpenModels);
  return DefineClass(env, "Engine",
                     {
                         InstanceMethod<&EngineWrap::submit>("submit"),
                         InstanceMethod<&EngineWrap::end_turn>("endTurn"),
                         InstanceMethod<&EngineWrap::ack>("ack"),
                         InstanceMethod<&EngineWrap::cancel>("cancel"),
                         InstanceMethod<&EngineWrap::end_reasoning>("endReasoning"),
                         InstanceMethod<&EngineWrap::close>("close"),
                         InstanceMethod<&EngineWrap::ask>("ask"),
                         InstanceMethod<&EngineWrap::withdraw>("withdraw"),
                         InstanceMethod<&EngineWrap::stats>("stats"),
                     });
}

EngineWrap::EngineWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineWrap>(info), env_(info.Env()) {
  const std::string path = info[0].As<Napi::String>();
  EngineOptions options = engine_options_from_js(info[1].As<Napi::Object>());
  on_events_ = Napi::Persistent(info[2].As<Napi::Function>());
  channel_ = std::make_unique<EventChannel>(info.Env(), [this](Napi::Env env) { deliver(env); });
  engine_ = with_js_errors(info.Env(), [&] {
    return std::make_unique<Engine>(path, std::move(options), [channel = channel_.get()] { channel->wake(); });
  });
  // Hooks run last in, first out: the engine's threads end before the channel, made above, is torn down.
  napi_add_env_cleanup_hook(env_, &EngineWrap::on_environment_exit, this);
  info.Env().GetInstanceData<OpenModels>()->models.insert(this);
}

EngineWrap::~EngineWrap() { shut_down(); }

void EngineWrap::on_environment_exit(void* self) { static_cast<EngineWrap*>(self)->shut_down(); }

void EngineWrap::shut_down_all(Napi::Env env) {
  const std::set<EngineWrap*> models = env.GetInstanceData<OpenModels>()->models;
  for (EngineWrap* model : models) model->engine_->close();  // all begin to close before the first is waited for
  for (EngineWrap* model : models) model->shut_down();
}

void EngineWrap::shut_down() {
  if (!channel_) return;
  napi_remove_env_cleanup_hook(env_, &EngineWrap::on_environment_exit, this);
  if (auto* open = Napi::Env(env_).GetInstanceData<OpenModels>()) open->models.erase(this);
  engine_.reset();
  channel_.reset();
}

void EngineWrap::submit(const Napi::CallbackInfo& info) {
  with_js_errors(info.Env(), [&] {
    if (!engine_) throw EngineError("CLOSED", "the model is not open");
    engine_->submit(info[0].As<Napi::Number>().Int64Value(), request_from_js(info[1].As<Napi::Object>()));
    active_streams_++;
    channel_->keep_alive(true);
  });
}

void EngineWrap::end_turn(const Napi::CallbackInfo&) {
  if (engine_) engine_->end_turn();
}

void EngineWrap::ack(const Napi::CallbackInfo& info) {
  if (engine_) engine_->ack(info[0].As<Napi::Number>().Int64Value(), info[1].As<Napi::Number>().Int32Value());
}

void EngineWrap::end_reasoning(const Napi::CallbackInfo& info) {
  if (engine_) engine_->end_reasoning(info[0].As<Napi::Number>().Int64Value());
}

void EngineWrap::cancel(const Napi::CallbackInfo& info) {
  if (engine_) engine_->cancel(info[0].As<Napi::Number>().Int64Value());
}

void EngineWrap::close(const Napi::CallbackInfo&) {
  if (!engine_ || closing_) return;
  closing_ = true;
  channel_->keep_alive(true);
  engine_->close();
}

void EngineWrap::ask(const Napi::CallbackInfo& info) {
  with_js_errors(info.Env(), [&] {
    if (!engine_) throw EngineError("CLOSED", "the model is not open");
    engine_->ask(info[0].As<Napi::Number>().Uint32Value(), question_from_js(info[1].As<Napi::Object>()));
    open_questions_++;
    channel_->keep_alive(true);
  });
}

void EngineWrap::withdraw(const Napi::CallbackInfo& info) {
  if (engine_) engine_->withdraw(info[0].As<Napi::Number>().Uint32Value());
}

Napi::Value EngineWrap::stats(const Napi::CallbackInfo& info) {
  static const EngineStats nothing;
  return stats_to_js(info.Env(), engine_ ? engine_->stats() : nothing);
}

void EngineWrap::deliver(Napi::Env env) {
  if (!engine_) return;
  const std::vector<Event> events = engine_->take_events();
  if (events.empty()) return;
  const Napi::Array payloads = payloads_to_js(env, events);
  Napi::Uint32Array heads = heads_for(env, events.size());
  write_heads(events, heads.Data());
  const Napi::Value logprobs = logprobs_to_js(env, events);
  const Napi::Value drawn = drawn_to_js(env, events);
  const Napi::Function on_events = on_events_.Value();
  if (follow(events)) {
    // The decode thread has published its last event, so joining it takes no time. Nothing may keep this object after it.
    shut_down();
    on_events_.Reset();
  }
  on_events.Call({heads, payloads, logprobs, drawn});
}

/** Grows with the largest batch, and is used again for each: JavaScript has read it when the call returns. */
Napi::Uint32Array EngineWrap::heads_for(Napi::Env env, size_t events) {
  const size_t numbers = events * kNumbersOfAnEvent;
  if (heads_.IsEmpty() || heads_.Value().ElementLength() < numbers) {
    heads_ = Napi::Persistent(Napi::Uint32Array::New(env, std::max(2 * numbers, kNumbersOfAnEvent * kFewEvents)));
  }
  return heads_.Value();
}

/** Keeps count of what is open, so that a quiet model does not keep the process alive. True when the engine has closed. */
bool EngineWrap::follow(const std::vector<Event>& events) {
  for (const Event& event : events) {
    const EventPayload& payload = event.payload;
    if (std::holds_alternative<FinishEvent>(payload) || std::holds_alternative<ErrorEvent>(payload)) active_streams_--;
    if (std::holds_alternative<AnswerEvent>(payload) || std::holds_alternative<AnswerErrorEvent>(payload)) open_questions_--;
    if (std::holds_alternative<ReadyEvent>(payload) || std::holds_alternative<LoadErrorEvent>(payload)) loading_ = false;
    if (std::holds_alternative<ClosedEvent>(payload)) return true;
  }
  channel_->keep_alive(loading_ || closing_ || active_streams_ > 0 || open_questions_ > 0);
  return false;
}

}  // namespace zse
