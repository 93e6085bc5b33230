#include "engine.h"

#include <exception>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/start_thread.h"
#include "cache_porter.h"
#include "core/announce.h"
#include "llama/cache_key.h"
#include "llama/llama_decoder.h"
#include "llama/llama_draft_head.h"
#include "llama/llama_draft_model.h"
#include "llama/llama_embedder.h"
#include "llama/model.h"
#include "prompt_tasks.h"
#include "schedule/no_decoder.h"
#include "schedule/scheduler.h"

namespace zse {

namespace {

/** Bytes: what Linux gives by default, and opening a model and computing with it have always had there. */
constexpr size_t kDecodeStack = size_t{8} << 20;

/** The smaller model that guesses for the streams of `target`; null where none is asked for. Throws as Model::load. */
std::unique_ptr<DraftModel> open_draft_model(const EngineOptions& options, const Model& model, const LlamaDecoder* target,
                                             const std::atomic<bool>& closing) {
  if (options.draft_model.empty() || options.draft_tokens == 0) return nullptr;
  if (!target || target->most_taken_back() == 0) {
    throw EngineError("UNSUPPORTED", "a draft model is of no use to \"" + model.info().path +
                                         "\": " + (target ? "its memory cannot take guesses back" : "it is an encoder"));
  }
  EngineOptions of_draft = options;
  of_draft.adapters.clear();
  of_draft.draft_tokens = of_draft.replay_rows = 0;
  of_draft.draft_model.clear();
  of_draft.kv_type = "f16";
  of_draft.prompt_cache.moved = false;
  of_draft.context_size = model.info().context_size;
  std::shared_ptr<const Model> smaller;
  try {
    smaller = Model::load(options.draft_model, of_draft, [&closing](float) { return !closing; });
  } catch (const EngineError& error) {
    if (error.code() == "CLOSED") throw;
    throw EngineError(error.code(), std::string("the draft model (speculate.draftModel): ") + error.what());
  }
  return std::make_unique<LlamaDraftModel>(std::move(smaller), model, *target);
}

/** The head of the model's own file; null where it has none that can be computed, which `info` then says. */
std::unique_ptr<DraftModel> open_draft_head(const Model& model, const LlamaDecoder* target, ModelInfo& info) {
  info.draft_head = false;
  if (!model.info().draft_head || !target) return nullptr;
  if (target->most_taken_back() == 0) {
    info.unused_head = "one state of the model's memory takes more than 64 MB, so that none are kept to take guesses back";
    return nullptr;
  }
  try {
    auto head = std::make_unique<LlamaDraftHead>(model, *target, target->max_outputs());
    info.draft_head = true;
    return head;
  } catch (const std::exception& e) {
    info.unused_head = e.what();
    return nullptr;
  }
}

}  // namespace

Engine::Engine(std::string path, EngineOptions options, std::function<void()> wake)
    : path_(std::move(path)), options_(std::move(options)), events_(std::move(wake)) {
  decode_thread_ = start_thread("opening a model", [this] { run_decode_thread(); }, kDecodeStack);
}

Engine::~Engine() {
  close();
  decode_thread_.join();
}

// ---- JavaScript thread -----------------------------------------------------------------------------------------------

void Engine::submit(StreamId id, RequestSpec request) {
  // 0 … 2^32-2: llama.cpp takes the last value to mean "draw one", unreported.
  SamplingParams& sampling = request.settings.sampling;
  if (!sampling.seed_given) sampling.seed = random_() % LLAMA_DEFAULT_SEED;
  const auto control = std::make_shared<StreamControl>();
  std::lock_guard<std::mutex> lock(mutex_);
  if (closing_ || !prompts_) throw EngineError("CLOSED", "the model is not open");
  if (controls_.count(id) != 0) throw EngineError("ENGINE_FAILED", "two streams have the id " + std::to_string(id));
  control->id = id;
  control->submitted = Clock::now();
  announce(stats_, [&] { prompts_->prepare(control, std::move(request)); });
  controls_[id] = control;
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
    found->second->cancelled = true;
    if (prompts_) prompts_->cancel(stream);
  }
  inbox_.push(CancelCommand{stream});
}

void Engine::end_reasoning(StreamId stream) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = controls_.find(stream);
    if (found == controls_.end()) return;
    found->second->ends_reasoning = true;
  }
  inbox_.push(EndReasoningCommand{stream});
}

void Engine::close() {
  closing_ = true;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    cancel_all();
    if (prompts_) prompts_->close();
  }
  inbox_.close();
}

/** Under the lock: each stream gets its one end, as cancelled. */
void Engine::cancel_all() {
  for (auto& [id, control] : controls_) control->cancelled = true;
}

void Engine::ask(uint32_t number, Question question) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (closing_ || !prompts_) throw EngineError("CLOSED", "the model is not open");
  auto* of_cache = std::get_if<CacheQuestion>(&question);
  const bool of_texts = std::holds_alternative<EmbedQuestion>(question) || std::holds_alternative<RerankQuestion>(question);
  if (!of_texts && !of_cache) {
    prompts_->ask(number, std::move(question));
    return;
  }
  const auto control = std::make_shared<QuestionControl>();
  control->number = number;
  if (of_cache) {
    ask_cache(control, std::move(*of_cache));
  } else {
    prompts_->embed(control, std::move(question));
  }
  questions_[number] = control;
}

/** Under the lock. */
void Engine::ask_cache(std::shared_ptr<QuestionControl> control, CacheQuestion question) {
  if (question.act == CacheQuestion::Act::kImport && options_.prompt_cache.enabled) {
    porter().take_in(std::move(control), std::move(question));
  } else {
    inbox_.push(CacheCommand{std::move(control), std::move(question), nullptr});
  }
}

/** Under the lock. */
CachePorter& Engine::porter() {
  if (!porter_) {
    if (!make_porter_) throw EngineError("CLOSED", "the model is not open");
    porter_ = make_porter_();
  }
  return *porter_;
}

void Engine::withdraw(uint32_t question) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = questions_.find(question);
    if (found != questions_.end()) found->second->withdrawn = true;
    if (prompts_) prompts_->withdraw(question);
  }
  inbox_.push(WithdrawCommand{question});
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
  } catch (const WorkStopped&) {
    events_.publish({0, LoadErrorEvent{"CLOSED", "the model was closed while it was loading"}});
  } catch (const EngineError& e) {
    events_.publish({0, LoadErrorEvent{e.code(), e.what()}});
  } catch (const std::exception& e) {
    events_.publish({0, LoadErrorEvent{"ENGINE_FAILED", std::string("the engine failed: ") + e.what()}});
  }
  events_.publish({0, ClosedEvent{}});
}

void Engine::serve(const std::shared_ptr<const Model>& model) {
  std::unique_ptr<LlamaDecoder> of_streams;
  NoDecoder none;
  if (model->info().generates)
    of_streams =
        std::make_unique<LlamaDecoder>(model, options_.more_rows(), options_.deterministic ? 0 : options_.draft_tokens);
  Decoder& decoder = of_streams ? static_cast<Decoder&>(*of_streams) : none;
  ReadyEvent ready{model->info()};
  auto draft_model = open_draft_model(options_, *model, of_streams.get(), closing_);
  if (!draft_model) draft_model = open_draft_head(*model, of_streams.get(), ready.info);
  LlamaEmbedder embedder(model, of_streams ? of_streams->threads() : nullptr);
  if (!of_streams) embedder.open();
  const PromptCacheOptions& cache_options = options_.prompt_cache;
  const uint64_t loaded = files_stamp(model->info());
  std::unique_ptr<PrefixFiles> files;
  if (of_streams && cache_options.enabled && !cache_options.dir.empty()) {
    files = std::make_unique<PrefixFiles>(
        cache_options.dir, cache_key(model->info()), cache_options.disk_bytes, decoder.largest_image(),
        [this] { inbox_.push(WakeCommand{}); }, PrefixFiles::Of{model->info().path, cache_options.key});
  }
  const ReuseRule rule{decoder.can_cut(), options_.deterministic ? kExclusivePiece : 1,
                       static_cast<size_t>(decoder.context_size()), decoder.window()};
  auto prompts = std::make_unique<PromptSide>(model, closing_, inbox_, events_, stats_);
  SchedulerOptions options;
  options.latency_target_ms = options_.latency_target_ms;
  options.draft_tokens = options_.draft_tokens;
  options.deterministic = options_.deterministic;
  PrefixCache cache(cache_options, rule, std::move(files), stats_);
  Scheduler scheduler(
      decoder, &embedder, draft_model.get(), std::move(cache), inbox_, events_, stats_, options,
      {[this](StreamId stream) {
         std::lock_guard<std::mutex> lock(mutex_);
         controls_.erase(stream);
       },
       [this](uint32_t question) {
         std::lock_guard<std::mutex> lock(mutex_);
         questions_.erase(question);
       }},
      [this](StreamId stream, ParseRequest request) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (prompts_) prompts_->parse(stream, std::move(request));  // else the engine is closing, and ends it
      },
      [this](std::shared_ptr<QuestionControl> control, CacheQuestion question, CacheEntry entry,
             std::shared_ptr<const SavedPrefix> prefix) {
        std::lock_guard<std::mutex> lock(mutex_);
        porter().take_out(std::move(control), std::move(question), std::move(entry), std::move(prefix));
      });
  {
    std::lock_guard<std::mutex> lock(mutex_);
    prompts_ = std::move(prompts);
    std::optional<CacheSecret> secret;
    if (cache_options.key) secret.emplace(*cache_options.key);
    const auto bounds = [model, secret, loaded, largest = decoder.largest_image(), context = decoder.context_size()] {
      if (files_stamp(model->info()) != loaded) {
        throw EngineError("BAD_OPTION",
                          "the model's file is not the one that was opened any more: it was changed, moved or removed; an "
                          "exported prefix says which model it is of, so open the model again");
      }
      return PrefixBounds{portable_cache_key(model->info()), largest, static_cast<size_t>(context), false, secret};
    };
    make_porter_ = [this, bounds] {
      return std::make_unique<CachePorter>(bounds, options_.prompt_cache.ram_bytes, inbox_,
                                           [this](uint32_t question, EventPayload payload) {
                                             events_.publish({0, std::move(payload)});
                                             std::lock_guard<std::mutex> lock(mutex_);
                                             questions_.erase(question);
                                           });
    };
    if (closing_) prompts_->close();
  }
  if (of_streams) {
    ready.info.kv_bytes =
        static_cast<double>(of_streams->cache_bytes() + (draft_model ? draft_model->cache_bytes() : size_t{0}));
  }
  events_.publish({0, std::move(ready)});
  while (!closing_) {
    try {
      scheduler.run();
    } catch (const std::exception& e) {  // out of memory, say: the streams are lost, the engine goes on
      scheduler.fail_all("ENGINE_FAILED", std::string("the engine failed: ") + e.what());
    }
  }
  stop_prompts();
  stop_porter();
  scheduler.finish_all();
  scheduler.write_prefixes();
}

/** Nobody takes prefixes out or in any more when this returns. Its thread takes the lock, so it is waited for without. */
void Engine::stop_porter() {
  std::unique_ptr<CachePorter> porter;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    make_porter_ = {};
    porter = std::move(porter_);
  }
}

/** What they still had has been handed on as cancelled when this returns. */
void Engine::stop_prompts() {
  std::unique_ptr<PromptSide> prompts;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    cancel_all();
    prompts = std::move(prompts_);
  }
}

}  // namespace zse
