#include "conversion_wrap.h"

#include <utility>

#include "base/start_thread.h"
#include "values.h"

namespace zse {

namespace {

constexpr double kNewsEvery = 0.005;  // of the whole: a bar of 200 steps

ConvertOptions options_from_js(const Napi::Object& value) {
  ConvertOptions options;
  if (const Napi::Value value_of_quant = value.Get("quant"); value_of_quant.IsString()) {
    const std::string quant = value_of_quant.As<Napi::String>();
    options.quant = quant == "int4" ? Quant::kInt4 : quant == "fp16" ? Quant::kFp16 : Quant::kInt8;
  }
  options.overwrite = value.Get("overwrite").ToBoolean().Value();
  return options;
}

Napi::Object report_to_js(Napi::Env env, const ConvertReport& report) {
  Napi::Array notes = Napi::Array::New(env, report.notes.size());
  for (uint32_t i = 0; i < report.notes.size(); i++) notes.Set(i, report.notes[i]);
  Napi::Object object = Napi::Object::New(env);
  object.Set("from", report.from);
  object.Set("to", report.to);
  object.Set("bytesRead", static_cast<double>(report.bytes_read));
  object.Set("bytesWritten", static_cast<double>(report.bytes_written));
  object.Set("notes", notes);
  return object;
}

}  // namespace

Napi::Function ConversionWrap::define(Napi::Env env) {
  return DefineClass(env, "Conversion",
                     {InstanceMethod<&ConversionWrap::cancel>("cancel"), InstanceMethod<&ConversionWrap::close>("close")});
}

ConversionWrap::ConversionWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<ConversionWrap>(info),
      env_(info.Env()),
      input_(info[0].As<Napi::String>()),
      output_(info[1].As<Napi::String>()),
      options_(options_from_js(info[2].As<Napi::Object>())),
      on_progress_(Napi::Persistent(info[3].As<Napi::Function>())),
      on_end_(Napi::Persistent(info[4].As<Napi::Function>())) {
  Ref();  // until it has ended
  channel_ = std::make_unique<EventChannel>(info.Env(), [this](Napi::Env env) { deliver(env); });
  napi_add_env_cleanup_hook(env_, &ConversionWrap::on_environment_exit, this);
  try {
    thread_ = start_thread("converting a file", [this] { run(); });
  } catch (const EngineError& error) {
    end_with(error);
  }
}

ConversionWrap::~ConversionWrap() { shut_down(); }

void ConversionWrap::on_environment_exit(void* self) { static_cast<ConversionWrap*>(self)->shut_down(); }

void ConversionWrap::shut_down() {
  cancelled_ = true;
  if (thread_.joinable()) thread_.join();
  if (!channel_) return;
  napi_remove_env_cleanup_hook(env_, &ConversionWrap::on_environment_exit, this);
  channel_.reset();
}

void ConversionWrap::cancel(const Napi::CallbackInfo&) { cancelled_ = true; }

void ConversionWrap::close(const Napi::CallbackInfo&) { shut_down(); }

// The conversion's own thread.
void ConversionWrap::run() {
  try {
    double told = 0;
    report_ = convert_file(input_, output_, options_, [&](double fraction) {
      if (fraction - told >= kNewsEvery) {
        told = fraction;
        fraction_ = fraction;
        channel_->wake();
      }
      return !cancelled_;
    });
  } catch (const EngineError& error) {
    return end_with(error);
  } catch (const std::exception& error) {
    return end_with(EngineError("ENGINE_FAILED", std::string("the conversion failed: ") + error.what()));
  }
  end_with(std::nullopt);
}

void ConversionWrap::end_with(std::optional<EngineError> error) {
  error_ = std::move(error);
  ended_ = true;
  channel_->wake();
}

void ConversionWrap::deliver(Napi::Env env) {
  if (!channel_) return;
  if (!ended_) {
    on_progress_.Call({Napi::Number::New(env, fraction_)});
    return;
  }
  shut_down();
  const Napi::Function on_end = on_end_.Value();
  on_progress_.Reset();
  on_end_.Reset();
  Unref();
  if (error_) {
    on_end.Call({error_to_js(env, *error_).Value(), env.Undefined()});
  } else {
    on_end.Call({env.Undefined(), report_to_js(env, report_)});
  }
}

}  // namespace zse
