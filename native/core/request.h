// Owns a request as it comes through the door, and what every thread may look at of its stream. Moved from one thread to the next.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/aead.h"
#include "ids.h"
#include "prompt.h"
#include "reply_parser.h"

namespace zse {

/** llama.cpp's samplers, by the names that lib/options has for them. */
enum class SamplerKind {
  kPenalties,
  kDry,
  kTopNSigma,
  kTopK,
  kTypicalP,
  kTopP,
  kMinP,
  kXtc,
  kTemperature,
  kInfill,
  kAdaptiveP
};

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
  int repeat_last_n = 64;  // tokens that repeat_penalty looks back on; -1: the context
  float xtc_probability = 0.0f;
  float xtc_threshold = 0.1f;
  float dry_multiplier = 0.0f;  // 0: off
  float dry_base = 1.75f;
  int dry_allowed_length = 2;
  int dry_penalty_last_n = 64;  // -1: the context
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};
  float dynatemp_range = 0.0f;  // 0: off
  float dynatemp_exponent = 1.0f;
  int mirostat = 0;  // 1 or 2: in place of the samplers that leave out or choose
  float mirostat_tau = 5.0f;
  float mirostat_eta = 0.1f;
  float adaptive_target = -1.0f;  // below 0: off
  float adaptive_decay = 0.9f;
  int min_keep = 0;
  /** Who acts, in this order; adaptiveP comes last wherever it stands. */
  std::vector<SamplerKind> samplers = {SamplerKind::kPenalties, SamplerKind::kDry,      SamplerKind::kTopNSigma,
                                       SamplerKind::kTopK,      SamplerKind::kTypicalP, SamplerKind::kTopP,
                                       SamplerKind::kMinP,      SamplerKind::kXtc,      SamplerKind::kTemperature,
                                       SamplerKind::kAdaptiveP};
  uint32_t seed = 0;  // drawn by the engine when not given
  bool seed_given = false;
  bool ignore_eos = false;
  int min_tokens = 0;     // before so many are drawn, no end-of-generation token is, and no stop string counts
  bool logprobs = false;  // each token's log-probability is wanted, and
  int top_logprobs = 0;   // those of so many of the likeliest tokens in its place
  std::vector<std::pair<Token, float>> logit_bias;  // -100 or less bans the token
};

/** An adapter that the model was opened with, and its strength; not 0. */
struct AdapterScale {
  std::string name;
  float scale;
};

/** How a stream is drawn, ended and paced, wherever its text comes from. Goes as one from the door to the sequence. */
struct StreamSettings {
  SamplingParams sampling;
  int max_tokens = 0;  // 0: up to the end of the context
  int high_water_mark = 64;
  int stall_timeout_ms = 0;            // 0: never
  bool prompt_logprobs = false;        // those of the prompt's tokens are wanted, too: all of it is computed
  std::vector<AdapterScale> adapters;  // what the model is changed by; in order, each once
  bool tell_tokens = false;            // the ids of drawn tokens go with the events
  bool prepares = false;               // nothing is drawn: its prompt is computed for those to come, when nothing else is
  int draft_tokens = 0;                // that a step checks of guesses at most; 0: nothing is guessed
  int draft_match = 4;                 // tokens that must have stood before what is looked up
  /** What was drawn of the same reply before its engine was lost: it begins with these, and is given out again from its start. */
  std::vector<Token> replay;
};

enum class ToolChoice { kAuto, kNone, kRequired };

/** What a reply's text is held to; at most one of them is not empty. */
struct TextShape {
  std::string json_schema;
  std::string grammar;  // llama.cpp's GBNF
};

/** Turns of a conversation, for the model's template. */
struct ChatInput {
  std::string messages_json;  // OpenAI `messages` array
  TextShape shape;
  std::string tools_json;  // OpenAI `tools` array; "" for none
  ToolChoice tool_choice = ToolChoice::kAuto;
  bool parallel_calls = true;
  std::optional<bool> thinking;         // what the template does by itself, where absent
  std::optional<int> reasoning_budget;  // tokens
  std::string template_arguments_json;  // an object; "" for none
  bool continue_final_message = false;
};
/** Text that is continued as it is. */
struct TextInput {
  std::string text;
  TextShape shape;
};
/** Tokens that are continued as they are: the caller's own, of the vocabulary. */
struct TokensInput {
  std::vector<Token> tokens;
  TextShape shape;
};
/** What stands between two texts is written, by a model that was trained for that. */
struct InfillInput {
  std::string prefix, suffix;
  TextShape shape;
};
/** What a prompt is made of. One kind more is one line here, and a tokens_of() in PromptBuilder. */
using RequestInput = std::variant<ChatInput, TextInput, TokensInput, InfillInput>;

/** A text, or the tokens that it is. */
using TextOrTokens = std::variant<std::string, std::vector<Token>>;

/** A request as it comes through the door: nothing rendered, nothing tokenized. */
struct RequestSpec {
  RequestInput input;
  std::vector<std::string> stops;
  TextOrTokens prediction;  // what the caller expects of the reply; empty for nothing
  StreamSettings settings;
};

/** The tokens of a text. */
struct TokenizeQuestion {
  std::string text;
  bool special = false;      // control tokens by their text
  bool add_special = false;  // with the vocabulary's own BOS
};
/** What tokens of the vocabulary stand for. */
struct DetokenizeQuestion {
  std::vector<Token> tokens;
  bool special = true;  // control tokens as their text; otherwise as nothing
};
/** What a conversation becomes, were it asked for a reply. */
struct RenderQuestion {
  ChatInput chat;
};
/** The vectors of texts. The decode thread computes them beside the steps of streams. */
struct EmbedQuestion {
  std::vector<TextOrTokens> texts;
  int dimensions = 0;  // the first so many; 0: all
  bool normalize = true;
  bool truncate = false;  // texts that are too long are cut; otherwise they are an error
};
/** How well documents answer a query, by a model that was trained to say so. Computed as vectors are. */
struct RerankQuestion {
  std::string query;
  std::vector<std::string> documents;
  bool truncate = false;  // of documents
};
/** What a caller wants of the prefixes that are kept. The decode thread does it, between its steps. */
struct CacheQuestion {
  enum class Act { kList, kPin, kUnpin, kEvict, kExport, kImport, kEnough };
  Act act = Act::kList;
  /** Of which entry: the one of this id, or the one that begins with these tokens. Neither: all of them (kList, kEvict), or none (kImport). */
  std::optional<uint64_t> id;
  std::vector<Token> tokens;
  std::string path;     // of the file, of kExport and kImport
  uint32_t ticket = 0;  // of kPin and kExport: not 0, what is not kept yet is waited for, until kEnough comes with it
  /** Whether and with what the file is sealed; nothing said: as the engine's own. */
  std::optional<std::optional<AeadKey>> key;
};
/** What is asked of a model beside replies. */
using Question =
    std::variant<TokenizeQuestion, DetokenizeQuestion, RenderQuestion, EmbedQuestion, RerankQuestion, CacheQuestion>;

/** Texts as the decode thread takes them: each with its tokens, of which there is at least one and no more than fit. */
struct PreparedTexts {
  std::vector<std::vector<Token>> texts;
  int dimensions = 0;
  bool normalize = true;
};

/**
 * What a stream's sampler needs and takes long to make, such as a grammar that the reply is held to: made on the prompt side, for the decoder of
 * the same model.
 */
class SamplerParts {
 public:
  virtual ~SamplerParts() = default;
};

/** What a request's text has become: all that the way from here needs of it. */
struct PreparedPrompt {
  Prompt prompt;
  std::vector<int> message_starts;              // tokens before each message that is known, in order; where it matters
  std::vector<std::string> stops;               // texts that end the reply before its end, as the caller asked
  std::vector<std::string> template_stops;      // and texts at which the template's model ends it by itself
  std::unique_ptr<SamplerParts> sampler_parts;  // null where there are none
  std::shared_ptr<const ReplySyntax> syntax;    // null: the reply is text
  std::vector<Token> prediction;                // what the caller expects of it
};

/** What every thread may look at of a question that the decode thread answers. */
struct QuestionControl {
  uint32_t number = 0;
  std::atomic<bool> withdrawn{false};  // nobody waits for the answer; whoever sets it sends a WithdrawCommand after it
};

/** What every thread may look at of a stream. A flag is how a cancel reaches a graph that is being computed. */
struct StreamControl {
  StreamId id = 0;
  Clock::time_point submitted;
  std::atomic<bool> cancelled{
      false};  // whoever sets it sends a CancelCommand after it, unless the request has not gone to the inbox yet
  std::atomic<bool> ends_reasoning{false};  // asked for, perhaps before there was a sampler to tell
};

}  // namespace zse
