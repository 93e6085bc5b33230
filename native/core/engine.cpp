#include "engine.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "cache_key.h"
#include "llama_decoder.h"
#include "model.h"
#include "prompt.h"
#include "scheduler.h"

namespace zse {

namespace {

constexpr StreamId kLargestId = UINT32_MAX;  // JavaScript has ids in a Uint32Array

}  // namespace

Engine::Engine(std::string path, EngineOptions options, std::function<void()> wake)
    : path_(std::move(path)), options_(std::move(options)), events_(std::move(wake)) {
  decode_thread_ = std::thread([this] { run_decode_thread(); });
}

Engine::~Engine() {
  close();
  decode_thread_.join();
}

// ---- JavaScript thread -----------------------------------------------------------------------------------------------

StreamId Engine::submit(RequestSpec request) {
  // 0 … 2^32-2: llama.cpp takes the last value to mean "draw one", unreported.
  if (!request.sampling.seed_given) request.sampling.seed = random_() % LLAMA_DEFAULT_SEED;
  Job job{std::make_shared<StreamControl>(), std::move(request)};
  std::lock_guard<std::mutex> lock(mutex_);
  if (closing_ || !model_) throw EngineError("CLOSED", "the model is not open");
  const size_t room = static_cast<size_t>(options_.max_streams) + static_cast<size_t>(options_.max_queue);
  if (controls_.size() - std::min(leaving_, room) >= room) {
    throw EngineError("OVERLOADED", "all " + std::to_string(options_.max_streams) + " streams are running and " +
                                        std::to_string(options_.max_queue) +
                                        " requests are waiting (maxStreams, maxQueue); try again later");
  }
  do {
    last_id_ = last_id_ % kLargestId + 1;
  } while (controls_.count(last_id_) != 0);
  job.control->id = last_id_;
  job.control->submitted = Clock::now();
  controls_[last_id_] = job.control;
  stats_.submitting = true;
  stats_.submitted++;
  jobs_.push_back(std::move(job));
  jobs_changed_.notify_one();
  return last_id_;
}

void Engine::end_turn() {
  stats_.submitting = false;
  inbox_.push(WakeCommand{});
}

void Engine::ack(StreamId stream, int tokens) { inbox_.push(AckCommand{stream, tokens}); }

void Engine::cancel(StreamId stream) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = controls_.find(stream);
    if (found == controls_.end()) return;
    if (!found->second->cancelled.exchange(true)) leaving_++;
  }
  inbox_.push(CancelCommand{stream});
}

void Engine::close() {
  closing_ = true;
  inbox_.close();
}

std::vector<Token> Engine::tokenize(const std::string& text, bool special) const {
  std::shared_ptr<const Model> model;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    model = model_;
  }
  if (!model) throw EngineError("CLOSED", "the model is not open");
  return model->tokenize(text, false, special);
}

// ---- decode thread ---------------------------------------------------------------------------------------------------

void Engine::run_decode_thread() {
  try {
    float reported = 0;
    const auto model = Model::load(path_, options_, [this, &reported](float fraction) {
      if (fraction - reported >= 0.01f || fraction >= 1) {
        reported = fraction;
        events_.publish({0, LoadProgressEvent{fraction}});
      }
      return !closing_;
    });
    serve(model);
  } catch (const EngineError& e) {
    events_.publish({0, LoadErrorEvent{e.code(), e.what()}});
  } catch (const std::exception& e) {
    events_.publish({0, LoadErrorEvent{"ENGINE_FAILED", std::string("the engine failed: ") + e.what()}});
  }
  events_.publish({0, ClosedEvent{}});
}

void Engine::serve(const std::shared_ptr<const Model>& model) {
  LlamaDecoder decoder(model);
  const PromptCacheOptions& cache_options = options_.prompt_cache;
  std::unique_ptr<PrefixFiles> files;
  if (cache_options.enabled && !cache_options.dir.empty()) {
    files = std::make_unique<PrefixFiles>(cache_options.dir, cache_key(model->info()), cache_options.disk_bytes,
                                          [this] { inbox_.push(WakeCommand{}); });
  }
  const ReuseRule rule{decoder.can_cut(), options_.deterministic ? kExclusivePiece : 1,
                       static_cast<size_t>(decoder.context_size())};
  const PromptBuilder builder(model);
  SchedulerOptions options;
  options.latency_target_ms = options_.latency_target_ms;
  options.deterministic = options_.deterministic;
  PrefixCache cache(cache_options, rule, std::move(files), stats_);
  Scheduler scheduler(decoder, std::move(cache), inbox_, events_, stats_, options, [this](StreamId stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto ended = controls_.find(stream);
    if (ended->second->cancelled) leaving_--;
    controls_.erase(ended);
  });
  {
    std::lock_guard<std::mutex> lock(mutex_);
    model_ = model;
  }
  prompt_thread_ = std::thread([this, &builder] { run_prompt_thread(builder); });
  events_.publish({0, ReadyEvent{model->info()}});
  while (!closing_) {
    try {
      scheduler.run();
    } catch (const std::exception& e) {  // out of memory, say: the streams are lost, the engine goes on
      scheduler.fail_all("ENGINE_FAILED", std::string("the engine failed: ") + e.what());
    }
  }
  stop_prompt_thread();
  scheduler.finish_all();
  scheduler.write_prefixes();
}

// ---- prompt thread ---------------------------------------------------------------------------------------------------

void Engine::run_prompt_thread(const PromptBuilder& builder) {
  while (true) {
    Job job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      jobs_changed_.wait(lock, [this] { return prompts_stopped_ || !jobs_.empty(); });
      if (prompts_stopped_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    prepare(builder, std::move(job));
  }
}

void Engine::prepare(const PromptBuilder& builder, Job job) {
  PreparedRequest prepared;
  try {
    if (!job.control->cancelled) prepared.prompt = builder.build(job.request);
  } catch (const EngineError& e) {
    inbox_.push(RejectCommand{job.control, e.code(), e.what()});
    return;
  } catch (const std::exception& e) {
    inbox_.push(RejectCommand{job.control, "ENGINE_FAILED", std::string("the prompt could not be prepared: ") + e.what()});
    return;
  }
  prepared.control = std::move(job.control);
  prepared.max_tokens = job.request.max_tokens;
  prepared.sampling = std::move(job.request.sampling);
  prepared.stop = std::move(job.request.stop);
  prepared.high_water_mark = job.request.high_water_mark;
  prepared.stall_timeout_ms = job.request.stall_timeout_ms;
  inbox_.push(SubmitCommand{std::move(prepared)});
}

/** Requests that were still waiting for it are handed on as cancelled, so that each gets its one end. */
void Engine::stop_prompt_thread() {
  std::deque<Job> left;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    prompts_stopped_ = true;
    model_.reset();
    left.swap(jobs_);
  }
  jobs_changed_.notify_all();
  prompt_thread_.join();
  for (Job& job : left) {
    cancel(job.control->id);
    inbox_.push(RejectCommand{std::move(job.control), "CLOSED", "the model was closed"});
  }
}

}  // namespace zse
