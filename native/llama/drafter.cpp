#include "drafter.h"

#include <algorithm>
#include <utility>

#include "ngram-map.h"

namespace zse {

LookupDrafter::LookupDrafter(const Prompt& prompt, DraftParams params)
    : match_(params.match),
      history_(prompt.tokens().begin(), prompt.tokens().end() - 1),
      last_(prompt.tokens().back()),
      prediction_(std::move(params.prediction)) {}

void LookupDrafter::add(Token token) {
  history_.push_back(last_);
  last_ = token;
  replied_++;
  searched_ = false;
  follows_ = follows_ && expected_ < prediction_.size() && prediction_[expected_] == token;
  if (follows_) expected_++;
}

/** Where the reply has left the prediction, it may be back: at the next place that reads like its end, else at the first one. */
bool LookupDrafter::follow_prediction() {
  if (follows_ || searched_) return follows_ && expected_ < prediction_.size();
  searched_ = true;
  if (replied_ < match_) return false;
  std::vector<Token> end(history_.end() - (match_ - 1), history_.end());
  end.push_back(last_);
  const auto from = prediction_.begin() + static_cast<std::ptrdiff_t>(expected_);
  auto found = std::search(from, prediction_.end(), end.begin(), end.end());
  if (found == prediction_.end()) found = std::search(prediction_.begin(), prediction_.end(), end.begin(), end.end());
  if (found == prediction_.end()) return false;
  expected_ = static_cast<size_t>(found - prediction_.begin() + match_);
  follows_ = true;
  return expected_ < prediction_.size();
}

DraftSource LookupDrafter::draft(int most, std::vector<Token>& draft) {
  draft.clear();
  if (most <= 0) return DraftSource::kLookup;
  if (follow_prediction()) {
    const size_t count = std::min(static_cast<size_t>(most), prediction_.size() - expected_);
    const auto from = prediction_.begin() + static_cast<std::ptrdiff_t>(expected_);
    draft.assign(from, from + static_cast<std::ptrdiff_t>(count));
    return DraftSource::kPrediction;
  }
  // llama.cpp drafts no fewer tokens than it compares.
  const common_ngram_simple_config config{static_cast<uint16_t>(match_), static_cast<uint16_t>(std::max(most, match_))};
  draft = common_ngram_simple_draft(config, history_, last_);
  if (draft.size() > static_cast<size_t>(most)) draft.resize(static_cast<size_t>(most));
  return DraftSource::kLookup;
}

}  // namespace zse
