// Owns the plain structs that cross from room to room: requests, events, errors, counters. No thread owns them; they are
// moved from one to the next. The TypeScript side of each is in lib/native.ts, under the same names.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace zse {

using Token = int32_t;     // id in the model's vocabulary
using Position = int32_t;  // index of a token in its sequence, from 0
using SlotId = int32_t;    // llama.cpp's seq_id: which of maxStreams places in the KV cache
using StreamId = int64_t;  // positive, of one stream of the model at a time; 0 stands for the model itself
using Clock = std::chrono::steady_clock;

/** Milliseconds between two points in time, as the timings report them. */
inline double milliseconds(Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

/** A failure with one of the stable codes of lib/errors.ts and a sentence for people. */
class EngineError : public std::runtime_error {
 public:
  EngineError(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

/** Where prefixes of earlier streams are kept for later ones. */
struct PromptCacheOptions {
  bool enabled = true;
  uint64_t ram_bytes = uint64_t{256} << 20;  // images of slots, those of spilled streams included
  std::string dir;                           // empty: nothing on disk
  uint64_t disk_bytes = uint64_t{4} << 30;
};

struct EngineOptions {
  int context_size = 0;  // tokens per stream; 0: min(trained, 4096)
  int max_streams = 4;
  int max_queue = 64;
  int threads = 0;      // 0: physical cores
  int gpu_layers = -1;  // -1: as many as fit
  std::string device = "auto";
  double latency_target_ms = 150;
  bool deterministic = false;
  PromptCacheOptions prompt_cache;
};

struct SamplingParams {
  float temperature = 0.8f;  // 0 or less: greedy
  float top_p = 0.95f;
  int top_k = 40;  // 0: off
  float min_p = 0.05f;
  float typical_p = 1.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  float repeat_penalty = 1.0f;
  uint32_t seed = 0;  // drawn by the engine when not given
  bool seed_given = false;
  bool ignore_eos = false;
  std::vector<std::pair<Token, float>> logit_bias;  // -100 or less bans the token
};

/** A request as it comes through the door: nothing rendered, nothing tokenized. */
struct RequestSpec {
  bool is_chat = false;
  std::string messages_json;  // OpenAI `messages` array, when is_chat
  std::string prompt;         // raw text, when not
  int max_tokens = 0;         // 0: up to the end of the context
  SamplingParams sampling;
  std::vector<std::string> stop;
  int high_water_mark = 64;
  int stall_timeout_ms = 0;  // 0: never
};

/** What every thread may look at of a stream. The flag is how a cancel reaches a graph that is being computed. */
struct StreamControl {
  StreamId id = 0;
  Clock::time_point submitted;
  std::atomic<bool> cancelled{
      false};  // whoever sets it sends a CancelCommand after it, unless the request has not gone to the inbox yet
};

enum class FinishReason { kStop, kLength, kCancelled };

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;
};

/** Milliseconds, as lib/native.ts describes them. */
struct Timings {
  double queue_ms = 0;
  double prefill_ms = 0;
  double ttft_ms = 0;
  double itl_p50_ms = 0;
  double itl_p99_ms = 0;
  double itl_max_ms = 0;
  double tokens_per_second = 0;
  double paused_ms = 0;
};

struct ModelInfo {
  std::string path, name, architecture, description;
  double parameters = 0, size_bytes = 0;
  int layers = 0, embedding_size = 0, vocabulary_size = 0, trained_context_size = 0;
  int context_size = 0, max_streams = 0, threads = 0, gpu_layers = 0;
  std::string device;
  std::string template_source, template_name, template_text;
  std::string normalizer;  // "NFC" where texts must be normalized so before they are tokenized, or ""
  bool deterministic = false;
  /** longrope: llama.cpp rotates keys by one of two sets of factors, whichever goes with the size of the context. */
  bool rotates_by_context = false;
};

struct DeviceInfo {
  std::string name, description, kind, backend;
  double memory_free = 0, memory_total = 0;
};

// ---- events: native to JavaScript ------------------------------------------------------------------------------------

struct TextEvent {
  std::string text;  // whole code points, never empty
  int tokens = 0;    // credit it takes
};
struct ProgressEvent {
  int processed = 0, total = 0, cached = 0;  // prompt tokens
};
struct FinishEvent {
  FinishReason reason = FinishReason::kStop;
  std::optional<std::string> stop_string;
  uint32_t seed = 0;
  Usage usage;
  Timings timings;
};
struct ErrorEvent {
  std::string code, message;
};
struct LoadProgressEvent {
  float fraction = 0;
};
struct ReadyEvent {
  ModelInfo info;
};
struct LoadErrorEvent {
  std::string code, message;
};
struct ClosedEvent {};
/** The tokens of a text that was asked about. */
struct AnswerEvent {
  uint32_t question = 0;
  std::vector<Token> tokens;
};
struct AnswerErrorEvent {
  uint32_t question = 0;
  std::string code, message;
};

using EventPayload = std::variant<TextEvent, ProgressEvent, FinishEvent, ErrorEvent, LoadProgressEvent, ReadyEvent,
                                  LoadErrorEvent, ClosedEvent, AnswerEvent, AnswerErrorEvent>;

struct Event {
  StreamId stream = 0;
  EventPayload payload;
};

/** Gauges and counters of one model; written by the decode thread, read by any. */
struct EngineStats {
  std::atomic<int> queued{0}, prefilling{0}, decoding{0}, parked{0}, free_slots{0};
  std::atomic<int64_t> submitted{0};     // by the JavaScript thread; some may still be on their way to the scheduler
  std::atomic<int64_t> long_prompts{0};  // of those, such that take long and are not prepared yet
  std::atomic<bool> submitting{false};   // its turn of the event loop is not over: it may submit more
  std::atomic<int64_t> steps{0}, generated_tokens{0}, prefilled_tokens{0}, aborted_steps{0};
  std::atomic<int> spilled{0};            // of the parked, those whose slot is lent
  std::atomic<int64_t> spills{0};         // times that a slot was lent
  std::atomic<int64_t> exchanges{0};      // of those, the times that two streams' images changed places
  std::atomic<int64_t> recomputed{0};     // times that what it held was computed again, since RAM had no room for an image
  std::atomic<int64_t> cached_tokens{0};  // prompt tokens that were not computed again
  std::atomic<int64_t> cache_ram_bytes{0}, cache_disk_bytes{0}, spilled_bytes{0};
};

}  // namespace zse
