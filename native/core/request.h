// Owns a request as it comes through the door, and what every thread may look at of its stream. Moved from one thread to the next.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ids.h"
#include "prompt.h"

namespace zse {

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

/** What a request's text has become: all that the way from here needs of it. */
struct PreparedPrompt {
  Prompt prompt;
  std::vector<std::string> stops;  // texts that end the reply
};

/** What every thread may look at of a stream. The flag is how a cancel reaches a graph that is being computed. */
struct StreamControl {
  StreamId id = 0;
  Clock::time_point submitted;
  std::atomic<bool> cancelled{
      false};  // whoever sets it sends a CancelCommand after it, unless the request has not gone to the inbox yet
};

}  // namespace zse
