// Owns a reply that is text and nothing else: text events of whole code points, up to a stop string. Pure; decode thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reply_stage.h"
#include "text_assembler.h"

namespace zse {

class PlainReply final : public ReplyStage {
 public:
  /** `min_tokens`: a stop string counts where it begins after so many tokens. */
  explicit PlainReply(std::vector<std::string> stops, int min_tokens = 0);

  void add(std::string_view bytes, int tokens, ReplyEvents& out) override;
  void control(std::string_view name, ReplyEvents& out) override;
  void finish(bool complete, ReplyEvents& out) override;

 private:
  TextAssembler text_;
};

}  // namespace zse
