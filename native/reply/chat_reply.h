// Owns a reply in the syntax of a chat template: thoughts, text and calls of tools, told apart as they come. Pure; decode thread.
//
// The parser of the template decides what is what, and a parse takes the whole text. So it is asked only where a part may end or begin, and
// answers later. In between it is known which part grows: text and thoughts pass at once up to the next mark, the arguments of a call up to
// the end of their JSON, and the value of an argument that the template writes as plain text up to the next mark, escaped. What has been given
// out is compared with each answer; the last one is of the whole reply, and decides.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text_search.h"
#include "core/reply_parser.h"
#include "json_scan.h"
#include "reply_stage.h"
#include "text_assembler.h"

namespace zse {

class ChatReply final : public ReplyStage {
 public:
  /** `min_tokens`: a stop string counts where it begins after so many tokens. */
  ChatReply(std::vector<std::string> stops, std::shared_ptr<const ReplySyntax> syntax, int min_tokens = 0);

  void add(std::string_view bytes, int tokens, ReplyEvents& out) override;
  void control(std::string_view name, ReplyEvents& out) override;
  void finish(bool complete, ReplyEvents& out) override;
  std::optional<ParseRequest> take_request() override;
  void parsed(ParsedReply reply, ReplyEvents& out) override;
  bool waits() const override { return finished_ && !decided_; }
  ReplySummary summary() const override { return summary_; }

 private:
  /** The part that what comes next belongs to, as far as that is known. */
  enum class Part { kUnknown, kReasoning, kContent, kJsonContent, kArguments, kString };

  static constexpr size_t kUnknownPlace = static_cast<size_t>(-1);
  struct Sizes {
    size_t reasoning, content;
  };

  /** Finds any of some texts in what comes byte by byte. */
  class Marks {
   public:
    explicit Marks(const std::vector<std::string>& texts);
    /** True: one of them ends here. */
    bool next(char byte);
    /** Bytes at the end that may be the beginning of one. */
    size_t held() const;
    void reset();

   private:
    struct Mark {
      std::string text;
      Borders borders;
      size_t matched = 0;
    };
    std::vector<Mark> marks_;
  };

  void take(TextAssembler::Output output, ReplyEvents& out);
  /** Gives out what the part that grows has grown by. */
  void follow(ReplyEvents& out);
  void follow_text(ReplyEvents& out);
  void follow_json(ReplyEvents& out);
  void ask();
  /** Whether a reply has all of a shorter one, and perhaps more. */
  static bool goes_on(const ParsedReply& reply, const ParsedReply& from);
  static bool calls_go_on(const ParsedReply& reply, const ParsedReply& from);
  /** What an answer has that has not been given out. */
  void give_rest(const ParsedReply& reply, bool last, ReplyEvents& out);
  void give_calls(const ParsedReply& reply, bool last, ReplyEvents& out);
  /** Which part the text that was parsed ends in; `before`: what had been given out. */
  void find_part(const ParsedReply& reply, const Sizes& before);
  /** Whether a part, of which `size` bytes had been given out, goes on to the end of what was parsed. */
  bool reaches_end(const std::string& part, size_t size, size_t end) const;
  void decide(const ParsedReply& reply, ReplyEvents& out);

  void give_reasoning(std::string text, ReplyEvents& out);
  void give_content(std::string text, ReplyEvents& out);
  void give_arguments(std::string text, ReplyEvents& out);
  /** Tokens of the thought, by where it stands in the text: whoever asks when, it is the same. */
  int count_reasoning(const std::string& reasoning) const;
  /** Tokens that show nothing are paid for, too. */
  void charge_hidden(ReplyEvents& out);
  template <class Item>
  void put(Item item, ReplyEvents& out);

  const std::shared_ptr<const ReplySyntax> syntax_;
  TextAssembler assembler_;
  Marks marks_;

  std::string text_;   // all of it
  size_t done_ = 0;    // of that, what has been given out, with what stands before it
  size_t read_ = 0;    // of that, what was read by the last answer
  size_t marked_ = 0;  // of that, what marks_ have seen
  ParsedReply given_;
  size_t reasoning_end_ = kUnknownPlace, content_end_ = kUnknownPlace;  // where in the text what was given ends
  int unpaid_ = 0;                                                      // tokens that are in no item yet
  std::vector<size_t> token_ends_;                                      // where in the text each token's bytes end

  bool begun_ = false;
  Part part_ = Part::kUnknown;
  JsonScan json_;

  bool wanted_ = false;  // a parse, of what there will be when it is taken
  bool asked_ = false;   // the answer is under way
  size_t asked_size_ = 0;
  size_t parsed_bytes_ = 0;  // in all
  bool contradicted_ = false;

  bool finished_ = false, complete_ = false, decided_ = false;
  bool asked_for_all_ = false;
  ReplySummary summary_;
};

}  // namespace zse
