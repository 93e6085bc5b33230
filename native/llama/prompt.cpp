#include "prompt.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "chat.h"
#include "core/info.h"
#include "model.h"
#include "prompt_limits.h"
#include "sampler_parts.h"

namespace zse {

namespace {

constexpr size_t kMostToldLogprobs = size_t{1} << 18;  // of a prompt: all of them wait for their reader

}  // namespace

PromptBuilder::PromptBuilder(std::shared_ptr<const Model> model, const std::atomic<bool>& cancelled)
    : model_(std::move(model)),
      rights_(token_rights(model_->vocab(), model_->info().template_text)),
      finds_messages_(llama_model_is_recurrent(model_->get()) || llama_model_is_hybrid(model_->get()) ||
                      llama_model_n_swa(model_->get()) > 0),
      template_(model_, cancelled),
      shaper_(model_, template_),
      vector_texts_(model_, rights_) {}

WorkLimits PromptBuilder::limits() const { return prompt_limits(model_->info()); }

EngineError PromptBuilder::stopped(WorkStop why, PromptStage stage, uint64_t tokens) const {
  if (why == WorkStop::kCancelled) return {"CLOSED", "the model was closed"};
  if (why == WorkStop::kTokens) {
    try {
      throw_overflow(model_->info(), "at least " + std::to_string(tokens));
    } catch (const EngineError& e) {
      return e;
    }
  }
  const std::string most = too_much(why, limits());
  if (stage == PromptStage::kTokenizer) {
    return {"BAD_OPTION", "splitting the prompt into tokens " + most + "; shorten the prompt"};
  }
  if (stage == PromptStage::kGrammar) {
    return {"BAD_OPTION", "the grammar of the tools or of responseFormat " + most + "; give fewer or shorter alternatives"};
  }
  const ModelInfo& info = model_->info();
  const std::string name = info.template_source == "model" ? "the chat template of the model file"
                                                           : "the fallback chat template \"" + info.template_name + "\"";
  return {"BAD_OPTION",
          name + " " + most +
              " on these messages and was stopped; shorten the conversation, or, if it loops whatever it is given, "
              "take another file of the model"};
}

MarkedText PromptBuilder::text_of(const ChatInput& chat, PromptParts& parts, PromptStage& stage) const {
  std::vector<size_t> origins;  // of what the template is given, among what was sent
  const common_chat_templates_inputs inputs = template_.inputs_of(chat, origins);
  common_chat_params params = template_.apply(inputs, origins, chat.tools_json.empty() && chat.shape.json_schema.empty());
  stage = PromptStage::kGrammar;
  parts.reply = shaper_.of_chat(chat, inputs, origins, params);
  if (finds_messages_) parts.delimiters = std::make_shared<common_chat_msg_delimiters>(std::move(params.message_delimiters));
  return marked_text(std::move(params.prompt));
}

std::vector<Token> PromptBuilder::tokens_of(const ChatInput& chat, PromptParts& parts, PromptStage& stage) const {
  const MarkedText text = text_of(chat, parts, stage);
  std::vector<Token> tokens = tokenize(text, stage);
  if (parts.delimiters) parts.message_starts = starts_of(*parts.delimiters, tokens);
  return tokens;
}

/** How many tokens stand before each message. A template's delimiters are tokens that no message can hold, where they are control tokens. */
std::vector<int> PromptBuilder::starts_of(const common_chat_msg_delimiters& delimiters,
                                          const std::vector<Token>& tokens) const {
  constexpr size_t kLongestDelimiter = 32;  // tokens: a longer one is a template's trick
  common_chat_msg_delimiters known = delimiters;
  known.tokenize(model_->vocab());
  auto& all = known.delimiters;
  const auto useless = [](const auto& it) { return it.tokens.empty() || it.tokens.size() > kLongestDelimiter; };
  all.erase(std::remove_if(all.begin(), all.end(), useless), all.end());
  std::vector<int> starts;
  if (all.empty()) return starts;
  for (const common_chat_msg_span& span : known.split(tokens).spans) starts.push_back(static_cast<int>(span.pos));
  return starts;
}

std::vector<Token> PromptBuilder::tokens_of(const TextInput& text, PromptParts& parts, PromptStage& stage) const {
  stage = PromptStage::kGrammar;
  parts.reply = shaper_.of_text(text.shape);
  return tokenize({model_->normalized(text.text), {}}, stage);
}

std::vector<Token> PromptBuilder::tokens_of(const TokensInput& tokens, PromptParts& parts, PromptStage& stage) const {
  stage = PromptStage::kGrammar;
  parts.reply = shaper_.of_text(tokens.shape);
  return tokens.tokens;
}

/** The order that models learn: what comes before, what comes after, and then what stands between. No text is read as a control token. */
std::vector<Token> PromptBuilder::tokens_of(const InfillInput& infill, PromptParts& parts, PromptStage& stage) const {
  stage = PromptStage::kGrammar;
  parts.reply = shaper_.of_text(infill.shape);
  stage = PromptStage::kTokenizer;
  const llama_vocab* vocab = model_->vocab();
  check_bytes(*model_, infill.prefix.size() + infill.suffix.size());
  const std::vector<Token> prefix = model_->tokenize(model_->normalized(infill.prefix), false, false);
  const std::vector<Token> suffix = model_->tokenize(model_->normalized(infill.suffix), false, false);
  std::vector<Token> tokens;
  const Token bos = llama_vocab_bos(vocab);
  if (llama_vocab_get_add_bos(vocab) && bos != LLAMA_TOKEN_NULL) tokens.push_back(bos);
  tokens.push_back(llama_vocab_fim_pre(vocab));
  tokens.insert(tokens.end(), prefix.begin(), prefix.end());
  tokens.push_back(llama_vocab_fim_suf(vocab));
  tokens.insert(tokens.end(), suffix.begin(), suffix.end());
  tokens.push_back(llama_vocab_fim_mid(vocab));
  return tokens;
}

std::vector<Token> PromptBuilder::tokenize(const MarkedText& text, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  check_bytes(*model_, text.text.size());
  std::vector<Token> tokens = tokenize_marked(model_->vocab(), rights_, text);
  // A prompt, or a template, that begins with BOS itself means the one that the tokenizer has just put before it.
  const Token bos = llama_vocab_bos(model_->vocab());
  const bool adds_bos = llama_vocab_get_add_bos(model_->vocab());
  if (adds_bos && tokens.size() > 1 && tokens[0] == bos && tokens[1] == bos) tokens.erase(tokens.begin());
  return tokens;
}

void PromptBuilder::check_generates() const {
  if (model_->info().generates) return;
  throw EngineError("UNSUPPORTED", "the model (architecture \"" + model_->info().architecture +
                                       "\") is an encoder: it embeds texts, and writes none");
}

PreparedPrompt PromptBuilder::build(const RequestSpec& request, PromptStage& stage) const {
  check_generates();
  stage = PromptStage::kTemplate;
  PreparedPrompt prepared;
  prepared.stops = request.stops;
  PromptParts parts;
  std::vector<Token> tokens = std::visit([&](const auto& input) { return tokens_of(input, parts, stage); }, request.input);
  prepared.template_stops = std::move(parts.reply.stops);
  if (tokens.empty()) {
    throw EngineError("BAD_OPTION", "the prompt has no tokens; give at least one character of text, or one token id");
  }
  if (tokens.size() >= static_cast<size_t>(model_->info().context_size))
    throw_overflow(model_->info(), std::to_string(tokens.size()));
  const size_t told = tokens.size() * (static_cast<size_t>(request.settings.sampling.top_logprobs) + 1);
  if (request.settings.prompt_logprobs && told > kMostToldLogprobs) {
    throw EngineError("BAD_OPTION", "promptLogprobs tells at most " + std::to_string(kMostToldLogprobs) +
                                        " log-probabilities, and this prompt of " + std::to_string(tokens.size()) +
                                        " tokens has " + std::to_string(told) +
                                        "; shorten it, or ask for fewer topLogprobs");
  }
  prepared.message_starts = std::move(parts.message_starts);
  prepared.prompt = Prompt(std::move(tokens), model_->adapters().variant_of(request.settings.adapters));
  prepared.sampler_parts = make_sampler_parts(*model_, request.settings.sampling, std::move(parts.reply.constraint));
  prepared.syntax = std::move(parts.reply.syntax);
  const bool predicts = std::visit([](const auto& of_reply) { return !of_reply.empty(); }, request.prediction);
  if (predicts) prepared.prediction = tokens_of_prediction(request.prediction, stage);
  return prepared;
}

std::vector<Token> PromptBuilder::tokens_of_prediction(const TextOrTokens& prediction, PromptStage& stage) const {
  const auto* tokens = std::get_if<std::vector<Token>>(&prediction);
  const std::string* text = std::get_if<std::string>(&prediction);
  const size_t fewest = tokens ? tokens->size() : text->size() / model_->longest_piece();
  const size_t room = static_cast<size_t>(model_->info().context_size);
  if (fewest > room) {
    throw EngineError("BAD_OPTION", "prediction has at least " + std::to_string(fewest) + " tokens, and the context holds " +
                                        std::to_string(room) + "; give no more than the reply may have");
  }
  stage = PromptStage::kTokenizer;
  if (text) return model_->tokenize(model_->normalized(*text), false, false);
  const int vocabulary = model_->info().vocabulary_size;
  for (const Token token : *tokens) {
    if (token >= 0 && token < vocabulary) continue;
    throw EngineError("BAD_OPTION", "prediction names token " + std::to_string(token) +
                                        "; the token ids of this vocabulary are 0 to " + std::to_string(vocabulary - 1));
  }
  return *tokens;
}

Answer PromptBuilder::answer(const Question& question, PromptStage& stage) const {
  return std::visit([&](const auto& asked) { return answer_to(asked, stage); }, question);
}

Answer PromptBuilder::answer_to(const TokenizeQuestion& question, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  return TokensAnswer{model_->tokenize(model_->normalized(question.text), question.add_special, question.special)};
}

Answer PromptBuilder::answer_to(const DetokenizeQuestion& question, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  PiecesAnswer answer;
  for (const Token token : question.tokens) {
    work_step();
    model_->append_piece(token, answer.bytes, question.special);
    if (answer.bytes.size() > kMostBytes) {
      throw EngineError("BAD_OPTION", "the tokens stand for more than " + std::to_string(kMostBytes >> 20) + " MB of text");
    }
    answer.ends.push_back(static_cast<int>(answer.bytes.size()));
  }
  if (model_->pads_texts() && !answer.bytes.empty() && answer.bytes.front() == ' ') answer.padding = 1;
  return answer;
}

/** One that is too long is answered, too: who asks wants to know by how much. */
Answer PromptBuilder::answer_to(const RenderQuestion& question, PromptStage& stage) const {
  check_generates();
  stage = PromptStage::kTemplate;
  PromptParts parts;
  MarkedText text = text_of(question.chat, parts, stage);
  std::vector<Token> tokens = tokenize(text, stage);
  return PromptAnswer{std::move(text.text), std::move(tokens)};
}

PreparedTexts PromptBuilder::texts_of(const EmbedQuestion& question, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  return vector_texts_.of(question);
}

PreparedTexts PromptBuilder::texts_of(const RerankQuestion& question, PromptStage& stage) const {
  stage = PromptStage::kTokenizer;
  return vector_texts_.of(question);
}

}  // namespace zse
