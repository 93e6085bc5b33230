#include "embeddings.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/error.h"
#include "batch_planner.h"

namespace zse {

Embeddings::Embeddings(Embedder& embedder, Outbox& outbox, EngineStats& stats, bool exclusive)
    : embedder_(embedder), outbox_(outbox), stats_(stats), exclusive_(exclusive) {
  for (SlotId place = exclusive ? 1 : embedder.max_texts(); place > 0; place--) free_places_.push_back(place - 1);
}

void Embeddings::add(std::shared_ptr<QuestionControl> control, PreparedTexts texts) {
  waiting_ += static_cast<int>(texts.texts.size());
  asked_.emplace_back();
  Asked& asked = asked_.back();
  asked.control = std::move(control);
  asked.texts = std::move(texts);
  asked.answer.width = asked.texts.dimensions > 0 ? asked.texts.dimensions : embedder_.width();
  asked.answer.vectors.resize(asked.texts.texts.size());
  for (const auto& text : asked.texts.texts) {
    ZSE_ASSERT(!text.empty() && static_cast<int>(text.size()) <= embedder_.max_tokens(), "a text that is taken in fits");
    asked.answer.tokens.push_back(static_cast<int>(text.size()));
  }
  if (asked.control->withdrawn) withdraw(asked.control->number);  // its command came before it
}

void Embeddings::withdraw(uint32_t question) {
  const Turn asked =
      std::find_if(asked_.begin(), asked_.end(), [&](const Asked& one) { return one.control->number == question; });
  if (asked != asked_.end()) answer_error(asked, "ABORTED", "nobody waits for the answer any more");
}

void Embeddings::fail_all(const std::string& code, const std::string& message) {
  while (!asked_.empty()) answer_error(asked_.begin(), code, message);
}

void Embeddings::answer_error(Turn asked, const std::string& code, const std::string& message) {
  for (const Text& text : under_way_) {
    if (text.asked != asked) continue;
    embedder_.drop(text.place);
    free_place(text);
  }
  under_way_.erase(
      std::remove_if(under_way_.begin(), under_way_.end(), [&](const Text& text) { return text.asked == asked; }),
      under_way_.end());
  waiting_ -= static_cast<int>(asked->texts.texts.size() - asked->done);
  outbox_.answer(AnswerErrorEvent{asked->control->number, code, message});
  asked_.erase(asked);
}

void Embeddings::free_place(const Text& text) {
  free_places_.push_back(text.place);
  held_tokens_ -= static_cast<int>(text.tokens().size());
}

/** Gives a place to the next text of the question whose turn it is. False where there is none, or no room for it. */
bool Embeddings::begin_next() {
  const Turn asked =
      std::find_if(asked_.begin(), asked_.end(), [](const Asked& one) { return one.begun < one.texts.texts.size(); });
  if (asked == asked_.end() || free_places_.empty()) return false;
  const int tokens = static_cast<int>(asked->texts.texts[asked->begun].size());
  if (!under_way_.empty() && held_tokens_ + tokens > embedder_.max_tokens()) return false;
  under_way_.push_back({asked, asked->begun++, free_places_.back(), 0});
  free_places_.pop_back();
  held_tokens_ += tokens;
  asked_.splice(asked_.end(), asked_, asked);
  return true;
}

/** Texts go on in the order they were begun; another is begun where these leave room in the piece. */
std::vector<Embeddings::Piece> Embeddings::plan(int most_tokens) {
  std::vector<Piece> pieces;
  const int most = std::min(exclusive_ ? kExclusivePiece : std::max(1, most_tokens), embedder_.max_batch_tokens());
  int room = most;
  for (size_t i = 0; room > 0; i++) {
    if (i == under_way_.size() && !begin_next()) break;
    const int remaining = under_way_[i].remaining();
    int tokens = std::min(remaining, room);
    if (!embedder_.cuts_texts()) {
      // What does not fit beside others waits for the next piece; alone it is taken as long as it is.
      if (remaining > room && !pieces.empty()) break;
      tokens = remaining;
    }
    pieces.push_back({i, tokens});
    room -= tokens;
    if (exclusive_) break;
  }
  return pieces;
}

int Embeddings::compute(int most_tokens, const AbortCheck& closing) {
  const std::vector<Piece> pieces = plan(most_tokens);
  if (pieces.empty()) return 0;
  batch_.clear();
  for (const Piece& piece : pieces) {
    const Text& text = under_way_[piece.text];
    for (int i = 0; i < piece.tokens; i++) {
      const Position position = text.computed + i;
      batch_.push_back({text.place, position, text.tokens()[static_cast<size_t>(position)], true});
    }
  }
  const auto withdrawn = [&](const Piece& piece) {
    return under_way_[piece.text].asked->control->withdrawn.load(std::memory_order_relaxed);
  };
  DecodeStatus status;
  try {
    status = embedder_.compute(batch_, [&] {
      if (closing()) return true;
      return !others_lost_a_piece_ && std::any_of(pieces.begin(), pieces.end(), withdrawn);
    });
  } catch (const EngineError& error) {
    fail_all(error.code(), error.what());
    return 0;
  }
  if (status == DecodeStatus::kAborted) {
    others_lost_a_piece_ = !std::all_of(pieces.begin(), pieces.end(), withdrawn);
    return 0;
  }
  others_lost_a_piece_ = false;
  if (status == DecodeStatus::kFailed) {
    while (!under_way_.empty()) answer_error(under_way_.front().asked, "ENGINE_FAILED", embedder_.failure());
    return 0;
  }
  stats_.steps++;
  stats_.embedded_tokens += static_cast<int64_t>(batch_.size());
  stats_.embedding_bytes = static_cast<int64_t>(embedder_.memory_bytes());
  for (const Piece& piece : pieces) under_way_[piece.text].computed += piece.tokens;
  finish_computed();
  return static_cast<int>(batch_.size());
}

void Embeddings::finish_computed() {
  const auto is_computed = [](const Text& text) { return text.remaining() == 0; };
  while (true) {  // an end may end others, whose question fails with it
    const auto next = std::find_if(under_way_.begin(), under_way_.end(), is_computed);
    if (next == under_way_.end()) return;
    const Text text = *next;
    under_way_.erase(next);
    finish(text);
  }
}

void Embeddings::finish(const Text& text) {
  Asked& asked = *text.asked;
  std::optional<std::vector<float>> vector = embedder_.take(text.place, {asked.texts.dimensions, asked.texts.normalize});
  free_place(text);
  if (!vector) {
    answer_error(text.asked, "ENGINE_FAILED",
                 "the vector of texts[" + std::to_string(text.index) +
                     "] is not made of numbers; the model file is probably damaged");
    return;
  }
  ZSE_ASSERT(vector->size() == static_cast<size_t>(asked.answer.width), "a vector is as long as was asked");
  asked.answer.vectors[text.index] = std::move(*vector);
  waiting_--;
  if (++asked.done < asked.texts.texts.size()) return;
  outbox_.answer(AnswerEvent{asked.control->number, std::move(asked.answer)});
  asked_.erase(text.asked);
}

}  // namespace zse
