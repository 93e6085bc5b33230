#include "plain_reply.h"

#include <utility>

namespace zse {

namespace {

void put(TextAssembler::Output output, ReplyEvents& out) {
  if (!output.text.empty()) out.put(TextEvent{std::move(output.text)}, output.tokens);
  if (output.stop) out.stop(std::move(*output.stop));
}

}  // namespace

PlainReply::PlainReply(std::vector<std::string> stops, int min_tokens) : text_(std::move(stops), min_tokens) {}

void PlainReply::add(std::string_view bytes, int tokens, ReplyEvents& out) { put(text_.add(bytes, tokens), out); }

void PlainReply::control(std::string_view name, ReplyEvents& out) {
  if (!text_.is_stop(name)) return;
  put(text_.flush(), out);
  out.stop(std::string(name));
}

void PlainReply::finish(bool, ReplyEvents& out) { put(text_.flush(), out); }

}  // namespace zse
