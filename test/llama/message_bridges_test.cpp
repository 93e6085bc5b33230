// Owns the promise that every template of llama.cpp's source takes messages as people send them: each conversation below is rendered, and no word of
// it is lost, whatever the template's quirks.
#include "llama/message_bridges.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "check.h"
#include "llama/devices.h"

using namespace zse;

namespace {

using Messages = std::vector<common_chat_msg>;

common_chat_msg message(const std::string& role, const std::string& content) {
  common_chat_msg msg;
  msg.role = role;
  msg.content = content;
  return msg;
}

common_chat_msg parts(const std::string& role, const std::string& first, const std::string& second) {
  common_chat_msg msg = message(role, "");
  msg.content_parts = {{"text", first}, {"text", second}};
  return msg;
}

/** Calls with these ids; each has a word of its own among its arguments. */
common_chat_msg calls(const std::vector<std::string>& ids, const std::vector<std::string>& words) {
  common_chat_msg msg = message("assistant", "");
  for (size_t i = 0; i < ids.size(); i++) msg.tool_calls.push_back({"looks", "{\"at\": \"" + words[i] + "\"}", ids[i]});
  return msg;
}

common_chat_msg result(const std::string& id, const std::string& content) {
  common_chat_msg msg = message("tool", content);
  msg.tool_call_id = id;
  msg.tool_name = "looks";
  return msg;
}

struct Conversation {
  const char* name;
  Messages messages;
};

std::vector<Conversation> conversations() {
  const auto user = message("user", "uuuone"), again = message("user", "uuutwo");
  const auto said = message("assistant", "aaaone"), more = message("assistant", "aaatwo");
  const auto system = message("system", "sssone"), other = message("system", "ssstwo"),
             developer = message("developer", "dddone");
  const std::string nine = "abcDEF123", ours = "call_00_xyzXYZ123";
  return {
      {"one message", {user}},
      {"a system message", {system, user}},
      {"two system messages", {system, other, user}},
      {"a system message between turns", {user, said, system, again}},
      {"a second system message between turns", {system, user, said, other, again}},
      {"a system message at the end", {user, system}},
      {"nothing but a system message", {system}},
      {"a developer's message", {developer, user}},
      {"a system message and a developer's", {system, developer, user}},
      {"a developer's message between turns", {user, said, developer, again}},
      {"the user twice", {user, again}},
      {"the user twice behind a system message", {system, user, again}},
      {"the assistant twice", {user, said, more, again}},
      {"a conversation that the assistant begins", {said, user}},
      {"one that it begins behind a system message", {system, said, user}},
      {"parts of a user's message", {parts("user", "uuuone", "uuutwo")}},
      {"parts of a system message", {parts("system", "sssone", "ssstwo"), user}},
      {"parts of an assistant's message", {user, parts("assistant", "aaaone", "aaatwo"), again}},
      {"a last message of the assistant's", {user, said}},
      {"an empty message", {message("user", "")}},
      {"an empty answer", {user, message("assistant", ""), again}},
      {"a call and its result", {user, calls({nine}, {"cccone"}), result(nine, "rrrone")}},
      {"the same with OpenAI's ids", {user, calls({ours}, {"cccone"}), result(ours, "rrrone")}},
      {"the same without ids", {user, calls({""}, {"cccone"}), result("", "rrrone")}},
      {"a result in parts",
       {user, calls({nine}, {"cccone"}),
        [&] {
          auto msg = parts("tool", "rrrone", "rrrtwo");
          msg.tool_call_id = nine;
          return msg;
        }()}},
      {"two calls at once",
       {user, calls({ours + "1", ours + "2"}, {"cccone", "ccctwo"}), result(ours + "1", "rrrone"),
        result(ours + "2", "rrrtwo")}},
      {"two calls at once without ids",
       {user, calls({"", ""}, {"cccone", "ccctwo"}), result("", "rrrone"), result("", "rrrtwo")}},
      {"one call after the other",
       {user, calls({"a"}, {"cccone"}), result("a", "rrrone"), calls({"b"}, {"ccctwo"}), result("b", "rrrtwo")}},
      {"a call, its result and an answer", {system, user, calls({ours}, {"cccone"}), result(ours, "rrrone"), said, again}},
      {"the user right after a result", {user, calls({ours}, {"cccone"}), result(ours, "rrrone"), again}},
  };
}

std::vector<std::string> words_of(const Messages& messages) {
  std::vector<std::string> words;
  for (const auto& msg : messages) {
    if (!msg.content.empty()) words.push_back(msg.content);
    for (const auto& part : msg.content_parts) words.push_back(part.text);
    for (const auto& call : msg.tool_calls) words.push_back(call.arguments.substr(8, call.arguments.size() - 10));
  }
  return words;
}

/** Why a conversation is not what it should be in a template; empty if it is. */
std::string problem(const common_chat_templates* templates, const TemplateTraits& traits, const Conversation& conversation) {
  common_chat_templates_inputs inputs;
  inputs.force_pure_content = true;
  BridgedMessages bridged = bridge_messages(conversation.messages, traits);
  if (bridged.messages.size() != bridged.origins.size()) return "messages without an origin";
  if (!std::is_sorted(bridged.origins.begin(), bridged.origins.end()) && traits.parallel_calls) return "another order";
  inputs.messages = std::move(bridged.messages);
  bool calls = false;
  for (const auto& msg : conversation.messages) calls |= !msg.tool_calls.empty();
  if (calls) inputs.tools.push_back({"looks", "Looks.", R"({"type":"object","properties":{"at":{"type":"string"}}})"});
  try {
    const std::string prompt = common_chat_templates_apply(templates, inputs).prompt;
    for (const std::string& word : words_of(conversation.messages)) {
      if (prompt.find(word) == std::string::npos) return "\"" + word + "\" is lost";
    }
  } catch (const std::exception& e) {
    const std::string what = e.what();
    return "refused: " + what.substr(what.rfind('\n') + 1);
  }
  return {};
}

}  // namespace

TEST("every template takes messages as people send them, and loses no word of them") {
  init_backends();
  size_t templates_seen = 0, bridged = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ZSE_LLAMA_DIR "/models/templates")) {
    if (entry.path().extension() != ".jinja") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string source{std::istreambuf_iterator<char>(file), {}};
    const auto templates = common_chat_templates_init(nullptr, source, "<s>", "</s>");
    const TemplateTraits traits = find_traits(templates.get());
    templates_seen++;
    for (const auto& conversation : conversations()) {
      if (!problem(templates.get(), TemplateTraits{}, conversation).empty()) bridged++;
      const std::string why = problem(templates.get(), traits, conversation);
      if (why.empty()) continue;
      std::cerr << entry.path().filename().string() << ": " << conversation.name << ": " << why << "\n";
      CHECK(why.empty());
    }
  }
  CHECK(templates_seen >= 60);
  CHECK(bridged > 100);  // refused or cut short as they were sent
  std::cout << "        " << templates_seen << " templates; " << bridged << " conversations were bridged\n";
}

TEST("a conversation that a template takes as it is reaches it as it is") {
  for (const auto& conversation : conversations()) {
    const BridgedMessages bridged = bridge_messages(conversation.messages, TemplateTraits{});
    REQUIRE(bridged.messages.size() == conversation.messages.size());
    for (size_t i = 0; i < bridged.messages.size(); i++) {
      CHECK(bridged.messages[i].to_json_oaicompat().dump() == conversation.messages[i].to_json_oaicompat().dump());
      CHECK_EQ(bridged.origins[i], i);
    }
  }
}
