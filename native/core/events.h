// Owns what the engine says to JavaScript, of a stream or of itself. Made by one thread, moved to the next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ids.h"
#include "info.h"
#include "logprobs.h"

namespace zse {

enum class FinishReason { kStop, kLength, kToolCalls, kCancelled };

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;
  int reasoning_tokens = 0;
  /** Of the caller's prediction, those that were computed ahead and are in the reply, and those that are not. None: nothing was predicted. */
  std::optional<int> accepted_prediction_tokens, rejected_prediction_tokens;
};

/** Why no more of a prompt was known. lib/types/replies.ts describes each. */
enum class PrefixEnd { kWhole, kNew, kContinued, kDiffers, kEvicted, kAdapter, kCoarse, kShort, kLost, kOff };

/** Where the known part of a prompt ended. */
struct PrefixBreak {
  int at = 0;  // its first token that was not known
  PrefixEnd reason = PrefixEnd::kOff;
  std::string text = {};  // of the prompt from there on, a few tokens; "" where a caller could mend nothing by it
  int moved = 0;          // tokens behind it that were taken over from other places all the same
};

/** Milliseconds, as lib/types/replies.ts describes them. */
struct Timings {
  double queue_ms = 0;
  double prefill_ms = 0;
  std::optional<double> ttft_ms;  // none: nothing was told
  double itl_p50_ms = 0;
  double itl_p99_ms = 0;
  double itl_max_ms = 0;
  double tokens_per_second = 0;
  double paused_ms = 0;
  int drafted_tokens = 0;             // computed before it was known whether they come
  int accepted_tokens = 0;            // of those, the ones that came
  std::optional<PrefixBreak> prefix;  // none: the prompt never had a slot
};

struct TextEvent {
  std::string text;  // whole code points, never empty
};
struct ReasoningEvent {
  std::string text;  // as TextEvent's
};
/** A piece of a call of a tool. */
struct ToolCallEvent {
  int index = 0;                        // of the reply's calls
  std::optional<std::string> id, name;  // of a call's first piece
  std::string arguments;                // JSON text, the next of it; may be empty
};
/** The reply is over, and not in the syntax of the template's calls: what of it could not be read has gone out as text. */
struct MalformedCallEvent {
  std::string text;    // that text; "" where all of it had gone out as pieces of a call
  std::string reason;  // for people
};
/** Tokens that do not show: the syntax of a call, say. */
struct HiddenEvent {};
/** The next tokens of the prompt, whose log-probabilities are beside it. Takes no credit. */
struct PromptEvent {};
struct ProgressEvent {
  int processed = 0, total = 0, cached = 0;  // prompt tokens
};
struct FinishEvent {
  FinishReason reason = FinishReason::kStop;
  std::optional<std::string> stop_string;
  std::string warning;  // "" for none
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
/** To a TokenizeQuestion. */
struct TokensAnswer {
  std::vector<Token> tokens;
};
/** To a DetokenizeQuestion. */
struct PiecesAnswer {
  std::string bytes;      // of all tokens
  std::vector<int> ends;  // of each in them
  int padding = 0;        // of the bytes, those at the beginning that no text said: the tokenizer puts a space there
};
/** To a RenderQuestion. */
struct PromptAnswer {
  std::string text;
  std::vector<Token> tokens;
};
/** To an EmbedQuestion, and to a RerankQuestion, whose vectors are scores. */
struct VectorsAnswer {
  std::vector<std::vector<float>> vectors;  // of each text
  int width = 0;                            // numbers of each
  std::vector<int> tokens;                  // of each text, as it was computed
};
/** A prefix that is kept. */
struct CacheEntry {
  uint64_t id = 0;  // of its tokens
  int tokens = 0;
  uint64_t bytes = 0;  // of its image in RAM, or else of its file; of a slot's, those that the image would have
  bool in_slot = false, in_ram = false, on_disk = false;
  bool pinned = false;
  std::string text;  // how it begins
};
/** To a CacheQuestion: all of them, or those that it was of. */
struct CacheAnswer {
  std::vector<CacheEntry> entries;
};
using Answer = std::variant<TokensAnswer, PiecesAnswer, PromptAnswer, VectorsAnswer, CacheAnswer>;

/** What was asked beside replies. */
struct AnswerEvent {
  uint32_t question = 0;
  Answer answer;
};
struct AnswerErrorEvent {
  uint32_t question = 0;
  std::string code, message;
};

using EventPayload = std::variant<TextEvent, ProgressEvent, FinishEvent, ErrorEvent, LoadProgressEvent, ReadyEvent,
                                  LoadErrorEvent, ClosedEvent, AnswerEvent, AnswerErrorEvent, ReasoningEvent, ToolCallEvent,
                                  HiddenEvent, MalformedCallEvent, PromptEvent>;

struct Event {
  StreamId stream = 0;
  EventPayload payload;
  /** Credit that it takes, whatever kind of item it is: its reader gives so much back. 0 for news that no token was sampled for. */
  int tokens = 0;
  /** Of these tokens; null where nobody asked. */
  ItemLogprobs logprobs = nullptr;
  /** Tokens drawn since the stream's event before, where its request asks for them: what was given out so far comes of them alone. */
  std::vector<Token> drawn = {};
};

}  // namespace zse
