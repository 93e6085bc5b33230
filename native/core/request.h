// Owns a request as it comes through the door, and what every thread may look at of its stream. Moved from one thread to the next.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
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
  float top_n_sigma = 0.0f;  // 0: off
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  float repeat_penalty = 1.0f;
  uint32_t seed = 0;  // drawn by the engine when not given
  bool seed_given = false;
  bool ignore_eos = false;
  std::vector<std::pair<Token, float>> logit_bias;  // -100 or less bans the token
};

/** How a stream is drawn, ended and paced, wherever its text comes from. Goes as one from the door to the sequence. */
struct StreamSettings {
  SamplingParams sampling;
  int max_tokens = 0;  // 0: up to the end of the context
  int high_water_mark = 64;
  int stall_timeout_ms = 0;  // 0: never
};

/** Turns of a conversation, for the model's template. */
struct ChatInput {
  std::string messages_json;            // OpenAI `messages` array
  bool continue_final_message = false;  // the reply goes on where the last one, an assistant's, ends
};
/** Text that is continued as it is. */
struct TextInput {
  std::string text;
};
/** What a prompt is made of. One kind more is one line here, and a text_of() in PromptBuilder. */
using RequestInput = std::variant<ChatInput, TextInput>;

/** A request as it comes through the door: nothing rendered, nothing tokenized. */
struct RequestSpec {
  RequestInput input;
  std::vector<std::string> stops;
  StreamSettings settings;
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
