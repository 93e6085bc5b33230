#include "chat_reply.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/spaces.h"

namespace zse {

namespace {

// Parsing takes time in proportion to the text, so all parses of a reply together take at most so many times as long as one of the whole.
constexpr size_t kParsesOfAll = 32, kParsedAnyway = size_t{64} << 10;  // bytes
// Tokens that do not show cost credit too, so that a reader that pauses stops them; not one by one.
constexpr int kHiddenTogether = 16;

bool starts_with(std::string_view text, std::string_view beginning) { return text.substr(0, beginning.size()) == beginning; }
bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/**
 * Where the beginning of a JSON value ends that a text ends within; 0: it does not. Of what may still become this or that the parser leaves out what
 * it is sure not to need yet: spaces, a number that may go on, half of an escape.
 */
size_t json_end(std::string_view text, std::string_view value) {
  const size_t from = text.rfind(value);
  if (from == std::string_view::npos) return 0;
  JsonScan scan;
  scan.take(text.substr(from));
  return scan.closed() ? 0 : from + value.size();
}

/** Bytes of the end of a text that are `escaped` when they stand in a JSON string; 0: none. */
size_t escaped_tail(std::string_view text, std::string_view escaped) {
  size_t from = text.size(), length = 0;
  while (from > 0 && length < escaped.size()) length += escape_json(text.substr(--from, 1)).size();
  return escape_json(text.substr(from)) == escaped ? text.size() - from : 0;
}

}  // namespace

ChatReply::Marks::Marks(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    if (!text.empty()) marks_.push_back({text, Borders(text), 0});
  }
}

bool ChatReply::Marks::next(char byte) {
  bool found = false;
  for (Mark& mark : marks_) {
    mark.matched = mark.borders.next(mark.text, mark.matched, byte);
    found |= mark.matched == mark.text.size();
  }
  if (found) reset();
  return found;
}

size_t ChatReply::Marks::held() const {
  size_t held = 0;
  for (const Mark& mark : marks_) held = std::max(held, mark.matched);
  return held;
}

void ChatReply::Marks::reset() {
  for (Mark& mark : marks_) mark.matched = 0;
}

ChatReply::ChatReply(std::vector<std::string> stops, std::shared_ptr<const ReplySyntax> syntax, int min_tokens)
    : syntax_(std::move(syntax)), assembler_(std::move(stops), min_tokens), marks_(syntax_->marks) {}

// ---- what comes ------------------------------------------------------------------------------------------------------

void ChatReply::add(std::string_view bytes, int tokens, ReplyEvents& out) {
  unpaid_ += tokens;
  take(assembler_.add(bytes, tokens), out);
  token_ends_.insert(token_ends_.end(), static_cast<size_t>(tokens), text_.size());
}

void ChatReply::control(std::string_view name, ReplyEvents& out) {
  if (assembler_.is_stop(name)) {
    take(assembler_.flush(), out);
    out.stop(std::string(name));
    return;
  }
  const auto& kept = syntax_->control_tokens;
  if (std::find(kept.begin(), kept.end(), name) != kept.end()) take(assembler_.add(name, 0), out);
}

void ChatReply::take(TextAssembler::Output output, ReplyEvents& out) {
  text_ += output.text;
  if (output.stop) out.stop(std::move(*output.stop));
  follow(out);
  if (!asked_ && !wanted_) charge_hidden(out);  // an answer may show what they are
}

void ChatReply::finish(bool complete, ReplyEvents& out) {
  take(assembler_.flush(), out);
  finished_ = true;
  complete_ = complete;
  wanted_ = true;
}

// ---- between two answers ---------------------------------------------------------------------------------------------

void ChatReply::follow(ReplyEvents& out) {
  if (contradicted_) return;
  if (!begun_ && !text_.empty()) {
    begun_ = true;
    if (syntax_->signs.find(text_.front()) == std::string::npos) {
      if (syntax_->begins == ReplyBegin::kContent) part_ = Part::kContent;
      if (syntax_->begins == ReplyBegin::kReasoning) part_ = Part::kReasoning;
    }
  }
  if (part_ == Part::kArguments || part_ == Part::kJsonContent) follow_json(out);
  if (part_ == Part::kReasoning || part_ == Part::kContent || part_ == Part::kString) follow_text(out);
  if (part_ == Part::kUnknown && text_.size() > (asked_ ? asked_size_ : std::max(read_, done_))) ask();
}

void ChatReply::follow_text(ReplyEvents& out) {
  bool found = false;
  while (marked_ < text_.size() && !found) found = marks_.next(text_[marked_++]);
  if (found) {  // what is before it may belong to another part, too
    part_ = Part::kUnknown;
    return;
  }
  size_t safe = text_.size() - marks_.held();
  // Spaces behind a JSON value are not its own.
  if (part_ == Part::kContent && syntax_->json_text) safe = text_.find_last_not_of(kSpaces, safe - 1) + 1;
  if (safe <= done_) return;
  std::string grown = text_.substr(done_, safe - done_);
  done_ = safe;
  if (part_ == Part::kReasoning) reasoning_end_ = done_;
  if (part_ == Part::kContent) content_end_ = done_;
  if (part_ == Part::kReasoning) return give_reasoning(std::move(grown), out);
  if (part_ == Part::kContent) return give_content(std::move(grown), out);
  give_arguments(escape_json(grown), out);
}

void ChatReply::follow_json(ReplyEvents& out) {
  const size_t taken = json_.take(std::string_view(text_).substr(done_));
  if (taken > 0) {
    std::string grown = text_.substr(done_, taken);
    part_ == Part::kArguments ? give_arguments(std::move(grown), out) : give_content(std::move(grown), out);
  }
  done_ += taken;
  if (json_.closed()) part_ = Part::kUnknown;
}

void ChatReply::ask() {
  if (parsed_bytes_ + text_.size() <= kParsedAnyway + kParsesOfAll * text_.size()) wanted_ = true;
}

std::optional<ParseRequest> ChatReply::take_request() {
  if (!wanted_ || asked_ || decided_) return {};
  wanted_ = false;
  asked_ = true;
  asked_for_all_ = finished_;
  asked_size_ = text_.size();
  parsed_bytes_ += text_.size();
  return ParseRequest{syntax_->parser, text_, !(finished_ && complete_)};
}

// ---- answers ---------------------------------------------------------------------------------------------------------

void ChatReply::parsed(ParsedReply reply, ReplyEvents& out) {
  ZSE_ASSERT(asked_, "an answer has a question");
  asked_ = false;
  if (asked_for_all_) return decide(reply, out);
  if (finished_) {
    wanted_ = true;
    return;
  }
  if (contradicted_ || !reply.matches || part_ != Part::kUnknown) return charge_hidden(out);
  if (!goes_on(reply, given_)) {
    // Of what may still become this or that the parser leaves out what it knew before. What contradicts is left to the end.
    contradicted_ = !goes_on(given_, reply);
    return charge_hidden(out);
  }
  const Sizes before{given_.reasoning.size(), given_.content.size()};
  give_rest(reply, false, out);
  find_part(reply, before);
  follow(out);
  charge_hidden(out);
}

bool ChatReply::goes_on(const ParsedReply& reply, const ParsedReply& from) {
  return starts_with(reply.reasoning, from.reasoning) && starts_with(reply.content, from.content) &&
         calls_go_on(reply, from);
}

bool ChatReply::calls_go_on(const ParsedReply& reply, const ParsedReply& from) {
  if (reply.calls.size() < from.calls.size()) return false;
  for (size_t i = 0; i < from.calls.size(); i++) {
    if (reply.calls[i].name != from.calls[i].name || !starts_with(reply.calls[i].arguments, from.calls[i].arguments))
      return false;
  }
  return true;
}

void ChatReply::give_rest(const ParsedReply& reply, bool last, ReplyEvents& out) {
  if (reply.reasoning.size() > given_.reasoning.size()) give_reasoning(reply.reasoning.substr(given_.reasoning.size()), out);
  if (reply.content.size() > given_.content.size()) give_content(reply.content.substr(given_.content.size()), out);
  give_calls(reply, last, out);
}

void ChatReply::give_calls(const ParsedReply& reply, bool last, ReplyEvents& out) {
  for (size_t i = given_.calls.empty() ? 0 : given_.calls.size() - 1; i < reply.calls.size(); i++) {
    const ParsedCall& call = reply.calls[i];
    if (i < given_.calls.size()) {
      if (call.arguments.size() > given_.calls[i].arguments.size()) {
        give_arguments(call.arguments.substr(given_.calls[i].arguments.size()), out);
      }
      continue;
    }
    // A name may still grow until something follows it. The parser puts a brace behind it that need not have been written.
    const bool named = last || i + 1 < reply.calls.size() || call.arguments.size() > 1;
    if (!named || call.name.empty()) break;
    given_.calls.push_back({call.id, call.name, call.arguments});
    put(ToolCallEvent{static_cast<int>(i), call.id, call.name, call.arguments}, out);
  }
}

bool ChatReply::reaches_end(const std::string& part, size_t size, size_t end) const {
  const std::string_view text = std::string_view(text_).substr(0, asked_size_);
  if (size > 0 && end != kUnknownPlace) return text.substr(end) == std::string_view(part).substr(size);
  return part.find_first_not_of(kSpaces) != std::string::npos && ends_with(text, part);
}

void ChatReply::find_part(const ParsedReply& reply, const Sizes& before) {
  const std::string_view text = std::string_view(text_).substr(0, asked_size_);
  const auto grows = [&](Part part, size_t done) {
    part_ = part;
    done_ = marked_ = done;
    marks_.reset();
  };
  read_ = asked_size_;
  if (!reply.calls.empty()) {
    const std::string& arguments = reply.calls.back().arguments;
    if (given_.calls.size() != reply.calls.size() || arguments.size() < 2) return;
    JsonScan scan;
    scan.take(arguments);
    if (scan.closed()) return;
    if (const size_t written = json_end(text, arguments)) {
      grows(Part::kArguments, written);
      json_ = scan;
      return;
    }
    // The template writes values by themselves: objects and arrays as JSON, strings as they are.
    std::string_view value = std::string_view(arguments).substr(scan.value_from());
    value.remove_prefix(std::min(value.find_first_not_of(kSpaces), value.size()));
    if (!value.empty() && (value.front() == '{' || value.front() == '[')) {
      if (value.find('"') == std::string_view::npos) return;  // a bracket alone may be the template's
      const size_t written = json_end(text, value);
      if (written == 0) return;
      json_ = {};
      json_.take(value);
      grows(Part::kArguments, written);
    } else if (scan.in_string() && scan.string_bytes() > 0 && scan.string_bytes() + 1 == value.size()) {
      const std::string_view string = std::string_view(arguments).substr(arguments.size() - scan.string_bytes());
      const size_t tail = escaped_tail(text, string);
      // One in quotes ends where they do, which is no mark.
      const bool quoted =
          tail < text.size() && std::string_view("'\"`").find(text[text.size() - tail - 1]) != std::string_view::npos;
      if (tail > 0 && !quoted) grows(Part::kString, text.size());
    }
  } else if (!reply.content.empty()) {
    if (syntax_->json_text && (reply.content.front() == '{' || reply.content.front() == '[')) {
      JsonScan scan;
      scan.take(reply.content);
      const size_t written = scan.closed() ? 0 : json_end(text, reply.content);
      if (written == 0) return;
      grows(Part::kJsonContent, written);
      json_ = scan;
      return;
    }
    if (reaches_end(reply.content, before.content, content_end_)) {
      grows(Part::kContent, text.size());
      content_end_ = done_;
      return;
    }
    if (reply.content.size() > before.content) content_end_ = kUnknownPlace;
    // A mark has begun behind it.
    const std::string_view end =
        std::string_view(reply.content).substr(reply.content.size() - std::min<size_t>(64, reply.content.size()));
    const size_t at = text.rfind(end);
    if (at != std::string_view::npos) done_ = std::max(done_, at + end.size());
  } else if (!reply.reasoning.empty()) {
    const bool grown = reply.reasoning.size() > before.reasoning;
    if (reaches_end(reply.reasoning, before.reasoning, reasoning_end_)) {
      grows(Part::kReasoning, text.size());
      reasoning_end_ = done_;
    } else if (grown) {
      reasoning_end_ = kUnknownPlace;
    }
  }
}

int ChatReply::count_reasoning(const std::string& reasoning) const {
  const size_t from = reasoning.empty() ? std::string::npos : text_.find(reasoning);
  if (from == std::string::npos) return summary_.reasoning_tokens;  // in several places: what the items cost
  const size_t to = from + reasoning.size();
  int tokens = 0;
  size_t begin = 0;
  for (const size_t end : token_ends_) {
    tokens += end > from && begin < to;
    begin = end;
  }
  return tokens;
}

void ChatReply::decide(const ParsedReply& reply, ReplyEvents& out) {
  decided_ = true;
  const bool unread = !reply.matches;
  // Of a reply that was cut the parser leaves out the end of the part that grew: spaces, say. All of that has been given out.
  const bool ahead = !complete_ && part_ != Part::kUnknown && goes_on(given_, reply);
  const bool goes = ahead || goes_on(reply, given_);
  if (unread) {
    // What could be read of it is not lost, and what could not is text.
    summary_.warning =
        "the reply is not in the syntax of the model's chat template: what of it could not be read is given as text";
  } else if (!goes) {
    summary_.warning =
        "the whole reply reads otherwise than its beginning did: compare `text` and `toolCalls` with what was streamed";
  }
  if (unread || (!goes && (reply.calls.empty() || !calls_go_on(reply, given_)))) {
    std::string rest = text_.substr(std::min(done_, text_.size()));
    if (!rest.empty()) give_content(rest, out);
    put(MalformedCallEvent{std::move(rest), summary_.warning}, out);
  } else if (!goes) {  // the text stays as it was streamed; calls are what the whole reply says
    give_calls(reply, true, out);
    summary_.called_tools = complete_;
  } else {
    const Sizes before{given_.reasoning.size(), given_.content.size()};
    give_rest(reply, true, out);
    // What stands behind it goes out as it would have, had the parser been asked before.
    if (!complete_ && part_ == Part::kUnknown) {
      find_part(reply, before);
      follow(out);
    }
    summary_.called_tools = complete_ && !reply.calls.empty();
  }
  if (!given_.reasoning.empty()) summary_.reasoning_tokens = count_reasoning(given_.reasoning);
  if (unpaid_ > 0) put(HiddenEvent{}, out);
}

// ---- items -----------------------------------------------------------------------------------------------------------

void ChatReply::give_reasoning(std::string text, ReplyEvents& out) {
  given_.reasoning += text;
  summary_.reasoning_tokens += unpaid_;
  put(ReasoningEvent{std::move(text)}, out);
}

void ChatReply::give_content(std::string text, ReplyEvents& out) {
  given_.content += text;
  put(TextEvent{std::move(text)}, out);
}

void ChatReply::give_arguments(std::string text, ReplyEvents& out) {
  given_.calls.back().arguments += text;
  put(ToolCallEvent{static_cast<int>(given_.calls.size()) - 1, {}, {}, std::move(text)}, out);
}

void ChatReply::charge_hidden(ReplyEvents& out) {
  if (unpaid_ >= kHiddenTogether) put(HiddenEvent{}, out);
}

template <class Item>
void ChatReply::put(Item item, ReplyEvents& out) {
  out.put(std::move(item), std::max(1, std::exchange(unpaid_, 0)));
}

}  // namespace zse
