#include "message_bridges.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/work_bound.h"

namespace zse {

namespace {

using Messages = std::vector<common_chat_msg>;

common_chat_msg message(const char* role, const std::string& content) {
  common_chat_msg msg;
  msg.role = role;
  msg.content = content;
  return msg;
}

common_chat_msg call(const std::string& id) {
  common_chat_msg msg = message("assistant", "");
  msg.tool_calls.push_back({"zsecallname", "{\"zsekey\": \"zsevalue" + id + "\"}", id});
  return msg;
}

common_chat_msg result(const std::string& id, const std::string& content) {
  common_chat_msg msg = message("tool", content);
  msg.tool_call_id = id;
  msg.tool_name = "zsecallname";
  return msg;
}

bool is_system(const common_chat_msg& msg) { return msg.role == "system" || msg.role == "developer"; }

/** Whether a template renders a conversation, and all that is `said` in it. */
bool keeps(const common_chat_templates* templates, Messages messages, std::initializer_list<const char*> said) {
  common_chat_templates_inputs inputs;
  inputs.force_pure_content = true;
  const bool calls = std::any_of(messages.begin(), messages.end(), [](const auto& msg) { return !msg.tool_calls.empty(); });
  if (calls)
    inputs.tools.push_back({"zsecallname", "Looks.", R"({"type":"object","properties":{"zsekey":{"type":"string"}}})"});
  inputs.messages = std::move(messages);
  try {
    const std::string prompt = common_chat_templates_apply(templates, inputs).prompt;
    return std::all_of(said.begin(), said.end(), [&](const char* text) { return prompt.find(text) != std::string::npos; });
  } catch (const std::exception&) {
    return false;
  }
}

common_chat_msg in_parts(common_chat_msg msg) {
  msg.content.clear();
  msg.content_parts = {{"text", "zsefirst"}, {"text", "zsesecond"}};
  return msg;
}

size_t role_index(const common_chat_msg& msg) {
  if (is_system(msg)) return 0;
  if (msg.role == "user") return 1;
  return msg.role == "assistant" ? 2 : 3;
}

bool is_nine_characters(const std::string& id) {
  return id.size() == 9 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
         });
}

/** Nine letters and digits; the same for the same text and number (FNV-1a). */
std::string short_id(const std::string& id, size_t number) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : id + "/" + std::to_string(number)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::string text;
  for (int i = 0; i < 9; i++, hash /= 36) text += "0123456789abcdefghijklmnopqrstuvwxyz"[hash % 36];
  return text;
}

std::string text_of(const common_chat_msg& msg) { return msg.render_content("\n"); }

void set_text(common_chat_msg& msg, std::string text) {
  msg.content = std::move(text);
  msg.content_parts.clear();
}

/** Writes one conversation over, message by message. */
class Bridge {
 public:
  Bridge(Messages messages, const TemplateTraits& traits) : traits_(traits) {
    for (size_t i = 0; i < messages.size(); i++) add(std::move(messages[i]), i);
  }

  BridgedMessages run() {
    join_parts();
    name_calls();
    if (!traits_.tool_calls || !traits_.tool_results) write_calls_out();
    if (traits_.tool_calls && !traits_.parallel_calls) part_calls();
    place_systems();
    place_turns();
    return std::move(now_);
  }

 private:
  void add(common_chat_msg msg, size_t origin) {
    work_step();
    now_.messages.push_back(std::move(msg));
    now_.origins.push_back(origin);
  }

  BridgedMessages take() { return std::exchange(now_, BridgedMessages{}); }

  void join_parts() {
    for (auto& msg : now_.messages) {
      work_step();
      if (msg.content_parts.size() > 1 && !traits_.parts[role_index(msg)]) set_text(msg, text_of(msg));
    }
  }

  /** Ids where they must be there, and in a form that the template takes. Results have the ids of their calls, in their order where they name none. */
  void name_calls() {
    if (traits_.any_id && traits_.missing_id) return;
    size_t number = 0;
    std::vector<std::string> open;  // of the calls that wait for a result
    size_t next_open = 0;
    const auto name_of = [&](const std::string& id) {
      if (id.empty()) return short_id("", number++);
      return traits_.any_id || is_nine_characters(id) ? id : short_id(id, 0);
    };
    for (auto& msg : now_.messages) {
      work_step();
      if (!msg.tool_calls.empty()) {
        open.clear();
        next_open = 0;
        for (auto& one : msg.tool_calls) {
          work_step();
          one.id = name_of(one.id);
          open.push_back(one.id);
        }
      } else if (msg.role == "tool") {
        if (msg.tool_call_id.empty() && next_open < open.size()) {
          msg.tool_call_id = open[next_open];
        } else {
          msg.tool_call_id = name_of(msg.tool_call_id);
        }
        next_open++;
      }
    }
  }

  /** Calls as text of the assistant, and their results as words of the user, for a template that knows neither. */
  void write_calls_out() {
    BridgedMessages before = take();
    for (size_t i = 0; i < before.messages.size(); i++) {
      common_chat_msg& msg = before.messages[i];
      if (!msg.tool_calls.empty() && !traits_.tool_calls) {
        std::string text = text_of(msg);
        for (const auto& one : msg.tool_calls) {
          work_step();
          if (!text.empty()) text += '\n';
          text += "{\"name\": " + common_json(one.name).dump() +
                  ", \"arguments\": " + (one.arguments.empty() ? "{}" : one.arguments) + "}";
        }
        msg.tool_calls.clear();
        set_text(msg, std::move(text));
      } else if (msg.role == "tool" && !traits_.tool_results) {
        const std::string name = msg.tool_name.empty() ? "the call" : msg.tool_name;
        common_chat_msg said = message("user", "Result of " + name + ":\n" + text_of(msg));
        msg = std::move(said);
      }
      add(std::move(msg), before.origins[i]);
    }
  }

  /** One call and its result after the other, for a template that takes one at a time. */
  void part_calls() {
    BridgedMessages before = take();
    for (size_t i = 0; i < before.messages.size();) {
      common_chat_msg& msg = before.messages[i];
      if (msg.tool_calls.size() < 2) {
        add(std::move(msg), before.origins[i++]);
        continue;
      }
      const size_t first = i + 1;
      size_t last = first;
      std::unordered_map<std::string, std::vector<size_t>> results;  // by id, the last one first
      while (last < before.messages.size() && before.messages[last].role == "tool") last++;
      for (size_t r = last; r-- > first;) results[before.messages[r].tool_call_id].push_back(r);
      std::vector<bool> used(last - first);
      const auto calls = std::move(msg.tool_calls);
      for (size_t c = 0; c < calls.size(); c++) {
        common_chat_msg one = c == 0 ? msg : message("assistant", "");
        one.tool_calls = {calls[c]};
        add(std::move(one), before.origins[i]);
        auto& of = results[calls[c].id];
        const size_t by_order = first + c;
        if (of.empty() && (by_order >= last || used[c])) continue;
        const size_t at = of.empty() ? by_order : of.back();
        if (!of.empty()) of.pop_back();
        if (used[at - first]) continue;
        used[at - first] = true;
        add(std::move(before.messages[at]), before.origins[at]);
      }
      for (size_t r = first; r < last; r++) {
        if (!used[r - first]) add(std::move(before.messages[r]), before.origins[r]);
      }
      i = last;
    }
  }

  void place_systems() {
    BridgedMessages before = take();
    size_t leading = 0;
    while (leading < before.messages.size() && is_system(before.messages[leading])) leading++;
    const bool only = std::all_of(before.messages.begin(), before.messages.end(), is_system);
    for (size_t i = 0; i < before.messages.size(); i++) {
      common_chat_msg& msg = before.messages[i];
      if (i > 0 && i < leading && (!traits_.systems || !traits_.system)) {
        join(now_.messages.back(), msg);
        continue;
      }
      if (i >= leading && is_system(msg) && !traits_.late_system) msg.role = "user";
      add(std::move(msg), before.origins[i]);
    }
    // Of a system message that the user's follows llama.cpp makes one message itself.
    const bool nobody = now_.messages.size() < 2 || now_.messages[1].role != "user";
    if (!now_.messages.empty() && is_system(now_.messages[0]) &&
        ((!traits_.system && nobody) || (only && !traits_.system_only))) {
      now_.messages[only ? now_.messages.size() - 1 : 0].role = "user";
    }
  }

  /** Turns that alternate, from the user's on. */
  void place_turns() {
    BridgedMessages before = take();
    for (size_t i = 0; i < before.messages.size(); i++) {
      common_chat_msg& msg = before.messages[i];
      const size_t origin = before.origins[i];
      const common_chat_msg* last = now_.messages.empty() ? nullptr : &now_.messages.back();
      const bool first = last == nullptr || is_system(*last);
      if (msg.role == "assistant" && first && !traits_.assistant_first) {
        add(message("user", ""), origin);
      } else if (msg.role == "user" && last != nullptr && last->role == "tool" && !traits_.user_after_tool) {
        add(message("assistant", ""), origin);
      } else if (last != nullptr && last->role == msg.role && !traits_.repeated_role && last->tool_calls.empty() &&
                 (msg.role == "user" || msg.role == "assistant")) {
        join(now_.messages.back(), msg);
        continue;
      }
      add(std::move(msg), origin);
    }
  }

  /** What the second says behind what the first says. */
  static void join(common_chat_msg& first, common_chat_msg& second) {
    work_step();
    if (!first.content_parts.empty()) set_text(first, text_of(first));
    const std::string more = text_of(second);
    if (!first.content.empty() && !more.empty()) first.content += "\n\n";
    first.content += more;
    if (!second.reasoning_content.empty()) {
      if (!first.reasoning_content.empty()) first.reasoning_content += '\n';
      first.reasoning_content += second.reasoning_content;
    }
    first.tool_calls = std::move(second.tool_calls);
  }

  const TemplateTraits& traits_;
  BridgedMessages now_;
};

}  // namespace

TemplateTraits find_traits(const common_chat_templates* templates) {
  const common_chat_msg system = message("system", "zsesystem"), other = message("system", "zseother");
  const common_chat_msg user = message("user", "zseuser"), again = message("user", "zseagain");
  const common_chat_msg assistant = message("assistant", "zseassistant");
  const std::string id = "zse123456", long_id = "call_zse1234567890";
  TemplateTraits traits;
  // One that refuses the plainest conversation has no quirk but a reason: it says so at each request.
  if (!keeps(templates, {user, assistant, again}, {"zseuser", "zseassistant", "zseagain"})) return traits;
  traits.system = common_chat_templates_get_caps(templates)["supports_system_role"] &&
                  keeps(templates, {system, user}, {"zsesystem", "zseuser"});
  traits.systems = keeps(templates, {system, other, user}, {"zsesystem", "zseother"});
  traits.late_system = keeps(templates, {system, user, assistant, other, again}, {"zsesystem", "zseother", "zseagain"}) &&
                       keeps(templates, {user, other}, {"zseuser", "zseother"});
  traits.system_only = keeps(templates, {system}, {"zsesystem"});
  traits.repeated_role = keeps(templates, {user, again}, {"zseuser", "zseagain"});
  traits.assistant_first = keeps(templates, {assistant, user}, {"zseassistant", "zseuser"});
  for (const auto& [msg, index] : {std::pair{system, 0}, {user, 1}, {assistant, 2}}) {
    Messages messages = {in_parts(msg)};
    if (index == 2) messages.insert(messages.begin(), user);
    if (index != 1) messages.push_back(again);
    traits.parts[index] = keeps(templates, messages, {"zsefirst", "zsesecond"});
  }
  traits.tool_calls =
      keeps(templates, {user, call(id), result(id, "zseresult"), assistant}, {"zsevaluezse123456", "zsecallname"});
  if (!traits.tool_calls) {
    traits.tool_results = keeps(templates, {user, assistant, result(id, "zseresult"), assistant}, {"zseresult"});
    traits.user_after_tool = keeps(templates, {user, assistant, result(id, "zseresult"), again}, {"zseresult", "zseagain"});
    traits.parts[3] = keeps(templates, {user, assistant, in_parts(result(id, ""))}, {"zsefirst", "zsesecond"});
    return traits;
  }
  traits.tool_results = keeps(templates, {user, call(id), result(id, "zseresult")}, {"zseresult"});
  traits.parts[3] = keeps(templates, {user, call(id), in_parts(result(id, ""))}, {"zsefirst", "zsesecond"});
  traits.any_id = keeps(templates, {user, call(long_id), result(long_id, "zseresult")}, {"zseresult"});
  traits.missing_id = keeps(templates, {user, call(""), result("", "zseresult")}, {"zseresult"});
  traits.user_after_tool = keeps(templates, {user, call(id), result(id, "zseresult"), again}, {"zseresult", "zseagain"});
  common_chat_msg both = call(id);
  both.tool_calls.push_back(call("zse654321").tool_calls[0]);
  traits.parallel_calls = keeps(templates, {user, both, result(id, "zseresult"), result("zse654321", "zseother")},
                                {"zsevaluezse123456", "zsevaluezse654321", "zseresult", "zseother"});
  return traits;
}

BridgedMessages bridge_messages(std::vector<common_chat_msg> messages, const TemplateTraits& traits) {
  return Bridge(std::move(messages), traits).run();
}

}  // namespace zse
