// Owns the promise that a template is analysed once and not for each request: the first token of a request with tools waits for its own work alone.
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "base/work_bound.h"
#include "chat.h"
#include "check.h"
#include "llama/devices.h"

using namespace zse;

namespace {

/** Counts work in looks of some hundred steps: the same on every machine. */
class CountingBound : public WorkBound {
 public:
  CountingBound() : WorkBound({}) {}
  size_t looks = 0;

 private:
  void look_around() override { looks++; }
};

common_chat_templates_ptr templates_of(const std::string& name) {
  std::ifstream file(ZSE_LLAMA_DIR "/models/templates/" + name + ".jinja", std::ios::binary);
  const std::string source{std::istreambuf_iterator<char>(file), {}};
  return common_chat_templates_init(nullptr, source, "<s>", "</s>");
}

common_chat_templates_inputs asked() {
  common_chat_templates_inputs inputs;
  common_chat_msg user;
  user.role = "user";
  user.content = "Look!";
  inputs.messages = {user};
  inputs.tools.push_back({"look", "Looks.", R"({"type":"object","properties":{"at":{"type":"string"}}})"});
  return inputs;
}

}  // namespace

TEST("a template without a handler of its own is analysed at its first request, and not again") {
  init_backends();
  for (const char* name : {"Qwen-Qwen3-0.6B", "mistralai-Mistral-Nemo-Instruct-2407", "ibm-granite-granite-4.0"}) {
    const auto templates = templates_of(name);
    const auto apply = [&](size_t& looks) {
      CountingBound bound;
      const WorkBound::Scope scope(bound);
      const auto params = common_chat_templates_apply(templates.get(), asked());
      looks = bound.looks;
      return params.prompt + params.parser;
    };
    size_t first = 0, second = 0;
    const std::string before = apply(first);
    CHECK(apply(second) == before);
    CHECK(second * 3 < first);
  }
}

TEST("an analysis that is stopped is made by the next request") {
  init_backends();
  const auto templates = templates_of("Qwen-Qwen3-0.6B");
  WorkLimits limits;
  limits.steps = 4000;
  WorkBound bound(limits);
  bool stopped = false;
  try {
    const WorkBound::Scope scope(bound);
    common_chat_templates_apply(templates.get(), asked());
  } catch (const WorkStopped&) {
    stopped = true;
  }
  CHECK(stopped);
  const auto again = common_chat_templates_apply(templates.get(), asked());
  const auto other = common_chat_templates_apply(templates_of("Qwen-Qwen3-0.6B").get(), asked());
  CHECK(again.parser == other.parser);
}

TEST("threads that ask at the same time have the same answer") {
  init_backends();
  const auto templates = templates_of("Qwen-Qwen3-0.6B");
  std::vector<std::string> parsers(4);
  std::vector<std::thread> threads;
  for (auto& parser : parsers) {
    threads.emplace_back([&] { parser = common_chat_templates_apply(templates.get(), asked()).parser; });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& parser : parsers) CHECK(!parser.empty() && parser == parsers[0]);
}
