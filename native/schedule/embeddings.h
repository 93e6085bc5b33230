// Owns the questions for vectors of texts, from their tokens to their one answer: whose turn it is, what goes into a piece, and what became of it.
// The scheduler says when, and how much a piece may hold. Runs on the decode thread.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "core/embedder.h"
#include "core/events.h"
#include "core/ids.h"
#include "core/request.h"
#include "core/stats.h"
#include "outbox.h"

namespace zse {

class Embeddings {
 public:
  /** `exclusive`: one text at a time, in pieces that are always the same (deterministic mode). */
  Embeddings(Embedder& embedder, Outbox& outbox, EngineStats& stats, bool exclusive);

  bool empty() const { return asked_.empty(); }

  void add(std::shared_ptr<QuestionControl> control, PreparedTexts texts);
  /** Its answer is ABORTED, at once. Numbers of questions that are not here are ignored. */
  void withdraw(uint32_t question);

  /**
   * Computes a piece of `most_tokens` at most; a text that cannot be cut may make it larger. Gives how many it had; 0 where nothing came of it.
   * `closing` ends it early.
   */
  int compute(int most_tokens, const AbortCheck& closing);

  /** Every question is answered with an error. */
  void fail_all(const std::string& code, const std::string& message);

  /** Texts that are wanted, those under way included. */
  int waiting() const { return waiting_; }

 private:
  struct Asked {
    std::shared_ptr<QuestionControl> control;
    PreparedTexts texts;
    size_t begun = 0, done = 0;  // of its texts
    VectorsAnswer answer;
  };
  using Turn = std::list<Asked>::iterator;
  /** A text that has a place. */
  struct Text {
    Turn asked;
    size_t index = 0;  // among the question's
    SlotId place = 0;
    int computed = 0;

    const std::vector<Token>& tokens() const { return asked->texts.texts[index]; }
    int remaining() const { return static_cast<int>(tokens().size()) - computed; }
  };
  struct Piece {
    size_t text;  // index in under_way_
    int tokens;
  };

  std::vector<Piece> plan(int most_tokens);
  bool begin_next();
  void finish_computed();
  /** All of it is computed, and it is under way no more. */
  void finish(const Text& text);
  void answer_error(Turn asked, const std::string& code, const std::string& message);
  void free_place(const Text& text);

  Embedder& embedder_;
  Outbox& outbox_;
  EngineStats& stats_;
  const bool exclusive_;

  std::list<Asked> asked_;  // the first begins its next text next, and goes to the end with that
  std::vector<Text> under_way_;
  std::vector<SlotId> free_places_;
  int held_tokens_ = 0;  // of the texts under way
  int waiting_ = 0;
  bool others_lost_a_piece_ = false;  // the one before was aborted with work of texts that are wanted: this one is not
  Batch batch_;
};

}  // namespace zse
